package failure_test

import (
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// TestAnsweredFailures has what vendors and gateways have answered in 2025 and 2026: whose failure it is, what a client sees where no other
// provider is there, whether another one is asked, and whether it may have cost something.
func TestAnsweredFailures(t *testing.T) {
	const (
		spark    = "https://www.xfyun.cn/doc/spark/接口说明.html"
		ucloud   = "https://github.com/UCloudDoc-Team/modelverse/blob/main/api_doc/common/error-code.md"
		higress  = "https://github.com/higress-group/higress/blob/main/plugins/wasm-go/extensions/ai-quota/main.go"
		alone    = "https://github.com/apache/rocketmq-dashboard/issues/2178"
		envoy    = "https://github.com/vllm-project/aibrix/issues/1103"
		connect  = "upstream connect error or disconnect/reset before headers. "
		raw      = "https://github.com/ollama/ollama/issues/17638"
		cerebras = "https://github.com/nminaya/grammar-nazi-bot/issues/956"
	)
	for name, test := range map[string]struct {
		source  string
		profile string
		status  int
		body    string
		class   failure.Class
		shown   int
		charged bool
		// one says that no other provider is asked.
		one bool
	}{
		// An error that has nothing but a message, under a success.
		"alone, a quota":               {alone, "", 200, `{"error":{"message":"quota exceeded"}}`, failure.AccountExhausted, 502, false, false},
		"alone, OpenAI's quota":        {"https://github.com/just-every/code/issues/42", "", 200, `{"error":{"message":"You exceeded your current quota, please check your plan and billing details."}}`, failure.AccountExhausted, 502, false, false},
		"alone, a plan":                {"https://github.com/mnfst/llm-gateway/issues/2709", "", 200, `{"error":"you've reached your weekly usage limit, upgrade for higher limits"}`, failure.AccountExhausted, 502, false, false},
		"alone, credits":               {alone, "", 200, `{"error":{"message":"Insufficient credits"}}`, failure.AccountExhausted, 502, false, false},
		"alone, a limit":               {"https://github.com/microsoft/vscode-copilot-release/issues/5175", "", 200, `{"error":"rate limit exceeded, please try again later"}`, failure.Throttle, 429, false, false},
		"alone, too many":              {"https://github.com/anomalyco/opencode/issues/430", "", 200, `{"error":{"message":"Too Many Requests"}}`, failure.Throttle, 429, false, false},
		"alone, a key":                 {alone, "", 200, `{"error":{"message":"Incorrect API key provided: sk-x"}}`, failure.RefreshToken, 502, false, false},
		"alone, too long":              {alone, "", 200, `{"error":{"message":"This model's maximum context length is 4096 tokens"}}`, failure.Fail, 400, false, true},
		"alone, the model":             {alone, "", 200, `{"error":{"message":"model 'llama3' not found, try pulling it first"}}`, failure.Fail, 404, false, true},
		"alone, its contents":          {"https://github.com/666ghj/BettaFish/issues/108", "", 200, `{"error":{"message":"Content Exists Risk"}}`, failure.Blocked, 403, false, true},
		"alone, another fault":         {"https://github.com/decolua/9router/issues/3242", "", 200, `{"error":{"message":"engine stream outcome=exhausted reason=invalid: model call unauthorized"}}`, failure.Retry, 503, true, false},
		"alone, what a client has put": {alone, "", 200, `{"error":{"message":"cannot render 'prompt is too long'"}}`, failure.Retry, 503, true, false},

		// Accounts, under the status of a bad request, of a permission or of a limit.
		"Command Code, credits":       {"https://github.com/diegosouzapw/OmniRoute/pull/10116", "", 400, `{"error":{"message":"You have insufficient credits to make this request. Please purchase more credits to continue using the service."}}`, failure.AccountExhausted, 502, false, false},
		"Z-Image, credits":            {"https://github.com/Tongyi-MAI/Z-Image/issues/44", "", 400, `{"code":400,"message":"Insufficient credits. Please top up."}`, failure.AccountExhausted, 502, false, false},
		"TokenHub, its trial":         {"https://github.com/experientiallabs/experiential/pull/745", "", 402, `{"error":{"code":401008,"message":"free trial quota exhausted and postpaid billing is not enabled"}}`, failure.AccountExhausted, 502, false, false},
		"Higress, no quota":           {higress, "", 403, `Request denied by ai quota check, No quota left`, failure.AccountExhausted, 502, false, false},
		"Higress, a consumer's":       {higress, "", 403, `Request denied by ai quota check, ai-quota.noquota: consumer quota exhausted`, failure.AccountExhausted, 502, false, false},
		"Higress, no token":           {higress, "", 403, `Request denied by ai quota check, No token left`, failure.AccountExhausted, 502, false, false},
		"Higress, a quota":            {higress, "", 403, `{"code":"ai-gateway.noquota","message":"Request denied by ai quota check, insufficient quota. Required: 1, Remaining: 0","success":false}`, failure.AccountExhausted, 502, false, false},
		"Higress, no key":             {"https://github.com/higress-group/higress/issues/3141", "", 403, `Request denied by ai quota check. No Key Authentication information found.`, failure.Fail, 502, false, false},
		"another policy":              {"as policies of other gateways say it", "", 403, `Request denied by policy enforcement.`, failure.Fail, 403, false, true},
		"a key left out":              {"as servers of Express say it", "", 401, `{"message":"Not authorized, no token"}`, failure.RefreshToken, 502, false, false},
		"xAI, a free plan":            {"https://github.com/Wei-Shaw/sub2api/issues/4568", "", 429, `{"code":"subscription:free-usage-exhausted","error":"You've used all the included free usage for model grok-4.5-build-free for now. Usage resets over a rolling 24-hour window - tokens (actual/limit): 1065554/1000000."}`, failure.AccountExhausted, 502, false, false},
		"xAI, a spending limit":       {"https://github.com/NousResearch/hermes-agent/issues/26847", "", 403, `{"code":"personal-team-blocked:spending-limit","error":"You have run out of credits or need a Grok subscription. Add credits at https://grok.com/?_s=usage"}`, failure.AccountExhausted, 502, false, false},
		"xAI, a permission":           {"https://github.com/lingxiaoyiyu-hub/grok-register-win/issues/4", "", 403, `{"code":"permission-denied","error":"Access to the chat endpoint is denied. Please ensure you're using the correct credentials."}`, failure.Fail, 502, false, false},
		"a gateway before OpenRouter": {"https://github.com/anomalyco/opencode/issues/24462", "", 429, `{"error":{"message":"Error from provider: Provider returned error","code":429,"metadata":{"raw":"{\"error\":{\"message\":\"Your account org-446a70bb2cc542e3 is suspended due to insufficient balance, please recharge your account\",\"type\":\"exceeded_current_quota_error\"}}"}}}`, failure.AccountExhausted, 502, false, false},
		"UCloud, the model":           {ucloud, "", 400, `{"error":{"type":"invalid_request_error","code":"model_error","message":"No permission to use the model"}}`, failure.Fail, 502, false, false},
		"OpenRouter, its credits":     {"https://github.com/open-assistant-org/open-assistant/issues/80", "openrouter", 402, `{"error":{"message":"Insufficient credits. Add more using https://openrouter.ai/settings/credits","code":402,"metadata":{"limit_source":"openrouter_credits"}}}`, failure.AccountExhausted, 502, false, false},
		"new-api, a user's quota":     {"https://github.com/Alishahryar1/free-claude-code/issues/1543", "", 403, `{"error":{"message":"User's credit limit is insufficient","type":"api_error","code":"insufficient_user_quota"}}`, failure.AccountExhausted, 502, false, false},
		"Copilot, a quota":            {"https://github.com/microsoft/vscode-copilot-release/issues/13468", "", 429, `{"error":{"message":"You have no quota","code":"quota_exceeded"}}`, failure.AccountExhausted, 502, false, false},
		"a field, of a client's":      {"https://github.com/amrit110/oli/issues/7", "", 400, `{"error":{"message":"insufficient balance: Extra inputs are not permitted"}}`, failure.Fail, 400, false, true},
		"a sentence of a client's":    {"https://github.com/anthropics/claude-code/issues/4378", "", 400, `{"error":{"message":"insufficient credits is not one of user, system"}}`, failure.Fail, 400, false, true},

		// What a model has written, quoted.
		"Ollama, of a model":   {raw, "", 200, `{"error":"error parsing tool call: raw='The model m does not exist', err=invalid character 'T'"}`, failure.Retry, 503, true, false},
		"Ollama, of a length":  {raw, "", 200, `{"error":"error parsing tool call: raw='{\"message\":\"the prompt is too long\"} x', err=invalid character 'x'"}`, failure.Retry, 503, true, false},
		"Ollama, of a balance": {raw, "", 500, `{"error":{"message":"error parsing tool call: raw='{\"message\":\"insufficient balance\"} x', err=invalid character 'x'"}}`, failure.Retry, 500, true, false},

		// Limits.
		"SiliconFlow, tokens":     {"https://github.com/AIDotNet/OpenDeepWiki/issues/269", "", 429, `{"message":"Request was rejected due to rate limiting. Details: TPM limit reached.","data":null}`, failure.Throttle, 429, false, false},
		"SiliconFlow, an hour":    {"https://github.com/jxq1997216/AITranslator/issues/32", "", 429, `{"message":"Request was rejected due to rate limiting. Details: RPH limit reached.","data":null}`, failure.Throttle, 429, false, false},
		"Meta's Llama API":        {"https://github.com/meta-llama/llama-models/issues/354", "", 429, `{"title":"Too Many Requests","detail":"You have exceeded the maximum number of tokens allowed within a given time frame. Wait a bit and try again.","status":429}`, failure.Throttle, 429, false, false},
		"Cerebras, without error": {cerebras, "", 429, `{"message":"Requests per minute limit exceeded - too many requests sent.","type":"too_many_requests_error","param":"quota","code":"request_quota_exceeded"}`, failure.Throttle, 429, false, false},
		"Cerebras, tokens":        {"https://github.com/continuedev/continue/issues/9800", "", 429, `"Tokens per minute limit exceeded - too many tokens processed."`, failure.Throttle, 429, false, false},
		"LiteLLM, no deployment":  {"https://github.com/BerriAI/litellm/issues/20867", "", 429, `{"error":{"message":"No deployments available for selected model, Try again in 5 seconds. Passed model=m.","type":"None","param":"None","code":"429"}}`, failure.Throttle, 429, false, false},
		"OpenRouter, a worker":    {"https://github.com/perminder-klair/subwave/issues/671", "openrouter", 429, `{"error":{"message":"Upstream error from Nvidia: ResourceExhausted: Worker local total request limit reached (32/32)","code":429}}`, failure.Throttle, 429, false, false},
		"Mistral, its tier":       {"https://github.com/continuedev/continue/issues/6185", "mistral", 429, `{"object":"error","message":"Service tier capacity exceeded for this model.","type":"invalid_request_error","param":null,"code":null}`, failure.Throttle, 429, false, false},
		"Mistral, a rate":         {"https://github.com/cline/cline/issues/9085", "mistral", 429, `{"object":"error","message":"Rate limit exceeded","type":"rate_limited","param":null,"code":"1300"}`, failure.Throttle, 429, false, false},
		"LightLLM, busy":          {"https://github.com/ModelTC/LightLLM/pull/1441", "", 429, `{"error":{"message":"server busy","type":"RateLimitError","code":429}}`, failure.Throttle, 429, false, false},
		"Qwen, an account's":      {"https://github.com/anomalyco/opencode/issues/23722", "qwen", 429, `{"error":{"message":"You exceeded your current quota, please check your plan and billing details. For details, see: https://help.aliyun.com/zh/model-studio/error-code#token-limit","code":"insufficient_quota"}}`, failure.Throttle, 429, false, false},
		"a limit as a request":    {alone, "", 400, `{"error":{"message":"Rate limit exceeded"}}`, failure.Throttle, 429, false, false},
		"Kimi, its engine":        {"https://github.com/MoonshotAI/kimi-cli/issues/2571", "moonshot", 429, `{"error":{"message":"The engine is currently overloaded, please try again later","type":"engine_overloaded_error"}}`, failure.Retry, 429, false, false},

		// iFlytek's Spark, whose numbers count beside its sid.
		"Spark, what is asked":      {spark, "", 200, `{"code":10013,"message":"输入内容审核不通过","sid":"cha000b0001@dx"}`, failure.Blocked, 403, false, true},
		"Spark, what is said":       {spark, "", 200, `{"code":10014,"message":"m","sid":"cha"}`, failure.Blocked, 403, false, true},
		"Spark, in an error":        {spark, "", 200, `{"error":{"code":"10013","message":"m","type":"invalid_request_error"},"sid":"cha"}`, failure.Blocked, 403, false, true},
		"Spark, calls at once":      {spark, "", 200, `{"code":10007,"message":"m","sid":"cha"}`, failure.Throttle, 429, false, false},
		"Spark, a second":           {spark, "", 200, `{"code":11202,"message":"m","sid":"cha"}`, failure.Throttle, 429, false, false},
		"Spark, a grant":            {spark, "", 200, `{"code":11200,"message":"m","sid":"cha"}`, failure.AccountExhausted, 502, false, false},
		"Spark, too long":           {spark, "", 200, `{"code":10907,"message":"m","sid":"cha"}`, failure.Fail, 400, false, true},
		"Spark, a parameter":        {spark, "", 200, `{"code":10163,"message":"m","sid":"cha"}`, failure.Fail, 400, false, true},
		"Spark, its engine":         {spark, "", 200, `{"code":10012,"message":"m","sid":"cha"}`, failure.Retry, 500, true, false},
		"Spark, busy":               {spark, "", 200, `{"code":10110,"message":"m","sid":"cha"}`, failure.Retry, 503, true, false},
		"somebody else's number":    {spark, "", 200, `{"code":10013,"message":"m"}`, failure.Fail, 502, true, true},
		"a sid that is none":        {spark, "", 200, `{"code":10013,"message":"m","sid":""}`, failure.Fail, 502, true, true},
		"another number of a sid's": {spark, "", 200, `{"code":19999,"message":"m","sid":"cha"}`, failure.Fail, 502, true, true},

		// What was never served, and what was served and could not be given.
		"Envoy, no backend":        {"https://github.com/vllm-project/semantic-router/issues/275", "", 503, `no healthy upstream`, failure.Retry, 503, false, false},
		"Envoy, no connection":     {envoy, "", 503, connect + `reset reason: remote connection failure, transport failure reason: delayed connect error: 111`, failure.Retry, 503, false, false},
		"Envoy, the last of some":  {envoy, "", 503, connect + `retried and the latest reset reason: remote connection failure, transport failure reason: delayed connect error: 111`, failure.Retry, 503, true, false},
		"Envoy, too many":          {envoy, "", 503, connect + `reset reason: overflow`, failure.Retry, 503, false, false},
		"Envoy, a connection ends": {envoy, "", 503, connect + `reset reason: connection termination`, failure.Retry, 503, true, false},
		"Kong, no backend":         {"https://github.com/Kong/kong/blob/master/kong/runloop/balancer/init.lua", "", 503, `{"message":"failure to get a peer from the ring-balancer"}`, failure.Retry, 503, false, false},
		"llama.cpp, loading":       {"https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md", "", 503, `{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}`, failure.Retry, 503, false, false},
		"llama.cpp, its history":   {"https://github.com/am17an/llama.cpp/issues/43", "", 500, `{"error":{"code":500,"message":"Failed to parse tool call arguments as JSON: [json.exception.parse_error.101] parse error","type":"server_error"}}`, failure.Fail, 400, false, true},
		"llama.cpp, by LiteLLM":    {"https://github.com/vxcontrol/pentagi/issues/313", "", 500, `{"error":{"code":"500","message":"litellm.InternalServerError: InternalServerError: Custom_openaiException - Failed to parse tool call arguments as JSON: [json.exception.parse_error.101]"}}`, failure.Fail, 400, false, true},
		"llama.cpp, its answer":    {"https://github.com/ggml-org/llama.cpp/issues/23838", "", 500, `{"error":{"code":500,"message":"Failed to parse input at pos 395: <|tool_call_start|>[f()]<|tool_call_end|>","type":"server_error"}}`, failure.Retry, 500, true, false},
		"Command Code, a fault":    {"https://github.com/CommandCodeAI/command-code/issues/785", "", 500, `{"success":false,"error":{"code":"INTERNAL_SERVER_ERROR","status":500,"message":"An unexpected error occurred. Please try again later."}}`, failure.Retry, 500, true, false},

		// Filters, keys, and requests.
		"UCloud, its contents":    {ucloud, "", 400, `{"error":{"type":"invalid_request_error","code":"invalid_messages","message":"Sensitive chat messages"}}`, failure.Blocked, 400, false, true},
		"UCloud, a check":         {ucloud, "", 400, `{"error":{"type":"invalid_request_error","code":"sensitive_check_error","message":"Sensitive check error"}}`, failure.Blocked, 400, false, true},
		"UCloud, a key":           {ucloud, "", 401, `{"error":{"type":"invalid_request_error","code":"auth_error","message":"Validate Certification failed"}}`, failure.RefreshToken, 502, false, false},
		"UCloud, too late":        {ucloud, "", 504, `{"error":{"type":"timeout","code":"gateway_timeout_error","message":"Gateway timeout"}}`, failure.Retry, 504, true, false},
		"Qwen, a parameter":       {"https://github.com/liliMozi/openhanako/issues/2402", "qwen", 400, `{"error":{"code":"invalid_parameter_error","param":null,"message":"max_completion_tokens [16384] must be greater than thinking_budget [32768]","type":"invalid_request_error"}}`, failure.Fail, 400, false, true},
		"Amazon, a parameter":     {"https://github.com/charmbracelet/crush/issues/946", "", 400, `{"message":"The maximum tokens you requested exceeds the model limit of 32768"}`, failure.Fail, 400, false, true},
		"Aihubmix, a key":         {"https://github.com/lobehub/lobehub/issues/6038", "", 401, `{"error":{"message":"无效的令牌 (request id: 2025021200191425407684736948909)","type":"Aihubmix_api_error"}}`, failure.RefreshToken, 502, false, false},
		"MiniMax, two systems":    {"https://github.com/can1357/oh-my-pi/pull/954", "", 400, `{"type":"error","error":{"type":"bad_request_error","message":"invalid params, invalid chat setting (2013)"}}`, failure.Fail, 400, false, true},
		"MiniMax, what it says":   {"https://github.com/MiniMax-AI/cli/pull/256", "", 200, `{"choices":null,"base_resp":{"status_code":1027,"status_msg":"output new_sensitive"}}`, failure.Blocked, 403, false, true},
		"MiniMax, under 500":      {"https://github.com/router-for-me/CLIProxyAPI, sdk/api/handlers", "", 500, `{"type":"error","error":{"type":"api_error","message":"input new_sensitive (1026)"},"request_id":"r"}`, failure.Blocked, 403, false, true},
		"MiniMax, a picture":      {"https://github.com/router-for-me/CLIProxyAPI, sdk/api/handlers", "", 500, `{"type":"error","error":{"type":"api_error","message":"input new_sensitive, messages[2]'s content[1] image is sensitive, please check your input (1026)"}}`, failure.Blocked, 403, false, true},
		"MiniMax, an event":       {"https://github.com/NousResearch/hermes-agent/issues/32421", "", 200, `{"type":"error","error":{"type":"api_error","message":"output new_sensitive (1027)"}}`, failure.Blocked, 403, false, true},
		"MiniMax, an entity":      {"https://github.com/NousResearch/hermes-agent/pull/37851", "", 422, `{"type":"error","error":{"type":"unprocessable_entity_error","message":"input new_sensitive (1026)","http_code":"422"}}`, failure.Blocked, 422, false, true},
		"MiniMax, a fault":        {"https://github.com/continuedev/continue/issues/11733", "", 500, `{"type":"error","error":{"type":"api_error","message":"unknown error, 999 (1000)"}}`, failure.Retry, 500, true, false},
		"new-api, its words":      {"https://github.com/NousResearch/hermes-agent/pull/100113", "", 500, `{"error":{"message":"sensitive words detected (request id: 2)","type":"agent_router_api_error"}}`, failure.Blocked, 403, false, true},
		"new-api, a user's words": {"https://github.com/NousResearch/hermes-agent/pull/100113", "", 500, `{"error":{"message":"user sensitive words detected","type":"new_api_error","code":""}}`, failure.Blocked, 403, false, true},
		"Anthropic, under 500":    {"https://github.com/anthropics/claude-code/issues/58367", "", 500, `{"type":"error","error":{"type":"api_error","message":"Output blocked by content filtering policy"}}`, failure.Blocked, 403, false, true},
		"words of a client's":     {"https://github.com/NousResearch/hermes-agent/pull/100113", "", 500, `{"error":{"message":"failed at 'sensitive words detected'","type":"server_error"}}`, failure.Retry, 500, true, false},
		"Google, a block":         {"https://ai.google.dev/gemini-api/docs/api-errors", "", 200, `{"error":{"code":"content_blocked","message":"m"}}`, failure.Blocked, 403, false, true},
		"Google, a language":      {"https://ai.google.dev/gemini-api/docs/api-errors", "", 400, `{"error":{"code":"language","message":"m"}}`, failure.Blocked, 400, false, true},
		"StepFun, its contents":   {"https://platform.stepfun.com/docs", "", 451, `{"error":{"message":"The content you provided or machine outputted is blocked.","type":"censorship_blocked"}}`, failure.Blocked, 451, false, true},
		"StepFun, an event":       {"https://platform.stepfun.com/docs", "", 200, `{"error":{"message":"The content you provided or machine outputted is blocked.","type":"censorship_blocked"}}`, failure.Blocked, 403, false, true},
		"OpenRouter, in a stream": {"https://github.com/use-agent-os/agent-os/pull/2608", "openrouter", 200, `{"error":{"code":502,"message":"m"}}`, failure.Retry, 502, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := answered(t, test.profile, test.status, test.body)
			charged := f.MayHaveExecuted() && !f.RefusedUnread()
			if f.Class != test.class || f.Status != test.shown || charged != test.charged || f.FallsOver() == test.one {
				t.Errorf("%s: class %s, status %d, charged: %t, another is asked: %t; want %s, %d, %t, %t", test.source,
					f.Class, f.Status, charged, f.FallsOver(), test.class, test.shown, test.charged, !test.one)
			}
		})
	}
}

// What was generated, and could not be read, is not asked for again where it was.
func TestUnreadableAnswersAreNotAskedForAgain(t *testing.T) {
	for message, final := range map[string]bool{
		"Failed to parse input at pos 184: <tool_call>":                                         true, // https://github.com/pwilkin/llama.cpp/issues/5
		"litellm.InternalServerError: OpenAIException - Failed to parse input at pos 1360: <x>": true,
		"the client said: Failed to parse input at pos 1":                                       false,
		"Failed to parse grammar":                                                               false,
	} {
		f := failure.OfUpstream(500, nil, &wire.Failure{Code: "500", Type: "server_error", Message: message}, nil, false, time.Unix(0, 0))
		if f.Final != final || f.Class != failure.Retry || !f.MayHaveExecuted() {
			t.Errorf("%s: final %t, class %s", message, f.Final, f.Class)
		}
	}
}
