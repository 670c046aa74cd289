package anthropic

import (
	"slices"
	"strings"
	"testing"
)

// TestFitModel has requests of the API's own form that were written for another model than the one that they go to, as reported.
func TestFitModel(t *testing.T) {
	const (
		rest     = `"model":"x","messages":[{"role":"user","content":"hi"}]`
		adaptive = `,"thinking":{"type":"adaptive","display":"updates"}`
		clear    = `{"type":"clear_thinking_20251015","keep":"all"}`
		uses     = `{"type":"clear_tool_uses_20250919"}`
	)
	prefilled := func(content string) string {
		return `"model":"x","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":` + content + `} ]`
	}
	for name, tt := range map[string]struct {
		models, body, want string // no want: byte for byte
		left               string // names, with commas
	}{
		// https://github.com/mnfst/llm-gateway/pull/1928, https://github.com/diegosouzapw/OmniRoute/pull/1563
		"adaptive thinking, older":   {"claude-haiku-4-5 claude-sonnet-4-5", rest + adaptive, rest, "thinking"},
		"adaptive thinking":          {"claude-sonnet-4-6 claude-opus-5-5 my-model", rest + adaptive, "", ""},
		"its edits, older":           {"claude-haiku-4-5", rest + adaptive + `,"context_management":{"edits":[` + clear + `]}`, rest, "thinking"}, // https://github.com/can1357/oh-my-pi/pull/2143
		"some of its edits, older":   {"claude-haiku-4-5", rest + adaptive + `,"context_management":{"edits":[` + clear + `,` + uses + `]}`, rest + `,"context_management":{"edits":[` + uses + `]}`, "thinking"},
		"its edits":                  {"claude-opus-4-6", rest + adaptive + `,"context_management":{"edits":[` + clear + `]}`, "", ""},
		"other edits":                {"claude-haiku-4-5", rest + ` , "context_management" : {"edits":[` + uses + `]}`, "", ""},
		"a budget":                   {"claude-opus-4-7 claude-sonnet-5", rest + `,"thinking":{"type":"enabled","budget_tokens":2000,"display":"omitted"}`, rest + `,"thinking":{"type":"adaptive","display":"omitted"}`, "thinking.budget_tokens"}, // https://github.com/AAswordman/Operit/pull/568
		"a budget, older":            {"claude-haiku-4-5 claude-opus-4-6", rest + `,"thinking":{"type":"enabled","budget_tokens":2000}`, "", ""},
		"no thinking":                {"claude-opus-5-5 claude-fable-5", rest + `,"thinking":{"type":"disabled"}`, rest, "thinking"},
		"no thinking, older":         {"claude-opus-5", rest + `,"thinking":{"type":"disabled"}`, "", ""},
		"an effort, older":           {"claude-haiku-4-5 claude-sonnet-4-5", rest + `,"output_config":{"effort":"medium"}`, rest, "output_config.effort"}, // https://github.com/anthropics/claude-code/issues/30760
		"the usual effort, older":    {"claude-haiku-4-5", rest + `,"output_config":{"effort":"high"}`, rest, ""},
		"an effort and a schema":     {"claude-haiku-4-5", rest + `,"output_config":{"effort":"max","format":{"type":"json_schema","schema":{}}}`, rest + `,"output_config":{"format":{"type":"json_schema","schema":{}}}`, "output_config.effort"},
		"much effort, older":         {"claude-opus-4-6", rest + `,"output_config":{"effort":"xhigh"}`, rest + `,"output_config":{"effort":"high"}`, ""},
		"an effort":                  {"claude-opus-4-6 claude-sonnet-5", rest + `,"output_config":{"effort":"max"}`, "", ""},
		"effort without thinking":    {"claude-opus-5", rest + `,"thinking":{"type":"disabled"},"output_config":{"effort":"max"}`, rest + `,"thinking":{"type":"disabled"},"output_config":{"effort":"high"}`, ""}, // https://github.com/can1357/oh-my-pi/pull/7380
		"a schema, older":            {"claude-sonnet-4-20250514", rest + `,"output_config":{"format":{"type":"json_schema","schema":{}}}`, rest, "output_config.format"},
		"an older schema, older":     {"claude-sonnet-4-20250514", rest + `,"output_format":{"type":"json_schema","schema":{}}`, rest, "output_format"},
		"sampling":                   {"claude-opus-4-7", rest + `,"temperature":0.2,"top_p":0.5,"top_k":5`, rest, "temperature,top_k,top_p"}, // https://github.com/alibaba/page-agent/pull/540
		"the usual temperature":      {"claude-opus-4-7", rest + `,"temperature":1`, rest, ""},
		"sampling, older":            {"claude-haiku-4-5 claude-opus-4-6", rest + `,"temperature":0.2,"top_k":5`, "", ""},
		"many tokens":                {"claude-haiku-4-5", rest + `,"max_tokens":128000`, rest + `,"max_tokens":64000`, ""},
		"as many as it gives":        {"claude-haiku-4-5", rest + `,"max_tokens":64000`, "", ""},
		"a tool that must be called": {"claude-opus-5-5", rest + `,"tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true}`, rest + `,"tool_choice":{"type":"auto","disable_parallel_tool_use":true}`, "tool_choice"},
		"a tool that may be called":  {"claude-opus-5-5", rest + `,"tool_choice":{"type":"auto"}`, "", ""},
		// https://github.com/langchain-ai/deepagents/issues/1585
		"words to go on from":        {"claude-opus-4-6", prefilled(`"The answer"`), `"model":"x","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"The answer"},{"role":"user","content":"Go on from where you left off."}]`, "messages.role"},
		"words to go on from, older": {"claude-haiku-4-5", prefilled(`[{"type":"text","text":"The answer"}]`), "", ""},
		"a turn to go on with":       {"claude-opus-4-6", prefilled(`[{"type":"text","text":"I look."},{"type":"server_tool_use","id":"s","name":"web_search","input":{}}]`), "", ""},
		"of no kind":                 {"claude-opus-5-5", `"model":"x","messages":7,"thinking":[],"tool_choice":"any","output_config":null,"max_tokens":"9","context_management":1`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for model := range strings.FieldsSeq(tt.models) {
				body, want := "{"+tt.body+"}", "{"+tt.want+"}"
				if tt.want == "" {
					want = body
				}
				got := new(Format).FitModel([]byte(body), model)
				if string(got.Body) != want || !slices.Equal(got.Unsupported, strings.FieldsFunc(tt.left, func(r rune) bool { return r == ',' })) {
					t.Errorf("%s:\n got %s, left out %s\nwant %s", model, got.Body, got.Unsupported, want)
				}
			}
		})
	}
}
