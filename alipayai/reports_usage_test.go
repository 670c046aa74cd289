package alipayai_test

import (
	"strings"
	"testing"
)

// What calls cost where their usage comes in pieces, at odd places, or counts parts beside the whole, as users of other gateways
// have reported it.
func TestPublicReportsOfUsage(t *testing.T) {
	const (
		flat     = `"input_cost_per_token":1e-6,"output_cost_per_token":10e-6,"cache_read_input_token_cost":0.1e-6`
		claude   = flat + `,"cache_creation_input_token_cost":1.25e-6,"cache_creation_input_token_cost_above_1hr":2e-6,"provider_specific_entry":{"us":1.1,"fast":2}`
		searches = flat + `,"search_context_cost_per_query":{"search_context_size_low":0.01,"search_context_size_medium":0.01}`
		stream   = `{"stream":true,"model":"m","messages":[{"role":"user","content":"hello, you there, how is it"}]}` // 27 characters, some 7 tokens
		asks     = `{"max_tokens":9,"model":"m","messages":[{"role":"user","content":"hello, you there, how is it"}]}`
		asksLive = `{"stream":true,"max_tokens":9,"model":"m","messages":[{"role":"user","content":"hello, you there, how is it"}]}`
	)
	chunks := func(usages ...string) turn { // the first with the first content, the last after the end
		events := []string{`{"choices":[{"delta":{"content":"hel"}}]}`, finishEvent}
		if len(usages) > 1 {
			events[0] = `{"choices":[{"delta":{"content":"hel"}}],"usage":` + usages[0] + `}`
			usages = usages[1:]
		}
		for _, usage := range usages {
			events = append(events, `{"choices":[],"usage":`+usage+`}`)
		}
		return streams(nil, append(events, "[DONE]")...)
	}
	message := func(start, delta string) turn {
		return says(200, strings.ReplaceAll(`event: message_start
data: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":`+start+`}}
event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}
event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hello"}}
event: content_block_stop
data: {"type":"content_block_stop","index":0}
event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":`+delta+`}
event: message_stop
data: {"type":"message_stop"}
`, "}\n", "}\n\n"), "Content-Type", "text/event-stream")
	}
	whole := func(usage string) turn {
		return says(200, `{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":`+usage+`}`)
	}
	used := func(usage string) turn {
		return says(200, completionOf(`"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"`, `,"usage":`+usage))
	}
	response := func(kind, rest string) turn {
		return says(200, `event: response.created
data: {"type":"response.created","response":{"id":"resp_1","object":"response","status":"in_progress","model":"m","output":[]}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","item_id":"msg_1","output_index":0,"content_index":0,"delta":"hello"}

event: response.`+kind+`
data: {"type":"response.`+kind+`","response":{"id":"resp_1","object":"response","status":"`+kind+`","model":"m",`+rest+`,"output":[{"type":"message","id":"msg_1","role":"assistant","status":"`+kind+`","content":[{"type":"output_text","text":"hello","annotations":[]}]}],"usage":{"input_tokens":100,"output_tokens":10,"total_tokens":110}}}

`, "Content-Type", "text/event-stream")
	}
	for source, test := range map[string]spentCase{
		// In pieces.
		"https://github.com/deepset-ai/haystack-core-integrations/issues/1992": {prices: flat, body: stream, answers: chunks(`{"prompt_tokens":100,"completion_tokens":1,"total_tokens":101}`, `{"prompt_tokens":0,"completion_tokens":10,"total_tokens":10}`), costs: 100 + 100},
		"https://github.com/langchain-ai/langchain/pull/20180":                 {prices: flat, body: stream, answers: chunks(`{"prompt_tokens":100,"completion_tokens":0,"total_tokens":100}`, `{"completion_tokens":10}`), costs: 100 + 100},
		"what was cached is said first":                                        {prices: flat, body: stream, answers: chunks(`{"prompt_tokens":100,"completion_tokens":1,"total_tokens":101,"prompt_tokens_details":{"cached_tokens":100}}`, `{"prompt_tokens":0,"completion_tokens":10,"total_tokens":10}`), costs: 10 + 100},
		"https://github.com/cline/cline/pull/11304":                            {prices: flat, body: stream, answers: chunks(`{"prompt_tokens":100,"completion_tokens":1,"total_tokens":101}`, `{"prompt_tokens":100,"completion_tokens":9,"total_tokens":109}`, `{"prompt_tokens":100,"completion_tokens":10,"total_tokens":110}`), costs: 100 + 100},
		"https://github.com/maximhq/bifrost/issues/191":                        {prices: flat, body: stream, answers: streams(nil, deltaEvent, `{"choices":[{"delta":{},"finish_reason":"length","usage":{"prompt_tokens":100,"completion_tokens":10,"total_tokens":110}}]}`, `{"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":10,"total_tokens":110}}`, "[DONE]"), costs: 100 + 100},
		"https://github.com/agentjido/req_llm/pull/767":                        {prices: flat, body: stream, answers: chunks(`{"prompt_tokens":100,"completion_tokens":10,"total_tokens":110}`), costs: 100 + 100},
		"nothing after it": {prices: flat, body: stream, answers: streams(nil, deltaEvent, `{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":100,"completion_tokens":10,"total_tokens":110}}`, `{"choices":[],"usage":null}`, "[DONE]"), costs: 100 + 100},
		"https://github.com/envoyproxy/ai-gateway/pull/1631":     {prices: claude, path: "/v1/messages", claude: true, body: asksLive, answers: message(`{"input_tokens":100,"output_tokens":1}`, `{"input_tokens":0,"output_tokens":10}`), costs: 100 + 100},
		"https://github.com/envoyproxy/ai-gateway/pull/2239":     {prices: claude, path: "/v1/messages", claude: true, body: asksLive, answers: message(`{"input_tokens":100,"cache_read_input_tokens":50,"output_tokens":1}`, `{"input_tokens":100,"cache_read_input_tokens":50,"output_tokens":10}`), costs: 100 + 5 + 100},
		"https://github.com/sgl-project/sglang/pull/20830":       {prices: claude, path: "/v1/messages", claude: true, body: asksLive, answers: message(`{"input_tokens":0,"output_tokens":0}`, `{"input_tokens":100,"output_tokens":10}`), costs: 100 + 100},
		"https://github.com/farion1231/cc-switch/pull/6655":      {prices: claude, path: "/v1/messages", claude: true, body: asksLive, answers: message(`{"input_tokens":7,"output_tokens":1}`, `{"input_tokens":100,"output_tokens":10}`), costs: 100 + 100},
		"a cache that is not told again":                         {prices: claude, path: "/v1/messages", claude: true, body: asksLive, answers: message(`{"input_tokens":100,"cache_creation_input_tokens":40,"cache_read_input_tokens":50,"output_tokens":1}`, `{"input_tokens":100,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":10}`), costs: 100 + 50 + 5 + 100},
		"https://github.com/anthropics/claude-code/issues/60641": {prices: claude, path: "/v1/messages", claude: true, body: asksLive, answers: message(`{"input_tokens":100,"output_tokens":1,"inference_geo":"us"}`, `{"output_tokens":10}`), costs: 110 + 110},
		"https://github.com/maximhq/bifrost/pull/5088":           {prices: claude, path: "/v1/messages", claude: true, body: asks, answers: whole(`{"input_tokens":100,"output_tokens":10,"inference_geo":"global","speed":"fast"}`), costs: 200 + 200},
		"https://github.com/latitude-dev/latitude-llm/pull/4348": {prices: claude, path: "/v1/messages", claude: true, body: asks, answers: whole(`{"input_tokens":100,"output_tokens":10,"inference_geo":"us","speed":"fast"}`), costs: 220 + 220},
		"the lives of what was written alone":                    {prices: claude, path: "/v1/messages", claude: true, body: asks, answers: whole(`{"input_tokens":100,"cache_creation":{"ephemeral_5m_input_tokens":40,"ephemeral_1h_input_tokens":60},"output_tokens":10}`), costs: 100 + 50 + 120 + 100},
		"https://github.com/theopenco/llmgateway/pull/2861":      {prices: flat, body: stream, answers: chunks(`{"prompt_tokens_details":{"cached_tokens":0}}`, `{"prompt_tokens":100,"completion_tokens":10,"total_tokens":110}`), costs: 100 + 100},
		"https://github.com/router-for-me/CLIProxyAPI/pull/2762": {prices: flat, body: stream, answers: chunks(`{}`, `{"prompt_tokens":100,"completion_tokens":10,"total_tokens":110}`, `{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}`), costs: 100 + 100},
		"https://github.com/diegosouzapw/OmniRoute/issues/9750":  {prices: flat, body: stream, answers: streams(nil, deltaEvent, finishEvent, `{"choices":[{"index":0,"delta":{}}],"usage":{"completion_tokens":10,"prompt_tokens":100,"total_tokens":110,"prompt_tokens_details":{"cached_tokens":50}}}`, "[DONE]"), costs: 50 + 5 + 100},
		"https://github.com/agentgateway/agentgateway/pull/3455": {prices: flat, body: stream, answers: streams(nil, deltaEvent, `{"choices":[{"finish_reason":"tool_calls","index":0}],"usage":{"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_read_tokens":50,"cache_write_tokens":0,"completion_tokens":10,"prompt_tokens":100,"prompt_tokens_details":{"cached_tokens":50},"total_tokens":110}}`, "[DONE]"), costs: 50 + 5 + 100},
		"https://github.com/odysseus-dev/odysseus/pull/1703":     {prices: flat, body: stream, answers: streams(nil, deltaEvent, `{"choices":[{"delta":{"role":"assistant","content":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":100,"completion_tokens":10,"total_tokens":110}}`, "[DONE]"), costs: 100 + 100},
		"https://github.com/epam/ai-dial-core/pull/680":          {prices: flat, answers: used(`{"prompt_tokens":100,"completion_tokens":10,"completion_tokens_details":{"reasoning_tokens":0,"accepted_prediction_tokens":0,"some_custom_field":{"some_nested_field":"some_value"}}}`), costs: 100 + 100},
		// Beside the whole.
		"more cached than there is":                        {prices: flat, answers: used(`{"prompt_tokens":9,"completion_tokens":10,"total_tokens":19,"prompt_tokens_details":{"cached_tokens":1000}}`), costs: 9 + 100 + 100},
		"more written than there is":                       {prices: claude, answers: used(`{"prompt_tokens":4,"completion_tokens":10,"total_tokens":14,"cache_read_input_tokens":100,"cache_creation_input_tokens":40}`), costs: 4 + 10 + 50 + 100},
		"https://github.com/laravel/ai/pull/924":           {prices: claude, answers: used(`{"prompt_tokens":1000,"completion_tokens":10,"total_tokens":1050,"prompt_tokens_details":{"cached_tokens":500,"cache_write_tokens":40}}`), costs: 500 + 50 + 50 + 100},
		"https://github.com/anomalyco/opencode/pull/44229": {prices: claude, answers: used(`{"prompt_tokens":2600,"completion_tokens":10,"total_tokens":2610,"prompt_tokens_details":{"cached_tokens":2000,"cache_write_tokens":400}}`), costs: 200 + 200 + 500 + 100},
		"more reasoning than there is":                     {prices: flat, answers: used(`{"prompt_tokens":100,"completion_tokens":10,"total_tokens":110,"completion_tokens_details":{"reasoning_tokens":90}}`), costs: 100 + 1000},
		// In other forms.
		"numbers as texts": {prices: flat, answers: used(`{"prompt_tokens":"100","completion_tokens":"10","total_tokens":"110"}`), costs: 100 + 100},
		"https://github.com/BerriAI/litellm/issues/15227":      {prices: searches, answers: used(`{"prompt_tokens":100,"completion_tokens":10,"total_tokens":110,"server_tool_use":{"web_search_requests":2}}`), costs: 100 + 100 + 20_000},
		"https://github.com/langchain-ai/langchain/pull/40285": {prices: searches, body: stream, answers: chunks(`{"prompt_tokens":100,"completion_tokens":10,"total_tokens":110,"num_search_queries":3}`), costs: 100 + 100 + 30_000},
		"https://github.com/QuantumNous/new-api/issues/7241":   {prices: flat, path: responsesPath, body: `{"stream":true,"model":"m","input":"hello"}`, answers: response("incomplete", `"incomplete_details":{"reason":"max_output_tokens"}`), costs: 100 + 100},
		"ended": {prices: flat, path: responsesPath, body: `{"stream":true,"model":"m","input":"hello"}`, answers: response("completed", `"error":null`), costs: 100 + 100},
		"https://github.com/epam/ai-dial-adapter-openai/issues/140": {prices: flat, body: `{"n":2,` + stream[1:], answers: streams(nil, `{"choices":[{"index":0,"delta":{"content":"a"}}]}`, `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":100,"completion_tokens":4,"total_tokens":104}}`, `{"choices":[{"index":1,"delta":{"content":"b"},"finish_reason":"stop"}],"usage":{"prompt_tokens":100,"completion_tokens":10,"total_tokens":110}}`, "[DONE]"), costs: 100 + 100},
	} {
		t.Run(source, func(t *testing.T) {
			test.run(t)
		})
	}
}
