package alipayai_test

import (
	"strings"
	"testing"
)

// TestPublicReportsOfAnswers has answers that clients of other gateways, which are not of this project, could not read.
func TestPublicReportsOfAnswers(t *testing.T) {
	const (
		stop    = `"delta":{},"finish_reason":"stop"`
		calls   = `"delta":{},"finish_reason":"tool_calls"`
		hello   = `"delta":{"role":"assistant","content":"x"}`
		call    = `"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]}`
		unnamed = `"delta":{"tool_calls":[{"index":0,"type":"function","function":{"name":"f","arguments":"{}"}}]}`
		patch   = `"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"apply_patch","arguments":"{\"input\":\"*** Begin\"}"}}]}`
		custom  = `"tools":[{"type":"custom","name":"apply_patch"}],`
		data    = `data: {"type":"`
		asked   = `"stream_options":{"include_usage":true},`
		none    = `"usage":{"prompt_tokens":4,"completion_tokens":6,"total_tokens":10}`
	)
	between := func(stream, event string) string { return strings.Replace(stream, "data: {", event+"data: {", 1) }
	own := func(members string) string {
		return messageEvents(`{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"claude-x","content":[],"stop_reason":null,"stop_sequence":null`+members+`}}`,
			`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}`, `{"type":"content_block_stop","index":0}`,
			`{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null}}`, `{"type":"message_stop"}`)
	}
	for source, test := range map[string]answeredDoor{
		// What is no chunk, between chunks.
		"https://github.com/anthropics/anthropic-sdk-typescript/issues/734": {door: "chat", stream: true, answer: between(chunksOf(hello, stop), data+"ping\"}\n\n"), has: []string{": ping\n\n", `"content":"x"`, "[DONE]"}, lacks: `"type"`},
		"https://github.com/janhq/jan/pull/8392":                            {door: "chat", stream: true, answer: between(chunksOf(hello, stop), "event: keepalive\ndata: {}\n\n"), has: []string{": ping\n\n", `"content":"x"`, "[DONE]"}, lacks: "event:"},
		// The events of a response, in their order, with what each has to have.
		"https://github.com/diegosouzapw/OmniRoute/issues/13964":     {door: "responses", stream: true, answer: chunksOf(call, calls), has: []string{data + "response.created", `"output":[]`, data + "response.in_progress", `"error":null`, `"output":[]`, `"background":false`, `"item":{"type":"function_call"`, `"status":"in_progress"`, `"status":"completed"`}},
		"https://github.com/Sophomoresty/gemini-web2api/pull/57":     {door: "responses", stream: true, answer: chunksOf(hello, stop), has: []string{data + "response.created", data + "response.in_progress", data + "response.output_item.added", data + "response.content_part.added", data + "response.output_text.delta", data + "response.output_text.done", data + "response.content_part.done", data + "response.output_item.done", data + "response.completed"}},
		"https://github.com/ggml-org/llama.cpp/pull/24957":           {door: "responses", stream: true, answer: chunksOf(hello, stop), has: []string{`"sequence_number":0}`, `"sequence_number":1}`, `"sequence_number":2}`, `"sequence_number":3}`, `"sequence_number":4}`, `"sequence_number":5}`, `"sequence_number":6}`, `"sequence_number":7}`, `"sequence_number":8}`}},
		"https://github.com/BerriAI/litellm/pull/28899":              {door: "responses", stream: true, answer: chunksOf(call, calls), has: []string{data + "response.function_call_arguments.done", `"sequence_number":4}`, `"text":{"format":{"type":"text"}}`, `"output_tokens_details":{"reasoning_tokens":0}`}},
		"https://github.com/SaladDay/cc-switch-cli/issues/387":       {door: "responses", stream: true, answer: chunksOf(`"delta":{"reasoning_content":"hm"}`, hello, call, calls), has: []string{`"item":{"type":"reasoning"`, data + "response.output_item.done", `"item":{"type":"message"`, data + "response.output_text.delta", data + "response.output_item.done", `"item":{"type":"function_call"`, data + "response.output_item.done"}},
		"https://github.com/azerozero/grob/pull/386":                 {door: "responses", stream: true, answer: chunksOf(hello, stop), has: []string{`"response":{"id":"resp_`, `"item":{"type":"message","id":"msg_`, `"item_id":"msg_`, `"text":"x"`, data + `response.completed","response":{"id":"resp_`, `"text":"x"`}},
		"https://github.com/sipeed/picoclaw/pull/2437":               {door: "responses", stream: true, answer: chunksOf(hello, call, calls), has: []string{data + "response.completed", `"output":[{"type":"message"`, `"text":"x"`, `{"type":"function_call"`, `"call_id":"a"`}},
		"https://github.com/router-for-me/CLIProxyAPI/issues/4219":   {door: "responses", stream: true, answer: chunksOf(unnamed, calls), has: []string{data + "response.output_item.added", `"call_id":"call_`, data + "response.function_call_arguments.delta", data + "response.output_item.done", `"call_id":"call_`}, lacks: `"call_id":""`},
		"https://github.com/mnfst/llm-gateway/pull/1900":             {door: "responses", stream: true, answer: chunksOf(call, calls), has: []string{`"arguments":""`, data + "response.function_call_arguments.delta", data + "response.function_call_arguments.done", `"arguments":"{\"x\":1}"`, data + "response.output_item.done", `"name":"f","arguments":"{\"x\":1}"`}},
		"https://github.com/decolua/9router/issues/1371":             {door: "responses", members: custom, stream: true, answer: chunksOf(patch, calls), has: []string{`"item":{"type":"custom_tool_call"`, `"input":""`, data + "response.custom_tool_call_input.delta", `"delta":"*** Begin"`, data + "response.custom_tool_call_input.done", `"input":"*** Begin"`}, lacks: "function_call"},
		"https://github.com/Wei-Shaw/sub2api/issues/5659":            {door: "responses", members: custom, answer: completionOf(strings.Replace(patch, "delta", "message", 1)+`,"finish_reason":"tool_calls"`, ""), has: []string{`{"type":"custom_tool_call"`, `"input":"*** Begin"`}, lacks: "function_call"},
		"https://github.com/BerriAI/litellm/pull/40833":              {door: "responses", stream: true, answer: chunksOf(hello, `"delta":{},"finish_reason":"length"`), has: []string{data + "response.incomplete", `"incomplete_details":{"reason":"max_output_tokens"}`}},
		"https://github.com/BerriAI/litellm/pull/37710":              {door: "responses", answer: completionOf(`"message":{"role":"assistant","content":"","reasoning_content":"hm"},"finish_reason":"length"`, ""), has: []string{`"status":"incomplete"`, `"reason":"max_output_tokens"`, `"type":"reasoning"`}},
		"https://github.com/openai/openai-agents-python/issues/1276": {door: "responses", stream: true, answer: chunksOf(hello, stop), has: []string{data + "response.output_text.delta", `"logprobs":[]`, data + "response.output_text.done", `"logprobs":[]`}},
		"https://github.com/ogx-ai/ogx/issues/4990":                  {door: "responses", answer: completionOf(`"message":{"role":"assistant","content":"x"},"logprobs":null,"finish_reason":"stop"`, ""), has: []string{`"annotations":[],"logprobs":[]`}},
		"https://github.com/cline/cline/issues/8836":                 {door: "responses", stream: true, answer: chunksOf(hello, stop), has: []string{data + "response.completed", `"usage":{"input_tokens":0`}},
		// How a choice ends.
		"https://github.com/googleapis/python-genai/issues/2868": {door: "chat", stream: true, answer: chunksOf(call, stop), has: []string{`"name":"f"`, `"finish_reason":"tool_calls"`, "[DONE]"}, lacks: `"stop"`},
		"https://github.com/ml-explore/mlx-lm/pull/782":          {door: "chat", answer: completionOf(strings.Replace(call, "delta", "message", 1)+`,"finish_reason":"tool_call"`, ""), has: []string{`"finish_reason":"tool_calls"`}},
		"https://github.com/farion1231/cc-switch/issues/5087":    {door: "messages", members: `"thinking":{"type":"adaptive"},`, stream: true, answer: chunksOf(`"delta":{"reasoning_content":"hm"},"finish_reason":""`, `"delta":{"content":"x"},"finish_reason":""`, stop), has: []string{`"thinking":"hm"`, "content_block_stop", `"text":"x"`, "content_block_stop", `"stop_reason":"end_turn"`}},
		"https://github.com/adolfousier/opencrabs/pull/1499":     {door: "chat", stream: true, answer: chunksOf(call+`,"finish_reason":""`, calls), has: []string{`"finish_reason":null`, `"finish_reason":"tool_calls"`}, lacks: `"finish_reason":""`},
		"https://github.com/vllm-project/vllm/pull/36944":        {door: "messages", stream: true, answer: chunksOf(hello + `,"finish_reason":"length"`), has: []string{`"text":"x"`, "content_block_stop", `"stop_reason":"max_tokens"`}},
		"https://github.com/envoyproxy/ai-gateway/pull/2107":     {door: "chat", stream: true, answer: chunksOf(hello, `"finish_reason":"length"`), has: []string{`"delta":{}`, `"finish_reason":"length"`, "[DONE]"}},
		"https://github.com/pydantic/pydantic-ai/issues/2844":    {door: "messages", answer: completionOf(`"message":{"role":"assistant","content":"x"},"finish_reason":"error"`, ""), has: []string{`"text":"x"`, `"stop_reason":"max_tokens"`}},
		// What typed clients insist on.
		"https://github.com/pydantic/pydantic-ai/issues/2996":    {door: "chat", answer: `{"id":null,"object":null,"created":1,"model":"m","choices":[{"index":null,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}]}`, has: []string{`"id":"chatcmpl-`, `"object":"chat.completion"`, `"index":0`}, lacks: "null"},
		"https://github.com/pydantic/pydantic-ai/issues/822":     {door: "chat", answer: completionOf(`"message":{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":null}}]},"finish_reason":"tool_calls"`, ""), has: []string{`"arguments":"{}"`}},
		"https://github.com/zed-industries/zed/issues/42893":     {door: "chat", stream: true, answer: strings.Replace(chunksOf(hello, stop), `"index":0`, `"index":0,"extend_fields":{}`, 1), has: []string{`"content":"x"`, "[DONE]"}},
		"https://github.com/zed-industries/zed/issues/37022":     {door: "chat", stream: true, answer: strings.ReplaceAll(chunksOf(hello, stop), `"created":1,`, ""), has: []string{`"created":`, `"content":"x"`, `"created":`, "[DONE]"}},
		"https://github.com/zed-industries/zed/issues/54804":     {door: "completions", answer: `{"choices":[{"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}]}`, has: []string{`"id":"cmpl-`, `"text":"x"`}},
		"https://github.com/SecretiveShell/MCP-Bridge/issues/48": {door: "chat", answer: `{"choices":[{"finish_reason":"tool_calls","message":{"content":"t","role":"assistant"}},{"finish_reason":"tool_calls","message":{"role":"assistant","tool_calls":[{"function":{"arguments":"{}","name":"f"},"id":"a","type":"function"}]}}],"created":1,"id":"i","model":"c","usage":{"prompt_tokens":4,"total_tokens":10}}`, has: []string{`"object":"chat.completion"`, `"index":0`, `"index":1`}},
		"https://github.com/lich0821/ccNexus/pull/89":            {door: "messages", stream: true, answer: chunksOf(call, strings.Replace(call, `"id":"a"`, `"id":"b"`, 1), calls), has: []string{`"id":"a"`, "content_block_stop", `"id":"b"`, "content_block_stop", `"tool_use"`}},
		// What is counted, and where.
		"https://github.com/sgl-project/sglang/pull/33419":               {door: "messages", stream: true, answer: strings.Replace(chunksOf(hello, stop), "data: [DONE]", `data: {"id":"c","choices":[],`+none+"}\n\ndata: [DONE]", 1), has: []string{data + "message_delta", `"usage":{"input_tokens":4,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":6}`}},
		"https://github.com/tensorzero/tensorzero/issues/5481":           {door: "chat", members: asked, stream: true, claude: true, answer: strings.Replace(own(`,"usage":{"input_tokens":25,"output_tokens":1}`), `"stop_sequence":null}}`, `"stop_sequence":null},"usage":{"output_tokens":15}}`, 1), has: []string{`"prompt_tokens":25`, `"completion_tokens":15`, `"total_tokens":40`}},
		"https://github.com/glidea/claude-worker-proxy/pull/19":          {door: "messages", answer: completionOf(`"message":{"role":"assistant","content":"x"},"finish_reason":"stop"`, ""), has: []string{`"usage":{"input_tokens":`, `"output_tokens":`}},
		"https://github.com/anthropics/anthropic-sdk-python/issues/1806": {door: "messages", stream: true, claude: true, answer: own(""), has: []string{data + "message_start", `"usage":{"input_tokens":0,"output_tokens":0}`, `"text":"x"`, data + "message_delta", `"usage":{"output_tokens":0}`}},
		"https://github.com/earendil-works/pi/issues/6567":               {door: "messages", stream: true, claude: true, answer: own(`,"usage":{"input_tokens":10,"output_tokens":2}`), has: []string{`"usage":{"input_tokens":10,"output_tokens":2}`, data + "message_delta", `"usage":{"output_tokens":2}`}},
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			test.check(t)
		})
	}
}
