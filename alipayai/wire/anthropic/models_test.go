package anthropic

import (
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// TestVersions reads the versions of models.
func TestVersions(t *testing.T) {
	for model, want := range map[string]struct {
		v      version
		family string
	}{
		"claude-opus-4-7":                            {version{4, 7}, "opus"},
		"claude-opus-4.7":                            {version{4, 7}, "opus"},
		"claude-sonnet-4-5-20250929":                 {version{4, 5}, "sonnet"},
		"claude-sonnet-4-20250514":                   {version{4, 0}, "sonnet"},
		"us.anthropic.claude-opus-4-6-20260205-v1:0": {version{4, 6}, "opus"},
		"claude-haiku-4-5@20251001":                  {version{4, 5}, "haiku"},
		"Claude-Sonnet-5":                            {version{5, 0}, "sonnet"},
		"claude-opus-5-5":                            {version{5, 5}, "opus"},
		"claude-fable-5-1":                           {version{5, 1}, "fable"},
		"claude-3-5-haiku-latest":                    {version{3, 5}, "haiku"},
		"claude-3-opus-20240229":                     {version{3, 0}, "opus"},
		"claude-instant":                             {version{}, "instant"},
		"gpt-5":                                      {version{}, ""},
		"":                                           {version{}, ""},
	} {
		if v, family := versionOf(model); v != want.v || family != want.family {
			t.Errorf("%s: %v of %q", model, v, family)
		}
	}
}

// TestRequestsByModel has what newer models refuse, as reported, beside those that take it.
func TestRequestsByModel(t *testing.T) {
	const (
		said     = `{"role":"user","content":"hi"},{"role":"assistant","content":"The answer is"}`
		tools    = `"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":`
		sampling = `"temperature":0.2`
		budget   = `"thinking":{"type":"enabled","budget_tokens":2000}`
		adaptive = `"thinking":{"type":"adaptive"}`
		closed   = `{"type":"object","properties":{},"required":[],"additionalProperties":false}`
		schema   = `"response_format":{"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":` + closed + `}}`
		strict   = `"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":` + closed + `}}]`
	)
	for name, tt := range map[string]struct {
		models, messages, members string
		has, lacks                string
		left                      string // names, with commas
	}{
		// https://github.com/The-PR-Agent/pr-agent/pull/2409, https://github.com/HKUDS/nanobot/pull/3418, https://github.com/alibaba/page-agent/pull/540
		"a temperature":        {"claude-opus-4-7 claude-opus-4-8-20260601 claude-sonnet-5 claude-opus-5-5", "", sampling, "", "temperature", "temperature"},
		"a top_p":              {"claude-opus-4-7", "", `"top_p":0.9`, "", "top_p", "top_p"},
		"a temperature, older": {"claude-haiku-4-5 claude-opus-4-6 claude-sonnet-4-6 claude-3-5-haiku-latest my-model", "", sampling, sampling, "", ""},
		// https://github.com/AAClause/nvda-OpenAI/issues/126, https://github.com/AAswordman/Operit/pull/568
		"a budget":           {"claude-opus-4-7 claude-sonnet-5", "", budget, `"thinking":{"type":"adaptive"}`, "budget", "thinking.budget_tokens"},
		"a budget, older":    {"claude-opus-4-6 claude-sonnet-4-5", "", budget, budget, "", ""},
		"a form of DeepSeek": {"claude-opus-4-8", "", `"thinking":{"type":"enabled"}`, `"thinking":{"type":"adaptive"}`, "budget", ""},
		// https://github.com/langchain-ai/deepagents/issues/1585, https://github.com/livekit/agents/pull/4973, https://github.com/aws-samples/bedrock-access-gateway/pull/219
		"words to go on from":        {"claude-opus-4-6 claude-sonnet-4-6 claude-sonnet-5", said, "", `{"role":"user","content":[{"type":"text","text":"Go on`, "", "messages.role"},
		"words to go on from, older": {"claude-opus-4-5 claude-haiku-4-5", said, "", `"The answer is"}]}]`, "Go on", ""},
		// https://platform.claude.com/docs/en/models/opus-5-5/whats-new-opus-5-5
		"thinking that is disabled":         {"claude-opus-5-5 claude-fable-5", "", `"thinking":{"type":"disabled"}`, "", "thinking", "thinking"},
		"thinking that is disabled, older":  {"claude-opus-5 claude-sonnet-5 claude-opus-4-7", "", `"thinking":{"type":"disabled"}`, `"thinking":{"type":"disabled"}`, "", ""},
		"a tool that must be called":        {"claude-opus-5-5 claude-mythos-5", "", tools + `"required"`, `"tools"`, "tool_choice", "tool_choice"},
		"one tool that must be called":      {"claude-opus-5-5", "", tools + `{"type":"function","function":{"name":"f"}}`, `"tools"`, "tool_choice", "tool_choice"},
		"a tool that must be called, older": {"claude-opus-5 claude-sonnet-5", "", tools + `"required"`, `"tool_choice":{"type":"any"}`, "", ""},
		// https://github.com/mnfst/llm-gateway/pull/1928, https://github.com/diegosouzapw/OmniRoute/pull/1563, https://github.com/pensarai/apex/pull/890
		"thinking as it wants, older": {"claude-haiku-4-5-20251001 claude-sonnet-4-5 claude-opus-4-1 claude-3-7-sonnet-latest", "", adaptive, "", "thinking", "thinking"},
		"thinking as it wants":        {"claude-opus-4-6 claude-sonnet-4-6 claude-haiku-5-5 my-model", "", adaptive, adaptive, "", ""},
		"thinking, no temperature":    {"claude-opus-4-6", "", adaptive + "," + sampling, adaptive, "temperature", "temperature"},
		// https://github.com/Oaklight/llm-rosetta/pull/289, https://github.com/oratis/LISA/pull/218, https://github.com/anthropics/claude-code/issues/30760
		"an effort":                {"claude-opus-4-5 claude-opus-4-6 claude-sonnet-4-6 claude-haiku-5-5 claude-fable-5", "", `"reasoning_effort":"low"`, `"output_config":{"effort":"low"}`, "", ""},
		"an effort, older":         {"claude-haiku-4-5 claude-sonnet-4-5 claude-opus-4-1 claude-3-5-haiku-latest my-model", "", `"reasoning_effort":"low"`, "", "effort", "reasoning_effort"},
		"an effort of OpenAI's":    {"claude-opus-4-6", "", `"reasoning_effort":"minimal"`, `"output_config":{"effort":"low"}`, "", ""},
		"no effort":                {"claude-opus-4-6", "", `"reasoning_effort":"none"`, "", "effort", ""},
		"an effort of no kind":     {"claude-opus-4-6", "", `"reasoning_effort":{}`, "", "effort", "reasoning_effort"},
		"much effort":              {"claude-opus-4-7 claude-sonnet-5 claude-mythos-5", "", `"reasoning_effort":"xhigh"`, `"effort":"xhigh"`, "", ""},
		"much effort, older":       {"claude-opus-4-6 claude-sonnet-4-6", "", `"reasoning_effort":"xhigh"`, `"effort":"high"`, "", ""},
		"most effort":              {"claude-opus-4-6 claude-sonnet-4-6", "", `"reasoning_effort":"max"`, `"effort":"max"`, "", ""},
		"most effort, older":       {"claude-opus-4-5", "", `"reasoning_effort":"max"`, `"effort":"high"`, "", ""},
		"effort without thinking":  {"claude-opus-5", "", `"reasoning_effort":"max","thinking":{"type":"disabled"}`, `"effort":"high"`, "", ""}, // https://github.com/can1357/oh-my-pi/pull/7380
		"an effort and a schema":   {"claude-opus-4-6", "", `"reasoning_effort":"low",` + schema, `"schema":` + closed + `},"effort":"low"}`, "", ""},
		"a schema":                 {"claude-haiku-4-5 claude-opus-4-1 my-model", "", schema, `"output_config":{"format":`, "", ""},
		"a schema, older":          {"claude-sonnet-4-20250514 claude-3-7-sonnet-latest", "", schema, "fits this JSON schema", "output_config", "response_format"},
		"a strict tool":            {"claude-sonnet-4-5", "", strict, `"strict":true`, "", ""},
		"a strict tool, older":     {"claude-opus-4-20250514", "", strict, `"name":"f"`, "strict", "tools.function.strict"},
		"many tokens":              {"claude-haiku-4-5 claude-sonnet-4-20250514", "", `"max_completion_tokens":128000`, `"max_tokens":64000`, "", ""},
		"many tokens of Opus":      {"claude-opus-4-1-20250805", "", `"max_tokens":64000`, `"max_tokens":32000`, "", ""},
		"many tokens, newer":       {"claude-opus-4-6 claude-sonnet-4-6 claude-sonnet-5", "", `"max_tokens":128000`, `"max_tokens":128000`, "", ""},
		"many tokens to think":     {"claude-opus-4-1", "", `"thinking":{"type":"enabled","budget_tokens":31000}`, `"max_tokens":32000`, "", ""},
		"many tokens of who knows": {"my-model claude-sonnet-5", "", `"max_tokens":200000`, `"max_tokens":200000`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for model := range strings.FieldsSeq(tt.models) {
				messages, members := tt.messages, tt.members
				if messages == "" {
					messages = `{"role":"user","content":"hi"}`
				}
				if members != "" {
					members = "," + members
				}
				r, err := wire.ParseChatRequest([]byte(`{"model":"m","messages":[`+messages+`]`+members+`}`), wire.Limits{})
				if err != nil {
					t.Fatal(err)
				}
				got, err := new(Format).EncodeRequest(wire.Ask{Request: r, UpstreamModel: model, ByGateway: true})
				body := string(got.Body)
				if err != nil || !strings.Contains(body, tt.has) || tt.lacks != "" && strings.Contains(body, tt.lacks) ||
					!slices.Equal(got.Unsupported, strings.FieldsFunc(tt.left, func(r rune) bool { return r == ',' })) {
					t.Errorf("%s: %v, sends %s, left out %s", model, err, body, got.Unsupported)
				}
			}
		})
	}
}
