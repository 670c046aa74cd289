package alipayai_test

import (
	"net/http"
	"strings"
	"testing"
)

// Half an emoji in each of two chunks is a whole one for clients of completions too: it is passed on as it is written.
func TestCompletionsOfHalfAnEmoji(t *testing.T) {
	r := newPlainRig(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, event := range []string{`{"choices":[{"index":0,"delta":{"content":"\ud83d"}}]}`, `{"choices":[{"index":0,"delta":{"content":"\ude00"}}]}`, `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`, `[DONE]`} {
			_, _ = w.Write([]byte("data: " + event + "\n\n"))
		}
	}, first(anyModel))
	got := r.post("/v1/completions", `{"model":"m","stream":true,"prompt":"q"}`)
	if got.status != http.StatusOK || !strings.Contains(got.body, `"text":"\ud83d"`) || !strings.Contains(got.body, `"text":"\ude00"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
}
