package alipaycaddy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// notified is a service that takes alerts, whatever their form.
type notified struct {
	*httptest.Server
	mu     sync.Mutex
	bodies map[string][]map[string]any // by path
}

func newNotified(t *testing.T) *notified {
	t.Helper()
	n := &notified{bodies: make(map[string][]map[string]any)}
	n.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		var body map[string]any
		if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || json.Unmarshal(content, &body) != nil {
			t.Errorf("%s %s %v: %q, %v", r.Method, r.URL, r.Header, content, err)
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		n.bodies[r.URL.Path] = append(n.bodies[r.URL.Path], body)
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(n.Close)
	return n
}

// at gives what has come to the path.
func (n *notified) at(path string) []map[string]any {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]map[string]any(nil), n.bodies[path]...)
}

// of gives what a webhook got of the kind: actions and providers.
func (n *notified) of(kind string) (sent []string) {
	for _, body := range n.at("/webhook") {
		if body["kind"] == kind {
			sent = append(sent, body["action"].(string)+" "+body["provider"].(string))
		}
	}
	return sent
}

const aRoutingKey = "0123456789abcdef0123456789ABCDEF"

// alerting adds alerts to a global option: to a webhook, and in Slack's and
// PagerDuty's own form.
func (g *failoverRig) alerting(global string) (string, *notified) {
	n := newNotified(g.t)
	g.vars["alerts"] = n.Listener.Addr().String()
	g.t.Setenv("TEST_SLACK", n.URL+"/services/T000/B000/a-slack-secret")
	g.t.Setenv("TEST_ROUTING_KEY", aRoutingKey)
	return strings.Replace(global, "alipayai {", `alipayai {
	alert webhook http://${alerts}/webhook
	alert slack {env.TEST_SLACK}
	alert pagerduty {env.TEST_ROUTING_KEY} http://${alerts}/v2/enqueue`, 1), n
}

// wantTold waits for alerts of that kind, and for nothing else of it.
func (g *failoverRig) wantTold(n *notified, kind string, want ...string) {
	g.t.Helper()
	sent := func() string { return strings.Join(n.of(kind), ", ") }
	g.eventually(kind+" to be sent: "+strings.Join(want, ", "), func() bool { return len(n.of(kind)) >= len(want) })
	if got := sent(); got != strings.Join(want, ", ") {
		g.t.Errorf("%s was sent as %s, want %s", kind, got, strings.Join(want, ", "))
	}
}

// wantStore waits until both providers have been told this of their store, and nothing
// else: claude, which has no cap there, when Redis has been away for a moment longer.
func (g *failoverRig) wantStore(n *notified, want ...string) {
	g.t.Helper()
	for _, provider := range []string{"alipay", "claude"} {
		actions := func() (list []string) {
			for _, sent := range n.of("store_lost") {
				if action, ok := strings.CutSuffix(sent, " "+provider); ok {
					list = append(list, action)
				}
			}
			return list
		}
		g.eventually(fmt.Sprintf("store_lost of %s to be sent: %v", provider, want), func() bool { return len(actions()) >= len(want) })
		if got := actions(); !slices.Equal(got, want) {
			g.t.Errorf("store_lost of %s was sent as %v, want %v", provider, got, want)
		}
	}
}

// TestAlertOfABreaker opens one and lets it close. Each service is notified twice,
// in its own form, whatever is reloaded meanwhile.
func TestAlertOfABreaker(t *testing.T) {
	g := newFailoverRig(t)
	global, n := g.alerting(twoProviders)
	g.load(global, failoverSite("breaker 3 5m 1s"))
	g.openBreaker()
	g.wantTold(n, "breaker_open", "trigger alipay")
	for range 3 {
		g.load(global, failoverSite("breaker 3 5m 1s"))
		g.chat("still open", g.acme)
	}
	g.fail(g.api)
	g.eventually("Alipay to be tried again", func() bool { return g.chat("tried", g.acme).header.Get("X-Alipayai-Provider") == "alipay" })
	g.wantTold(n, "breaker_open", "trigger alipay", "resolve alipay")
	const slack, pagerDuty = "/services/T000/B000/a-slack-secret", "/v2/enqueue"
	g.eventually("Slack and PagerDuty to be notified", func() bool { return len(n.at(slack)) == 2 && len(n.at(pagerDuty)) == 2 })

	for i, want := range []struct{ text, color string }{{"[FIRING] ", "#d32f2f"}, {"[RESOLVED] ", "#2e7d32"}} {
		message := n.at(slack)[i]
		text, _ := message["text"].(string)
		attachments, _ := message["attachments"].([]any)
		if !strings.HasPrefix(text, want.text) || !strings.Contains(text, "breaker_open at alipay") || len(attachments) != 1 ||
			attachments[0].(map[string]any)["color"] != want.color || len(attachments[0].(map[string]any)["blocks"].([]any)) != 2 {
			t.Errorf("Slack got %v", message)
		}
	}
	events := n.at(pagerDuty)
	for i, action := range []string{"trigger", "resolve"} {
		if events[i]["routing_key"] != aRoutingKey || events[i]["event_action"] != action || events[i]["dedup_key"] != events[0]["dedup_key"] {
			t.Errorf("PagerDuty got %v", events[i])
		}
	}
	payload, _ := events[0]["payload"].(map[string]any)
	if payload["severity"] != "error" || payload["component"] != "alipay" || payload["class"] != "breaker_open" ||
		payload["summary"] == "" || payload["source"] == "" || payload["timestamp"] == "" {
		t.Errorf("PagerDuty's payload is %v", payload)
	}
	for _, text := range []string{"a-slack-secret", aRoutingKey} {
		if strings.Contains(g.logs(), text) {
			t.Errorf("%s is in the log", text)
		}
	}
}

// TestAlertOfTokens has the token endpoint fail and recover.
func TestAlertOfTokens(t *testing.T) {
	g := newFailoverRig(t)
	global, n := g.alerting(twoProviders)
	g.fail(g.api, sandbox.Fault{Kind: sandbox.TokenError})
	g.load(global, failoverSite("deadline 1s"))
	g.wantTold(n, "token_refresh_failing", "trigger alipay")
	g.fail(g.api)
	g.wantTold(n, "token_refresh_failing", "trigger alipay", "resolve alipay")
}

// TestAlertOfAnEmptyAccount has an account run dry and be topped up; calls fall over meanwhile.
func TestAlertOfAnEmptyAccount(t *testing.T) {
	g := newFailoverRig(t)
	global, n := g.alerting(twoProviders)
	g.load(global, failoverSite(""))
	g.fail(g.api, sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 402, Times: 2})
	for range 2 {
		got := g.chat("hello", g.acme)
		if got.status != 200 || got.header.Get("X-Alipayai-Provider") != "claude" || got.header.Get("X-Alipayai-Reason") != "account_exhausted" {
			t.Errorf("%d %v %s", got.status, got.header, got.body)
		}
	}
	g.wantTold(n, "account_exhausted", "trigger alipay")
	g.chat("topped up", g.acme)
	g.wantTold(n, "account_exhausted", "trigger alipay", "resolve alipay")
}

// TestAlertOfTheStore takes Redis away and brings it back.
func TestAlertOfTheStore(t *testing.T) {
	g := newFailoverRig(t)
	server := redistest.Start(t)
	g.vars["redis"] = server.Addr
	global, n := g.alerting(strings.Replace(inRedis(twoProviders, "redis"), "limit off", "limit 50 100ms", 1))
	g.load(global, failoverSite())
	g.chat("shared", g.acme)
	server.Kill()
	g.wantStore(n, "trigger")
	g.load(global, failoverSite())
	g.chat("alone", g.acme)
	if a := g.do("POST", chatPath, chatBody("once", false), g.acme, "Idempotency-Key: once"); a.status != http.StatusServiceUnavailable || a.code() != "idempotency_unavailable" {
		t.Errorf("a call that wants to happen once: %d %s", a.status, a.body)
	}
	server.Restart()
	g.wantStore(n, "trigger", "resolve")

	// Leaving a store that is lost is no loss any more.
	server.Kill()
	g.wantStore(n, "trigger", "resolve", "trigger")
	global, _, _ = strings.Cut(global, "store redis") // up to the line
	alone := global + strings.SplitN(strings.Replace(inRedis(twoProviders, "redis"), "limit off", "limit 50 100ms", 1), "store redis ${redis}", 2)[1]
	g.load(alone, failoverSite())
	g.wantStore(n, "trigger", "resolve", "trigger", "resolve")
}

// TestAlertsOfCalls has the alerts that only calls raise.
func TestAlertsOfCalls(t *testing.T) {
	g := newFailoverRig(t)
	global, n := g.alerting(strings.Replace(twoProviders, "alipayai {", "alipayai {\nalert_system_errors 2", 1))
	g.load(global, failoverSite("breaker off"))
	g.fail(g.api, systemError)
	for range 2 {
		g.chat("failing", g.acme)
	}
	if sent := n.of("system_error_rate"); len(sent) != 0 {
		t.Errorf("two system errors are sent as %v", sent)
	}
	g.chat("failing", g.acme)
	g.wantTold(n, "system_error_rate", "trigger alipay")
	g.fail(g.api, sandbox.Fault{Kind: sandbox.Throttle})
	g.chat("throttled", g.acme)
	g.wantTold(n, "throttled", "trigger alipay")
	g.fail(g.claude, systemError)
	for range 2 {
		if a := g.do("POST", chatPath, chatBody("unserved", false), g.acme); a.code() != "all_providers_failed" {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	g.wantTold(n, "all_providers_failing", "trigger alipay claude")
	if sent := n.of("throttled"); len(sent) != 1 {
		t.Errorf("throttling is sent as %v", sent)
	}
}
