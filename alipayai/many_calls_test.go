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

// Calls whose pieces a provider of the Messages API mixes reach each door whole, each with what is its own.
func TestMixedToolCalls(t *testing.T) {
	var b strings.Builder
	for _, data := range []string{
		`{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"claude-x","content":[],"stop_reason":null,"usage":{"input_tokens":1,"output_tokens":1}}}`,
		`{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"toolu_a","name":"f","input":{}}}`,
		`{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_b","name":"f","input":{}}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a\":"}}`,
		`{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"b\":"}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"0}"}}`,
		`{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"1}"}}`,
		`{"type":"content_block_stop","index":0}`, `{"type":"content_block_stop","index":1}`,
		`{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":9}}`, `{"type":"message_stop"}`,
	} {
		kind, _, _ := strings.Cut(strings.TrimPrefix(data, `{"type":"`), `"`)
		fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", kind, data)
	}
	for path, c := range map[string]struct {
		body string
		want []string
	}{
		chatPath:      {`{"model":"claude-x","stream":true,"messages":[{"role":"user","content":"q"}],"tools":[{"type":"function","function":{"name":"f"}}]}`, []string{`{"index":0,"function":{"arguments":"0}"}}`, `{"index":1,"function":{"arguments":"1}"}}`}},
		messagesPath:  {`{"model":"claude-x","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"q"}],"tools":[{"name":"f","input_schema":{"type":"object"}}]}`, []string{b.String()}},
		responsesPath: {`{"model":"claude-x","stream":true,"input":"q","tools":[{"type":"function","name":"f","parameters":{"type":"object"}}]}`, []string{`"arguments":"{\"a\":0}"`, `"arguments":"{\"b\":1}"`, `"response.completed"`}},
	} {
		t.Run(path, func(t *testing.T) {
			r := startRig(t, &heardClaude{status: http.StatusOK, kind: "text/event-stream", answer: b.String()}, claudeProvider, first(anyModel))
			got := r.post(path, c.body)
			for _, want := range c.want {
				if got.status != http.StatusOK || got.err != nil || !strings.Contains(got.body, want) {
					t.Errorf("%d %s (%v): no %s", got.status, got.body, got.err, want)
				}
			}
		})
	}
}
