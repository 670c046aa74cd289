package alipayai_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestPublicReportsOfRequests has requests that other gateways sent on without a part that mattered, or in a form that the
// provider refused: what a provider is sent of them here, and what the client is told was left out.
func TestPublicReportsOfRequests(t *testing.T) {
	const (
		chat     = `{"model":"m","messages":[{"role":"user","content":"q"}],`
		called   = `{"role":"assistant","content":"","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}`
		twoTools = `"tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}],`
		cursors  = `{"model":"m","messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"text","text":"t"},{"type":"tool_use","id":"toolu_1","name":"f","input":{"x":1}}]},` +
			`{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":"r"}]}]}],"tools":[{"name":"f","description":"d","input_schema":{"type":"object"}}],"tool_choice":{"type":"auto"}}`
		pdf        = `data:application/pdf;base64,JVBE`
		inputParts = `{"model":"m","messages":[{"role":"user","content":[{"type":"input_text","text":"see"},{"type":"input_image","image_url":"data:image/png;base64,AAAA"}]},{"role":"assistant","content":[{"type":"output_text","text":"a"}]},{"role":"user","content":"r"}]}`
	)
	for source, test := range map[string]askedClient{
		// What Anthropic's form has in other words.
		"https://github.com/maximhq/bifrost/pull/7348":              {chatPath, chat + twoTools + `"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"f"}}]}}}`, "claude", []string{`"tools":[{"name":"f"`, `"tool_choice":{"type":"any"}`}, `"name":"g"`, ""},
		"https://github.com/docker/docker-agent/issues/2251":        {chatPath, chat + `"tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"f"}}]}`, "claude", []string{`"tools":[{"name":"f","input_schema":{"type":"object"}}]`}, "", "tools.function.name"},
		"https://github.com/envoyproxy/ai-gateway/issues/2529":      {chatPath, `{"model":"m","messages":[{"role":"system","content":"s","cache_control":{"type":"ephemeral"}},{"role":"user","content":"q"}]}`, "claude", []string{`"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}]`}, "", ""},
		"https://github.com/envoyproxy/ai-gateway/pull/2193":        {chatPath, `{"model":"m","messages":[{"role":"developer","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}},{"type":"text","text":"b"}]},{"role":"user","content":"q"}]}`, "claude", []string{`"system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}},{"type":"text","text":"b"}]`}, "", ""},
		"https://github.com/Portkey-AI/gateway/issues/1075":         {chatPath, `{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.pdf","file_data":"` + pdf + `"}}]}]}`, "claude", []string{`{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"},"title":"a.pdf"}`}, "", ""},
		"https://github.com/NousResearch/hermes-agent/issues/11906": {chatPath, `{"model":"m","messages":[{"role":"user","content":"q"},` + called + `,{"role":"tool","tool_call_id":"a","content":""}],"tools":[{"type":"function","function":{"name":"f"}}]}`, "claude", []string{`"content":[{"type":"tool_use","id":"a"`, `{"type":"tool_result","tool_use_id":"a"}`}, `"text":""`, ""},
		"https://github.com/onyx-dot-app/onyx/pull/13692":           {chatPath, chat + twoTools + `"thinking":{"type":"enabled","budget_tokens":1024},"tool_choice":{"type":"function","function":{"name":"g"}}}`, "claude", []string{`"tool_choice":{"type":"tool","name":"g"}`}, "thinking", "thinking"},
		"https://github.com/deepcoldy/botmux/pull/1494":             {chatPath, chat + `"max_completion_tokens":null,"stop":null,"tools":null,"tool_choice":null,"stream":null}`, "claude", []string{`"max_tokens":8192`}, "null", ""},
		"https://github.com/maximhq/bifrost/issues/5097": {"/v1/messages", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"tool_use","id":"functions.f:0","name":"f","input":{}}]},` +
			`{"role":"user","content":[{"type":"tool_result","tool_use_id":"functions.f:0","content":"r"}]}]}`, "claude", []string{`"id":"toolu_d6bdd4de`, `"tool_use_id":"toolu_d6bdd4de`}, "functions.f:0", ""},
		// What the Responses and Messages APIs have, for providers of chat completions.
		"https://github.com/QuantumNous/new-api/issues/7498": {"/v1/responses", `{"model":"m","input":[{"role":"user","content":"q"},{"type":"function_call","call_id":"a","name":"f","arguments":"{}"},` +
			`{"type":"function_call_output","call_id":"a","output":[{"type":"input_text","text":"here"},{"type":"input_image","image_url":"data:image/png;base64,AAAA"}]}],"tools":[{"type":"function","name":"f","parameters":{"type":"object"}}]}`, "",
			[]string{`{"role":"tool","tool_call_id":"a","content":"here"}`, `{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}`}, "", ""},
		"https://github.com/router-for-me/CLIProxyAPI/issues/4765": {"/v1/messages", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"}},{"type":"text","text":"q"}]}]}`, "", []string{`"file_data":"` + pdf + `"`, `"text":"q"`}, "", ""},
		"https://github.com/BerriAI/litellm/pull/38261": {"/v1/messages", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]},` +
			`{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"read"},{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"}}]}]}]}`, "", []string{`"tool_call_id":"a","content":"read"`, `"file_data":"` + pdf + `"`}, "", ""},
		"https://github.com/router-for-me/CLIProxyAPI/issues/4802": {"/v1/responses", `{"model":"m","input":"q","text":{"format":{"type":"json_schema","name":"n","strict":true,"schema":{"type":"object"}}}}`, "", []string{`"response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"type":"object"}}}`}, "", ""},
		"https://github.com/BerriAI/litellm/issues/37118":          {"/v1/messages", `{"model":"m","max_tokens":9,"stop_sequences":["END"],"messages":[{"role":"user","content":"q"}]}`, "", []string{`"stop":["END"]`}, "", ""},
		"https://github.com/10/chatgpt-codex-proxy/issues/9":       {"/v1/responses", `{"model":"m","input":[{"type":"additional_tools","role":"developer","tools":[{"type":"function","name":"f","parameters":{"type":"object"}}]},{"role":"user","content":"q"}]}`, "", []string{`"messages":[{"role":"user","content":"q"}]`, `"name":"f"`}, "", ""},
		// What a client writes of the Messages API's into chat completions.
		"https://github.com/automazeio/vibeproxy/issues/411":             {chatPath, cursors, "claude", []string{`"messages":[{"role":"user","content":[{"type":"text","text":"q"}]},{"role":"assistant","content":[{"type":"text","text":"t"},{"type":"tool_use","id":"toolu_1","name":"f","input":{"x":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":"r"}]}]}]`, `"tools":[{"name":"f"`}, "", ""},
		"https://github.com/BerriAI/litellm/issues/25669":                {chatPath, cursors, "", []string{`"tool_calls":[{"id":"toolu_1","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},{"role":"tool","tool_call_id":"toolu_1","content":"r"}`, `"tools":[{"type":"function","function":{"name":"f"`, `"tool_choice":"auto"`}, "tool_use\"", ""},
		"https://github.com/BerriAI/litellm/pull/12168":                  {chatPath, chat + twoTools + `"tool_choice":{"type":"auto"}}`, "", []string{`"tool_choice":"auto"`}, `"type":"auto"`, ""},
		"https://github.com/BerriAI/litellm/pull/12168 ":                 {chatPath, chat + twoTools + `"tool_choice":{"type":"none"}}`, "claude", []string{`"tool_choice":{"type":"none"}`}, "", ""},
		"https://github.com/BerriAI/litellm/pull/12168  ":                {chatPath, chat + twoTools + `"tool_choice":{"type":"required"}}`, "claude", []string{`"tool_choice":{"type":"any"}`}, "", ""},
		"https://github.com/BerriAI/litellm/pull/12168   ":               {chatPath, chat + twoTools + `"tool_choice":{"type":"tool","name":"g"}}`, "claude", []string{`"tool_choice":{"type":"tool","name":"g"}`}, "", ""},
		"https://github.com/BerriAI/litellm/pull/12168    ":              {chatPath, chat + twoTools + `"tool_choice":{"type":"any","disable_parallel_tool_use":true}}`, "", []string{`"tool_choice":"required"`, `"parallel_tool_calls":false`}, "any", ""},
		"https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/670": {chatPath, chat + twoTools + `"tool_choice":{"type":"function","function":{"name":"g"}}}`, "", []string{`"tool_choice":{"type":"function","function":{"name":"g"}}`}, "", ""},
		"https://github.com/BerriAI/litellm/pull/12168     ":             {"/v1/responses", `{"model":"m","input":"q","tools":[{"type":"function","name":"f","parameters":{"type":"object"}}],"tool_choice":{"type":"required"}}`, "", []string{`"tool_choice":"required"`}, "", ""},
		"a text in Base64": {"/v1/messages", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64","media_type":"text/plain","data":"aGk="}},{"type":"text","text":"q"}]}]}`, "openai", []string{`[{"type":"text","text":"hi"},{"type":"text","text":"q"}]`}, "pdf", ""},
		// Parts of messages in the form of other APIs.
		"https://github.com/ztxz16/fastllm/pull/597":         {chatPath, inputParts, "claude", []string{`"content":[{"type":"text","text":"see"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}]`, `{"role":"assistant","content":[{"type":"text","text":"a"}]}`}, "left out", ""},
		"https://github.com/modelship-ai/modelship/pull/190": {chatPath, inputParts, "openai", []string{`[{"type":"text","text":"see"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]`, `[{"type":"text","text":"a"}]`}, "put_", ""},
		"https://github.com/lidge-jun/opencodex/pull/4534":   {chatPath, `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"see"},{"type":"image","data":"AAAA","mimeType":"image/png"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"BBBB"}}]}]}`, "", []string{`{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},{"type":"image_url","image_url":{"url":"data:image/png;base64,BBBB"}}`}, `"image"`, ""},
		// What Cursor writes of the Responses API there.
		"https://github.com/gabrii/Cursor-Azure-GPT-5/issues/69": {chatPath, `{"model":"m","input":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"input_text","text":"q"}]},{"type":"function_call","call_id":"a","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"a","output":"r"}],"tools":[{"type":"function","name":"f","parameters":{"type":"object"},"strict":false}],"reasoning":{"effort":"low","summary":"auto"},"store":false,"include":["reasoning.encrypted_content"]}`, "",
			[]string{`"messages":[{"role":"system","content":"s"},{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"r"}]`, `"tools":[{"type":"function","function":{"name":"f"`, `"reasoning_effort":"low"`}, `"input"`, ""},
		"https://github.com/Soju06/codex-lb/pull/833": {chatPath, `{"model":"m","input":"q","text":{"verbosity":"low"},"truncation":"auto"}`, "claude", []string{`"messages":[{"role":"user","content":[{"type":"text","text":"q"}]}]`}, `"input"`, "truncation, verbosity"},
		// What of a conversation a provider would refuse.
		"https://github.com/can1357/oh-my-pi/issues/10956":              {"/v1/responses", `{"model":"m","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]},{"type":"message","role":"assistant","content":null},{"type":"message","role":"user","content":null},{"role":"user","content":"q"}]}`, "", []string{`{"role":"user","content":"hi"}`, `{"role":"user","content":"q"}`}, "null", ""},
		"https://github.com/can1357/oh-my-pi/issues/10956 ":             {"/v1/responses", `{"model":"m","input":[{"role":"user","content":"hi"},{"type":"message","role":"user","content":null},{"role":"developer","content":null}]}`, "claude", []string{`"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]`}, "null", ""},
		"https://github.com/envoyproxy/ai-gateway/issues/2442":          {"/v1/responses", `{"model":"m","input":[{"type":"agent_message","role":"agent","content":[{"type":"text","text":"prior"}]},{"type":"agent_reasoning","id":"ar_1"},{"type":"message","role":"user","content":"q"}]}`, "", []string{`"messages":[{"role":"user","content":"q"}]`}, "agent", "input.agent_message, input.agent_reasoning"},
		"https://github.com/looplj/axonhub/pull/2220":                   {"/v1/responses", `{"model":"m","input":[{"role":"user","content":"q"},{"type":"function_call","call_id":"a","name":"f","arguments":"{}"},{"type":"reasoning","summary":[]},{"type":"function_call","call_id":"b","name":"g","arguments":""},{"type":"function_call_output","call_id":"b","output":"2"},{"role":"user","content":"and"},{"type":"function_call_output","call_id":"a","output":"1"}],"tools":[{"type":"function","name":"f"},{"type":"function","name":"g"}]}`, "", []string{`{"role":"tool","tool_call_id":"b","content":"2"},{"role":"tool","tool_call_id":"a","content":"1"},{"role":"user","content":"and"}`}, "", ""},
		"https://github.com/pydantic/pydantic-ai/pull/4621":             {"/v1/responses", `{"model":"m","store":false,"include":["reasoning.encrypted_content"],"input":[{"role":"user","content":"q"},{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAAx"},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"a"}]},{"role":"user","content":"r"}]}`, "", []string{`{"role":"assistant","content":"a"}`}, "gAAAx", ""},
		"https://github.com/LeenHawk/gproxy/issues/209":                 {"/v1/responses", `{"model":"m","input":[{"type":"message","role":"developer","content":[{"type":"input_text","text":"d"}]},{"role":"user","content":"q"},{"role":"developer","content":"e"}]}`, "claude", []string{`"system":[{"type":"text","text":"d"},{"type":"text","text":"e"}]`, `"messages":[{"role":"user","content":[{"type":"text","text":"q"}]}]`}, "developer", ""},
		"https://github.com/router-for-me/CLIProxyAPI/issues/3608":      {"/v1/messages", `{"model":"m","max_tokens":9,"system":"s","messages":[{"role":"user","content":"q"},{"role":"system","content":[{"type":"text","text":"t"}]},{"role":"assistant","content":"a"},{"role":"user","content":"r"}]}`, "", []string{`{"role":"system","content":"s"},{"role":"user","content":"q"},{"role":"user","content":"t"},{"role":"assistant","content":"a"}`}, "", ""},
		"https://github.com/EasyMetaAu/helm-api/pull/273":               {"/v1/messages", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"q"},{"role":"system","content":"t"},{"role":"assistant","content":"a"},{"role":"user","content":"r"}]}`, "claude", []string{`{"role":"system","content":"t"}`}, "", ""},
		"https://github.com/BerriAI/litellm/pull/22979":                 {"/v1/messages", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"text","text":""},{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"r"}]},{"role":"assistant","content":[{"type":"text","text":"\n"}]},{"role":"user","content":"s"}]}`, "claude", []string{`"content":[{"type":"tool_use","id":"a"`, `"content":"r"}]},{"role":"user","content":"s"}`}, `"text":`, ""},
		"https://github.com/anomalyco/opencode/issues/31259":            {chatPath, `{"model":"m","messages":[{"role":"user","content":"q"},{"role":"assistant","content":" \n"},{"role":"user","content":"r"}]}`, "claude", []string{`"messages":[{"role":"user","content":[{"type":"text","text":"q"},{"type":"text","text":"r"}]}]`}, "assistant", "messages.content"},
		"https://github.com/bigduu/Bamboo-agent/issues/351":             {chatPath, `{"model":"m","messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":""}},{"id":"b","type":"function","function":{"name":"f","arguments":" "}},{"id":"c","type":"function","function":{"name":"f","arguments":"null"}}]},{"role":"tool","tool_call_id":"a","content":"1"},{"role":"tool","tool_call_id":"b","content":"2"},{"role":"tool","tool_call_id":"c","content":"3"}]}`, "claude", []string{`"id":"a","name":"f","input":{}`, `"id":"b","name":"f","input":{}`, `"id":"c","name":"f","input":{}`}, "null", ""},
		"https://github.com/musistudio/claude-code-router/issues/936":   {"/v1/messages", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}},{"type":"tool_use","id":"b","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"},{"type":"tool_result","tool_use_id":"b","content":[]}]}]}`, "", []string{`{"role":"tool","tool_call_id":"a","content":""},{"role":"tool","tool_call_id":"b","content":""}`}, "null}", ""},
		"https://github.com/QuantumNous/new-api/issues/2763":            {chatPath, chat + `"tool_choice":"none","parallel_tool_calls":false,` + strings.TrimSuffix(twoTools, ",") + `}`, "claude", []string{`"tool_choice":{"type":"none"}`}, "disable_parallel_tool_use", ""},
		"https://github.com/mozilla-ai/any-llm/pull/1292":               {chatPath, chat + `"parallel_tool_calls":false,` + strings.TrimSuffix(twoTools, ",") + `}`, "claude", []string{`"tool_choice":{"type":"auto","disable_parallel_tool_use":true}`}, "any", ""},
		"https://github.com/mozilla-ai/any-llm/pull/1292 ":              {chatPath, chat + `"parallel_tool_calls":false}`, "claude", []string{`"messages"`}, "tool_choice", ""},
		"https://github.com/api7/aisix/pull/1183":                       {"/v1/responses", `{"model":"m","input":"q","tools":[],"tool_choice":"auto","parallel_tool_calls":false}`, "", []string{`"content":"q"`}, "tool", ""},
		"https://github.com/api7/aisix/pull/1183 ":                      {"/v1/messages", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"q"}],"tools":[],"tool_choice":{"type":"auto","disable_parallel_tool_use":true}}`, "", []string{`"content":"q"`}, "tool", ""},
		"https://github.com/musistudio/claude-code-router/pull/1702":    {"/v1/messages", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"S3CR3T"},{"type":"redacted_thinking","data":"S3CR3T"},{"type":"text","text":"a"}]},{"role":"user","content":"r"}]}`, "", []string{`"content":"a"`}, "S3CR3T", "messages.reasoning_content"},
		"https://github.com/envoyproxy/ai-gateway/pull/1953":            {"/v1/messages", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"q"}],"tools":[{"type":"","name":"f","input_schema":{"type":"object"}},{"type":null,"name":"g","input_schema":{"type":"object"}},{"name":"h","input_schema":{"type":"object"}}],"tool_choice":{"type":"auto","disable_parallel_tool_use":true}}`, "", []string{`"name":"f"`, `"name":"g"`, `"name":"h"`, `"parallel_tool_calls":false`}, "", ""},
		"https://github.com/musistudio/claude-code-router/issues/1372":  {"/v1/messages", `{"model":"m","max_tokens":9,"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.117.48f; cc_entrypoint=cli; cch=71fea;"},{"type":"text","text":"You are Claude Code"}],"messages":[{"role":"user","content":"q"}]}`, "", []string{`{"role":"system","content":"You are Claude Code"}`}, "billing", ""},
		"https://github.com/musistudio/claude-code-router/issues/1372 ": {"/v1/messages", `{"model":"m","max_tokens":9,"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.117.48f; cc_entrypoint=cli; cch=71fea;"}],"messages":[{"role":"user","content":"q"}]}`, "claude", []string{"cch=71fea;"}, "", ""},
		"https://github.com/grafana/grafana-llm-app/issues/625":         {chatPath, `{"model":"m","messages":[{"role":"system","content":"Name a tea."}]}`, "claude", []string{`"messages":[{"role":"user","content":[{"type":"text","text":"Name a tea."}]}]`}, "system", "messages.role"},
		"https://github.com/anthropics/claude-code/issues/69927":        {"/v1/messages", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"cut \ud83d"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{"x":"\ude00"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"\ud83d\ude00"}]}]}`, "claude", []string{`"cut \ufffd"`, `"\ufffd"`, `"\ud83d\ude00"`}, "", ""},
		"https://github.com/elizaOS/eliza/pull/18079":                   {chatPath, `{"model":"m","messages":[{"role":"user","content":"cut \ud83d"}],"unknown":"\uD83D"}`, "", []string{`"cut \ufffd"`, `"unknown":"\ufffd"`}, "", ""},
		"https://github.com/BerriAI/litellm/pull/34029  ":               {chatPath, `{"model":"m","messages":[{"role":"user","content":"q"}],"tools":[{"type":"function","name":"f","description":"d","parameters":{"type":"object"}}],"tool_choice":{"type":"function","name":"f"}}`, "claude", []string{`{"name":"f","description":"d","input_schema":{"type":"object"}}`, `"tool_choice":{"type":"tool","name":"f"}`}, "", ""},
		"https://github.com/icebear0828/codex-proxy/pull/508":           {chatPath, `{"model":"m","messages":[{"role":"user","content":"q"}],"tools":[{"type":"function","name":"f","parameters":{"type":"object"}}]}`, "", []string{`"function":{"name":"f","parameters":{"type":"object"}}`}, "", ""},
		"https://github.com/openai/codex/issues/26234": {"/v1/responses", `{"model":"m","input":[{"role":"user","content":"q"},{"type":"tool_search_call","call_id":"s","status":"completed","execution":"client","arguments":{"query":"x"}},{"type":"tool_search_output","call_id":"s","status":"completed","execution":"client","tools":[{"type":"namespace","name":"mcp__a__","tools":[{"type":"function","name":"f","parameters":{"type":"object"}}]}]}],` +
			`"tools":[{"type":"tool_search","execution":"client","description":"Finds","parameters":{"type":"object","properties":{"query":{"type":"string"}}}}]}`, "", []string{`"name":"tool_search","arguments":"{\"query\":\"x\"}"`, `"content":"Tool found: mcp__a__f"`, `"function":{"name":"tool_search"`, `"function":{"name":"mcp__a__f"`}, "", ""},
		"https://github.com/mnfst/llm-gateway/pull/2789": {"/v1/messages", `{"model":"m","max_tokens":9,"metadata":{"user_id":"{\"device_id\":\"` + strings.Repeat("d", 64) + `\",\"session_id\":\"s\"}"},"messages":[{"role":"user","content":"q"}]}`, "", []string{`"user":"`}, "device_id", ""},
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			test.check(t)
		})
	}
}

// TestInputAtChatCompletions has requests for the Responses API at the other: they are answered with a chat completion, or refused in
// words that fit.
func TestInputAtChatCompletions(t *testing.T) {
	stream := chunksOf(`"delta":{"role":"assistant","content":"x"}`, `"delta":{},"finish_reason":"stop"`)
	for name, test := range map[string]struct {
		body   string
		status int
		has    string
	}{
		"whole":             {`{"model":"m","input":"q"}`, 200, `"object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"x"}`},
		"a stream":          {`{"model":"m","input":"q","stream":true}`, 200, `"delta":{"role":"assistant","content":"x"}`},
		"neither":           {`{"model":"m"}`, 400, `"param":"messages"`},
		"both":              {`{"model":"m","input":"p","messages":[{"role":"user","content":"q"}]}`, 200, "chat.completion"},
		"a broken message":  {`{"model":"m","input":"p","messages":7}`, 400, `"param":"messages"`},
		"a broken item":     {`{"model":"m","input":[{"role":"user","content":7}]}`, 400, `"param":"input[0].content"`},
		"a follow-up":       {`{"model":"m","input":"q","previous_response_id":"resp_1"}`, 400, `"param":"previous_response_id"`},
		"an item elsewhere": {`{"model":"m","input":[{"type":"item_reference","id":"msg_1"}]}`, 400, `"param":"input"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := &heardClaude{status: http.StatusOK, kind: "application/json", answer: completionOf(`"message":{"role":"assistant","content":"x"},"finish_reason":"stop"`, "")}
			if strings.Contains(test.body, `"stream":true`) {
				u.kind, u.answer = "text/event-stream", stream
			}
			got := startRig(t, u, plainProvider, first(anyModel)).post(chatPath, test.body)
			if got.status != test.status || !strings.Contains(got.body, test.has) {
				t.Errorf("%d %s, want %d with %s", got.status, got.body, test.status, test.has)
			}
		})
	}
}
