package openai

import (
	"slices"
	"strings"
	"testing"
)

// TestEditsOfModels has what some models refuse that others of their vendor take, as reported.
func TestEditsOfModels(t *testing.T) {
	const (
		tools    = `"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}]`
		sampling = `"temperature":0.2,"top_p":0.9,"logprobs":true,"top_logprobs":2`
		others   = `"presence_penalty":0.5,"frequency_penalty":0.5,"stop":["x"]`
	)
	for name, tt := range map[string]struct {
		model, members, want string
		left                 string // names, with commas
	}{
		// https://github.com/tmc/langchaingo/issues/1355, https://github.com/musistudio/claude-code-router/issues/849
		"gpt-5: sampling":              {"gpt-5-mini", sampling, "", "logprobs,temperature,top_logprobs,top_p"},
		"gpt-5: the only temperature":  {"gpt-5", `"temperature":1,"top_p":1`, "", ""},
		"gpt-5.4: sampling":            {"gpt-5.4", sampling, "", "logprobs,temperature,top_logprobs,top_p"}, // https://github.com/johny-b/llmcomp/issues/69
		"gpt-5.4: without reasoning":   {"gpt-5.4", sampling + `,"reasoning_effort":"none"`, sampling + `,"reasoning_effort":"none"`, ""},
		"gpt-5.1: none is its default": {"gpt-5.1-2025-11-13", sampling, sampling, ""},
		"gpt-5.1: reasons":             {"gpt-5.1", sampling + `,"reasoning_effort":"low"`, `"reasoning_effort":"low"`, "logprobs,temperature,top_logprobs,top_p"},
		"gpt-5: others":                {"gpt-5", others + `,"logit_bias":{"1":1}`, "", "frequency_penalty,logit_bias,presence_penalty,stop"},
		"o3: sampling and others":      {"o3", sampling + "," + others, "", "frequency_penalty,logprobs,presence_penalty,stop,temperature,top_logprobs,top_p"}, // https://github.com/crewAIInc/crewAI/issues/2751, https://github.com/lobehub/lobehub/pull/7747
		"o4-mini: one call at a time":  {"o4-mini-2025-04-16", tools + `,"parallel_tool_calls":false`, tools, ""},                                              // https://github.com/evalstate/fast-agent/issues/279
		"gpt-4o: one call at a time":   {"gpt-4o", tools + `,"parallel_tool_calls":false`, tools + `,"parallel_tool_calls":false`, ""},
		"gpt-4o: all":                  {"gpt-4o", sampling + "," + others, sampling + "," + others, ""},
		"gpt-4o: effort":               {"gpt-4o", `"reasoning_effort":"low","verbosity":"low"`, "", "reasoning_effort,verbosity"},
		"gpt-5-chat: effort":           {"openai/gpt-5-chat-latest", `"reasoning_effort":"low",` + sampling, sampling, "reasoning_effort"}, // https://github.com/Laisky/one-api/issues/120
		"gpt-5.2-chat: effort":         {"gpt-5.2-chat-latest", `"reasoning_effort":"low","temperature":0`, "", "reasoning_effort,temperature"},
		"gpt-5.4: effort beside tools": {"gpt-5.4", tools + `,"reasoning_effort":"medium"`, tools, "reasoning_effort"}, // https://github.com/openai/openai-openapi/issues/541
		"gpt-5.4: none beside tools":   {"gpt-5.4", tools + `,"reasoning_effort":"none"`, tools + `,"reasoning_effort":"none"`, ""},
		"gpt-5.4: effort":              {"gpt-5.4", `"reasoning_effort":"minimal"`, `"reasoning_effort":"low"`, ""},
		"gpt-5: effort of a later one": {"gpt-5", `"reasoning_effort":"xhigh"`, `"reasoning_effort":"high"`, ""},
		"o3: effort of a later one":    {"O3", `"reasoning_effort":"minimal"`, `"reasoning_effort":"low"`, ""},
		"gpt-5: beside tools":          {"gpt-5", tools + `,"reasoning_effort":"medium"`, tools + `,"reasoning_effort":"medium"`, ""},
		"one of the operator's own":    {"my-deployment", sampling + "," + others, sampling + "," + others, ""},
		"as many words as it may have": {"gpt-4o", `"stop":["a","b","c","d"]`, `"stop":["a","b","c","d"]`, ""},
		"more words to stop at":        {"gpt-4o", `"stop":["a","b","c","d" , "e","f"]`, `"stop":["a","b","c","d"]`, "stop"},
		// https://github.com/NousResearch/hermes-agent/issues/11243
		"deepseek-reasoner: logprobs": {"deepseek-reasoner", `"logprobs":true,"top_logprobs":2`, "", "logprobs,top_logprobs"},
		"deepseek-chat: logprobs":     {"deepseek-chat", `"logprobs":true,"top_logprobs":2`, `"logprobs":true,"top_logprobs":2`, ""},
		"codestral: effort":           {"codestral-latest", `"reasoning_effort":"high"`, "", "reasoning_effort"},
		"mistral-small: effort":       {"mistral-small-2603", `"reasoning_effort":"none"`, `"reasoning_effort":"none"`, ""},
		// https://github.com/opencode-ai/opencode/issues/140, https://github.com/qgrail/obsidian-ai-assistant/issues/40,
		// https://github.com/diffbot/code-gpt-docs/issues/284
		"gpt-4.1: many tokens":           {"gpt-4.1", `"max_tokens":50000`, `"max_completion_tokens":32768`, ""},
		"gpt-4o: many tokens":            {"gpt-4o-mini", `"max_completion_tokens":64000`, `"max_completion_tokens":16384`, ""},
		"gpt-4o: as many as it gives":    {"gpt-4o", `"max_completion_tokens":16384`, `"max_completion_tokens":16384`, ""},
		"gpt-4o: both names":             {"gpt-4o", `"max_tokens":64000,"max_completion_tokens":64000`, `"max_completion_tokens":16384`, "max_tokens"},
		"gpt-4-turbo: many tokens":       {"gpt-4-turbo-2024-04-09", `"max_tokens":6000`, `"max_completion_tokens":4096`, ""},
		"o3: many tokens":                {"o3-mini", `"max_tokens":128000`, `"max_completion_tokens":100000`, ""},
		"my-deployment: many tokens":     {"my-deployment", `"max_tokens":128000`, `"max_completion_tokens":128000`, ""},
		"deepseek-chat: many tokens":     {"deepseek-chat", `"max_completion_tokens":32000`, `"max_tokens":8192`, ""}, // https://github.com/mnfst/llm-gateway/issues/1177, https://github.com/router-for-me/CLIProxyAPI/issues/599
		"deepseek-reasoner: many tokens": {"deepseek-reasoner", `"max_tokens":128000`, `"max_tokens":65536`, ""},      // https://github.com/Aider-AI/aider/pull/4125
		"deepseek-v4: many tokens":       {"deepseek-v4-pro", `"max_tokens":128000`, `"max_tokens":128000`, ""},
		"a word by itself":               {"gpt-4o", `"stop":"a"`, `"stop":"a"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			asked := ask(t, request(tt.members))
			asked.UpstreamModel = tt.model
			vendor := "openai"
			switch {
			case strings.Contains(tt.model, "stral"):
				vendor = "mistral"
			case strings.HasPrefix(tt.model, "deepseek"):
				vendor = "deepseek"
			}
			got, err := Format{Dialect: dialect(t, vendor)}.EncodeRequest(asked)
			want := strings.Replace(request(tt.want), `"m"`, `"`+tt.model+`"`, 1)
			if err != nil || string(got.Body) != want || !slices.Equal(got.Unsupported, strings.FieldsFunc(tt.left, func(r rune) bool { return r == ',' })) {
				t.Errorf("%v\n got %s %v\nwant %s %s", err, got.Body, got.Unsupported, want, tt.left)
			}
		})
	}
}

// TestEditsOfOfferedTools has tools, or what stands beside them, of which vendors refuse the whole request.
func TestEditsOfOfferedTools(t *testing.T) {
	function := func(parameters string) string {
		return `"tools":[{"type":"function","function":{"name":"f"` + parameters + `}}]`
	}
	const object = `,"parameters":{"type":"object","properties":{"a":{"anyOf":[{}]}}}`
	for name, tt := range map[string]struct {
		dialects, members, want string
		left                    string // names, with commas
	}{
		// https://github.com/earendil-works/pi/issues/3649, https://github.com/runebookai/tome/pull/87, https://github.com/vllm-project/vllm/pull/39780
		"no tools":                  {"alipay openai mistral deepseek qwen glm google legacy", `"tools":[ ],"tool_choice":"auto","parallel_tool_calls":true`, "", ""},
		"a choice of none":          {"alipay openai mistral deepseek qwen glm google legacy", `"tool_choice":"required","parallel_tool_calls":false`, "", "tool_choice"}, // https://github.com/Wei-Shaw/sub2api/pull/4439
		"tools":                     {"openai deepseek", function(object) + `,"tool_choice":"auto","parallel_tool_calls":true`, function(object) + `,"tool_choice":"auto","parallel_tool_calls":true`, ""},
		"alternatives at the top":   {"openai", function(`,"parameters":{"type":"object","properties":{},"anyOf":[{"required":["a"]}],"description":"d"}`), function(`,"parameters":{"type":"object","properties":{},"description":"d\n\n{anyOf: [{\"required\":[\"a\"]}]}"}`), "tools.function.parameters.anyOf"}, // https://github.com/langchain-ai/langchainjs/issues/9804
		"an enumeration at the top": {"openai", function(`,"parameters":{"enum":[1]}`), function(`,"parameters":{"type":"object","properties":{},"description":"{enum: [1]}"}`), "tools.function.parameters.enum"},
		"parameters of nothing":     {"openai", function(`,"parameters":{}`), function(`,"parameters":{"type":"object","properties":{}}`), ""},
		"null for parameters":       {"openai deepseek mistral legacy", function(`,"parameters":null`), function(`,"parameters":{"type":"object","properties":{}}`), ""},
		"no parameters":             {"openai deepseek qwen", function(``), function(``), ""},
		"an older form's schema":    {"deepseek", function(`,"parameters":{"properties":{}}`), function(`,"parameters":{"type":"object","properties":{}}`), ""},
	} {
		t.Run(name, func(t *testing.T) {
			for named := range strings.FieldsSeq(tt.dialects) {
				got, err := Format{Dialect: dialect(t, named)}.EncodeRequest(ask(t, request(tt.members)))
				if err != nil || string(got.Body) != request(tt.want) || !slices.Equal(got.Unsupported, strings.FieldsFunc(tt.left, func(r rune) bool { return r == ',' })) {
					t.Errorf("%s: %v\n got %s %v\nwant %s %s", named, err, got.Body, got.Unsupported, request(tt.want), tt.left)
				}
			}
		})
	}
}
