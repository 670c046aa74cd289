package alipayai_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// answeredDoor is an answer of a provider's, which a user of another gateway reported, and what clients of a door get of it.
type answeredDoor struct {
	door, members string // members of the request beside model and what is asked
	stream        bool
	claude        bool // the provider speaks Anthropic's form
	answer        string
	has           []string // in this order
	lacks         string
	form          *wire.AnswerFields // of the provider; nil for none
}

// check makes the call, and checks what its client got.
func (test answeredDoor) check(t *testing.T) {
	t.Helper()
	kind := "application/json"
	if test.stream {
		kind = "text/event-stream"
	}
	u := &heardClaude{status: http.StatusOK, kind: kind, answer: test.answer}
	provider := plainProvider
	if test.claude {
		provider = claudeProvider
	}
	form := func(*upstream.Provider) {}
	if test.form != nil {
		read, err := wire.NewAnswerForm(*test.form)
		if err != nil {
			t.Fatal(err)
		}
		form = func(p *upstream.Provider) { p.AnswerForm = read }
	}
	r := startRig(t, u, provider, first(anyModel), first(form))
	f := fronts[test.door]
	got := r.post(f.path, strings.Replace(f.body("hello", test.stream), "{", "{"+test.members, 1))
	if got.status != http.StatusOK || got.err != nil {
		t.Fatalf("%d %v: %s", got.status, got.err, got.body)
	}
	if test.stream && test.door == "messages" {
		f.events(t, got)
	}
	rest := got.body
	for _, want := range test.has {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Fatalf("no %s in its place: %s", want, got.body)
		}
		rest = after
	}
	if test.lacks != "" && strings.Contains(got.body, test.lacks) {
		t.Errorf("it has %s: %s", test.lacks, got.body)
	}
	if o := r.outcome(); o.Code != "" {
		t.Errorf("outcome %q", o.Code)
	}
}

// completionOf is a whole answer of one choice, and chunksOf a stream of choices that ends in [DONE].
func completionOf(choice, usage string) string {
	return `{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,` + choice + `}]` + usage + `}`
}

func chunksOf(choices ...string) string {
	var s strings.Builder
	for _, choice := range choices {
		s.WriteString(`data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,` + choice + "}]}\n\n")
	}
	return s.String() + "data: [DONE]\n\n"
}

// TestPublicReportsAtDoors has what became of such answers on their way to clients of the Messages and Responses APIs, and of
// Anthropic's answers on their way to clients of chat completions.
func TestPublicReportsAtDoors(t *testing.T) {
	const (
		thinking   = `"thinking":{"type":"adaptive"},`
		twoOpen    = `"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}},{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":""}}]}`
		magistral  = `"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]}`
		magistral2 = `"delta":{"content":[{"type":"text","text":"yes"}]}`
		stop       = `"delta":{},"finish_reason":"stop"`
		calls      = `"delta":{},"finish_reason":"tool_calls"`
		copilot    = `{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"t"},"finish_reason":"tool_calls"},{"index":1,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"},{"index":2,"message":{"role":"assistant","tool_calls":[{"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`
		drawn      = `{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}`
		offers     = `"tools":[{"type":"function","function":{"name":"f"}}],`
		cited      = `{"type":"url_citation","url_citation":{"url":"https://a","title":"A","start_index":0,"end_index":9,"content":"c"}}`
	)
	piece := func(index, text string) string {
		return `"delta":{"tool_calls":[{"index":` + index + `,"function":{"arguments":"` + text + `"}}]}`
	}
	for source, test := range map[string]answeredDoor{
		// What tool calls lack: an index, an id.
		"https://github.com/openai/openai-python/issues/2806":   {door: "chat", stream: true, answer: chunksOf(`"delta":{"tool_calls":[{"function":{"arguments":"{}","name":"f"},"id":"a","type":"function"}]}`, calls), has: []string{`"tool_calls":[{"index":0,"function"`, "[DONE]"}},
		"https://github.com/anomalyco/opencode/pull/47954":      {door: "chat", stream: true, answer: chunksOf(`"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":""}}]}`, piece("0", "{}"), calls), has: []string{`"tool_calls":[{"id":"call_`, `"index":0,"function":{"name":"f"`, "[DONE]"}},
		"https://github.com/binaricat/Netcatty/pull/1007":       {door: "chat", answer: completionOf(`"message":{"content":null,"tool_calls":[{"type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"`, ""), has: []string{`"tool_calls":[{"id":"call_`}},
		"https://github.com/binaricat/Netcatty/pull/1007 ":      {door: "messages", answer: completionOf(`"message":{"content":null,"tool_calls":[{"type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"`, ""), has: []string{`"tool_use","id":"call_`}, lacks: `"call_0"`},
		"https://github.com/ollama/ollama/issues/15457":         {door: "chat", stream: true, answer: chunksOf(`"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}`, `"delta":{"tool_calls":[{"index":0,"id":"b","type":"function","function":{"name":"f","arguments":"{\"b\":1}"}}]}`, calls), has: []string{`"index":0,"id":"a"`, `"index":1,"id":"b"`, "[DONE]"}},
		"https://github.com/openai/openai-agents-js/issues/664": {door: "chat", stream: true, answer: chunksOf(`"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}`, calls), has: []string{`"name":"f","arguments":""`, `"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]},"finish_reason":"tool_calls"`, "[DONE]"}},
		"https://github.com/open-webui/open-webui/issues/22177": {door: "chat", stream: true, answer: chunksOf(`"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{"}}]}`, `"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"}"}}]}`, calls), has: []string{`"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{"}`, `{"index":0,"type":"function","function":{"arguments":"}"}}`, "[DONE]"}},
		"https://github.com/pydantic/pydantic-ai/issues/7816":   {door: "chat", answer: completionOf(`"message":{"content":"x"},"finish_reason":"guardrail_intervened"`, ""), has: []string{`"finish_reason":"content_filter"`}},
		"https://github.com/pydantic/pydantic-ai/issues/7816 ":  {door: "chat", stream: true, answer: chunksOf(`"delta":{"content":"x"}`, `"delta":{},"finish_reason":"guardrail_intervened"`), has: []string{`"finish_reason":"content_filter"`, "[DONE]"}},
		"https://github.com/openai/openai-python/pull/3502":     {door: "chat", answer: completionOf(`"message":{"content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":"tool_calls"`, ""), has: []string{`"arguments":"{}"`}},
		"https://github.com/BerriAI/litellm/issues/2645":        {door: "chat", stream: true, answer: chunksOf(`"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}`, calls), has: []string{`"type":"function"`, "[DONE]"}},
		"https://github.com/graniet/llm/issues/67":              {door: "chat", answer: completionOf(`"message":{"content":null,"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"`, ""), has: []string{`"type":"function"`}},
		"https://github.com/BerriAI/litellm/pull/39723":         {door: "messages", answer: completionOf(`"message":{"content":null,"refusal":"no"},"finish_reason":"stop"`, ""), has: []string{`"text":"no"`, `"stop_reason":"refusal"`, `"stop_details":{"type":"refusal"`}},
		"https://github.com/BerriAI/litellm/pull/39723 ":        {door: "messages", stream: true, answer: chunksOf(`"delta":{"refusal":"no"}`, stop), has: []string{`"text":"no"`, `"stop_reason":"refusal"`, `"stop_details":{"type":"refusal"`}},
		"https://github.com/open-webui/open-webui/issues/27195": {door: "chat", stream: true, answer: chunksOf(`"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":null}}]}`, piece("0", "{}"), calls), has: []string{`"name":"f","arguments":""`, `"arguments":"{}"`, "[DONE]"}},
		"https://github.com/ggml-org/llama.cpp/issues/20198":    {door: "chat", answer: completionOf(`"message":{"content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":{"a":1}}}]},"finish_reason":"tool_calls"`, ""), has: []string{`"arguments":"{\"a\":1}"`}},
		// A chunk without a delta.
		"https://github.com/microsoft/agent-framework/pull/5734": {door: "chat", stream: true, answer: chunksOf(`"delta":{"content":"x"}`, `"content_filter_results":{}`, `"delta":null,"finish_reason":"stop"`), has: []string{`"content":"x"`, `"delta":{},"index":0,"content_filter_results"`, `"delta":{},"finish_reason":"stop"`, "[DONE]"}, lacks: "null"},
		// Two events without the blank line between them, and arguments that are encoded twice.
		"https://github.com/rexxars/eventsource-parser/pull/31":   {door: "chat", stream: true, answer: strings.ReplaceAll(chunksOf(`"delta":{"content":"x"}`, stop), "\n\n", "\n"), has: []string{"\"x\"}}]}\n\ndata: ", "\n\ndata: [DONE]\n\n"}},
		"https://github.com/rexxars/eventsource-parser/pull/31 ":  {door: "messages", stream: true, answer: strings.ReplaceAll(chunksOf(`"delta":{"content":"x"}`, stop), "\n\n", "\n"), has: []string{`"text":"x"`, "end_turn"}},
		"https://github.com/vllm-project/vllm/pull/54964":         {door: "messages", answer: completionOf(`"message":{"content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"\"{\\\"a\\\":1}\""}}]},"finish_reason":"tool_calls"`, ""), has: []string{`"input":{"a":1}`}},
		"https://github.com/praxis-proxy/ai/issues/266":           {door: "messages", stream: true, answer: chunksOf(twoOpen, piece("0", `{\"x\":`), piece("1", `{\"y\":`), piece("0", `1}`), piece("1", `2}`), calls), has: []string{`"id":"a"`, `"partial_json":"{\"x\":"`, `"partial_json":"1}"`, "content_block_stop", `"id":"b"`, `{\"y\":`, `2}`, "content_block_stop", `"tool_use"`}},
		"https://github.com/BerriAI/litellm/issues/21331":         {door: "responses", stream: true, answer: chunksOf(twoOpen, piece("1", `{}`), piece("0", `{}`), calls), has: []string{`"call_id":"a"`, `"call_id":"b"`, "response.completed"}},
		"https://github.com/sgl-project/sglang/issues/24293":      {door: "messages", stream: true, answer: chunksOf(twoOpen, `"delta":{"content":"\n"}`, piece("0", `{}`), piece("1", `{}`), calls), has: []string{`"text":"\n"`, `"id":"a"`, `"id":"b"`, "message_stop"}},
		"https://github.com/comet-ml/opik/issues/8362":            {door: "messages", stream: true, answer: chunksOf(`"delta":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]}`, `"delta":{"tool_calls":[{"id":"b","function":{"name":"f","arguments":"{\"b\":1}"}}]}`, calls), has: []string{`"partial_json":"{}"`, "content_block_stop", `"partial_json":"{\"b\":1}"`}},
		"https://github.com/agentgateway/agentgateway/pull/3283":  {door: "messages", members: `"stop_sequences":["END"],`, answer: completionOf(`"message":{"content":"x"},"finish_reason":"stop","stop_reason":"END"`, ""), has: []string{`"stop_reason":"stop_sequence","stop_sequence":"END"`}},
		"https://github.com/agentgateway/agentgateway/pull/3283 ": {door: "messages", members: `"stop_sequences":["END"],`, stream: true, answer: chunksOf(`"delta":{"content":"x"}`, stop+`,"stop_reason":"END"`), has: []string{`"stop_reason":"stop_sequence","stop_sequence":"END"`}},
		"https://github.com/sgl-project/sglang/pull/33153":        {door: "messages", members: `"stop_sequences":["END"],`, stream: true, answer: chunksOf(`"delta":{"content":"x"}`, stop+`,"matched_stop":"END"`), has: []string{`"stop_reason":"stop_sequence","stop_sequence":"END"`}},
		"https://github.com/sgl-project/sglang/pull/33153 ":       {door: "messages", answer: completionOf(`"message":{"content":"x"},"finish_reason":"stop","matched_stop":151645`, ""), has: []string{`"stop_reason":"end_turn","stop_sequence":null`}},
		"https://github.com/BerriAI/litellm/issues/16272":         {door: "messages", members: thinking, stream: true, answer: chunksOf(magistral, magistral2, stop), has: []string{`"thinking":"hm"`, `"text":"yes"`, "end_turn"}},
		"https://github.com/BerriAI/litellm/issues/16272 ":        {door: "responses", stream: true, answer: chunksOf(magistral, magistral2, stop), has: []string{`"delta":"hm"`, `"delta":"yes"`}},
		"https://github.com/brainlid/langchain/pull/418":          {door: "responses", answer: completionOf(`"message":{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"yes"}]},"finish_reason":"stop"`, ""), has: []string{`"text":"hm"`, `"text":"yes"`}},
		"https://github.com/brainlid/langchain/pull/418 ":         {door: "messages", members: thinking, answer: completionOf(`"message":{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"yes"}]},"finish_reason":"stop"`, ""), has: []string{`"thinking":"hm"`, `"text":"yes"`}},
		"https://github.com/higress-group/higress/pull/3733":      {door: "messages", stream: true, answer: strings.ReplaceAll(chunksOf(`"delta":{"content":"x"},"finish_reason":""`, `"delta":{"content":"y"},"finish_reason":""`, stop), `]}`+"\n", `],"usage":{"prompt_tokens":40,"completion_tokens":2,"total_tokens":42}}`+"\n"), has: []string{`"text":"x"`, `"text":"y"`, "end_turn", `"input_tokens":40`, "message_stop"}},
		"https://github.com/BerriAI/litellm/pull/34701":           {door: "messages", members: thinking, stream: true, answer: chunksOf(`"delta":{"reasoning_content":"a"}`, `"delta":{"reasoning_content":"b","content":"81"}`, `"delta":{"content":"."}`, stop), has: []string{`"thinking":"b"`, "content_block_stop", `"text":"81"`, `"text":"."`}},
		"https://github.com/envoyproxy/ai-gateway/issues/2352":    {door: "messages", stream: true, answer: strings.Replace(chunksOf(`"delta":{"content":"x"}`, stop), "data: [DONE]", `data: {"id":"c","choices":[],"usage":{"prompt_tokens":30,"completion_tokens":2,"total_tokens":32,"prompt_tokens_details":{"cached_tokens":20}}}`+"\n\ndata: [DONE]", 1), has: []string{"message_delta", `"input_tokens":10`, `"cache_read_input_tokens":20`, `"output_tokens":2`}},
		"https://github.com/BerriAI/litellm/issues/36168":         {door: "responses", stream: true, answer: strings.Replace(chunksOf(`"delta":{"content":"x"}`, stop), "data: [DONE]", `data: {"id":"c","choices":[{"index":0,"delta":{}}],"usage":{"prompt_tokens":30,"completion_tokens":2,"total_tokens":32,"prompt_tokens_details":{"cached_tokens":20}}}`+"\n\ndata: [DONE]", 1), has: []string{"response.completed", `"input_tokens":30`, `"cached_tokens":20`}},
		"https://github.com/esengine/DeepSeek-Reasonix/pull/5930": {door: "responses", stream: true, answer: chunksOf(`"delta":{"reasoning":"hm","reasoning_content":""}`, `"delta":{"reasoning_content":"so","reasoning":""}`, `"delta":{"content":"x"}`, stop), has: []string{`"delta":"hm"`, `"delta":"so"`, `"delta":"x"`}},
		"https://github.com/envoyproxy/ai-gateway/issues/2290": {door: "chat", members: `"stream_options":{"include_usage":true},`, stream: true, claude: true, answer: messageEvents(`{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"claude-x","content":[]}}`,
			`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}`, `{"type":"content_block_stop","index":0}`,
			`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":4522,"cache_creation_input_tokens":4511,"output_tokens":5}}`, `{"type":"message_stop"}`), has: []string{`"content":"x"`, `"prompt_tokens":9033`, `"completion_tokens":5`, `"total_tokens":9038`}},
		"https://github.com/maximhq/bifrost/issues/4556": {door: "chat", stream: true, claude: true, answer: messageEvents(messageStart, messageStart,
			`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}`, `{"type":"content_block_stop","index":0}`, messageDelta, `{"type":"message_stop"}`), has: []string{`"content":"x"`, "[DONE]"}, lacks: `"error"`},
		"https://github.com/invergent-ai/surogate/issues/113": {door: "chat", stream: true, claude: true, answer: messageEvents(messageStart,
			`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}`,
			`{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}`, `{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"y"}}`, `{"type":"content_block_stop","index":1}`, messageDelta, `{"type":"message_stop"}`), has: []string{`"content":"x"`, `"content":"y"`, "[DONE]"}, lacks: `"error"`},
		"https://github.com/BerriAI/litellm/issues/12513":          {door: "messages", stream: true, answer: chunksOf(`"delta":{"tool_calls":[{"index":0,"id":"a","type":"FUNCTION","function":{"name":"f","arguments":"{\"path\": \"."}}]}`, `"delta":{"tool_calls":[{"index":0,"id":"","type":"FUNCTION","function":{"name":"null","arguments":"\"}"}}]}`, calls), has: []string{`"name":"f"`, `"partial_json":"{\"path\": \"."`, `"partial_json":"\"}"`}, lacks: `"index":1`},
		"https://github.com/BerriAI/litellm/issues/20480":          {door: "responses", stream: true, answer: chunksOf(`"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"q\":"}}]}`, `"delta":{"tool_calls":[{"index":0,"id":"a","function":{"arguments":"1}"}}]}`, `"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"\"{\\\"q\\\":1}\""}}]}`, calls), has: []string{"response.completed", `"arguments":"{\"q\":1}"`}},
		"https://github.com/QuantumNous/new-api/issues/7495":       {door: "responses", stream: true, answer: chunksOf(`"delta":{"reasoning_content":"a"}`, `"delta":{"reasoning_content":"b"},"finish_reason":"stop"`, `"delta":{"reasoning_content":"c"}`, `"delta":{"content":"x"}`, stop), has: []string{`"delta":"a"`, `"delta":"b"`, `"delta":"c"`, `"text":"abc"`, `"delta":"x"`, "response.completed"}},
		"https://github.com/maximhq/bifrost/issues/6081":           {door: "messages", stream: true, answer: chunksOf(`"delta":{"content":"x"}`, `"delta":{},"finish_reason":"length"`), has: []string{"content_block_stop", `"stop_reason":"max_tokens"`, "message_stop"}},
		"https://github.com/agentgateway/agentgateway/issues/2965": {door: "chat", stream: true, answer: chunksOf(`"delta":{"role":"assistant","content":"x"}`, `"delta":{"tool_calls":[{"index":1,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}`, piece("1", "{}"), calls), has: []string{`"tool_calls":[{"index":0,"id":"a"`, `"tool_calls":[{"index":0,"function"`, "[DONE]"}},
		// What agents go by: who speaks, and whether tools are called.
		"https://github.com/langchain-ai/langchainjs/issues/11468": {door: "chat", members: offers, stream: true, answer: chunksOf(`"delta":{"role":"","tool_calls":[{"index":0,"id":"a","type":"","function":{"name":"f","arguments":"{}"}}]}`, calls), has: []string{`"delta":{"role":"assistant","tool_calls":[{"index":0,"id":"a","type":"function"`, "[DONE]"}},
		"https://github.com/langchain-ai/langchainjs/pull/11157":   {door: "chat", members: offers, stream: true, answer: chunksOf(`"delta":{"content":"x"}`, `"delta":{"content":"y"}`, stop), has: []string{`"delta":{"role":"assistant","content":"x"}`, `"delta":{"content":"y"}`}},
		"https://github.com/anomalyco/opencode/issues/14972":       {door: "chat", members: offers, stream: true, answer: chunksOf(`"delta":{"role":"assistant","tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}`, stop), has: []string{`"id":"a"`, `"finish_reason":"tool_calls"`, "[DONE]"}, lacks: `"stop"`},
		"https://github.com/anomalyco/opencode/issues/20719":       {door: "chat", members: offers, answer: completionOf(`"message":{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"`, ""), has: []string{`"id":"a"`, `"finish_reason":"tool_calls"`}, lacks: `"stop"`},
		// What the provider broke off, and a word of its own.
		"https://github.com/pydantic/pydantic-ai/issues/7678": {door: "responses", answer: completionOf(`"message":{"content":"x"},"finish_reason":"network_error"`, ""), has: []string{`"status":"incomplete"`, `"reason":"max_output_tokens"`, `"text":"x"`}},
		"https://github.com/open-gsd/gsd-pi/pull/2042":        {door: "messages", answer: completionOf(`"message":{"content":"x"},"finish_reason":"error"`, ""), has: []string{`"text":"x"`, `"stop_reason":"max_tokens"`}},
		"https://github.com/open-gsd/gsd-pi/pull/2042 ":       {door: "messages", stream: true, answer: chunksOf(`"delta":{"content":"x"}`, `"delta":{},"finish_reason":"abort"`), has: []string{`"text":"x"`, `"stop_reason":"max_tokens"`, "message_stop"}},
		"https://github.com/open-gsd/gsd-pi/pull/2042  ":      {door: "messages", stream: true, answer: chunksOf(`"delta":{"content":"x"}`, `"delta":{},"finish_reason":"halted"`), has: []string{`"text":"x"`, `"stop_reason":"end_turn"`, "message_stop"}},
		// Images that the model has made.
		"https://github.com/BerriAI/litellm/pull/16586": {door: "responses", answer: completionOf(`"message":{"content":"a cat","images":[`+drawn+`,{"type":"image_url","image_url":{"url":"https://a/b.png"}},7]},"finish_reason":"stop"`, ""), has: []string{`"text":"a cat"`, `"type":"image_generation_call","id":"ig_`, `"status":"completed","result":"AAAA"}]`}},
		"https://github.com/maximhq/bifrost/issues/2367": {door: "responses", stream: true, answer: chunksOf(`"delta":{"content":"a "}`, `"delta":{"content":"cat"}`, `"delta":{"content":"","images":[`+drawn+`]}`, `"delta":{"content":"."}`, stop), has: []string{
			`"text":"a cat"`, `"response.output_item.added","output_index":1,"item":{"type":"image_generation_call"`, `"status":"in_progress","result":null`, "response.image_generation_call.completed", `"output_index":1`,
			"response.output_item.done", `"result":"AAAA"`, `"output_index":2`, `"text":"."`, "response.completed", `"text":"a cat"`, `"result":"AAAA"`, `"text":"."`,
		}},
		"https://github.com/maximhq/bifrost/issues/2367, alone": {door: "responses", stream: true, answer: chunksOf(`"delta":{"role":"assistant","content":"","images":[`+drawn+`]}`, stop), has: []string{`"output_index":0,"item":{"type":"image_generation_call"`, "response.completed", `"output":[{"type":"image_generation_call"`}, lacks: "output_text"},
		// An answer in several choices.
		"https://github.com/HKUDS/nanobot/pull/1555":  {door: "messages", answer: copilot, has: []string{`"text":"t"`, `"id":"a"`, `"id":"b"`, `"stop_reason":"tool_use"`}},
		"https://github.com/karthink/gptel/pull/1284": {door: "responses", answer: copilot, has: []string{`"text":"t"`, `"call_id":"a"`, `"call_id":"b"`}},
		"other answers": {door: "messages", answer: completionOf(`"message":{"content":"x"},"finish_reason":"stop"},{"index":1,"message":{"content":"y","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"`, ""), has: []string{`"text":"x"}],"stop_reason":"end_turn"`}, lacks: "tool_use"},
		"https://github.com/caozhiyuan/copilot-api/issues/230": {door: "messages", members: thinking, stream: true, answer: chunksOf(`"delta":{"reasoning_text":"hm"}`, `"delta":{"content":"x"}`, stop), has: []string{`"thinking":"hm"`, `"text":"x"`}},
		// What a text cites.
		"https://github.com/NVIDIA-NeMo/Switchyard/pull/730": {door: "responses", answer: completionOf(`"message":{"content":"x","annotations":[`+cited+`,{"type":"file","file":{}},{"type":"url_citation","url":"https://b"},7]},"finish_reason":"stop"`, ""), has: []string{`"annotations":[{"type":"url_citation","start_index":0,"end_index":9,"url":"https://a","title":"A"},{"type":"url_citation","start_index":0,"end_index":0,"url":"https://b","title":""}]`}},
		"https://github.com/BerriAI/litellm/pull/23691": {door: "responses", stream: true, answer: chunksOf(`"delta":{"annotations":[`+cited+`]}`, `"delta":{"content":"x"}`, `"delta":{"content":"y","annotations":[`+cited+`,{"type":"url_citation","url_citation":{"url":"https://b"}}]}`, stop), has: []string{
			`"delta":"x"`, "response.output_text.annotation.added", `"content_index":0,"annotation_index":0,"annotation":{"type":"url_citation","start_index":0,"end_index":9,"url":"https://a","title":"A"}`, `"delta":"y"`,
			`"annotation_index":1,"annotation":{"type":"url_citation","start_index":0,"end_index":0,"url":"https://b","title":""}`, "response.output_text.done", `"annotations":[{"type":"url_citation"`, "response.completed", `"annotations":[{"type":"url_citation"`,
		}, lacks: `"annotation_index":2`},
		// What was generated, by the total alone.
		"https://github.com/Wei-Shaw/sub2api/issues/5771": {door: "messages", answer: completionOf(`"message":{"content":"x"},"finish_reason":"stop"`, `,"usage":{"prompt_tokens":100,"completion_tokens":14,"total_tokens":142,"completion_tokens_details":{"reasoning_tokens":28}}`), has: []string{`"output_tokens":42`}},
		// llama-cpp-python writes each forced call under both names (llama_cpp/llama_chat_format.py).
		"a call under both names":                             {door: "responses", answer: completionOf(`"message":{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{\"a\":1}"},"tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},"finish_reason":"tool_calls"`, ""), has: []string{`"call_id":"t1"`}, lacks: "call_0"},
		"https://github.com/vercel/ai/pull/12425":             {door: "responses", answer: completionOf(`"message":{"content":"x"},"finish_reason":"stop"`, `,"usage":{"prompt_tokens":12,"completion_tokens":1,"total_tokens":399,"completion_tokens_details":{"reasoning_tokens":386}}`), has: []string{`"output_tokens":387`, `"reasoning_tokens":386`, `"total_tokens":399`}},
		"https://github.com/farion1231/cc-switch/pull/7227":   {door: "messages", members: thinking, stream: true, answer: chunksOf(`"delta":{"reasoning_content":"hm","content":""}`, `"delta":{"reasoning_content":"","content":"a"}`, `"delta":{"reasoning_content":"","content":"b"}`, stop), has: []string{`"thinking":"hm"`, `"index":1`, `"text":"a"`, `"text":"b"`}, lacks: `"index":2`},
		"https://github.com/NVIDIA-NeMo/Switchyard/pull/785":  {door: "messages", stream: true, answer: chunksOf(`"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"get_"}}]}`, `"delta":{"tool_calls":[{"index":0,"function":{"name":"weather"}}]}`, piece("0", "{}"), calls), has: []string{`"name":"get_weather"`, `"partial_json":"{}"`}},
		"https://github.com/NVIDIA-NeMo/Switchyard/pull/785 ": {door: "responses", stream: true, answer: chunksOf(`"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"get_"}}]}`, `"delta":{"tool_calls":[{"index":0,"function":{"name":"weather"}}]}`, piece("0", "{}"), calls), has: []string{`"name":"get_weather"`, `"name":"get_weather"`, "response.completed"}},
		"https://github.com/openai/openai-python/issues/3201": {door: "messages", stream: true, answer: chunksOf(`"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}},{"index":0,"function":{"arguments":"{\"a\""}}]}`, piece("0", ":1}"), calls), has: []string{`"name":"f"`, `"partial_json":"{\"a\"`, `"partial_json":":1}"`}},
		"https://github.com/theopenco/llmgateway/pull/3254":   {door: "chat", stream: true, claude: true, answer: messageEvents(messageStart, `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"x"}}`, `{"type":"content_block_stop","index":0}`, strings.Replace(messageDelta, "end_turn", "model_context_window_exceeded", 1), `{"type":"message_stop"}`), has: []string{`"finish_reason":"length"`}},
		"https://github.com/theopenco/llmgateway/pull/2067":   {door: "responses", stream: true, claude: true, answer: messageEvents(messageStart, `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"x"}}`, `{"type":"content_block_stop","index":0}`, strings.Replace(messageDelta, "end_turn", "refusal", 1), `{"type":"message_stop"}`), has: []string{"response.incomplete", `"reason":"content_filter"`}},
		"https://github.com/BerriAI/litellm/issues/42663": {door: "chat", members: `"stream_options":{"include_usage":true},`, stream: true, claude: true, answer: messageEvents(strings.Replace(messageStart, `"output_tokens":1`, `"cache_creation_input_tokens":31,"cache_creation":{"ephemeral_5m_input_tokens":31},"output_tokens":1`, 1),
			`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"x"}}`, `{"type":"content_block_stop","index":0}`, `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":3,"cache_creation_input_tokens":184,"cache_read_input_tokens":400,"output_tokens":5,"server_tool_use":{"web_search_requests":5}}}`, `{"type":"message_stop"}`), has: []string{`"prompt_tokens":587`, `"cached_tokens":400`}},
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			test.check(t)
		})
	}
}

const (
	messageStart = `{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"claude-x","content":[],"usage":{"input_tokens":3,"output_tokens":1}}}`
	messageDelta = `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}`
)

// messageEvents is a stream of the Messages API.
func messageEvents(events ...string) string {
	var s strings.Builder
	for _, e := range events {
		kind, _, _ := strings.Cut(strings.TrimPrefix(e, `{"type":"`), `"`)
		s.WriteString("event: " + kind + "\ndata: " + e + "\n\n")
	}
	return s.String()
}
