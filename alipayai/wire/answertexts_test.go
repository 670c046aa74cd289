package wire

import (
	"slices"
	"strings"
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
		"legacy completion": {`{"choices":[{"text":"tu","logprobs":{"tokens":["t","u"],"token_logprobs":[-1,0],"top_logprobs":[{"x":-1}],"text_offset":[0,1]}}]}`, []string{"tu", "tu"}},
		"tokens": {`{"choices":[{"delta":{"content":"一"},"logprobs":{"content":[{"token":"\\xe4\\xb8","logprob":-1,"bytes":[228,184],"top_logprobs":[{"token":"x","logprob":-1,"bytes":[120]}]},{"token":"\\x80","bytes":[128]}],"refusal":[{"token":"no","bytes":null}]}}]}`,
			[]string{"一", `\xe4\xb8\x80`, "一", "no"}},
		"what should choose": {`{"choices":[{"message":{"tool_calls":[{"id":"call_1","type":"function"},{"id":"an insider","type":"稳赚","index":{"object":"tip"}}]},"finish_reason":"st\u006fp"}]}`, []string{"an insider", "稳赚"}},
		"below what should":  {`{"choices":[{"message":{"content":[{"type":"x","object":{"note":"n"},"index":["i"]}]}}]}`, []string{"n", "i"}},
		"odd tokens":         {`{"choices":[{"logprobs":{"content":[1,null,{"token":1,"bytes":"x"},{"bytes":[-1,256,1.5,"a",{}]}],"x":{"token":"t"}}},{"logprobs":null}]}`, nil},
		"usage alone":        {`{"id":"i","object":"o","created":1,"choices":[],"usage":{"total_tokens":1,"x":"no text"},"provider":"p","system_fingerprint":"f","service_tier":"s"}`, nil},
		// docs.perplexity.ai/api-reference/chat-completions-post, docs.z.ai/api-reference/llm/chat-completion
		"beside the choices": {`{"search_results":[{"title":"t","snippet":"s","date":null}],"choices":[],"related_questions":["q"],"web_search":[{"content":"w"}]}`, []string{"t", "s", "q", "w"}},
		"random letters":     {`{"choices":[],"obfuscation":"sbX9"}`, nil},
		"end":                {`[DONE]`, nil},
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

// Of an answer in its client's own form every text counts, wherever it is generated or found; data of pictures and files does not.
func TestOwnTexts(t *testing.T) {
	long := strings.Repeat("AA+/", leastData/4)
	for name, tc := range map[string]struct {
		data string
		want []string
	}{
		"Messages":        {`{"id":"m","type":"message","content":[{"type":"server_tool_use","id":"s","name":"n","input":{"q":"i"}},{"type":"text","text":"t","citations":[{"cited_text":"c"}]},{"type":"thinking","thinking":"h","signature":"AA=="}],"stop_sequence":"x"}`, []string{"n", "i", "t", "c", "h"}},
		"Responses":       {`{"instructions":"x","output":[{"type":"mcp_call","output":"o"},{"type":"message","content":[{"type":"output_text","text":"t"}]}],"metadata":{"a":"x"}}`, []string{"o", "t"}},
		"events":          {`{"type":"content_block_start","content_block":{"type":"x","stdout":"o"}}`, []string{"o"}},
		"items of events": {`{"type":"response.output_item.done","item":{"type":"x","results":[{"text":"r"}]}}`, []string{"r"}},
		"a picture":       {`{"output":[{"type":"image_generation_call","result":"` + long + `","revised_prompt":"p"}]}`, []string{"p"}},
		"a long text":     {`{"output":[{"type":"x","output":"` + long + ` said"}]}`, []string{long + " said"}},
		"an error":        {`{"error":{"message":"x"}}`, nil},
	} {
		var got []string
		if err := OwnTexts([]byte(tc.data), func(text string) { got = append(got, text) }); err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("%s: texts %q, %v, want %q", name, got, err, tc.want)
		}
	}
	if err := OwnTexts([]byte(`{"content":[{"text":"a"`), func(string) {}); err == nil {
		t.Error("half an answer is taken")
	}
}
