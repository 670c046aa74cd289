package alipaycaddy

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/tenants"
	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// failoverRig is a rig with a second simulated API to fall over to, and two
// tenants.
type failoverRig struct {
	*rig
	claude *sandbox.Server
	// acme and zeta are the tenants' header fields.
	acme, zeta string
}

func newFailoverRig(t *testing.T) *failoverRig {
	t.Helper()
	g := &failoverRig{rig: newRig(t, sandbox.Config{RequestsPerSecond: -1})}
	g.claude = must(sandbox.New(sandbox.Config{Format: sandbox.Anthropic, RequestsPerSecond: -1}))
	server := httptest.NewServer(g.claude)
	t.Cleanup(server.Close)
	g.vars["claude"] = server.Listener.Addr().String()
	for name, field := range map[string]*string{"acme": &g.acme, "zeta": &g.zeta} {
		key, hash := tenants.NewKey()
		*field, g.vars[name] = "Authorization: Bearer "+key, hash.String()
	}
	return g
}

// twoProviders declares both APIs.
const twoProviders = `
alipayai {
	provider alipay {
		profile sandbox
		base_url http://${api}
		limit off
	}
	provider claude {
		profile sandbox_anthropic
		base_url http://${claude}/v1
	}
}`

// failoverSite serves them in order, with these options of the proxy.
func failoverSite(options ...string) string {
	return `
http://${gateway} {
	log
	metrics /metrics
	@calls not path /metrics
	alipayai_auth @calls {
		key acme ${acme}
		key zeta ${zeta}
	}
	alipayai_proxy alipay claude {
		` + strings.Join(options, "\n") + `
	}
}`
}

// fail makes an API fail, in this way, until it is called without one.
func (g *failoverRig) fail(api *sandbox.Server, faults ...sandbox.Fault) {
	g.t.Helper()
	if err := api.SetFaults(faults...); err != nil {
		g.t.Fatal(err)
	}
}

var systemError = sandbox.Fault{Kind: sandbox.SystemError200}

// openBreaker makes as many of acme's calls fail at Alipay as it takes.
func (g *failoverRig) openBreaker() {
	g.t.Helper()
	g.fail(g.api, systemError)
	for range 4 {
		g.chat("failing", g.acme).answeredBy(g.t, "claude", "claude-haiku-4-5", "system_error")
	}
	g.opens("gateway")
}

// opens waits until gateways know that Alipay's breaker is open. A failure that Redis takes long to hear of, on a busy machine,
// does not count: then one more call has to fail.
func (g *failoverRig) opens(gateways ...string) {
	g.t.Helper()
	again := time.NewTimer(3 * time.Second)
	defer again.Stop()
	for _, name := range gateways {
		g.eventually(name+" to know that the breaker is open", func() bool {
			select {
			case <-again.C:
				g.at("gateway", "failing again", g.acme)
				again.Reset(3 * time.Second)
			default:
			}
			metrics := g.read(g.send(name, "GET", "/metrics", "")).body
			return strings.Contains(metrics, `caddy_alipayai_breakers{provider="alipay",state="open"} 1`)
		})
	}
}

// answeredBy checks which provider answered, with which model, and why those
// before it did not.
func (a answer) answeredBy(t *testing.T, provider, model, reasons string) {
	t.Helper()
	for name, want := range map[string]string{
		"X-Alipayai-Provider": provider, "X-Alipayai-Model": model, "X-Alipayai-Reason": reasons,
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// messages is how many calls reached the second API.
func (g *failoverRig) messages() int64 { return g.claude.Stats().Paths["/v1/messages"] }

// inEachStore runs a test with the gateway's state in memory and in Redis.
func inEachStore(t *testing.T, test func(t *testing.T, g *failoverRig, global string)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) { test(t, newFailoverRig(t), twoProviders) })
	t.Run("redis", func(t *testing.T) {
		g := newFailoverRig(t)
		g.vars["redis"] = redistest.Start(t).Addr
		test(t, g, inRedis(twoProviders, "redis"))
	})
}

// TestFallsOver has the second API answer whatever becomes of the first.
func TestFallsOver(t *testing.T) {
	tests := map[string]struct {
		fault   sandbox.Fault
		stream  bool
		reasons string
		first   int64 // attempts at Alipay
	}{
		"system error in a 200":   {systemError, false, "system_error", 1},
		"system error in a 500":   {sandbox.Fault{Kind: sandbox.SystemError500}, false, "system_error", 1},
		"system error, streaming": {sandbox.Fault{Kind: sandbox.SystemErrorFirst}, true, "system_error", 1},
		"server error":            {sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 503, Code: "BUSY"}, false, "server_error", 3},
		"throttled":               {sandbox.Fault{Kind: sandbox.Throttle, RetryAfter: 60}, false, "throttled", 1},
		"broken body":             {sandbox.Fault{Kind: sandbox.TruncatedBody}, false, "upstream_truncated_response", 1},
		"empty stream":            {sandbox.Fault{Kind: sandbox.EmptyStream}, true, "upstream_truncated_response", 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := newFailoverRig(t)
			g.load(twoProviders, failoverSite())
			g.chat("before", g.acme).answeredBy(t, "alipay", "alipay-fin-1", "")
			g.fail(g.api, tt.fault)
			before := g.chats()
			a := g.do("POST", chatPath, chatBody("tea", tt.stream), g.acme)
			if a.status != http.StatusOK || !strings.Contains(a.body, "tea") {
				t.Fatalf("status %d: %s", a.status, a.body)
			}
			a.answeredBy(t, "claude", "claude-haiku-4-5", tt.reasons)
			if tt.stream && !strings.HasSuffix(a.body, "data: [DONE]\n\n") {
				t.Errorf("the stream ends in %q", a.body[max(0, len(a.body)-40):])
			}
			if got := g.chats() - before; got != tt.first {
				t.Errorf("Alipay was asked %d times, want %d", got, tt.first)
			}
			if got := g.messages(); got != 1 {
				t.Errorf("Claude was asked %d times", got)
			}
			got := g.outcome(a)
			if got["provider"] != "claude" || got["model"] != "alipay-fin-1" || got["upstream_model"] != "claude-haiku-4-5" ||
				got["reasons"] != tt.reasons || got["attempts"] != float64(tt.first+1) || got["stored"] != nil {
				t.Errorf("the access log says %v", got)
			}
		})
	}
}

// TestNoProviderAnswers has the error name the providers that were asked, and say when to repeat.
func TestNoProviderAnswers(t *testing.T) {
	g := newFailoverRig(t)
	g.load(twoProviders, failoverSite())
	g.fail(g.api, systemError)
	g.fail(g.claude, sandbox.Fault{Kind: sandbox.Throttle, RetryAfter: 40})
	a := g.do("POST", chatPath, chatBody("tea", false), g.acme)
	if a.status != http.StatusServiceUnavailable || a.code() != "all_providers_failed" || a.header.Get("Retry-After") != "40" {
		t.Errorf("%d, Retry-After %q: %s", a.status, a.header.Get("Retry-After"), a.body)
	}
	for _, want := range []string{"alipay: system_error (SYSTEM_ERROR)", "claude: throttled"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the error does not say %q: %s", want, a.body)
		}
	}
	if g.chats() != 1 || g.messages() != 1 {
		t.Errorf("Alipay was asked %d times, Claude %d times", g.chats(), g.messages())
	}
}

// TestMoneyStays has neither a second provider nor a cached answer.
func TestMoneyStays(t *testing.T) {
	g := newFailoverRig(t)
	g.load(twoProviders, failoverSite("class money"))
	g.chat("pay", g.acme)
	g.fail(g.api, systemError)
	if a := g.do("POST", chatPath, chatBody("pay", false), g.acme); a.status != http.StatusBadGateway || a.code() != "SYSTEM_ERROR" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if g.chats() != 2 || g.messages() != 0 {
		t.Errorf("Alipay was asked %d times, Claude %d times", g.chats(), g.messages())
	}
}

// TestOnCode has a code of the upstream's mean something else.
func TestOnCode(t *testing.T) {
	g := newFailoverRig(t)
	global := strings.Replace(twoProviders, "limit off", "limit off\non TEAPOT_* system_error", 1)
	teapot := sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 418, Code: "TEAPOT_SHORT"}
	g.load(twoProviders, failoverSite())
	g.fail(g.api, teapot)
	if a := g.do("POST", chatPath, chatBody("tea", false), g.acme); a.status != http.StatusTeapot || a.code() != "TEAPOT_SHORT" {
		t.Errorf("%d %s", a.status, a.body)
	}
	g.load(global, failoverSite())
	g.chat("tea", g.acme).answeredBy(t, "claude", "claude-haiku-4-5", "system_error")
}

// TestOnUnsupportedAtOtherDoors has what the canonical form does not carry of a request, at a provider that takes requests as they
// come: what other doors leave out is not there.
func TestOnUnsupportedAtOtherDoors(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	for choice, status := range map[string]int{"warn": http.StatusOK, "drop": http.StatusOK, "reject": http.StatusBadRequest} {
		t.Run(choice, func(t *testing.T) {
			g.load(strings.Replace(oneProvider, "profile sandbox", "profile sandbox\ndialect none\non_unsupported "+choice, 1), proxySite)
			for path, body := range map[string]string{
				"/v1/responses":   `{"model":"alipay-fin-1","input":"tea","tools":[{"type":"web_search"}]}`,
				"/v1/messages":    `{"model":"alipay-fin-1","max_tokens":9,"messages":[{"role":"user","content":"tea"}],"top_k":3}`,
				"/v1/completions": `{"model":"alipay-fin-1","prompt":"tea","suffix":"x"}`,
			} {
				before := g.chats()
				a := g.do("POST", path, body)
				if a.status != status || (a.header.Get("X-Alipayai-Unsupported") != "") != (choice == "warn") || (g.chats() > before) != (status == http.StatusOK) {
					t.Errorf("%s: %d %v %s", path, a.status, a.header, a.body)
				}
			}
			if a := g.do("POST", chatPath, strings.TrimSuffix(chatBody("tea", false), "}")+`,"wish":1}`); a.status != http.StatusOK || a.header.Get("X-Alipayai-Unsupported") != "" {
				t.Errorf("chat: %d %v %s", a.status, a.header, a.body)
			}
		})
	}
}

// TestOnUnsupported has a request that Anthropic's form cannot carry over whole.
func TestOnUnsupported(t *testing.T) {
	body := strings.TrimSuffix(chatBody("tea", false), "}") + `,"seed":7}`
	for choice, want := range map[string]struct {
		status int
		header string
	}{"warn": {http.StatusOK, "seed"}, "drop": {http.StatusOK, ""}, "reject": {http.StatusServiceUnavailable, ""}} {
		t.Run(choice, func(t *testing.T) {
			g := newFailoverRig(t)
			g.load(strings.Replace(twoProviders, "profile sandbox_anthropic", "profile sandbox_anthropic\non_unsupported "+choice, 1), failoverSite())
			g.fail(g.api, systemError)
			a := g.do("POST", chatPath, body, g.acme)
			if a.status != want.status || a.header.Get("X-Alipayai-Unsupported") != want.header {
				t.Errorf("%d %v: %s", a.status, a.header, a.body)
			}
			if n, asked := g.messages(), choice != "reject"; (n == 1) != asked {
				t.Errorf("Claude was asked %d times", n)
			}
		})
	}
}
