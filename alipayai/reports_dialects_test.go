package alipayai_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// TestPublicReportsBetweenDialects has answers whose words, counts and ends are not those of the API that a client speaks.
func TestPublicReportsBetweenDialects(t *testing.T) {
	const (
		thinking  = `"thinking":{"type":"adaptive"},`
		usage     = `"stream_options":{"include_usage":true},`
		callsNone = `"delta":{},"finish_reason":"tool_calls"`
		block0    = `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"x"}}`
		stop0     = `{"type":"content_block_stop","index":0}`
		noInput   = `{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f"}}`
		input     = `{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a\":1}"}}`
		refused   = `{"type":"message_delta","delta":{"stop_reason":"refusal","stop_sequence":null,"stop_details":{"type":"refusal","category":"cyber","explanation":"not this"}},"usage":{"output_tokens":5}}`
		parts     = `"content":[{"type":"reasoning","summary":[{"type":"summary_text","text":"hm"}]},{"type":"text","text":"yes"}]`
		written   = `,"usage":{"prompt_tokens":100,"completion_tokens":2,"total_tokens":102,"prompt_tokens_details":{"cached_tokens":30,"cache_write_tokens":60}}`
	)
	forTool := strings.Replace(messageDelta, "end_turn", "tool_use", 1)
	finish := func(word string) string { return `"delta":{"content":"x"},"finish_reason":"` + word + `"` }
	inChoice := func(answer string) string {
		return strings.Replace(answer, `"finish_reason":"stop"}`, `"finish_reason":"stop","usage":{"prompt_tokens":30,"completion_tokens":2,"total_tokens":32,"cached_tokens":20}}`, 1)
	}
	for source, test := range map[string]answeredDoor{
		// A stop for a tool, of which there is none: a client would wait for it.
		"https://github.com/jasonxu114514/opencode2api/pull/27":   {door: "messages", stream: true, answer: chunksOf(`"delta":{"content":"x"}`, callsNone), has: []string{`"text":"x"`, `"stop_reason":"end_turn"`}},
		"https://github.com/jasonxu114514/opencode2api/pull/27 ":  {door: "messages", answer: completionOf(`"message":{"content":"x","tool_calls":[]},"finish_reason":"tool_calls"`, ""), has: []string{`"stop_reason":"end_turn"`}},
		"https://github.com/jasonxu114514/opencode2api/pull/27  ": {door: "messages", stream: true, answer: chunksOf(`"delta":{"tool_calls":[{"index":0,"id":"a","function":{"arguments":"{}"}}]}`, callsNone), has: []string{`"stop_reason":"end_turn"`}, lacks: "tool_use"},
		"https://github.com/earendil-works/pi/issues/9681":        {door: "chat", stream: true, claude: true, answer: messageEvents(messageStart, forTool, `{"type":"message_stop"}`), has: []string{`"finish_reason":"stop"`, "[DONE]"}},
		"https://github.com/earendil-works/pi/issues/9681 ":       {door: "chat", claude: true, answer: strings.NewReplacer("end_turn", "tool_use").Replace(answerOfClaude), has: []string{`"finish_reason":"stop"`}},
		"https://github.com/earendil-works/pi/issues/9681  ":      {door: "chat", stream: true, claude: true, answer: messageEvents(messageStart, noInput, input, stop0, forTool, `{"type":"message_stop"}`), has: []string{`"arguments":"{\"a\":1}"`, `"finish_reason":"tool_calls"`}},
		// What is empty is left out, or null.
		"https://github.com/ggml-org/llama.cpp/pull/22960":  {door: "responses", stream: true, claude: true, answer: messageEvents(messageStart, noInput, input, stop0, forTool, `{"type":"message_stop"}`), has: []string{`"name":"f"`, `"arguments":"{\"a\":1}"`, "response.completed"}},
		"https://github.com/ggml-org/llama.cpp/pull/22960 ": {door: "messages", stream: true, claude: true, answer: messageEvents(messageStart, noInput, input, stop0, forTool, `{"type":"message_stop"}`), has: []string{`"name":"f"}`, "message_stop"}},
		"https://github.com/ggml-org/llama.cpp/issues/20090": {door: "chat", stream: true, claude: true, answer: messageEvents(strings.NewReplacer(`"content":[]`, `"content":null`, `"id":"m",`, "", `"model":"claude-x",`, "").Replace(messageStart),
			`{"type":"content_block_start","index":0,"content_block":{"type":"thinking"}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}`, stop0,
			`{"type":"content_block_start","index":1,"content_block":{"type":"text"}}`, `{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"x"}}`, messageDelta, `{"type":"message_stop"}`), has: []string{`"reasoning_content":"hm"`, `"content":"x"`, "[DONE]"}},
		"https://github.com/Nutlope/aicommits/pull/349": {door: "messages", members: thinking, stream: true, answer: chunksOf(`"delta":{"role":"assistant","content":null,"tool_calls":null,"function_call":null,"refusal":null,"reasoning_content":"hm"},"logprobs":null,"finish_reason":null`, `"delta":{"content":"x","tool_calls":null,"reasoning_content":null},"finish_reason":null`, finish("stop")), has: []string{`"thinking":"hm"`, `"text":"x"`, "end_turn"}},
		// Arguments that are no text.
		"https://github.com/ggml-org/llama.cpp/issues/20198":    {door: "messages", answer: completionOf(`"message":{"content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":{"path":"a\"b"}}}]},"finish_reason":"tool_calls"`, ""), has: []string{`"input":{"path":"a\"b"}`, "tool_use"}},
		"https://github.com/ggml-org/llama.cpp/issues/20198 ":   {door: "messages", stream: true, answer: chunksOf(`"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":{"path":"b"}}}]}`, callsNone), has: []string{`"partial_json":"{\"path\":\"b\"}"`, `"tool_use"`}},
		"https://github.com/ggml-org/llama.cpp/issues/20198   ": {door: "responses", stream: true, answer: chunksOf(`"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":{"path":"b"}}}]}`, callsNone), has: []string{`"arguments":"{\"path\":\"b\"}"`}},
		"https://github.com/ggml-org/llama.cpp/issues/20198  ":  {door: "responses", answer: completionOf(`"message":{"content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":{"path":"b"}}}]},"finish_reason":"tool_calls"`, ""), has: []string{`"arguments":"{\"path\":\"b\"}"`}},
		"https://github.com/BerriAI/litellm/pull/40903":         {door: "messages", answer: completionOf(`"message":{"content":null,"function_call":{"name":"f","arguments":"{\"a\":1}"}},"finish_reason":"function_call"`, ""), has: []string{`"name":"f"`, `"input":{"a":1}`, `"stop_reason":"tool_use"`}},
		"https://github.com/BerriAI/litellm/pull/40903 ":        {door: "responses", stream: true, answer: chunksOf(`"delta":{"function_call":{"name":"f","arguments":"{\"a\""}}`, `"delta":{"function_call":{"arguments":":1}"}}`, `"delta":{},"finish_reason":"function_call"`), has: []string{`"name":"f"`, `"arguments":"{\"a\":1}"`, "response.completed"}},
		"https://github.com/farion1231/cc-switch/pull/5310":     {door: "responses", stream: true, answer: chunksOf(`"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"g","arguments":"{}"}}]}`, `"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"a\":"}}]}`, `"delta":{"tool_calls":[{"index":0,"id":"","function":{"arguments":"1}"}}]}`, callsNone), has: []string{"response.completed", `"arguments":"{\"a\":1}"`}},
		// What the call took, where each vendor says it.
		"https://github.com/earendil-works/pi/issues/2017":             {door: "messages", stream: true, answer: inChoice(chunksOf(finish("stop"))), has: []string{`"input_tokens":10`, `"cache_read_input_tokens":20`, `"output_tokens":2`}},
		"https://github.com/earendil-works/pi/issues/2017 ":            {door: "responses", stream: true, answer: inChoice(chunksOf(finish("stop"))), has: []string{"response.completed", `"input_tokens":30`, `"cached_tokens":20`}},
		"https://github.com/musistudio/claude-code-router/issues/1461": {door: "messages", answer: completionOf(`"message":{"content":"x"},"finish_reason":"stop"`, written), has: []string{`"input_tokens":10,"cache_creation_input_tokens":60,"cache_read_input_tokens":30`}},
		"https://github.com/infinigence/octollm/pull/113":              {door: "messages", stream: true, answer: strings.Replace(chunksOf(finish("stop")), `]}`, `]`+written+`}`, 1), has: []string{`"input_tokens":10,"cache_creation_input_tokens":60,"cache_read_input_tokens":30`}},
		"https://github.com/mindroom-ai/mindroom/pull/2134":            {door: "responses", answer: completionOf(`"message":{"content":"x"},"finish_reason":"stop"`, written), has: []string{`"input_tokens_details":{"cached_tokens":30,"cache_write_tokens":60}`}},
		"https://github.com/envoyproxy/ai-gateway/pull/1719":           {door: "chat", members: usage, stream: true, claude: true, answer: messageEvents(strings.Replace(messageStart, `"output_tokens":1`, `"cache_creation_input_tokens":31,"output_tokens":1`, 1), block0, stop0, messageDelta, `{"type":"message_stop"}`), has: []string{`"prompt_tokens":34`, `"cache_write_tokens":31`}},
		"https://github.com/theopenco/llmgateway/pull/2526":            {door: "responses", stream: true, claude: true, answer: messageEvents(messageStart, block0, stop0, strings.Replace(messageDelta, `"output_tokens":5`, `"output_tokens":5,"output_tokens_details":{"thinking_tokens":4}`, 1), `{"type":"message_stop"}`), has: []string{"response.completed", `"output_tokens":5`, `"reasoning_tokens":4`}},
		// An end that is not the format's own.
		"https://github.com/lidge-jun/opencodex/issues/658":      {door: "chat", stream: true, claude: true, answer: messageEvents(messageStart, block0, stop0, messageDelta), has: []string{`"content":"x"`, `"finish_reason":"stop"`, "[DONE]"}},
		"https://github.com/lidge-jun/opencodex/issues/658 ":     {door: "messages", stream: true, claude: true, answer: messageEvents(messageStart, block0, stop0, messageDelta), has: []string{`"text":"x"`, "message_delta", "message_stop"}},
		"a gateway before it has codes of its own":               {form: &wire.AnswerFields{Code: []string{"error.sub_code"}}, door: "messages", stream: true, claude: true, answer: messageEvents(messageStart, block0, stop0, messageDelta), has: []string{`"text":"x"`, "message_delta", "message_stop"}},
		"https://github.com/lidge-jun/opencodex/issues/658  ":    {door: "messages", stream: true, claude: true, answer: messageEvents(messageStart, block0, stop0, messageDelta) + "data: [DONE]\n\n", has: []string{`"text":"x"`, "message_delta", "message_stop"}, lacks: "[DONE]"},
		"https://github.com/lidge-jun/opencodex/issues/658   ":   {door: "responses", stream: true, claude: true, answer: messageEvents(messageStart, block0, stop0, messageDelta) + "data: [DONE]\n\n", has: []string{`"delta":"x"`, "response.completed"}},
		"https://github.com/ihsan-ramadhan/bansos-router/pull/3": {door: "messages", members: thinking, stream: true, answer: strings.TrimSuffix(chunksOf(`"delta":{"reasoning_content":"hm"}`, `"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}`, callsNone), "data: [DONE]\n\n"), has: []string{`"thinking":"hm"`, "content_block_stop", `"name":"f"`, "content_block_stop", "tool_use", "message_stop"}},
		// What comes before the answer, and is none of it.
		"https://github.com/Prism-Shadow/agenthub/pull/174":   {door: "messages", stream: true, answer: "data: {\"type\":\"keepalive\",\"sequence_number\":3}\n\ndata:\n\n" + chunksOf(finish("stop")), has: []string{`"id":"msg_c"`, `"model":"m"`, `"text":"x"`, "message_stop"}},
		"https://github.com/Prism-Shadow/agenthub/pull/174 ":  {door: "chat", stream: true, claude: true, answer: "event: keepalive\ndata: {\"n\":1}\n\n" + messageEvents(messageStart, block0, stop0, messageDelta, `{"type":"message_stop"}`), has: []string{`"content":"x"`, "[DONE]"}},
		"https://github.com/Prism-Shadow/agenthub/pull/174  ": {door: "responses", stream: true, claude: true, answer: "event: keepalive\ndata: {\"n\":1}\n\n" + messageEvents(messageStart, block0, stop0, messageDelta, `{"type":"message_stop"}`), has: []string{"response.created", `"delta":"x"`, "response.completed"}},
		// Words of other vendors for how an answer ended, and no word.
		"https://github.com/ferro-labs/ai-gateway/issues/142     ":   {door: "messages", answer: completionOf(`"message":{"content":"x"},"finish_reason":null`, ""), has: []string{`"stop_reason":"end_turn"`}},
		"https://github.com/ferro-labs/ai-gateway/issues/142":        {door: "messages", stream: true, answer: chunksOf(finish("MAX_TOKENS")), has: []string{`"stop_reason":"max_tokens"`}},
		"https://github.com/ferro-labs/ai-gateway/issues/142 ":       {door: "responses", stream: true, answer: chunksOf(finish("max_tokens")), has: []string{"response.incomplete", `"reason":"max_output_tokens"`}},
		"https://github.com/ferro-labs/ai-gateway/issues/142  ":      {door: "messages", answer: completionOf(`"message":{"content":"x"},"finish_reason":"COMPLETE"`, ""), has: []string{`"stop_reason":"end_turn"`}},
		"https://github.com/ferro-labs/ai-gateway/issues/142   ":     {door: "messages", answer: completionOf(`"message":{"content":"x"},"finish_reason":"eos"`, ""), has: []string{`"stop_reason":"end_turn"`}},
		"https://github.com/UKGovernmentBEIS/inspect_ai/issues/5143": {door: "responses", answer: completionOf(`"message":{"content":"x"},"finish_reason":"model_length"`, ""), has: []string{`"status":"incomplete"`, `"reason":"max_output_tokens"`}},
		"https://github.com/BerriAI/litellm/pull/24287":              {door: "responses", stream: true, answer: chunksOf(finish("refusal")), has: []string{"response.incomplete", `"reason":"content_filter"`}},
		"https://github.com/BerriAI/litellm/issues/40857":            {door: "messages", stream: true, answer: chunksOf(finish("content_filter")), has: []string{`"stop_reason":"refusal"`}},
		"https://github.com/BerriAI/litellm/issues/40857 ":           {door: "messages", stream: true, answer: chunksOf(finish("SAFETY")), has: []string{`"stop_reason":"refusal"`}},
		"https://github.com/jundot/omlx/pull/2817":                   {door: "responses", stream: true, answer: chunksOf(`"delta":{"reasoning_content":"hm"}`, `"delta":{},"finish_reason":"length"`), has: []string{`"status":"incomplete"`, "response.incomplete", `"reason":"max_output_tokens"`}},
		// What the model, or its vendor, says instead of an answer.
		"https://github.com/BerriAI/litellm/pull/39723":              {door: "messages", stream: true, answer: chunksOf(`"delta":{"content":null,"refusal":"not "}`, `"delta":{"refusal":"this"}`, `"delta":{},"finish_reason":"stop"`), has: []string{`"text":"not "`, `"text":"this"`, `"stop_reason":"refusal"`}},
		"https://github.com/BerriAI/litellm/pull/39723 ":             {door: "completions", answer: completionOf(`"message":{"content":null,"refusal":"not this"},"finish_reason":"stop"`, ""), has: []string{`"text":"not this"`}},
		"https://github.com/router-for-me/CLIProxyAPI/issues/4958":   {door: "chat", stream: true, claude: true, answer: messageEvents(messageStart, refused, `{"type":"message_stop"}`), has: []string{`"refusal":"not this"`, `"finish_reason":"content_filter"`}},
		"https://github.com/router-for-me/CLIProxyAPI/issues/4958 ":  {door: "chat", claude: true, answer: strings.NewReplacer(`{"type":"text","text":"yes"}`, `{"type":"text","text":""}`, `"stop_reason":"end_turn"`, `"stop_reason":"refusal","stop_details":{"type":"refusal","explanation":"not this"}`).Replace(answerOfClaude), has: []string{`"refusal":"not this"`, `"finish_reason":"content_filter"`}},
		"https://github.com/router-for-me/CLIProxyAPI/issues/4958  ": {door: "responses", stream: true, claude: true, answer: messageEvents(messageStart, refused, `{"type":"message_stop"}`), has: []string{"response.refusal.delta", "response.incomplete"}},
		// Content that is a list.
		"https://github.com/neondatabase/neon-pkgs/issues/308":    {door: "messages", members: thinking, answer: completionOf(`"message":{"role":"assistant",`+parts+`},"finish_reason":"stop"`, ""), has: []string{`"thinking":"hm"`, `"text":"yes"`}},
		"https://github.com/neondatabase/neon-pkgs/issues/308 ":   {door: "responses", stream: true, answer: chunksOf(`"delta":{`+parts+`}`, `"delta":{},"finish_reason":"stop"`), has: []string{`"delta":"hm"`, `"delta":"yes"`}},
		"https://github.com/neondatabase/neon-pkgs/issues/308  ":  {door: "completions", answer: completionOf(`"message":{"role":"assistant",`+parts+`},"finish_reason":"stop"`, ""), has: []string{`"text":"yes"`}, lacks: "hm"},
		"https://github.com/neondatabase/neon-pkgs/issues/308   ": {door: "completions", stream: true, answer: chunksOf(`"delta":{`+parts+`}`, `"delta":{},"finish_reason":"stop"`), has: []string{`"text":"yes"`}, lacks: "hm"},
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			test.check(t)
		})
	}
}

// TestPublicReportsOfNativeResponses has responses with members of one name and another type, as items of hosted tools have them:
// what the gateway does not read of them goes to the client as it came.
func TestPublicReportsOfNativeResponses(t *testing.T) {
	const (
		search  = `{"type":"tool_search_call","id":"ts_1","call_id":null,"execution":"server","arguments":{"paths":["crm"]},"status":"completed"}`
		unusual = `{"type":"apply_patch_call","id":7,"name":{"a":1},"input":["x"],"content":"text","summary":"s"}`
	)
	item := func(kind, item string) string {
		return "event: " + kind + "\ndata: {\"type\":\"" + kind + "\",\"sequence_number\":1,\"output_index\":0,\"item\":" + item + "}\n\n"
	}
	within := func(items string) string {
		return strings.Replace(nativeResponse, `"output":[`, `"output":[`+items+",", 1)
	}
	for source, test := range map[string]struct {
		stream bool
		answer string
	}{
		"https://github.com/envoyproxy/ai-gateway/issues/2442":  {false, within(search)},
		"https://github.com/envoyproxy/ai-gateway/issues/2442 ": {true, strings.Replace(nativeStream, "event: response.output_text", item("response.output_item.added", search)+item("response.output_item.done", search)+"event: response.output_text", 1)},
		"https://github.com/BerriAI/litellm/pull/32724":         {false, within(unusual)},
		"https://github.com/BerriAI/litellm/pull/32724 ":        {true, strings.Replace(nativeStream, "event: response.output_text", item("response.output_item.added", unusual)+"event: response.mcp_call_arguments.delta\ndata: {\"type\":\"response.mcp_call_arguments.delta\",\"delta\":{\"a\":1},\"output_index\":\"1\"}\n\nevent: response.output_text", 1)},
		"https://github.com/earendil-works/pi/pull/7817":        {false, strings.NewReplacer(`"status":"completed","model"`, `"status":"incomplete","incomplete_details":{"reason":"length"},"model"`, `"output_tokens":2`, `"output_tokens":2,"input_tokens_details":null`).Replace(nativeResponse)},
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			theirs := &heardClaude{status: http.StatusOK, kind: "application/json", answer: test.answer}
			body := wordOfResponses
			if test.stream {
				theirs.kind = "text/event-stream"
				body = strings.Replace(body, "{", `{"stream":true,`, 1)
			}
			r := startRig(t, theirs, plainProvider, first(func(p *upstream.Provider) { p.Model, p.Responses = "", true }), keeping)
			if got := r.post(responsesPath, body); got.status != http.StatusOK || got.body != test.answer || got.err != nil {
				t.Fatalf("%d %s (%v)", got.status, got.body, got.err)
			}
			if o := r.outcome(); o.Code != "" || !o.Usage.OK || o.Usage.Prompt != 3 {
				t.Errorf("outcome %+v", o)
			}
			if again := r.do(t.Context(), http.MethodGet, responsesPath+"/resp_of_theirs", ""); again.status != http.StatusOK {
				t.Errorf("kept is %d %s", again.status, again.body)
			}
		})
	}
}
