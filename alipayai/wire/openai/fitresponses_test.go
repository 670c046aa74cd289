package openai

import (
	"slices"
	"strings"
	"testing"
)

// A request of the Responses API that was written for another model has nothing that OpenAI's model is known to refuse.
func TestFitResponses(t *testing.T) {
	const (
		sampling = `"temperature":0.2,"top_p":0.9,"top_logprobs":2`
		tools    = `"tools":[{"type":"function","name":"f"}]`
		include  = `"include":["reasoning.encrypted_content","message.output_text.logprobs","file_search_call.results"]`
	)
	for name, tt := range map[string]struct {
		model, members, want string
		left                 string // names, with commas
	}{
		"an unknown model":             {"alipay-fin-1", sampling + `,"reasoning":{"effort":"low"}`, sampling + `,"reasoning":{"effort":"low"}`, ""},
		"gpt-4o: reasoning":            {"gpt-4o", sampling + `,"reasoning":{"effort":"low","summary":"auto"}`, sampling, "reasoning"},
		"gpt-4o: verbosity":            {"gpt-4o", `"text":{"format":{"type":"text"},"verbosity":"low"}`, `"text":{"format":{"type":"text"}}`, "text.verbosity"},
		"gpt-4o: include":              {"gpt-4o", include, `"include":["message.output_text.logprobs","file_search_call.results"]`, "include"},
		"gpt-4o: more than it gives":   {"gpt-4o", `"max_output_tokens":40000`, `"max_output_tokens":16384`, ""},
		"gpt-5: sampling":              {"gpt-5-mini", sampling, "", "temperature,top_logprobs,top_p"},
		"gpt-5: include":               {"gpt-5", include, `"include":["reasoning.encrypted_content","file_search_call.results"]`, "include"},
		"gpt-5: effort of a later one": {"openai/gpt-5", `"reasoning":{"effort":"xhigh","summary":"auto"}`, `"reasoning":{"effort":"high","summary":"auto"}`, ""},
		"gpt-5.1: none is its default": {"gpt-5.1", sampling, sampling, ""},
		"gpt-5.1: reasons":             {"gpt-5.1", sampling + `,"reasoning":{"effort":"low"}`, `"reasoning":{"effort":"low"}`, "temperature,top_logprobs,top_p"},
		"gpt-5.4: effort with tools":   {"gpt-5.4", tools + `,"reasoning":{"effort":"medium"}`, tools + `,"reasoning":{"effort":"medium"}`, ""},
		"o3: one call at a time":       {"o3", tools + `,"parallel_tool_calls":false`, tools, ""},
		"gpt-5.2-chat: effort":         {"gpt-5.2-chat-latest", `"reasoning":{"effort":"low","summary":"auto"}`, `"reasoning":{"summary":"auto"}`, "reasoning.effort"},
		"odd types":                    {"gpt-5", `"reasoning":"low","include":{},"text":[1]`, `"reasoning":"low","include":{},"text":[1]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			with := func(members string) string {
				return strings.TrimSuffix(`{"model":"x", "input":"q",`+members, ",") + "}"
			}
			got := FitResponses([]byte(with(tt.members)), tt.model)
			if string(got.Body) != with(tt.want) || !slices.Equal(got.Unsupported, strings.FieldsFunc(tt.left, func(r rune) bool { return r == ',' })) {
				t.Errorf("\n got %s %v\nwant %s %s", got.Body, got.Unsupported, with(tt.want), tt.left)
			}
		})
	}
}
