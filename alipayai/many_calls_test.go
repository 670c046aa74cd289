package alipayai_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// As many tool calls as an answer may have reach the clients of every API, and one more reaches none that it is translated for,
// be the answer whole or a stream.
func TestManyToolCalls(t *testing.T) {
	answer := func(n int, stream bool) (kind, body string) {
		var calls strings.Builder
		for i := range n {
			if stream {
				fmt.Fprintf(&calls, "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":%d,\"id\":\"c%d\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}\n\n", i, i)
				continue
			}
			if i > 0 {
				calls.WriteByte(',')
			}
			fmt.Fprintf(&calls, `{"id":"c%d","type":"function","function":{"name":"f","arguments":"{}"}}`, i)
		}
		if stream {
			return "text/event-stream", calls.String() + "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n"
		}
		return "application/json", `{"choices":[{"index":0,"message":{"role":"assistant","tool_calls":[` + calls.String() + `]},"finish_reason":"tool_calls"}]}`
	}
	tools := map[string]string{
		chatPath:      `"tools":[{"type":"function","function":{"name":"f"}}],`,
		messagesPath:  `"tools":[{"name":"f","input_schema":{"type":"object"}}],`,
		responsesPath: `"tools":[{"type":"function","name":"f","parameters":{"type":"object"}}],`,
	}
	eachDoor(t, func(t *testing.T, f front, stream bool) {
		offered, ok := tools[f.path]
		if !ok {
			return // the older completions have no tools
		}
		for _, n := range []int{wire.MaxToolCalls, wire.MaxToolCalls + 1} {
			kind, body := answer(n, stream)
			r := newPlainRig(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", kind)
				w.Write([]byte(body))
			})
			got := r.post(f.path, strings.Replace(f.body("hello", stream), "{", "{"+offered, 1))
			whole := got.status == http.StatusOK && got.err == nil
			if want := n == wire.MaxToolCalls || f.path == chatPath; whole != want {
				t.Errorf("%d calls: whole %v, want %v: %d %.200s (%v)", n, whole, want, got.status, got.body, got.err)
			}
			if o := r.outcome(); !whole && o.Code != "upstream_malformed_response" {
				t.Errorf("%d calls: code %q", n, o.Code)
			}
		}
	})
}
