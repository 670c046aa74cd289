package alert

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

const (
	routingKey = "0123456789abcdef0123456789ABCDEF"
	secretPath = "/services/T000/B000/s3cretpath"
)

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
