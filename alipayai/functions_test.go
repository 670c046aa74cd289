package alipayai_test

import "testing"

// A client of the form before tools gets the calls of a provider that has tools alone in its own form.
func TestFunctionsOfOlderClients(t *testing.T) {
	const (
		functions = `"functions":[{"name":"f","parameters":{"type":"object"}}],`
		begin     = `{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}`
		input     = `{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a\":1}"}}`
		end       = `{"type":"content_block_stop","index":0}`
		forTool   = `{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":5}}`
		whole     = `{"id":"m","type":"message","role":"assistant","model":"claude-x","content":[{"type":"tool_use","id":"t","name":"f","input":{"a":1}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":5}}`
	)
	stream := messageEvents(messageStart, begin, input, end, forTool, `{"type":"message_stop"}`)
	for name, test := range map[string]answeredDoor{
		"whole":  {door: "chat", members: functions, claude: true, answer: whole, has: []string{`"function_call":{"name":"f","arguments":"{\"a\":1}"}`, `"finish_reason":"function_call"`}, lacks: "tool_calls"},
		"stream": {door: "chat", members: functions, claude: true, stream: true, answer: stream, has: []string{`"function_call":{"name":"f","arguments":""}`, `"function_call":{"arguments":"{\"a\":1}"}`, `"finish_reason":"function_call"`, "[DONE]"}, lacks: "tool_calls"},
		"a stream without its last event": {
			door: "chat", members: functions, claude: true, stream: true, answer: messageEvents(messageStart, begin, input, end, forTool),
			has: []string{`"function_call":{"arguments":"{\"a\":1}"}`, `"finish_reason":"function_call"`, "[DONE]"}, lacks: "tool_calls",
		},
		"not a stream that was asked for": {
			door: "chat", members: functions, claude: true, stream: false, answer: stream,
			has: []string{`"finish_reason":"function_call"`, `"function_call":{`}, lacks: "tool_calls",
		},
		"a client of tools": {
			door: "chat", members: `"tools":[{"type":"function","function":{"name":"f"}}],`, claude: true, answer: whole,
			has: []string{`"tool_calls":[{`, `"finish_reason":"tool_calls"`}, lacks: "function_call",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.check(t)
		})
	}
}
