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

// A request that is larger than a limit by itself is none to wait for, nor does it keep others from being sent: another provider
// is asked, and a client gets what a conversation is that is too long. What a limit has no room for just now is waited for.
func TestRequestsThatAreLargerThanALimit(t *testing.T) {
	const openAI = "Request too large for gpt-4o in organization org-abc1234567 on tokens per min (TPM): Limit 30000, Requested 45000. The input or output tokens must be reduced in order to run successfully."
	throttle := []failure.Rule{{Pattern: "rate_limit_exceeded", Class: failure.Throttle}}
	for name, c := range map[string]struct {
		status  int
		message string
		rules   []failure.Rule
		large   bool
	}{
		"openai":                {429, openAI, nil, true},
		"openai, in a 200":      {200, openAI, nil, true},
		"groq":                  {413, "Request too large for model `llama-3.1-8b-instant` in organization `org_01abc234` service tier `on_demand` on tokens per minute (TPM): Limit 6000, Requested 9221, please reduce your message size and try again.", nil, true},
		"of which none is used": {429, "Rate limit reached for model `m` on tokens per minute (TPM): Limit 7000, Used 0, Requested 7895. Please try again in 7.67s.", nil, true},
		"no room just now":      {429, "Rate limit reached for model `m` on tokens per minute (TPM): Limit 6000, Used 5034, Requested 1443. Please try again in 4.77s.", nil, false},
		"as large as it is":     {429, "Limit 6000, Requested 6000", nil, false},
		"written with commas":   {429, "Limit 6,000, Requested 5,999", nil, false},
		"commas, and larger":    {429, "Limit 6,000, Requested 16,001", nil, true},
		"with commas and not":   {429, "Limit: 6,000, Requested: 1443", nil, false},
		"a limit of nothing":    {429, "Limit 0, Requested 7000", nil, false},
		"in thousands":          {429, "Limit 6k, Requested 7k", nil, false},
		"with decimals":         {429, "Limit 6000.5, Requested 6000.7", nil, false},
		"numbers too large":     {429, "Limit 6, Requested 99999999999999999999999", nil, false},
		"a rule of one's own":   {429, openAI, throttle, false},
	} {
		t.Run(name, func(t *testing.T) {
			reported := wire.Failure{Code: "rate_limit_exceeded", Type: "tokens", Message: c.message}
			f := failure.OfUpstream(c.status, nil, &reported, c.rules, false, time.Unix(0, 0))
			if !c.large {
				if f.Class != failure.Throttle || f.UnsupportedHere || f.Code != "rate_limit_exceeded" {
					t.Errorf("%s of class %s, another provider: %t", f.Code, f.Class, f.UnsupportedHere)
				}
				return
			}
			if f.Class != failure.Fail || f.Code != wire.CodeContextLength || f.Status != 413 || f.RetryAfter != 0 || !f.FallsOver() {
				t.Errorf("%d %s of class %s, after %v, another provider: %t", f.Status, f.Code, f.Class, f.RetryAfter, f.FallsOver())
			}
		})
	}
}
