package alipayai_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
)

// askedClient is a request as a client has sent it that is not of this project, and what a provider gets of it.
type askedClient struct {
	path, body string
	provider   string // claude, responses, or the dialect of one of OpenAI's form that the gateway has chosen; empty for none
	sent       []string
	lacks      string
	left       string
}

// check makes the call, and checks what was sent.
func (test askedClient) check(t *testing.T) {
	t.Helper()
	u, provider := &heardClaude{status: http.StatusOK, kind: "application/json", answer: completionOf(`"message":{"content":"x"},"finish_reason":"stop"`, "")}, plainProvider
	edit := anyModel
	switch test.provider {
	case "":
	case "claude":
		u.answer, provider = answerOfClaude, claudeProvider
	case "responses":
		u.answer = nativeResponse
		edit = func(p *upstream.Provider) { p.Model, p.Responses = "", true }
	default:
		dialect, err := openai.LookupDialect(test.provider)
		if err != nil {
			t.Fatal(err)
		}
		edit = func(p *upstream.Provider) {
			p.Model, p.Format = "", openai.Format{Dialect: dialect}
			p.ModelMap = map[string]string{"m": "chosen"}
		}
	}
	got := startRig(t, u, provider, first(edit)).post(test.path, test.body)
	if got.status != http.StatusOK || len(u.bodies) != 1 {
		t.Fatalf("%d %s, %d requests", got.status, got.body, len(u.bodies))
	}
	wantHeader(t, got, "X-Alipayai-Unsupported", test.left)
	for _, want := range test.sent {
		if !strings.Contains(u.bodies[0], want) {
			t.Errorf("sent %s\nwithout %s", u.bodies[0], want)
		}
	}
	if test.lacks != "" && strings.Contains(u.bodies[0], test.lacks) {
		t.Errorf("sent %s\nwith %s", u.bodies[0], test.lacks)
	}
}

// TestPublicReportsOfClients has requests of coding agents, SDKs and chat applications of which users of other gateways reported what
// became of them there.
func TestPublicReportsOfClients(t *testing.T) {
	const (
		messages = `{"model":"m","max_tokens":9,`
		chat     = `{"model":"m","messages":[{"role":"user","content":"q"}],`
		claude   = `{"model":"claude-opus-4-5","messages":[{"role":"user","content":"q"}],`
		newer    = `{"model":"claude-opus-4-8","messages":[{"role":"user","content":"q"}],`
		question = `"messages":[{"role":"user","content":"q"}]`
		said     = `"role":"assistant","content":[{"type":"output_text","text":"a"}]}`
		use      = `{"type":"tool_use","id":"a","name":"f","input":{}}`
		results  = `"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[` + use + `]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a",`
		object   = `{"type":"object"}`
		budget   = `"thinking":{"type":"enabled","budget_tokens":2048`
	)
	input := func(items ...string) string {
		return `{"model":"m","input":[{"role":"user","content":"q"},` + strings.Join(items, ",") + `]}`
	}
	calls := func(id, callID string) string {
		return `{"type":"function_call","id":"` + id + `","call_id":"` + callID + `","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"` + callID + `","output":"r"}`
	}
	called := func(id string) string {
		return `{"model":"m","messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[{"id":"` + id + `","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"` + id + `","content":"r"}]}`
	}
	responses, count := responsesPath, strings.Repeat
	for source, test := range map[string]askedClient{
		// Ids of items and calls that another provider gave.
		"https://github.com/warpdotdev/warp/issues/11001":            {responses, input(calls("fc_1", count("c", 210))), "responses", []string{`"call_id":"call_`, `"output":"r"`}, "cccc", ""},
		"https://github.com/BerriAI/litellm/pull/41590":              {responses, input(calls("fc_call_1__thought__"+count("b", 900), "call_1")), "responses", []string{`"call_id":"call_1"`}, "thought", ""},
		"https://github.com/decolua/9router/issues/393":              {responses, input(calls("fc_1", "toolu_"+count("a_long_name_", 6))), "responses", []string{`"call_id":"call_`}, "a_long_name", ""},
		"https://github.com/Future-House/ldp/pull/479":               {responses, input(calls("fc_1", "call_4498671d257346d4baa6f58c1dbb__thought__ZTI0ODMwYTctNWNkNi00MmZlLTk5OGItZWU1MzllNzJiOWMz")), "responses", []string{`"call_id":"call_`}, "thought", ""},
		"https://github.com/ranxianglei/billion-context/pull/244":    {responses, input(`{"type":"message","id":"msg-proxy-2-` + count("0", 54) + `",` + said), "responses", []string{`{"type":"message",` + said}, "proxy", ""},
		"https://github.com/NousResearch/hermes-agent/issues/27038":  {responses, input(`{"type":"message","id":"msg_` + count("e", 412) + `","phase":"final_answer",` + said), "responses", []string{`{"type":"message","phase":"final_answer",` + said}, "eeee", ""},
		"https://github.com/can1357/oh-my-pi/issues/284":             {responses, input(`{"type":"reasoning","id":"rs_` + count("r", 413) + `","summary":[],"encrypted_content":"x"}`), "responses", []string{`{"type":"reasoning","summary":[],"encrypted_content":"x"}`}, "rrrr", ""},
		"https://github.com/openai/openai-agents-python/issues/2293": {responses, input(`{"id":"__fake_id__","type":"message",` + said), "responses", []string{`{"type":"message",` + said}, "fake", ""},
		"https://github.com/router-for-me/CLIProxyAPI/issues/4401":   {responses, input(`{"type":"custom_tool_call","id":"ctc_` + count("g", 80) + `","call_id":"a","name":"f","input":"i"},{"type":"custom_tool_call_output","id":"ctco_` + count("g", 79) + `","call_id":"a","output":"r"}`), "responses", []string{`{"type":"custom_tool_call","call_id":"a"`, `{"type":"custom_tool_call_output","call_id":"a"`}, "gggg", ""},
		"https://github.com/agno-agi/agno/issues/5382":               {chatPath, called("fc_0f0e50a1476a6c35006912c58dc9f8819192c25864eb16f07f"), "openai", []string{`"tool_calls":[{"id":"call_`, `"tool_call_id":"call_`}, "fc_0f0e", ""},
		"https://github.com/microsoft/autogen/issues/6377":           {chatPath, called(count("t", 41)), "openai", []string{`"tool_calls":[{"id":"call_`, `"tool_call_id":"call_`}, "tttt", ""},
		"https://github.com/langmanus/langmanus/issues/119":          {"/v1/messages", messages + `"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"tool_use","id":"toolu_` + count("x", 40) + `","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_` + count("x", 40) + `","content":"r"}]}]}`, "openai", []string{`"tool_calls":[{"id":"call_`, `"tool_call_id":"call_`}, "xxxx", ""},
		// Ids that come again with each turn.
		"https://github.com/NousResearch/hermes-agent/issues/102629": {responses, input(calls("fc_1", "terminal:0"), calls("fc_2", "terminal:0"), calls("fc_3", "b")), "responses", []string{`"id":"fc_1","call_id":"terminal:0"`, `_output","call_id":"terminal:0"`, `"id":"fc_2","call_id":"terminal:0:"`, `_output","call_id":"terminal:0:"`, `"id":"fc_3","call_id":"b"`}, "", ""},
		"https://github.com/mnfst/llm-gateway/pull/2858":             {responses, input(calls("fc_1", count("t", 64)), calls("fc_2", count("t", 64))), "responses", []string{`"id":"fc_1","call_id":"tttt`, `"id":"fc_2","call_id":"call_`, `_output","call_id":"call_`}, count("t", 65), ""},
		// Parts in the form of chat completions, or of another speaker, which OpenAI refuses there.
		"https://github.com/mnfst/llm-gateway/pull/1912":            {responses, input(`{"role":"user","content":[{"type":"text","text":"t"},{"type":"image_url","image_url":{"url":"https://x/y.png","detail":"low"}},{"type":"input_text","text":"u"}]}`), "responses", []string{`{"role":"user","content":[{"type":"input_text","text":"t"},{"type":"input_image","image_url":"https://x/y.png","detail":"low"},{"type":"input_text","text":"u"}]}`}, `"text","text"`, ""},
		"https://github.com/epam/ai-dial-adapter-openai/issues/511": {responses, input(`{"type":"message","role":"assistant","content":[{"type":"text","text":"a"},{"type":"input_text","text":"b"},{"type":"output_text","text":"c","annotations":[]}]}`), "responses", []string{`"content":[{"type":"output_text","text":"a"},{"type":"output_text","text":"b"},{"type":"output_text","text":"c","annotations":[]}]`}, "input_text", ""},
		"https://github.com/diegosouzapw/OmniRoute/pull/3150": {responses, input(`{"type":"function_call","call_id":"a","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"a","output":[{"type":"output_text","text":"r","annotations":[]},{"type":"image_url","image_url":{"url":"https://x/y.png"}},{"type":"file","file":{"file_data":"data:application/pdf;base64,JVBE","filename":"a.pdf"}},{"type":"file","file":{"file_data":"https://x/a.pdf"}},{"type":"file","file":{"file_id":"i"}}]}`), "responses",
			[]string{`"output":[{"type":"input_text","text":"r"},{"type":"input_image","image_url":"https://x/y.png"},{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,JVBE"},{"type":"input_file","file_url":"https://x/a.pdf"},{"type":"input_file","file_id":"i"}]`}, "annotations", ""},
		"parts of the API's own": {responses, input(`{"role":"developer","content":[{"type":"input_text","text":"d", "prompt_cache_breakpoint":{}}]}`, `{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"s"}],"content":[{"type":"reasoning_text","text":"t"}],"encrypted_content":"e"}`, `{`+said), "responses", []string{`[{"type":"input_text","text":"d", "prompt_cache_breakpoint":{}}]`, `{"type":"reasoning_text","text":"t"}`}, "", ""},
		// What only the provider that wrote it can read, or that it alone has.
		"https://github.com/vercel/ai/issues/21263":                    {"/v1/messages", messages + `"messages":[{"role":"user","content":[{"type":"compaction","content":"sum","signature":"s"},{"type":"text","text":"q"}]}]}`, "", []string{`Summary of the conversation so far:\n\nsum`, `"text":"q"`}, "signature", ""},
		"https://github.com/unslothai/unsloth/pull/5686":               {"/v1/messages", messages + `"messages":[{"role":"assistant","content":[{"type":"compaction","content":"sum"},{"type":"text","text":"a"}]},{"role":"user","content":"q"}]}`, "openai", []string{`{"role":"user","content":"Summary of the conversation so far:\n\nsum"},{"role":"assistant","content":"a"}`}, "", ""},
		"https://github.com/openclaw/openclaw/pull/65288":              {"/v1/messages", messages + `"messages":[{"role":"assistant","content":[{"type":"compaction","content":"sum"},{"type":"text","text":"a"}]},{"role":"user","content":"q"}]}`, "claude", []string{`{"type":"compaction","content":"sum"}`}, "Summary", ""},
		"https://github.com/8monkey-ai/hebo-gateway/issues/171":        {"/v1/messages", messages + results + `"content":"r"}]}]}`, "google", []string{`"extra_content":{"google":{"thought_signature":"skip_thought_signature_validator"}}`}, "", ""},
		"https://github.com/decolua/9router/issues/1468":               {"/v1/messages", messages + `"context_management":{"edits":[{"type":"clear_tool_uses_20250919"}]},` + question + `}`, "", []string{question}, "context_management", "context_management"},
		"https://github.com/anthropics/claude-code/issues/31033":       {"/v1/messages", messages + `"tools":[{"name":"f","input_schema":` + object + `,"defer_loading":true}],` + question + `}`, "", []string{`"name":"f"`}, "defer", "tools.defer_loading"},
		"https://github.com/anthropics/claude-code/issues/11678":       {"/v1/messages", messages + `"tools":[{"name":"f","input_schema":` + object + `,"input_examples":[{"a":1}]}],` + question + `}`, "", []string{`"name":"f"`}, "examples", "tools.input_examples"},
		"https://github.com/anthropics/claude-code/issues/55211":       {"/v1/messages", messages + `"thinking":{"type":"adaptive"},` + question + `}`, "", []string{question}, "thinking", ""},
		"https://github.com/Alishahryar1/free-claude-code/issues/1470": {"/v1/messages", messages + `"tools":[{"type":"web_search_20250305","name":"web_search","max_uses":8},{"type":"web_fetch_20250910","name":"web_fetch"},{"name":"f","input_schema":` + object + `}],` + question + `}`, "", []string{`"tools":[{"type":"function","function":{"name":"f"`}, "web", "tools.web_fetch_20250910, tools.web_search_20250305"},
		"https://github.com/raine/claude-code-proxy/issues/10":         {"/v1/messages", messages + `"tools":[{"type":"web_search_20250305","name":"web_search"}],"tool_choice":{"type":"tool","name":"web_search"},` + question + `}`, "", []string{question}, "tool", "tools.web_search_20250305"},
		"https://github.com/agentgateway/agentgateway/pull/3496":       {"/v1/messages", messages + `"output_config":{"effort":"low"},"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"text","text":"a","citations":[]}]},{"role":"user","content":"r"}]}`, "", []string{`"content":"a"`, `"reasoning_effort":"low"`}, "citations", ""},
		"https://github.com/BerriAI/litellm/pull/37466":                {"/v1/messages", messages + results + `"content":[{"type":"tool_reference","tool_name":"Read"}]}]}]}`, "", []string{`{"role":"tool","tool_call_id":"a","content":"Tool found: Read"}`}, "reference", ""},
		"https://github.com/BerriAI/litellm/pull/37468":                {"/v1/messages", messages + results + `"content":[]}]}]}`, "", []string{`{"role":"tool","tool_call_id":"a","content":""}`}, "", ""},
		"https://github.com/anthropics/claude-code/issues/8867":        {"/v1/messages", messages + `"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[` + use + `]},{"role":"user","content":"go on"}]}`, "", []string{`"tool_call_id":"a"`, `"content":"go on"`}, "", ""},
		"https://github.com/anthropics/claude-code/issues/62577":       {"/v1/messages", messages + `"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"server_tool_use","id":"srvtoolu_1","name":"advisor","input":{}},{"type":"advisor_tool_result","tool_use_id":"srvtoolu_1","content":{"type":"text","text":"t"}},{"type":"text","text":"a"}]},{"role":"user","content":"r"}]}`, "", []string{`{"role":"assistant","content":"a"}`}, "srvtoolu", "messages.content.advisor_tool_result, messages.content.server_tool_use"},
		// OpenRouter's way of asking for thoughts.
		"https://github.com/danny-avila/LibreChat/issues/11934":       {chatPath, newer + `"reasoning":{"effort":"low"}}`, "claude", []string{`"output_config":{"effort":"low"}`}, `"reasoning"`, ""},
		"https://github.com/danny-avila/LibreChat/issues/6076":        {chatPath, newer + `"reasoning_effort":"medium","include_reasoning":true}`, "claude", []string{`"output_config":{"effort":"medium"}`}, `"include_reasoning"`, "include_reasoning"},
		"https://github.com/simonw/llm-openrouter/issues/45":          {chatPath, claude + `"reasoning":{"max_tokens":2048}}`, "claude", []string{budget + "}"}, `"reasoning"`, ""},
		"https://github.com/moe-mizrak/laravel-openrouter/issues/61":  {chatPath, claude + `"reasoning":{"enabled":true,"exclude":true}}`, "claude", []string{budget + `,"display":"omitted"}`}, `"reasoning"`, ""},
		"https://github.com/openai/openai-python/issues/2662":         {chatPath, claude + `"reasoning":{"enabled":false}}`, "claude", []string{`"thinking":{"type":"disabled"}`}, `"reasoning"`, ""},
		"https://github.com/thedotmack/claude-mem/issues/2995":        {chatPath, chat + `"reasoning":{"effort":"none"}}`, "openai", []string{`"reasoning_effort":"none"`}, `"reasoning"`, ""},
		"https://github.com/Hokken/mod-llm-chatter/issues/42":         {chatPath, chat + `"reasoning":{"effort":"high","exclude":false},"temperature":0.5}`, "google", []string{`"reasoning_effort":"high"`, `"temperature":0.5`}, "exclude", ""},
		"https://github.com/OpenRouterTeam/typescript-sdk/issues/259": {chatPath, chat + `"reasoning":{"effort":"medium"}}`, "none", []string{`"reasoning":{"effort":"medium"}`}, "reasoning_effort", ""},
		// Schemas and tools at Claude.
		"https://github.com/chrisvel/tududi/issues/1383":           {chatPath, claude + `"response_format":{"type":"json_schema","json_schema":{"name":"d","strict":false,"schema":` + object + `}}}`, "claude", []string{"fits this JSON schema"}, `"strict"`, "response_format"},
		"https://github.com/envoyproxy/ai-gateway/pull/2232":       {chatPath, claude + `"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object","properties":{},"additionalProperties":false}}}]}`, "claude", []string{`"strict":true`}, "", ""},
		"https://github.com/UKGovernmentBEIS/inspect_ai/pull/3035": {chatPath, claude + `"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{},"additionalProperties":{}}}}]}`, "claude", []string{`"additionalProperties":{}`}, "", ""},
		"https://github.com/elastic/elasticsearch/pull/154607":     {chatPath, called("call_1"), "claude", []string{`{"type":"tool_use","id":"call_1","name":"f","input":{}}`, `{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1"`}, `"tool"}`, ""},
		// What Codex and the Agents SDKs write.
		"https://github.com/openai/codex/issues/12230":                                  {responses, input(`{"type":"message",`+said, `{"type":"reasoning","summary":[{"type":"summary_text","text":"hm"}]}`, `{"role":"user","content":[{"type":"input_text","text":"r"}]}`), "", []string{`"content":"a"`, `"content":"r"`}, "summary", "messages.reasoning_content"},
		"https://github.com/MiaAI-Lab/DeepSeek-v4-Flash-DSpark-2x-DGX-Spark/issues/138": {responses, input(`{` + said), "", []string{`{"role":"assistant","content":"a"}`}, "", ""},
		"https://github.com/BerriAI/litellm/issues/13420":                               {responses, input(`{"id":"rs_1","type":"reasoning","summary":[],"encrypted_content":null,"content":null,"status":null}`, calls("fc_1", "call_1")), "", []string{`"tool_calls":[{"id":"call_1"`, `"tool_call_id":"call_1"`}, "rs_1", ""},
		"https://github.com/openai/openai-agents-python/issues/1616":                    {responses, input(`{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"a","annotations":[],"logprobs":null,"refusal":null}]}`), "", []string{`{"role":"assistant","content":"a"}`}, "logprobs", ""},
		"https://github.com/NousResearch/hermes-agent/pull/39595":                       {responses, `{"model":"m","input":"q","text":{"format":{"type":"json_schema","name":"n","strict":true,"schema":` + object + `}}}`, "", []string{`"response_format":{"type":"json_schema","json_schema":{"name":"n"`, `"strict":true`}, `"text"`, ""},
		"https://github.com/RESMP-DEV/ccr-rust/pull/25":                                 {responses, `{"model":"m","input":"q","reasoning":{"effort":"high","summary":"auto"},"max_output_tokens":50}`, "", []string{`"reasoning_effort":"high"`, `"max_tokens":50`}, "summary", ""},
		"https://github.com/HarnessRouter/harnessrouter/issues/202":                     {responses, `{"model":"m","input":"q","tools":[{"type":"namespace","name":"mcp__a","tools":[{"type":"function","name":"f","parameters":` + object + `}]},{"type":"web_search"}]}`, "", []string{`"name":"mcp__a__f"`}, "namespace", "tools.web_search"},
		"https://github.com/ardeyouxipianyi/workbuddy2api-intl/pull/12":                 {responses, `{"model":"m","input":"q","tools":[{"type":"custom","name":"apply_patch","format":{"type":"grammar","syntax":"lark","definition":"start: /.+/s"}}]}`, "", []string{`{"type":"function","function":{"name":"apply_patch","description":"The input must keep to this grammar (lark):\nstart: /.+/s"`}, `"custom"`, ""},
		// Embeddings as LangChain and OpenAI's SDKs ask for them.
		"https://github.com/langchain-ai/langchain/issues/30574": {"/v1/embeddings", `{"input":[[57668,53901]],"model":"e","encoding_format":"base64"}`, "", []string{`[[57668,53901]]`, `"base64"`}, "", ""},
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			test.check(t)
		})
	}
}
