package alipayai_test

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

var newIDs = regexp.MustCompile(`(msg|resp|rs|fc|chatcmpl|req)[_-][0-9A-Za-z_-]+`)

// Whatever form a stream's start and end have, a guard that refuses nothing changes no status and no byte of an answer
// that is whole without it; and what is none is none with it either.
func TestGuardsLeaveStreamsAsTheyAre(t *testing.T) {
	const (
		begun  = `data: {"id":"c","choices":[{"index":0,"delta":{"content":"FIRST "}}]}` + "\n\n"
		ending = `data: {"id":"c","choices":[{"index":0,"delta":{"content":"SECOND"},"finish_reason":"stop"}]}`
		done   = "data: [DONE]\n\n"
	)
	for name, test := range map[string]struct {
		stream string
		whole  bool
		says   []string
	}{
		"a plain one":                        {begun + ending + "\n\n" + done, true, []string{"FIRST", "SECOND"}},
		"behind a byte order mark":           {"\uFEFF" + begun + ending + "\n\n" + done, true, []string{"FIRST", "SECOND"}},
		"no [DONE]":                          {begun + ending + "\n\n", true, []string{"FIRST", "SECOND"}},
		"no [DONE] and no blank line":        {begun + ending, true, []string{"FIRST", "SECOND"}},
		"no [DONE] and half a blank line":    {begun + ending + "\n", true, []string{"FIRST", "SECOND"}},
		"[DONE] without a blank line":        {begun + ending + "\n\ndata: [DONE]", true, []string{"FIRST", "SECOND"}},
		"[DONE] without a finish reason":     {begun + done, true, []string{"FIRST"}},
		"broken off by a filter":             {begun + `data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"content_filter"}]}` + "\n\n" + done, true, []string{"FIRST"}},
		"one event alone":                    {ending + "\n\n" + done, true, []string{"SECOND"}},
		"one event alone, without its end":   {ending, true, []string{"SECOND"}},
		"lines that end in CR":               {"data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"FIRST\"},\"finish_reason\":\"stop\"}]}\r\rdata: [DONE]\r\r", true, []string{"FIRST"}},
		"cut before its finish reason":       {begun, false, nil},
		"cut in an event":                    {begun + ending[:40], false, nil},
		"a failure after its first content":  {begun + "data: {\"error\":{\"code\":\"SYSTEM_ERROR\"}}\n\n", false, nil},
		"[DONE] alone":                       {done, false, nil},
		"an error for its finish reason":     {begun + `data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"error"}]}` + "\n\n" + done, false, nil},
		"a failure before its first content": {"data: {\"error\":{\"code\":\"SYSTEM_ERROR\"}}\n\n" + done, false, nil},
	} {
		for _, door := range []string{"chat", "messages", "responses"} {
			t.Run(name+" at "+door, func(t *testing.T) {
				testwait.Bubble(t, func(t *testing.T) {
					ask := func(guard *alipayai.OutputGuard) reply {
						s := perform(t, [][]turn{{says(http.StatusOK, test.stream, "Content-Type", "text/event-stream")}})
						ctx := alipayai.WithModeration(t.Context(), alipayai.Moderation{Guard: guard})
						got := s.callAt(ctx, fronts[door].path, fronts[door].body("hello", true))
						got.body = newIDs.ReplaceAllString(got.body, "$1")
						return got
					}
					open := ask(nil)
					guarded := ask(&alipayai.OutputGuard{Rules: outputRules(t, "secret handshake"), Name: "law", Window: 64})
					if !test.whole {
						for _, got := range []reply{open, guarded} {
							if got.status == http.StatusOK && got.err == nil {
								t.Errorf("an answer that is none ends well: %s", got.body)
							}
						}
						return
					}
					wantInOrder(t, open, test.says)
					if guarded.status != open.status || guarded.body != open.body || guarded.err != nil {
						t.Errorf("guarded %d %v: %s\nopen %d: %s", guarded.status, guarded.err, guarded.body, open.status, open.body)
					}
				})
			})
		}
	}
}

// wantInOrder checks that got is a whole answer which has these words.
func wantInOrder(t *testing.T, got reply, words []string) {
	t.Helper()
	if got.status != http.StatusOK || got.err != nil {
		t.Fatalf("%d %v: %s", got.status, got.err, got.body)
	}
	if !regexp.MustCompile("(?s)" + joinWords(words)).MatchString(got.body) {
		t.Errorf("it lacks one of %q: %s", words, got.body)
	}
}

func joinWords(words []string) (pattern string) {
	for _, w := range words {
		pattern += regexp.QuoteMeta(w) + ".*"
	}
	return pattern
}

// What a stream has counted before it breaks off is not all that it took, where a guard held the text of it back: its start counts no
// answer. What counts with the failure itself is the whole.
func TestGuardedStreamsThatBreakOffCostWhatIsKnown(t *testing.T) {
	const (
		start   = `{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":100,"output_tokens":1}}}`
		block   = `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`
		text    = `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"secret hand"}}`
		failed  = `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`
		request = `{"stream":true,"max_tokens":9,"model":"m","messages":[{"role":"user","content":"hello"}]}`
		prices  = `"input_cost_per_token":1e-6,"output_cost_per_token":10e-6,"max_output_tokens":1000`
	)
	for name, test := range map[string]struct {
		events []string
		known  price.Amount // in millionths of a dollar; 0 for as much as it may cost
	}{
		"before any text": {[]string{start, failed}, 100 + 10},
		"after some":      {[]string{start, block, text, failed}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				l := new(lines)
				s := perform(t, [][]turn{{says(http.StatusOK, messageEvents(test.events...), "Content-Type", "text/event-stream")}}, func(g *alipayai.Gateway) {
					g.Providers[0] = claudeProviderOver(t, g.Providers[0])
					g.Providers[0].Model = ""
				}, filePrices(t, l, prices))
				guard := &alipayai.OutputGuard{Rules: outputRules(t, "secret handshake"), Name: "law", Window: 64}
				s.callAt(alipayai.WithModeration(t.Context(), alipayai.Moderation{Guard: guard}), chatPath, request)
				taken := l.taken()
				if len(taken) != 1 || (taken[0].Outcome == ledger.Unknown) != (test.known == 0) || test.known != 0 && taken[0].Amount != test.known*1000 {
					t.Errorf("%+v", taken)
				}
			})
		})
	}
}
