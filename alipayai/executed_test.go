package alipayai_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// One attempt that may have executed is enough for the client not to repeat the call, whatever came after it.
func TestMayHaveExecutedInAnyAttempt(t *testing.T) {
	var (
		failed    = says(500, `{"code":"BUSY"}`)
		throttled = says(429, "{}", "Retry-After", "60")
		refused   = says(400, `{"code":"PARAM_ILLEGAL"}`)
	)
	for name, test := range map[string]struct {
		turns    [][]turn
		status   int
		executed bool
	}{
		"500, then throttled":           {[][]turn{{failed, throttled}}, 429, true},
		"500, then 4xx":                 {[][]turn{{failed, refused}}, 400, true},
		"500, then unreachable":         {[][]turn{{failed, refuses}}, 502, true},
		"timeout, then 4xx elsewhere":   {[][]turn{{hangs}, {refused}}, 400, true},
		"broken, then 4xx elsewhere":    {[][]turn{{breaks}, {refused}}, 400, true},
		"timeout, then blocked":         {[][]turn{{hangs}, {says(200, `{"code":"COMPLIANCE_BLOCKED"}`)}}, 403, true},
		"malformed, then throttled":     {[][]turn{{says(200, "nonsense")}, {throttled}}, 503, true},
		"throttled, then 4xx elsewhere": {[][]turn{{throttled}, {refused}}, 400, false},
		"unreachable, then 4xx":         {[][]turn{{refuses}, {refused}}, 400, false},
		"refused for a while, then 4xx": {[][]turn{{says(503, "{}", "Retry-After", "60")}, {refused}}, 400, false},
		"a token, then 4xx elsewhere":   {[][]turn{{says(401, "{}")}, {refused}}, 400, false},
		"4xx alone":                     {[][]turn{{refused}}, 400, false},
		"4xx of unknown outcome":        {[][]turn{{says(400, `{"result":{"resultCode":"NEW_CODE","resultStatus":"U"}}`)}}, 400, true},
		"unknown in a 200":              {[][]turn{{says(200, `{"result":{"resultCode":"NEW_CODE","resultStatus":"U"}}`)}}, 502, true},
		"unknown by its code throttled": {[][]turn{{says(200, `{"result":{"resultCode":"REQUEST_TRAFFIC_EXCEED_LIMIT","resultStatus":"U"}}`, "Retry-After", "60")}}, 429, false},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, test.turns, claiming)
				want := map[bool]string{true: "false"}[test.executed]
				got := s.call(chatBody("hello"))
				if got.status != test.status {
					t.Errorf("%d %s", got.status, got.body)
				}
				wantHeader(t, got, "X-Should-Retry", want)
			})
		})
	}
}

// A failure within a 200 that may be repeated may have executed; where the upstream asks for a pause it did not.
func TestMayHaveExecutedByCode(t *testing.T) {
	slowDown := says(503, `{"error":{"message":"Slow Down"}}`)
	antLing := first(func(p *upstream.Provider) { p.Profile.Codes = profile(t, "ant_ling").Codes })
	for name, test := range map[string]struct {
		turn turn
		body string
		edit func(*alipayai.Gateway)
		held bool
	}{
		"retry in a 200":          {says(200, `{"code":"BUSY"}`), chatBody("hello"), rule("BUSY", failure.Retry), true},
		"overloaded in a 200":     {says(200, `{"error":{"type":"overloaded_error"}}`), chatBody("hello"), nil, true},
		"overloaded in a stream":  {streams(nil, `{"error":{"type":"overloaded_error"}}`), streamBody("hello"), nil, true},
		"fail in a 200":           {says(200, `{"code":"BUSY"}`), chatBody("hello"), rule("BUSY", failure.Fail), true},
		"retry in a 400":          {says(400, `{"code":"BUSY"}`), chatBody("hello"), rule("BUSY", failure.Retry), false},
		"throttle in a 200":       {says(200, `{"code":"BUSY"}`), chatBody("hello"), rule("BUSY", failure.Throttle), false},
		"Slow Down":               {slowDown, chatBody("hello"), antLing, false},
		"Slow Down of other kind": {slowDown, chatBody("hello"), nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{test.turn}}, claiming, func(g *alipayai.Gateway) {
					if test.edit != nil {
						test.edit(g)
					}
				})
				got := s.call(test.body, keyed...)
				if got.status < 400 {
					t.Fatalf("%d %s", got.status, got.body)
				}
				if mayHaveExecuted := got.header.Get("X-Should-Retry") == "false"; mayHaveExecuted != test.held && s.scripts[0].count() < alipayai.MaxAttempts {
					t.Errorf("%v", got.header)
				}
				s.fails(good)
				time.Sleep(upstream.SlowDownHold)
				got = s.call(test.body, keyed...)
				if test.held {
					wantError(t, got, http.StatusConflict, failure.CodeIdempotencyUnresolved)
				} else if s.outcome(); got.status != http.StatusOK {
					t.Errorf("%d %s", got.status, got.body)
				}
			})
		})
	}
}

// Slow Down says for how long, and so does the answer to the client.
func TestSlowDownHasNotExecuted(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{says(503, `{"error":{"message":"Slow Down"}}`)}, {says(400, `{"code":"PARAM_ILLEGAL"}`)}},
			first(func(p *upstream.Provider) { p.Profile.Codes = profile(t, "ant_ling").Codes }))
		wantHeader(t, s.call(chatBody("hello")), "X-Should-Retry", "", "X-Alipayai-Reason", "throttled")
		s.gateway.Providers = s.gateway.Providers[:1]
		time.Sleep(upstream.SlowDownHold)
		wantHeader(t, s.call(chatBody("hello")), "X-Should-Retry", "", "Retry-After", "900")
		s.wantCalls(2, 1)
	})
}
