package responses

import (
	"errors"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// TestLowerChatCustom has requests for chat completions with custom tools in the form of the Responses API, and what is asked in their
// place.
func TestLowerChatCustom(t *testing.T) {
	const (
		patch   = `{"type":"custom","name":"ApplyPatch","description":"Patches.","format":{"type":"grammar","syntax":"lark","definition":"start: x"}}`
		lowered = `{"type":"function","function":{"name":"ApplyPatch","description":"Patches.\n\nThe input must keep to this grammar (lark):\nstart: x","parameters":{"type":"object","properties":{"input":{"type":"string","description":"The input of the tool, as it is."}},"required":["input"],"additionalProperties":false}}}`
		own     = `{"type":"function","function":{"name":"f"}}`
		user    = `{"role":"user","content":"q"}`
		wrapped = `{"id":"a","type":"function","function":{"name":"ApplyPatch","arguments":"{\"input\":\"*** Begin\\n\"}"}}`
	)
	chosen := func(choice string) string { return `,"tool_choice":` + choice }
	called := func(call string) string {
		return user + `,{"role":"assistant","content":null,"tool_calls":[` + call + `]}`
	}
	for name, tt := range map[string]struct{ tools, choice, messages, wantTools, wantChoice, wantMessages string }{
		"https://github.com/Wei-Shaw/sub2api/pull/5861": {own + "," + patch, "", user, own + "," + lowered, "", user},
		"chosen":                          {patch, chosen(`{"type":"custom","name":"ApplyPatch"}`), user, lowered, chosen(`{"type":"function","function":{"name":"ApplyPatch"}}`), user},
		"allowed":                         {patch, chosen(`{"type":"allowed_tools","mode":"auto","tools":[{"type":"custom","name":"ApplyPatch"},{"type":"function","name":"f"}]}`), user, lowered, chosen(`{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","function":{"name":"ApplyPatch"}},{"type":"function","name":"f"}]}`), user},
		"another is chosen":               {patch, chosen(`"auto"`), user, lowered, chosen(`"auto"`), user},
		"an input played back":            {patch, "", called(`{"id":"a","type":"function","function":{"name":"ApplyPatch","arguments":"*** Begin\n"}}`), lowered, "", called(wrapped)},
		"a custom call":                   {patch, "", called(`{"id":"a","type":"custom","custom":{"name":"ApplyPatch","input":"*** Begin\n"}}`), lowered, "", called(wrapped)},
		"a wrapped one, and a function's": {patch, "", called(wrapped + `,{"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}`), lowered, "", called(wrapped + `,{"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}`)},
		"nested":                          {`{"type":"custom","custom":{"name":"g"}}`, "", user, "", "", ""},
		"of Messages":                     {`{"type":"custom","name":"g","input_schema":{}}`, "", user, "", "", ""},
		"functions alone":                 {`{"type":"function","name":"custom"}`, "", user, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			body := func(tools, choice, messages string) string {
				return `{"model":"m","tools":[` + tools + `]` + choice + `,"messages":[` + messages + `]}`
			}
			got, custom, err := LowerChatCustom([]byte(body(tt.tools, tt.choice, tt.messages)))
			if tt.wantTools == "" {
				if got != nil || custom != nil || err != nil {
					t.Errorf("%s, %v", got, err)
				}
				return
			}
			if want := body(tt.wantTools, tt.wantChoice, tt.wantMessages); err != nil || string(got) != want {
				t.Fatalf("%v\ngot  %s\nwant %s", err, got, want)
			}
			answer := custom.Calls().Whole(nil, []byte(`{"choices":[`+strings.TrimPrefix(called(wrapped), user+",")+`]}`))
			if strings.Contains(string(answer), "***") != strings.Contains(string(answer), `input`) { // no message is there to change
				t.Errorf("%s", answer)
			}
		})
	}
	if _, _, err := LowerChatCustom([]byte(`{"tools":[{"type":"custom","name":"g","format":7}]}`)); err == nil {
		t.Error("a format that is none is taken")
	}
}

// The name of a custom tool may come in parts, and a finish reason with each chunk.
func TestCustomCallsInPieces(t *testing.T) {
	piece := func(call, finish string) string {
		return `data: {"id":"c","choices":[{"index":0,"delta":{"tool_calls":[` + call + `]},"finish_reason":` + finish + "}]}\n\n"
	}
	arguments := func(text string) string { return `{"index":0,"function":{"arguments":"` + text + `"}}` }
	for name, events := range map[string][]string{
		"in one":                    {piece(`{"index":0,"id":"a","type":"function","function":{"name":"ApplyPatch","arguments":""}}`, "null"), piece(arguments(`{\"input\":`), "null"), piece(arguments(`\"*** Begin\"}`), `"tool_calls"`)},
		"in parts":                  {piece(`{"index":0,"id":"a","type":"function","function":{"name":"Apply","arguments":""}}`, "null"), piece(`{"index":0,"function":{"name":"Patch"}}`, "null"), piece(arguments(`{\"input\":\"*** Begin\"}`), "null")},
		"with the rest":             {piece(`{"index":0,"id":"a","type":"function","function":{"name":"Apply","arguments":""}}`, "null"), piece(`{"index":0,"function":{"name":"Patch","arguments":"{\"input\":\"*** Begin\"}"}}`, "null")},
		"again":                     {piece(`{"index":0,"id":"a","type":"function","function":{"name":"ApplyPatch","arguments":""}}`, "null"), piece(`{"index":0,"function":{"name":"ApplyPatch","arguments":"{\"input\":\"*** Begin\"}"}}`, "null")},
		"with a finish reason each": {piece(`{"index":0,"id":"a","type":"function","function":{"name":"ApplyPatch","arguments":""}}`, `"tool_calls"`), piece(arguments(`{\"input\":`), `"tool_calls"`), piece(arguments(`\"*** Begin\"}`), `"tool_calls"`)},
	} {
		t.Run(name, func(t *testing.T) {
			w := patching(t, `{"role":"user","content":"q"}`).CustomCalls()
			out, err := w.Events(nil, []byte(strings.Join(events, "")+"data: [DONE]\n\n"))
			if err != nil || strings.Count(string(out), `{"arguments":"*** Begin"}`) != 1 || strings.Contains(string(out), `{\"input`) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// What a finish reason with each piece takes grows with the input, and not with its square; and a name that never ends is not kept.
func TestCustomCallsAreLinear(t *testing.T) {
	allocated := func(pieces int) uint64 {
		w := patching(t, `{"role":"user","content":"q"}`).CustomCalls()
		piece := func(call string) []byte {
			return []byte(`data: {"id":"c","choices":[{"index":0,"delta":{"tool_calls":[` + call + `]},"finish_reason":"tool_calls"}]}` + "\n\n")
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for i := range pieces {
			if _, err := w.Events(nil, piece(`{"index":1,"function":{"name":"`+strings.Repeat("x", 60)+strconv.Itoa(i)+`"}}`)); err != nil {
				t.Fatal(err)
			}
		}
		_, err := w.Events(nil, piece(`{"index":0,"id":"a","type":"function","function":{"name":"ApplyPatch","arguments":"{\"input\":\""}}`))
		for range pieces {
			_, more := w.Events(nil, piece(`{"index":0,"function":{"arguments":"`+strings.Repeat("y", 60)+`"}}`))
			err = errors.Join(err, more)
		}
		if err != nil || len(w.names[1]) > 2*maxNameParts {
			t.Fatalf("%v, a name of %d bytes", err, len(w.names[1]))
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	few := allocated(1 << 9)
	if many := allocated(1 << 13); many > 32*few {
		t.Errorf("%d bytes for sixteen times the input that took %d", many, few)
	}
}
