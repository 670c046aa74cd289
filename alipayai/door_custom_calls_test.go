package alipayai_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// Cursor sends its custom tools in the form of the Responses API to chat completions, and reads each call as a function's whose
// arguments are the tool's input: https://github.com/icebear0828/codex-proxy/pull/708.
func TestCustomToolsAtChatCompletions(t *testing.T) {
	const (
		tools   = `,"tools":[{"type":"custom","name":"ApplyPatch","description":"Patches."}]`
		wrapped = `"function":{"name":"ApplyPatch","arguments":"{\"input\":\"*** Begin Patch\\n+a\"}"}`
		raw     = `*** Begin Patch\n+a`
	)
	chunk := func(delta, finish string) string {
		return `data: {"id":"c","choices":[{"index":0,"delta":` + delta + `,"finish_reason":` + finish + "}]}\n\n"
	}
	for name, test := range map[string]struct {
		stream       bool
		answer, want string
	}{
		"whole": {false, `{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function",` + wrapped + `}]},"finish_reason":"tool_calls"}]}`,
			`"function":{"name":"ApplyPatch","arguments":"` + raw + `"}`},
		"a stream": {true, chunk(`{"role":"assistant","tool_calls":[{"index":0,"id":"a","type":"function",`+wrapped+`}]}`, "null") + chunk("{}", `"tool_calls"`) + "data: [DONE]\n\n",
			`{"tool_calls":[{"index":0,"function":{"arguments":"` + raw + `"}}]}`},
	} {
		for _, asked := range []string{`"input":[{"role":"user","content":"q"}]`, `"messages":[{"role":"user","content":"q"}]`} {
			t.Run(name+" "+asked[:len(`"input"`)], func(t *testing.T) {
				sent := ""
				r := newPlainRig(t, func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					sent = string(body)
					w.Header().Set("Content-Type", map[bool]string{true: "text/event-stream", false: "application/json"}[test.stream])
					_, _ = io.WriteString(w, test.answer)
				}, first(anyModel))
				members := ""
				if test.stream {
					members = `"stream":true,`
				}
				got := r.post(chatPath, `{"model":"m",`+members+asked+tools+`}`)
				if got.status != http.StatusOK || !strings.Contains(got.body, test.want) || strings.Contains(got.body, `{\"input\"`) {
					t.Errorf("%d: %s", got.status, got.body)
				}
				if test.stream && (strings.Index(got.body, test.want) > strings.Index(got.body, `"finish_reason":"tool_calls"`) || !strings.HasSuffix(got.body, "data: [DONE]\n\n")) {
					t.Errorf("out of order: %s", got.body)
				}
				if !strings.Contains(sent, `{"type":"function","function":{"name":"ApplyPatch","description":"Patches.","parameters":{"type":"object"`) {
					t.Errorf("the provider got %s", sent)
				}
			})
		}
	}
}
