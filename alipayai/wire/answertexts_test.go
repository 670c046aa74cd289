package wire

import (
	"slices"
	"testing"
)

func TestAnswerTexts(t *testing.T) {
	for name, tc := range map[string]struct {
		data string
		want []string
	}{
		"content": {`{"id":"x","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"a\u4e00"}}]}`, []string{"a一"}},
		"all of a delta": {`{"choices":[{"delta":{"reasoning_content":"r","content":"c","refusal":"f","tool_calls":[{"index":0,"id":"i","type":"function","function":{"name":"n","arguments":"{}"}}]}}]}`,
			[]string{"r", "c", "f", "n", "{}"}},
		"message":           {`{"choices":[{"message":{"content":[{"type":"text","text":"p"}],"annotations":[{"title":"t"}]},"finish_reason":"stop"}]}`, []string{"p", "t"}},
		"legacy completion": {`{"choices":[{"text":"t","logprobs":{"tokens":["t"]}}]}`, []string{"t"}},
		"usage alone":       {`{"choices":[],"usage":{"total_tokens":1},"x":"no text"}`, nil},
		"end":               {`[DONE]`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			if err := AnswerTexts([]byte(tc.data), func(a AnswerText) { got = append(got, a.Value) }); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("texts %q, want %q", got, tc.want)
			}
		})
	}
	if err := AnswerTexts([]byte(`{"choices":[{"delta":{"content":"a"`), func(AnswerText) {}); err == nil {
		t.Error("half an answer is taken")
	}
}

// What goes together over chunks has one path, however the chunks are written.
func TestAnswerTextsPaths(t *testing.T) {
	path := func(data string) string {
		var got string
		if err := AnswerTexts([]byte(data), func(a AnswerText) { got = string(a.Path) }); err != nil {
			t.Fatal(err)
		}
		return got
	}
	same := []string{
		`{"choices":[{"index":1,"delta":{"tool_calls":[{"index":300,"function":{"arguments":"a"}}]}}]}`,
		`{"choices":[ {"delta":{"tool_calls":[{"function":{"arguments":"a"},"index":3e2}]},"index":1}]}`,
		`{"choices":[{"delta":{}},{"message":{"tool_calls":[{"x":{"index":1},"index": 300,"function":{"arguments":"a"}}]}}]}`,
	}
	for _, data := range same[1:] {
		if path(data) != path(same[0]) {
			t.Errorf("%s has path %q, want %q", data, path(data), path(same[0]))
		}
	}
	others := []string{
		`{"choices":[{"index":1,"delta":{"tool_calls":[{"index":30,"function":{"arguments":"a"}}]}}]}`,
		`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":300,"function":{"arguments":"a"}}]}}]}`,
		`{"choices":[{"index":1,"delta":{"tool_calls":[{"index":300,"function":{"name":"a"}}]}}]}`,
		`{"choices":[{"index":1,"delta":{"content":"a"}}]}`,
	}
	for _, data := range others {
		if path(data) == path(same[0]) {
			t.Errorf("%s has the path of another text", data)
		}
	}
}
