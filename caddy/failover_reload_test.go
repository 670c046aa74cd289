package alipaycaddy

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// TestBreakerSurvivesReload opens a breaker and reloads, also with another rule
// and without any.
func TestBreakerSurvivesReload(t *testing.T) {
	inEachStore(t, func(t *testing.T, g *failoverRig, global string) {
		g.load(global, failoverSite())
		g.openBreaker()
		for _, options := range []string{"", "breaker 7 1m 2m", "breaker off", "breaker 2 1h 1h"} {
			g.load(global, failoverSite(options))
			reason, asked := "breaker_open", int64(0)
			if options == "breaker off" {
				reason, asked = "system_error", 1
			}
			before := g.chats()
			g.chat("after", g.acme).answeredBy(t, "claude", "claude-haiku-4-5", reason)
			if got := g.chats() - before; got != asked {
				t.Errorf("with %q Alipay was asked %d times, want %d", options, got, asked)
			}
			if got := g.scrape()[`caddy_alipayai_breakers{provider="alipay",state="open"}`]; got != "1" {
				t.Errorf("with %q %s breakers are open, want 1", options, got)
			}
		}
		before := g.chats()
		g.chat("another tenant's", g.zeta).answeredBy(t, "claude", "claude-haiku-4-5", "system_error")
		if got := g.chats() - before; got != 1 {
			t.Errorf("for another tenant Alipay was asked %d times, want 1", got)
		}
	})
}

// TestCachedAnswerSurvivesReload reloads, also with other options, between an
// answer and the time when no provider gives one.
func TestCachedAnswerSurvivesReload(t *testing.T) {
	inEachStore(t, func(t *testing.T, g *failoverRig, global string) {
		g.load(global, failoverSite("cached_answer 1h"))
		call := func(stream bool, tenant string) answer {
			return g.do("POST", chatPath, chatBody("tea", stream), tenant)
		}
		first, streamed := call(false, g.acme), call(true, g.acme)
		if first.status != http.StatusOK || streamed.status != http.StatusOK {
			t.Fatalf("status %d and %d", first.status, streamed.status)
		}
		// It is kept after the client has it.
		g.eventually("both calls to have ended", func() bool {
			return g.scrape()[`caddy_alipayai_requests_total{code="",endpoint="chat",provider="alipay",status="200"}`] == "2"
		})
		g.fail(g.api, systemError)
		g.fail(g.claude, systemError)
		for _, options := range []string{"cached_answer 2h {\nmax_bytes 1MiB\n}", "cached_answer first 1h", "cached_answer 1h\nbreaker off"} {
			g.load(global, failoverSite(options))
			a := call(false, g.acme)
			if a.body != first.body || a.header.Get("Cache-Status") != "alipayai; hit" || a.header.Get("Age") == "" {
				t.Errorf("with %q: %d %v %s", options, a.status, a.header, a.body)
			}
			if got := g.outcome(a); got["stored"] != "cache" || got["provider"] != "alipay" || got["reasons"] == nil {
				t.Errorf("the access log says %v", got)
			}
			if a := call(true, g.acme); a.body != streamed.body || a.header.Get("Content-Type") != "text/event-stream" {
				t.Errorf("with %q the stream is %d %v %s", options, a.status, a.header, a.body)
			}
			if a := call(false, g.zeta); a.code() != "all_providers_failed" {
				t.Errorf("with %q another tenant gets %d %s", options, a.status, a.body)
			}
		}
		g.load(global, failoverSite())
		if a := call(false, g.acme); a.code() != "all_providers_failed" {
			t.Errorf("without cached_answer: %d %s", a.status, a.body)
		}
	})
}

// TestClaimsSurviveReload reloads while a call with an Idempotency-Key is under
// way, and after it.
func TestClaimsSurviveReload(t *testing.T) {
	inEachStore(t, func(t *testing.T, g *failoverRig, global string) {
		g.load(global, failoverSite())
		g.fail(g.api, sandbox.Fault{Kind: sandbox.Latency, Delay: time.Second, Times: 1})
		wait := g.keyedInBackground("call 0", g.acme)
		g.eventually("the call to arrive", func() bool { return g.chats() == 1 })
		again := func(prompt string, fields ...string) answer { return g.keyed("gateway", prompt, fields...) }
		g.load(global, failoverSite("idempotency 1h"))
		if a := again("call 0", g.acme); a.status != http.StatusConflict || a.code() != "idempotency_in_flight" {
			t.Errorf("meanwhile: %d %s", a.status, a.body)
		}
		first := wait()
		if first.status != http.StatusOK {
			t.Fatalf("%d %s", first.status, first.body)
		}
		for _, options := range []string{"", "idempotency 2h", "cached_answer 1h\nbreaker off"} {
			g.load(global, failoverSite(options))
			a := again("call 0", g.acme)
			if a.body != first.body || a.header.Get("Idempotent-Replayed") != "true" {
				t.Errorf("with %q: %d %v %s", options, a.status, a.header, a.body)
			}
			if got := g.outcome(a); got["stored"] != "idempotency" || got["attempts"] != 0.0 {
				t.Errorf("the access log says %v", got)
			}
			if a := again("other", g.acme); a.status != http.StatusUnprocessableEntity || a.code() != "idempotency_key_reused" {
				t.Errorf("another request with %q: %d %s", options, a.status, a.body)
			}
		}
		if got := g.chats(); got != 1 {
			t.Errorf("Alipay was asked %d times, want once", got)
		}
		if a := again("call 0", g.zeta); a.status != http.StatusOK || a.header.Get("Idempotent-Replayed") != "" {
			t.Errorf("another tenant's: %d %v %s", a.status, a.header, a.body)
		}
		g.load(global, failoverSite("idempotency off"))
		if a := again("other", g.acme); a.status != http.StatusOK || a.header.Get("Idempotent-Replayed") != "" {
			t.Errorf("with idempotency off: %d %v %s", a.status, a.header, a.body)
		}
	})
}

// TestRetryCrossesReload has a call wait for its repeat, or for its first
// answer, while its configuration is replaced: it goes on as it began.
func TestRetryCrossesReload(t *testing.T) {
	slow := sandbox.Fault{Kind: sandbox.Latency, Delay: 300 * time.Millisecond, Times: 1}
	for name, tt := range map[string]struct {
		faults                   []sandbox.Fault
		provider, model, reasons string
		first, second            int64
	}{
		"repeat": {[]sandbox.Fault{{Kind: sandbox.HTTPStatus, Status: 503, Code: "BUSY", RetryAfter: 1, Times: 1}},
			"alipay", "alipay-fin-1", "", 2, 0},
		"fall over": {[]sandbox.Fault{slow, systemError}, "claude", "claude-haiku-4-5", "system_error", 1, 1},
	} {
		for to, next := range map[string]struct{ global, site string }{
			"same":    {twoProviders, failoverSite()},
			"nothing": {"", "http://${gateway} {\nrespond new\n}"},
		} {
			t.Run(name+" to "+to, func(t *testing.T) {
				g := newFailoverRig(t)
				g.load(twoProviders, failoverSite())
				g.fail(g.api, tt.faults...)
				wait := g.inBackground(1, toChat, g.acme)
				g.eventually("the call to arrive", func() bool { return g.chats() == 1 })
				g.load(next.global, next.site)
				a := wait()[0]
				if a.status != http.StatusOK || !strings.Contains(a.body, "call 0") {
					t.Fatalf("%d %s", a.status, a.body)
				}
				a.answeredBy(t, tt.provider, tt.model, tt.reasons)
				if g.chats() != tt.first || g.messages() != tt.second {
					t.Errorf("Alipay was asked %d times, Claude %d times; want %d and %d", g.chats(), g.messages(), tt.first, tt.second)
				}
			})
		}
	}
}

// TestRejectedReloadKeepsFailover loads configurations that would forget what
// is known, and fail.
func TestRejectedReloadKeepsFailover(t *testing.T) {
	inEachStore(t, func(t *testing.T, g *failoverRig, global string) {
		g.load(global, failoverSite("cached_answer 1h"))
		kept := g.keyed("gateway", "kept", g.acme)
		g.eventually("the call to have ended", func() bool {
			return g.scrape()[`caddy_alipayai_requests_total{code="",endpoint="chat",provider="alipay",status="200"}`] == "1"
		})
		g.openBreaker()
		before := references()
		for name, bad := range map[string]struct{ global, site string }{
			"handler":      {global, failoverSite("breaker off", "idempotency off") + "\nhttp://${gone} {\nalipayai_proxy unknown\n}"},
			"option":       {global, failoverSite("cached_answer 1ms")},
			"alert":        {strings.Replace(global, "alipayai {", "alipayai {\nalert slack {env.TEST_UNSET}", 1), failoverSite()},
			"evidence":     {strings.Replace(global, "alipayai {", "alipayai {\nevidence {\ndir ${dir}/evidence\n}", 1), failoverSite()},
			"memory, late": {twoProviders, failoverSite("cached_answer 1h {\nmax_bytes 1B\n}") + "\nhttp://${api} {\nrespond taken\n}"},
		} {
			if err := g.reload(bad.global, bad.site); err == nil {
				t.Fatalf("%s: it was accepted", name)
			}
			if after := references(); !maps.Equal(after, before) {
				t.Errorf("%s: the pool held %v, now %v", name, before, after)
			}
			asked := g.chats()
			g.chat("after", g.acme).answeredBy(t, "claude", "claude-haiku-4-5", "breaker_open")
			if got := g.chats() - asked; got != 0 {
				t.Errorf("%s: Alipay was asked %d times", name, got)
			}
			if a := g.keyed("gateway", "kept", g.acme); a.body != kept.body || a.header.Get("Idempotent-Replayed") != "true" {
				t.Errorf("%s: %d %v %s", name, a.status, a.header, a.body)
			}
		}
		g.fail(g.claude, systemError)
		if a := g.do("POST", chatPath, chatBody("kept", false), g.acme); a.body != kept.body || a.header.Get("Cache-Status") == "" {
			t.Errorf("the cached answer is now %d %v %s", a.status, a.header, a.body)
		}
	})
}

// TestFailoverMetricsCountOn reloads between calls of all that is counted.
func TestFailoverMetricsCountOn(t *testing.T) {
	g := newFailoverRig(t)
	taken := newNotified(t)
	g.vars["alerts"] = taken.Listener.Addr().String()
	global := strings.Replace(twoProviders, "alipayai {", "alipayai {\nalert webhook http://${alerts}/", 1)
	g.load(global, failoverSite("cached_answer 1h"))
	g.chat("tea", g.acme, "Idempotency-Key: once")
	g.eventually("the call to have ended", func() bool {
		return g.scrape()[`caddy_alipayai_requests_total{code="",endpoint="chat",provider="alipay",status="200"}`] == "1"
	})
	g.openBreaker()
	for range 2 {
		g.load(global, failoverSite("cached_answer 1h"))
		g.chat("tea", g.acme).answeredBy(t, "claude", "claude-haiku-4-5", "breaker_open")
		g.do("POST", chatPath, chatBody("tea", false), g.acme, "Idempotency-Key: once")
	}
	g.fail(g.claude, sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 400, Code: "CHOSEN"}, systemError)
	g.do("POST", chatPath, chatBody("chosen-by-client", false), g.zeta)
	g.fail(g.claude, systemError)
	g.do("POST", chatPath, chatBody("tea", false), g.acme)
	var series map[string]string
	want := map[string]string{
		`caddy_alipayai_fallbacks_total{provider="alipay",reason="system_error"}`:       "5",
		`caddy_alipayai_fallbacks_total{provider="alipay",reason="breaker_open"}`:       "3",
		`caddy_alipayai_fallbacks_total{provider="claude",reason="server_error"}`:       "1",
		`caddy_alipayai_rejections_total{provider="alipay",reason="breaker_open"}`:      "3",
		`caddy_alipayai_breakers{provider="alipay",state="open"}`:                       "1",
		`caddy_alipayai_breakers{provider="alipay",state="half_open"}`:                  "0",
		`caddy_alipayai_breakers{provider="claude",state="open"}`:                       "0",
		`caddy_alipayai_stored_answers_total{provider="alipay",store="idempotency"}`:    "2",
		`caddy_alipayai_stored_answers_total{provider="claude",store="cache"}`:          "1",
		`caddy_alipayai_evidence_total{result="logged"}`:                                "5",
		`caddy_alipayai_alerts_total{kind="breaker_open",result="sent",sink="webhook"}`: "1",
	}
	g.eventually("the last call and the alert to be counted", func() bool {
		series = g.scrape()
		return series[`caddy_alipayai_stored_answers_total{provider="claude",store="cache"}`] != "" &&
			series[`caddy_alipayai_alerts_total{kind="breaker_open",result="sent",sink="webhook"}`] != "" &&
			series[`caddy_alipayai_evidence_total{result="logged"}`] == want[`caddy_alipayai_evidence_total{result="logged"}`]
	})
	for name, value := range want {
		if series[name] != value {
			t.Errorf("%s is %q, want %q", name, series[name], value)
		}
	}
	for name := range series {
		if strings.Contains(strings.ToLower(name), "chosen") || strings.Contains(name, "acme") || strings.Contains(name, "zeta") {
			t.Errorf("%s has a label that a client or an upstream chose", name)
		}
	}
}

// TestClaimEndsInItsStore reloads to another connection to the same Redis, and
// to none, while a call with an Idempotency-Key is in flight.
func TestClaimEndsInItsStore(t *testing.T) {
	for name, between := range map[string]string{"another connection": "store redis ${redis} {\nreplicas 2\n}", "none": "store memory"} {
		t.Run(name, func(t *testing.T) {
			g := newFailoverRig(t)
			g.vars["redis"] = redistest.Start(t).Addr
			global := inRedis(twoProviders, "redis")
			g.load(global, failoverSite())
			g.fail(g.api, sandbox.Fault{Kind: sandbox.Latency, Delay: time.Second, Times: 1})
			wait := g.keyedInBackground("tea", g.acme)
			g.eventually("the call to arrive", func() bool { return g.chats() == 1 })
			g.load(strings.Replace(global, "store redis ${redis}", between, 1), failoverSite())
			first := wait()
			if first.status != http.StatusOK {
				t.Fatalf("%d %s", first.status, first.body)
			}
			g.load(global, failoverSite())
			a := g.keyed("gateway", "tea", g.acme)
			if a.body != first.body || a.header.Get("Idempotent-Replayed") != "true" {
				t.Errorf("%d %v %s", a.status, a.header, a.body)
			}
			if got := g.chats(); got != 1 {
				t.Errorf("Alipay was asked %d times, want once", got)
			}
			if err := caddy.Stop(); err != nil {
				t.Fatal(err)
			}
			g.eventually("everything to be given back", func() bool { return len(references()) == 0 })
		})
	}
}
