package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/caddy-alipayai/gateway/internal/heldport"
)

const (
	routingKey = "0123456789abcdef0123456789ABCDEF"
	secretPath = "/services/T000/B000/s3cretpath"
)

// service is what takes notifications over real HTTP.
type service struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	bodies   [][]byte
}

func newService(t *testing.T, answer http.HandlerFunc) *service {
	t.Helper()
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		s.requests, s.bodies = append(s.requests, r), append(s.bodies, body)
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// only is the one request and its body as a value.
func (s *service) only(t *testing.T) (*http.Request, map[string]any) {
	t.Helper()
	if len(s.bodies) != 1 {
		t.Fatalf("%d requests", len(s.bodies))
	}
	var body map[string]any
	if err := json.Unmarshal(s.bodies[0], &body); err != nil {
		t.Fatal(err)
	}
	return s.requests[0], body
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// must is for sinks whose address is right.
func must[S Sink](t *testing.T) func(S, error) S {
	return func(s S, err error) S {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

func equalJSON(t *testing.T, got map[string]any, want string) {
	t.Helper()
	var wanted map[string]any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, wanted) {
		text, _ := json.MarshalIndent(got, "", "  ")
		t.Errorf("got %s\nwant %s", text, want)
	}
}

func checkPost(t *testing.T, r *http.Request, path string) {
	t.Helper()
	if r.Method != http.MethodPost || r.URL.Path != path || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s %s with %s", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
	}
}

func TestSlack(t *testing.T) {
	slackOK := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }
	for action, want := range map[Action]string{
		Trigger: `{
			"text": "[FIRING] a &lt;b&gt; &amp; c (breaker_open at alipay, gw1)",
			"attachments": [{"color": "#d32f2f", "blocks": [
				{"type": "section", "text": {"type": "mrkdwn", "text": ":rotating_light: *Firing*: a &lt;b&gt; &amp; c"}},
				{"type": "context", "elements": [{"type": "mrkdwn",
					"text": "` + "`breaker_open` at `alipay`" + ` | gw1 | since <!date^1795419900^{date_short_pretty} {time_secs}|2026-11-23 07:45:00 UTC>"}]}
			]}]}`,
		Resolve: `{
			"text": "[RESOLVED] a &lt;b&gt; &amp; c (breaker_open at alipay, gw1, after 1m30s)",
			"attachments": [{"color": "#2e7d32", "blocks": [
				{"type": "section", "text": {"type": "mrkdwn", "text": ":white_check_mark: *Resolved*: a &lt;b&gt; &amp; c"}},
				{"type": "context", "elements": [{"type": "mrkdwn",
					"text": "` + "`breaker_open` at `alipay`" + ` | gw1 | since <!date^1795419900^{date_short_pretty} {time_secs}|2026-11-23 07:45:00 UTC>"}]}
			]}]}`,
	} {
		t.Run(string(action), func(t *testing.T) {
			server := newService(t, slackOK)
			sink := must[*Slack](t)(NewSlack(server.URL + secretPath))
			n := notification(action)
			n.Summary = "a <b> & c"
			if err := sink.Send(t.Context(), n); err != nil {
				t.Fatal(err)
			}
			r, body := server.only(t)
			checkPost(t, r, secretPath)
			equalJSON(t, body, want)
		})
	}
}

// Slack refuses a section of more than 3000 characters.
func TestSlackIsBounded(t *testing.T) {
	server := newService(t, status(http.StatusOK))
	n := notification(Trigger)
	n.Summary, n.Provider, n.Source = strings.Repeat("&", 9000), strings.Repeat("<", 9000), strings.Repeat("你", 9000)
	if err := must[*Slack](t)(NewSlack(server.URL)).Send(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	var m slackMessage
	if err := json.Unmarshal(server.bodies[0], &m); err != nil {
		t.Fatal(err)
	}
	for _, block := range m.Attachments[0].Blocks {
		if block.Text != nil {
			block.Elements = append(block.Elements, *block.Text)
		}
		for _, text := range block.Elements {
			if n := utf8.RuneCountInString(text.Text); n > 5200 || block.Type == "section" && n > 3000 {
				t.Errorf("a %s of %d characters", block.Type, n)
			}
		}
	}
}

func TestPagerDuty(t *testing.T) {
	accepted := func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, `{"status":"success","message":"Event processed","dedup_key":"x"}`)
	}
	for action, want := range map[Action]string{
		Trigger: `{
			"routing_key": "` + routingKey + `", "event_action": "trigger", "dedup_key": "alipayai/gw1/breaker_open/alipay",
			"client": "caddy-alipayai",
			"payload": {
				"summary": "the breaker at alipay is open", "source": "gw1", "severity": "error",
				"timestamp": "2026-11-23T07:45:00Z", "component": "alipay", "group": "alipayai", "class": "breaker_open",
				"custom_details": {"kind": "breaker_open", "provider": "alipay", "since": "2026-11-23T07:45:00Z"}
			}}`,
		Resolve: `{
			"routing_key": "` + routingKey + `", "event_action": "resolve", "dedup_key": "alipayai/gw1/breaker_open/alipay"}`,
	} {
		t.Run(string(action), func(t *testing.T) {
			server := newService(t, accepted)
			sink := must[*PagerDuty](t)(NewPagerDuty(routingKey, server.URL+"/v2/enqueue"))
			if err := sink.Send(t.Context(), notification(action)); err != nil {
				t.Fatal(err)
			}
			r, body := server.only(t)
			checkPost(t, r, "/v2/enqueue")
			equalJSON(t, body, want)
		})
	}
}

func TestPagerDutyLimits(t *testing.T) {
	server := newService(t, status(http.StatusAccepted))
	sink := must[*PagerDuty](t)(NewPagerDuty(routingKey, server.URL))
	n := notification(Trigger)
	n.Summary, n.Provider = strings.Repeat("字", 2000), strings.Repeat("p", 300)
	if err := sink.Send(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	_, body := server.only(t)
	if got := utf8.RuneCountInString(body["payload"].(map[string]any)["summary"].(string)); got != 1024 {
		t.Errorf("a summary of %d characters", got)
	}
	key := body["dedup_key"].(string)
	n.Action = Resolve
	if len(key) > 255 || dedupKey(n) != key {
		t.Errorf("dedup key %q, of the resolve %q", key, dedupKey(n))
	}
	n.Provider += "q"
	if dedupKey(n) == key {
		t.Error("two providers have one key")
	}
	for kind, want := range map[Kind]string{
		BreakerOpen: "error", SystemErrorRate: "error", AllProvidersFailing: "critical", TokenRefreshFailing: "error",
		StoreLost: "error", Throttled: "warning",
	} {
		if got := kind.Severity(); got != want {
			t.Errorf("%s is %s", kind, got)
		}
	}
	if sink := must[*PagerDuty](t)(NewPagerDuty(routingKey, "")); sink.address != "https://events.pagerduty.com/v2/enqueue" {
		t.Errorf("default address %s", sink.address)
	}
}

func TestWebhook(t *testing.T) {
	server := newService(t, status(http.StatusNoContent))
	sink := must[*Webhook](t)(NewWebhook(strings.Replace(server.URL, "//", "//user:pass@", 1) + "/hook"))
	if err := sink.Send(t.Context(), notification(Resolve)); err != nil {
		t.Fatal(err)
	}
	r, body := server.only(t)
	checkPost(t, r, "/hook")
	if user, password, _ := r.BasicAuth(); user != "user" || password != "pass" {
		t.Errorf("signed in as %s", user)
	}
	equalJSON(t, body, `{
		"action": "resolve", "key": "alipayai/gw1/breaker_open/alipay", "kind": "breaker_open", "provider": "alipay",
		"severity": "error", "summary": "the breakers at alipay are closed", "source": "gw1",
		"time": "2026-11-23T07:46:30Z", "since": "2026-11-23T07:45:00Z", "repeats": 3}`)
}

func TestAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		code  int
		after string
		want  *SendError
	}{
		"accepted":           {202, "", nil},
		"bad":                {400, "", &SendError{Reason: "status 400", Final: true}},
		"gone":               {410, "", &SendError{Reason: "status 410", Final: true}},
		"redirect":           {307, "", &SendError{Reason: "status 307", Final: true}},
		"too many":           {429, "7", &SendError{Reason: "status 429", After: 7 * time.Second}},
		"far too many":       {429, "999999999999", &SendError{Reason: "status 429", After: time.Minute}},
		"2^63":               {429, "9223372036854775808", &SendError{Reason: "status 429", After: time.Minute}},
		"a year 9999":        {429, "Fri, 31 Dec 9999 23:59:59 GMT", &SendError{Reason: "status 429", After: time.Minute}},
		"a day":              {429, "86400", &SendError{Reason: "status 429", After: time.Minute}},
		"nonsense":           {429, "soon", &SendError{Reason: "status 429"}},
		"negative":           {503, "-5", &SendError{Reason: "status 503"}},
		"a date in the past": {503, "Sun, 06 Nov 1994 08:49:37 GMT", &SendError{Reason: "status 503"}},
		"broken":             {500, "", &SendError{Reason: "status 500"}},
	} {
		t.Run(name, func(t *testing.T) {
			elsewhere := newService(t, status(http.StatusOK))
			server := newService(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", tc.after)
				w.Header().Set("Location", elsewhere.URL)
				w.WriteHeader(tc.code)
			})
			err := must[*Webhook](t)(NewWebhook(server.URL)).Send(t.Context(), notification(Trigger))
			var got *SendError
			if errors.As(err, &got); (got == nil) != (tc.want == nil) || got != nil && *got != *tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
			if len(elsewhere.requests) != 0 {
				t.Error("a redirect was followed")
			}
		})
	}
	t.Run("a date", func(t *testing.T) {
		err := statusFailure(429, time.Now().Add(30*time.Second).UTC().Format(http.TimeFormat))
		var got *SendError
		if !errors.As(err, &got) || got.After < 28*time.Second || got.After > 30*time.Second {
			t.Errorf("got %+v", got)
		}
	})
}

// The whole way: a service that is down for a moment still gets the alert, once.
func TestServiceComesBack(t *testing.T) {
	var calls int
	server := newService(t, func(w http.ResponseWriter, _ *http.Request) {
		if calls++; calls == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	var seen observed
	log, _ := testLogger()
	a := New(NewState(), Options{
		Sinks: []Sink{must[*Slack](t)(NewSlack(server.URL + secretPath))}, Logger: log, Observe: seen.observe,
	})
	a.Raise(StoreLost, "alipay", "lost")
	flush(t, a)
	if calls != 2 || seen.count("slack store_lost sent") != 1 {
		t.Errorf("%d calls, observed %v", calls, seen.n)
	}
}

// Addresses are secrets: no error, log line or printed value has them.
func TestAddressesStaySecret(t *testing.T) {
	closed := "http://" + heldport.Addr(t)
	slow := newService(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	log, logs := testLogger()
	var printed bytes.Buffer
	for _, base := range []string{closed, slow.URL, "http://user:s3cretpath@127.0.0.1:1"} {
		for _, sink := range []Sink{
			must[*Slack](t)(NewSlack(base + secretPath)),
			must[*PagerDuty](t)(NewPagerDuty("s3cretpath0000000000000000000000", base+secretPath)),
			must[*Webhook](t)(NewWebhook(base + secretPath + "?token=s3cretpath")),
			must[*Shoutrrr](t)(NewShoutrrr("generic+" + base + secretPath)),
		} {
			fmt.Fprintf(&printed, "%v %+v %#v %s\n", sink, sink, sink, sink)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			err := sink.Send(ctx, notification(Trigger))
			cancel()
			if err == nil {
				t.Errorf("%s sent to %s", sink.Name(), base)
				continue
			}
			fmt.Fprintln(&printed, err)
			// And as an alert that failed for good.
			a := New(NewState(), Options{Logger: log, Sinks: []Sink{&fakeSink{name: sink.Name(), send: func(context.Context, Notification) error {
				if _, known := errors.AsType[*SendError](err); !known {
					t.Errorf("%s failed with %T", sink.Name(), err)
				}
				return &SendError{Reason: err.Error(), Final: true}
			}}}})
			a.Raise(StoreLost, "alipay", "lost")
			flush(t, a)
		}
	}
	slow.CloseClientConnections()
	for _, entry := range logs.All() {
		fmt.Fprintln(&printed, entry.Message, entry.ContextMap())
	}
	if n := logs.FilterMessage("alert could not be sent").Len(); n != 12 {
		t.Errorf("%d failures are in the log", n)
	}
	if strings.Contains(printed.String(), "s3cretpath") {
		t.Errorf("printed %s", printed.String())
	}
}

func TestAddressesAreChecked(t *testing.T) {
	slack := func(address string) error { _, err := NewSlack(address); return err }
	webhook := func(address string) error { _, err := NewWebhook(address); return err }
	pagerduty := func(key string) error { _, err := NewPagerDuty(key, ""); return err }
	shoutrrr := func(address string) error { _, err := NewShoutrrr(address); return err }
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"slack, no URL":            {slack("s3cret"), "alert slack: the address must be a URL"},
		"slack, control":           {slack("https://s3cret\x7f/"), "alert slack: the address must be a URL"},
		"webhook, no host":         {webhook("https:///s3cret"), "alert webhook: the address must be a URL"},
		"webhook, another scheme":  {webhook("ftp://s3cret/"), "alert webhook: the address must be a URL"},
		"pagerduty, short key":     {pagerduty("s3cret"), "alert pagerduty: the routing key must be"},
		"pagerduty, odd key":       {pagerduty("s3cret-23456789012345678901234567"[:32]), "alert pagerduty: the routing key must be"},
		"shoutrrr, no service":     {shoutrrr("s3cret"), "alert shoutrrr: the address must begin with a service"},
		"shoutrrr, another":        {shoutrrr("s3cret://s3cret"), "alert shoutrrr: the address must begin with a service"},
		"shoutrrr, the log":        {shoutrrr("logger://"), "alert shoutrrr: the address must begin with a service"},
		"shoutrrr, a bad address":  {shoutrrr("telegram://s3cret"), "alert shoutrrr: this is no address of the service telegram"},
		"shoutrrr, broken address": {shoutrrr("lark://s3cret\x7f"), "alert shoutrrr: this is no address of the service lark"},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.err == nil || !strings.HasPrefix(tc.err.Error(), tc.want) {
				t.Fatalf("error %v, want %q", tc.err, tc.want)
			}
			if strings.Contains(tc.err.Error(), "s3cret") {
				t.Errorf("%v repeats the address", tc.err)
			}
		})
	}
}

// A proxy that the environment names is used. The environment is read once in a
// process, so that this needs one of its own.
func TestProxy(t *testing.T) {
	const variable = "ALERT_TEST_PROXY_CHILD"
	if os.Getenv(variable) != "" {
		err := must[*Webhook](t)(NewWebhook("http://alerts.example.test/hook")).Send(t.Context(), notification(Trigger))
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	proxy := newService(t, status(http.StatusOK))
	child := exec.Command(os.Args[0], "-test.run=^TestProxy$")
	child.Env = append(os.Environ(), variable+"=1", "HTTP_PROXY="+proxy.URL, "NO_PROXY=")
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if r, _ := proxy.only(t); r.URL.String() != "http://alerts.example.test/hook" {
		t.Errorf("the proxy was asked for %s", r.URL)
	}
}
