package alipayai_test

import (
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// A failure that comes as an event is that failure under any status, and to whatever was asked for.
func TestFailuresInEvents(t *testing.T) {
	const openai = "data: {\"error\":{\"code\":\"SYSTEM_ERROR\",\"message\":\"why\"}}\n\n"
	for name, test := range map[string]struct {
		status int
		answer string
		code   string
		reason string
		calls  int
	}{
		"in a 500":             {500, openai, "SYSTEM_ERROR", "system_error", 1},
		"in a 200":             {200, openai, "SYSTEM_ERROR", "system_error", 1},
		"the agents' form":     {500, "event: error\ndata: {\"payload\":\"{\\\"errorCode\\\":\\\"SYSTEM_ERROR\\\"}\",\"type\":\"error\"}\n\n", "SYSTEM_ERROR", "system_error", 1},
		"after other events":   {503, ": ping\n\ndata: {\"choices\":[]}\n\n" + openai, "SYSTEM_ERROR", "system_error", 1},
		"throttled":            {500, strings.Replace(openai, "SYSTEM_ERROR", "app-call-limited", 1), "app-call-limited", "throttled", 1},
		"no failure in a 500":  {500, "data: {\"choices\":[]}\n\n", "", "server_error", 3},
		"no JSON in a 500":     {500, "data: why\n\n", "", "server_error", 3},
		"nothing at all":       {503, "", "", "server_error", 3},
		"an event that is cut": {500, strings.TrimSpace(openai), "", "server_error", 3},
	} {
		for mode, body := range map[string]string{"JSON": chatBody("hello"), "stream": streamBody("hello")} {
			t.Run(name+", "+mode, func(t *testing.T) {
				testwait.Bubble(t, func(t *testing.T) {
					w := make(records, 1)
					s := perform(t, [][]turn{{says(test.status, test.answer, "Content-Type", "text/event-stream; charset=utf-8")}, {good}},
						func(g *alipayai.Gateway) { g.Evidence = w })
					got := s.call(body)
					wantHeader(t, got, "X-Alipayai-Provider", "second", "X-Alipayai-Reason", test.reason)
					s.wantCalls(test.calls, 1)
					if recorded := len(w); (recorded == 1) != (test.reason == "system_error") {
						t.Errorf("%d records of evidence", recorded)
					}
					if seen := s.seen.attempted()[0]; !strings.Contains(seen, test.code) {
						t.Errorf("attempt %s", seen)
					}
				})
			})
		}
	}
}
