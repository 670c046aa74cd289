package translate

// names are those of the members that the formats know, so that each of them is one string.
var names = func(names ...string) map[string]string {
	m := make(map[string]string, len(names))
	for _, name := range names {
		m[name] = name
	}
	return m
}(
	// Requests and answers of chat completions.
	"id", "object", "created", "model", "choices", "index", "message", "delta", "role", "content", "refusal", "reasoning_content",
	"tool_calls", "tool_call_id", "function", "name", "arguments", "type", "finish_reason", "logprobs", "usage", "prompt_tokens",
	"completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details", "cached_tokens", "reasoning_tokens",
	"messages", "stream", "stream_options", "temperature", "top_p", "tools", "tool_choice", "description", "parameters", "strict",
	"max_tokens", "user", "system_fingerprint", "service_tier", "text", "detail", "url", "image_url", "status",
	// Those of the Responses API.
	"input", "instructions", "store", "previous_response_id", "reasoning", "effort", "summary", "include", "metadata",
	"max_output_tokens", "parallel_tool_calls", "truncation", "format", "verbosity", "schema", "call_id", "output", "annotations",
	"prompt_cache_key", "client_metadata",
	// Those of the Messages API.
	"system", "thinking", "budget_tokens", "source", "media_type", "data", "input_schema", "tool_use_id", "is_error",
	"cache_control", "stop_sequences", "signature", "input_tokens", "output_tokens", "stop_reason",
)
