package alipayai_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/failover"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// TestFinishReasons has answers by how they finish: whether the client gets them, whether they are kept, and whether
// another provider is asked first.
func TestFinishReasons(t *testing.T) {
	const broken, passed, whole, cut = "broken", "passed", "whole", "cut"
	for _, row := range rows(t, "finish_reasons.txt", 2) {
		reason, kind := row[0], row[1]
		if !slices.Contains([]string{broken, passed, whole, cut}, kind) {
			t.Fatalf("%s is %q", reason, kind)
		}
		given := wire.FinishWord(reason) // by which the client knows it
		if wire.IsBrokenOff(reason) {
			given = reason
		} else if given == "tool_calls" && given != reason { // where there is no call
			given = "stop"
		}
		answer := `{"choices":[{"index":0,"message":{"content":"half"},"finish_reason":"` + reason + `"}]}`
		finish := `{"choices":[{"index":0,"delta":{},"finish_reason":"` + reason + `"}]}`
		for mode, test := range map[string]struct {
			body string
			turn turn
		}{
			"JSON":   {chatBody("hello"), says(200, answer)},
			"stream": {streamBody("hello"), streams(nil, deltaEvent, finish, "[DONE]")},
		} {
			t.Run(reason+", "+mode, func(t *testing.T) {
				testwait.Bubble(t, func(t *testing.T) { // alone: what was paid for reaches the client
					s := perform(t, [][]turn{{test.turn, sysError}}, caching())
					got := s.call(test.body)
					if (strings.EqualFold(reason, "error") || reason == wire.FinishErrorText) && mode == "stream" {
						if got.err == nil {
							t.Errorf("a clean end: %s", got.body)
						}
					} else if got.status != http.StatusOK || got.err != nil || !strings.Contains(got.body, `"finish_reason":"`+given+`"`) {
						t.Errorf("%d, %v: %s", got.status, got.err, got.body)
					}
					again := s.call(test.body)
					if kept := again.header.Get("Cache-Status") != ""; kept != (kind == whole) {
						t.Errorf("given again: %t, %d %s", kept, again.status, again.body)
					}
				})
				testwait.Bubble(t, func(t *testing.T) { // with a key
					s := perform(t, [][]turn{{test.turn, good}}, claiming)
					s.call(test.body, "Idempotency-Key", "k")
					again := s.call(test.body, "Idempotency-Key", "k")
					if replayed := again.header.Get("Idempotent-Replayed") != ""; replayed != (kind == whole || kind == cut) {
						t.Errorf("replayed: %t, %d %s", replayed, again.status, again.body)
					}
					s.wantCalls(1)
				})
				testwait.Bubble(t, func(t *testing.T) { // with another provider
					s := perform(t, [][]turn{{test.turn}, {good}})
					s.call(test.body)
					asked := 0
					if kind == broken && mode == "JSON" {
						asked = 1
					}
					if s.scripts[1].count() != asked {
						t.Errorf("%d requests at the second provider, want %d", s.scripts[1].count(), asked)
					}
				})
				if kind == broken && mode == "stream" {
					testwait.Bubble(t, func(t *testing.T) { // before content
						s := perform(t, [][]turn{{streams(nil, roleEvent, finish, "[DONE]")}, {good}})
						wantHeader(t, s.call(test.body), "X-Alipayai-Provider", "second", "X-Alipayai-Reason", "server_error")
					})
				}
			})
		}
	}
}

// TestUnknownFinishIsNoHealth holds that an answer which ends in a way that is not known does not close a count of system
// errors that a good one closes.
func TestUnknownFinishIsNoHealth(t *testing.T) {
	for reason, healthy := range map[string]bool{"stop": true, "length": true, "content_filter": true, "made_up": false, "sensitive": false, "network_error": false} {
		for mode, test := range map[string]struct {
			body string
			turn turn
		}{
			"JSON":   {chatBody("hello"), says(200, `{"choices":[{"message":{"content":"x"},"finish_reason":"`+reason+`"}]}`)},
			"stream": {streamBody("hello"), streams(nil, deltaEvent, `{"choices":[{"delta":{},"finish_reason":"`+reason+`"}]}`, "[DONE]")},
		} {
			t.Run(reason+", "+mode, func(t *testing.T) {
				testwait.Bubble(t, func(t *testing.T) {
					s := perform(t, [][]turn{{sysError, sysError, sysError, test.turn, sysError, good}}, func(g *alipayai.Gateway) { g.Breakers = new(failover.Breakers) })
					for range 5 {
						s.call(test.body)
					}
					got := s.call(chatBody("hello"))
					if open := got.header.Get("X-Alipayai-Attempts") == "0"; open == healthy {
						t.Errorf("breaker open: %t, %d %v", open, got.status, got.header)
					}
				})
			})
		}
	}
}

// TestAnswersOfUnknownEnd holds one rule for JSON and streams: what says of each choice how it ended is kept, given again and
// counted as health, also where a failure's code stands beside it; what does not goes to the client alone.
func TestAnswersOfUnknownEnd(t *testing.T) {
	choice := func(index int, finish string) string {
		text := `{"content":"x"}`
		return `{"index":` + strconv.Itoa(index) + `,"message":` + text + `,"delta":` + text + finish + `}`
	}
	const stop, null = `,"finish_reason":"stop"`, `,"finish_reason":null`
	for name, test := range map[string]struct {
		choices []string
		beside  string
		known   bool
	}{
		"null":                            {choices: []string{choice(0, null)}},
		"not said":                        {choices: []string{choice(0, "")}},
		"empty":                           {choices: []string{choice(0, `,"finish_reason":""`)}},
		"one of two":                      {choices: []string{choice(0, null), choice(1, stop)}},
		"the other of two":                {choices: []string{choice(0, stop), choice(1, null)}},
		"both":                            {choices: []string{choice(0, stop), choice(1, stop)}, known: true},
		"a code beside":                   {choices: []string{choice(0, stop)}, beside: `"code":500,"message":"boom",`, known: true},
		"a code beside what is not whole": {choices: []string{choice(0, null)}, beside: `"code":"500",`},
	} {
		answer := `{` + test.beside + `"choices":[` + strings.Join(test.choices, ",") + `]}`
		var events []string
		for _, choice := range test.choices {
			events = append(events, `{`+test.beside+`"choices":[`+choice+`]}`)
		}
		for mode, call := range map[string]struct {
			body string
			turn turn
		}{
			"JSON":              {chatBody("hello"), says(200, answer)},
			"stream":            {streamBody("hello"), streams(nil, append(events, "[DONE]")...)},
			"stream, in one":    {streamBody("hello"), streams(nil, answer, "[DONE]")},
			"JSON for a stream": {streamBody("hello"), says(200, answer)},
		} {
			t.Run(name+", "+mode, func(t *testing.T) {
				testwait.Bubble(t, func(t *testing.T) {
					s := perform(t, [][]turn{{call.turn, sysError, good}}, caching(), claiming)
					got := s.call(call.body, "Idempotency-Key", "k")
					if got.status != http.StatusOK || got.err != nil || !strings.Contains(got.body, `"content":"x"`) {
						t.Fatalf("%d, %v: %s", got.status, got.err, got.body)
					}
					again := s.call(call.body, "Idempotency-Key", "k")
					if replayed := again.header.Get("Idempotent-Replayed") != ""; replayed != test.known {
						t.Errorf("replayed: %t, %d %s", replayed, again.status, again.body)
					}
					instead := s.call(call.body)
					if kept := instead.header.Get("Cache-Status") != ""; kept != test.known {
						t.Errorf("given again: %t, %d %s", kept, instead.status, instead.body)
					}
				})
				testwait.Bubble(t, func(t *testing.T) {
					s := perform(t, [][]turn{{sysError, sysError, sysError, call.turn, sysError, good}}, func(g *alipayai.Gateway) { g.Breakers = new(failover.Breakers) })
					for range 5 {
						s.call(call.body)
					}
					got := s.call(chatBody("hello"))
					if open := got.header.Get("X-Alipayai-Attempts") == "0"; open == test.known {
						t.Errorf("breaker open: %t, %d %v", open, got.status, got.header)
					}
				})
			})
		}
	}
}
