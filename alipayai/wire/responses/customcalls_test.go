package responses

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// patching is a request that offers a custom tool and a function.
func patching(t *testing.T, input string) *ClientRequest {
	t.Helper()
	r, err := ParseClientRequest([]byte(`{"model":"m","input":[` + input + `],"tools":[{"type":"custom","name":"ApplyPatch","format":{"type":"grammar","syntax":"lark","definition":"start: x"}},{"type":"function","name":"f","parameters":{"type":"object"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Calls of custom tools have their input for arguments, at once or in a stream; all others pass as they came.
func TestCustomCalls(t *testing.T) {
	const (
		patch    = `*** Begin Patch\n*** Add File: \"a\"\n+日`
		wrapped  = `{\"input\":\"*** Begin Patch\\n*** Add File: \\\"a\\\"\\n+日\"}`
		function = `{"id":"b","type":"function","function":{"name":"f","arguments":"{\"input\":\"x\"}"}}`
	)
	call := func(arguments string) string {
		return `{"id":"a","type":"function","function":{"name":"ApplyPatch","arguments":"` + arguments + `"}}`
	}
	r := patching(t, `{"role":"user","content":"q"}`)
	whole := func(calls string) string {
		return `{"id":"1","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[` + calls + `]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1}}`
	}
	for name, tt := range map[string]struct{ in, out string }{
		"wrapped":     {call(wrapped), call(patch)},
		"as it is":    {call(patch), call(patch)},
		"with others": {function + "," + call(wrapped) + "," + function, function + "," + call(patch) + "," + function},
		"a function":  {function, function},
		"none":        {call(`{}`), call(``)}, // as answers are completed that have no arguments
	} {
		if got := r.CustomCalls().Whole(nil, []byte(whole(tt.in))); !same(t, string(got), whole(tt.out)) {
			t.Errorf("%s is %s", name, got)
		}
	}

	delta := func(d, finish string) string {
		return `data: {"id":"1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":` + d + `,"finish_reason":` + finish + "}]}\n\n"
	}
	piece := func(index, more string) string { return `{"tool_calls":[{"index":` + index + `,` + more + `}]}` }
	in := []string{
		delta(`{"role":"assistant","content":"I patch."}`, "null"),
		delta(piece("0", `"id":"a","type":"function","function":{"name":"ApplyPatch","arguments":""}`), "null"),
		delta(piece("0", `"function":{"arguments":"{\"input\":\"*** Begin "}`), "null"),
		delta(piece("1", `"id":"b","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}`), "null"),
		delta(piece("0", `"function":{"arguments":"Patch\"}"}`), "null"),
		delta(`{}`, `"tool_calls"`), "data: [DONE]\n\n",
	}
	// As some servers write them: the end with the last piece.
	together := append(slices.Clone(in[:4]), delta(piece("0", `"function":{"arguments":"Patch\"}"}`), `"tool_calls"`), "data: [DONE]\n\n")
	for _, of := range []struct {
		in []string
		at int // how many events come at once
	}{{in, 1}, {in, len(in)}, {together, 1}, {together, len(together)}} {
		in, at := of.in, of.at
		w := r.CustomCalls()
		var out []byte
		for i := 0; i < len(in); i += at {
			var err error
			if out, err = w.Events(out, []byte(strings.Join(in[i:min(i+at, len(in))], ""))); err != nil {
				t.Fatal(err)
			}
		}
		arguments := make(map[int]string)
		finished, text := false, ""
		for event := range strings.SplitSeq(strings.TrimSuffix(string(out), "data: [DONE]\n\n"), "\n\n") {
			if event == "" {
				continue
			}
			var c struct {
				ID, Object string
				Choices    []struct {
					Delta struct {
						Content   string
						ToolCalls []struct {
							Index    int
							Function struct{ Arguments string }
						} `json:"tool_calls"`
					}
					Finish string `json:"finish_reason"`
				}
			}
			if err := json.Unmarshal([]byte(strings.TrimPrefix(event, "data: ")), &c); err != nil || c.ID != "1" || c.Object != "chat.completion.chunk" {
				t.Fatalf("%v: %s", err, event)
			}
			text += c.Choices[0].Delta.Content
			for _, call := range c.Choices[0].Delta.ToolCalls {
				if finished {
					t.Errorf("a call after the finish reason: %s", event)
				}
				arguments[call.Index] += call.Function.Arguments
			}
			finished = finished || c.Choices[0].Finish != ""
		}
		if !finished || text != "I patch." || arguments[0] != "*** Begin Patch" || arguments[1] != `{"x":1}` || !strings.HasSuffix(string(out), "data: [DONE]\n\n") {
			t.Errorf("by %d: %q, %v: %s", at, text, arguments, out)
		}
	}
}

// An input that a client plays back as arguments is an input again; and a request without custom tools needs no such writer.
func TestCustomCallsPlayedBack(t *testing.T) {
	for name, item := range map[string]string{
		"as arguments": `{"type":"function_call","call_id":"c","name":"ApplyPatch","arguments":"*** Begin Patch"},{"type":"function_call_output","call_id":"c","output":"ok"}`,
		"wrapped":      `{"type":"function_call","call_id":"c","name":"ApplyPatch","arguments":"{\"input\":\"*** Begin Patch\"}"},{"type":"function_call_output","call_id":"c","output":"ok"}`,
		"as an input":  `{"type":"custom_tool_call","call_id":"c","name":"ApplyPatch","input":"*** Begin Patch"},{"type":"custom_tool_call_output","call_id":"c","output":"ok"}`,
	} {
		if r := patching(t, item); !strings.Contains(string(r.Canonical.Body), `"function":{"name":"ApplyPatch","arguments":"{\"input\":\"*** Begin Patch\"}"}`) {
			t.Errorf("%s: %s", name, r.Canonical.Body)
		}
	}
	r, err := ParseClientRequest([]byte(`{"model":"m","input":"q","tools":[{"type":"function","name":"f"}]}`))
	if err != nil || r.CustomCalls() != nil {
		t.Errorf("%v, %v", r.CustomCalls(), err)
	}
}
