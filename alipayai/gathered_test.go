package alipayai_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// A provider that streams although no stream was asked for has given the whole answer, and is paid for it: the client gets it as
// the one that it asked for, through each door and of each format (https://github.com/BYK/loreai/pull/605). What broke off is
// none, whatever its label.
func TestStreamsThatWereNotAskedFor(t *testing.T) {
	doors := map[string]struct{ path, body, text string }{
		"chat":      {chatPath, chatBody("hello"), `"content":"hel"`},
		"responses": {"/v1/responses", `{"model":"m","input":"hello"}`, `"text":"hel"`},
		"messages":  {"/v1/messages", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hello"}]}`, `"text":"hel"`},
	}
	for name, own := range spokenFormats {
		for door, d := range doors {
			if door == "messages" && name == "anthropic" {
				continue // which speak the same, and so bytes pass
			}
			t.Run(name+" to "+door, func(t *testing.T) {
				testwait.Bubble(t, func(t *testing.T) {
					s := speaking(t, own.format, own.begun+own.end)
					got := s.callAt(t.Context(), d.path, d.body)
					if got.status != http.StatusOK || got.err != nil || !strings.Contains(got.body, d.text) || strings.Contains(got.body, "chunk") || got.header.Get("Content-Type") != "application/json" {
						t.Errorf("%d %v %s", got.status, got.header, got.body)
					}
					s.wantCalls(1)
				})
				for what, stream := range map[string]string{"cut": own.begun, "failed": own.begun + own.failed} {
					testwait.Bubble(t, func(t *testing.T) {
						s := speaking(t, own.format, stream)
						if got := s.callAt(t.Context(), d.path, d.body); got.status < 500 || strings.Contains(got.body, d.text) {
							t.Errorf("%s: %d %s", what, got.status, got.body)
						}
					})
				}
			})
		}
	}
	for label, header := range map[string][]string{"JSON": {"Content-Type", "application/json"}, "text": {"Content-Type", "text/plain"}, "nothing": nil} {
		t.Run("labelled as "+label, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				stream := says(http.StatusOK, "data: "+deltaEvent+"\n\ndata: "+finishEvent+"\n\n", header...)
				s := perform(t, [][]turn{{stream}, {good}}, claiming)
				got, again := s.call(chatBody("hello"), keyed...), s.call(chatBody("hello"), keyed...)
				if got.status != http.StatusOK || got.header.Get("X-Alipayai-Provider") != "first" || !strings.Contains(got.body, `"chat.completion"`) || again.body != got.body {
					t.Errorf("%d %v %s, then %s", got.status, got.header, got.body, again.body)
				}
				s.wantCalls(1, 0)
			})
		})
	}
}

// What a stream that was not asked for has taken is what the provider has counted: not what stands for it in the answer, for clients that
// have a type for it.
func TestUsageOfStreamsThatWereNotAskedFor(t *testing.T) {
	for name, tt := range map[string]struct {
		usage, told string
		total       int64 // 0 where it is not known
	}{
		"with the end":  {`"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":700,"completion_tokens":50,"total_tokens":750}`, `"total_tokens":750`, 750},
		"behind it":     {`"choices":[],"usage":{"prompt_tokens":700,"completion_tokens":50,"total_tokens":750}`, `"total_tokens":750`, 750},
		"without total": {`"choices":[],"usage":{"prompt_tokens":700,"completion_tokens":50}`, `"total_tokens":750`, 750},
		"by no numbers": {`"choices":[],"usage":{"prompt_tokens":"x","completion_tokens":null}`, `"total_tokens":0`, 0},
		"of nulls":      {`"choices":[],"usage":{"prompt_tokens":null,"completion_tokens":null,"total_tokens":null}`, `"usage":null`, 0},
		"of nothing":    {`"choices":[],"usage":{}`, `"usage":null`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{says(http.StatusOK, "data: "+deltaEvent+"\n\ndata: "+finishEvent+"\n\ndata: {"+tt.usage+"}\n\ndata: [DONE]\n\n")}})
				got := s.call(chatBody("hello"))
				if got.status != http.StatusOK || !strings.Contains(got.body, tt.told) {
					t.Errorf("%d %s", got.status, got.body)
				}
				o := <-s.seen.settled
				if counted := o.Usage.OK && !o.UsageEstimated; counted != (tt.total > 0) || counted && o.Usage.Total != tt.total {
					t.Errorf("outcome %+v", o)
				}
			})
		})
	}
}
