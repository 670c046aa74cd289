package failure_test

import (
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// A conversation that is longer than a model takes is one code, whatever its vendor says of it; what only sounds like it is none.
func TestConversationsThatAreTooLong(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		long   bool
	}{
		"openai":              {400, `{"error":{"message":"This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}`, true},
		"openai, responses":   {400, `{"error":{"message":"Your input exceeds the context window of this model. Please adjust your input and try again.","type":"invalid_request_error","param":"input","code":null}}`, true},
		"anthropic":           {400, `{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 213462 tokens > 200000 maximum"}}`, true},
		"anthropic, answer":   {400, "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"input length and `max_tokens` exceed context limit: 186433 + 20000 > 200000, decrease input\"}}", true},
		"vllm":                {400, `{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4000 in the messages, 1000 in the completion).","type":"BadRequestError","param":null,"code":400}`, true},
		"deepseek":            {400, `{"error":{"message":"This model's maximum context length is 65536 tokens. However, you requested 70000 tokens.","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}`, true},
		"qwen":                {400, `{"error":{"message":"<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]","type":"invalid_request_error","param":null,"code":"invalid_parameter_error"}}`, true},
		"mistral":             {400, `{"object":"error","message":"Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length","type":"invalid_request_prompt","code":"3051"}`, true},
		"google":              {400, `[{"error":{"code":400,"message":"The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).","status":"INVALID_ARGUMENT"}}]`, true},
		"xai":                 {400, `{"code":"Client specified an invalid argument","error":"This model's maximum prompt length is 131072 but the request contains 537812 tokens."}`, true},
		"moonshot":            {400, `{"error":{"message":"Invalid request: Your request exceeded model token limit: 8192","type":"invalid_request_error"}}`, true},
		"llama.cpp":           {400, `{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error"}}`, true},
		"minimax":             {400, `{"error":{"type":"bad_request_error","message":"invalid params, context window exceeds limit (2013)"}}`, true},
		"litellm, rewritten":  {400, `{"error":{"message":"litellm.ContextWindowExceededError: litellm.BadRequestError: too many","type":null,"param":null,"code":"400"}}`, true},
		"ollama":              {400, `{"error":{"message":"prompt too long; exceeded max context length by 12 tokens","type":"invalid_request_error","param":null,"code":null}}`, true}, // https://github.com/earendil-works/pi/issues/2626
		"ds4":                 {400, `{"error":{"message":"Prompt has 256468 tokens, but the configured context size is 256000 tokens"}}`, true},                                        // https://github.com/earendil-works/pi/issues/6262
		"glm":                 {400, `{"error":{"code":"1261","message":"Prompt exceeds max length"}}`, true},                                                                           // https://docs.z.ai/api-reference/api-code
		"copilot":             {400, `{"error":{"message":"prompt token count of 142008 exceeds the limit of 128000","code":"model_max_prompt_tokens_exceeded"}}`, true},
		"litellm's own":       {400, `{"error":{"message":"Requested token count exceeds the model's maximum context length of 131072 tokens","code":"400"}}`, true}, // https://github.com/earendil-works/pi/issues/4563
		"amazon's throttling": {429, `{"__type":"ThrottlingException","message":"Too many tokens, please wait before trying again."}`, false},                        // https://github.com/jin-bo/agentao/pull/88
		"a word alone":        {400, `{"error":{"message":"Bad Request","code":"context_length_exceeded"}}`, true},
		"too many a minute":   {429, `{"error":{"message":"Rate limit reached: this model's maximum context length","type":"tokens","code":"rate_limit_exceeded"}}`, false},
		"another request":     {400, `{"error":{"message":"Invalid 'messages[0].name': string too long. Expected a string with maximum length 64","type":"invalid_request_error","param":"messages[0].name","code":"string_above_max_length"}}`, false},
		"a large answer":      {400, `{"error":{"message":"max_tokens is too large: 99999. This model supports at most 4096 completion tokens","type":"invalid_request_error","param":"max_tokens","code":"invalid_value"}}`, false},
		"a broken server":     {500, `{"error":{"message":"system error","code":"SYSTEM_ERROR"}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			reported := wire.ParseRefusal([]byte(c.body))
			f := failure.OfUpstream(c.status, nil, &reported, nil, false, time.Unix(0, 0))
			if (f.Code == wire.CodeContextLength) != c.long || c.long && (f.Class != failure.Fail || f.Status != c.status || f.Message != reported.Message) {
				t.Errorf("%s %d %q of class %s", f.Code, f.Status, f.Message, f.Class)
			}
		})
	}
}
