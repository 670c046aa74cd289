package failure_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// TestReportedFailures has what users report of vendors whose status or code says something else than is meant: a limit under a
// permission, a fault of the vendor's under a bad request, a bad request under a fault or a success, an account under any of them.
func TestReportedFailures(t *testing.T) {
	const (
		noChannel = `{"error":{"message":"No available channels for model gpt-5 in group default (request id: 20250927)","type":"new_api_error"}}`
		zen       = `Error from provider (Console): Upstream request failed`
		served    = "https://github.com/ENTERPILOT/GoModel/pull/607"
	)
	for name, test := range map[string]struct {
		source  string
		profile string
		status  int
		body    string
		class   failure.Class
		shown   int
		// what else holds: that the account is meant, that nothing is served for now, that the conversation is too long, that it may
		// have executed, that another provider is asked
		account, unserved, long, charged, on bool
	}{
		"Kimi, calls at once":          {source: "https://github.com/Wei-Shaw/sub2api/issues/6955", profile: "moonshot", status: 403, body: `{"error":{"message":"You've reached your concurrent request limit. Please wait for your ongoing requests to finish and try again.","type":"permission_error"},"type":"error"}`, class: failure.Throttle, shown: 429, on: true},
		"Kimi, a permission":           {source: "https://github.com/MoonshotAI/kimi-code/issues/413", profile: "moonshot", status: 403, body: `{"error":{"message":"Your plan has no concurrent sessions","type":"permission_error"}}`, class: failure.Fail, shown: 502, account: true, on: true},
		"MiMo, too often":              {source: "https://github.com/diegosouzapw/OmniRoute/pull/4986", status: 400, body: `{"error":{"message":"Detected high-frequency non-compliant requests from you.","code":"400"}}`, class: failure.Throttle, shown: 429, on: true},
		"DeepSeek, by its balance":     {source: "https://github.com/tarigelamin1997/jobfetcher/pull/42", profile: "deepseek", status: 429, body: `{"error":{"message":"Your current concurrency is 40, which exceeds your concurrency limit of 39 based on your remaining balance. Please top up your balance to restore your concurrency."}}`, class: failure.Throttle, shown: 429, on: true},
		"Qwen, in place of an answer":  {source: "packages/core/src/core/openaiContentGenerator/pipeline.ts of QwenLM/qwen-code", profile: "qwen", status: 200, body: `{"error":{"code":"error_finish","message":"Throttling: TPM(10/10)"}}`, class: failure.Throttle, shown: 429, on: true},
		"Amazon, in place of one":      {source: "https://github.com/ranxianglei/billion-context-pi/issues/169", status: 200, body: `{"error":{"code":"error_finish","message":"{\"message\":\"Too many tokens, please wait before trying again.\"}"}}`, class: failure.Throttle, shown: 429, on: true},
		"an answer that ends in error": {source: "https://github.com/ranxianglei/billion-context-pi/issues/169", status: 200, body: `{"error":{"code":"error_finish","message":"m"}}`, class: failure.Retry, shown: 503, charged: true, on: true},
		"Baidu, RPM":                   {source: "https://cloud.baidu.com/doc/WENXINWORKSHOP/s/hlzic283e", status: 200, body: `{"code":336501,"msg":"Rate limit reached for RPM"}`, class: failure.Throttle, shown: 429, on: true},
		"Baidu, RPM as error_code":     {source: "https://cloud.baidu.com/doc/WENXINWORKSHOP/s/hlzic283e", status: 200, body: `{"error_code":336501,"error_msg":"Rate limit reached for RPM"}`, class: failure.Throttle, shown: 429, on: true},
		"Baidu, another rate":          {source: "https://cloud.baidu.com/doc/WENXINWORKSHOP/s/hlzic283e", status: 200, body: `{"error_code":336503,"error_msg":"m"}`, class: failure.Throttle, shown: 429, on: true},
		"Baidu, no code of theirs":     {source: "https://cloud.baidu.com/doc/WENXINWORKSHOP/s/hlzic283e", status: 200, body: `{"code":3365010,"msg":"m"}`, class: failure.Fail, shown: 502, charged: true},
		"Baidu, RPM in words":          {source: "https://cloud.baidu.com/doc/WENXINWORKSHOP/s/cm79w0mjf", status: 200, body: `{"code":"rpm_rate_limit_exceeded","msg":"Rate limit reached for RPM"}`, class: failure.Throttle, shown: 429, on: true},

		"Anthropic, extra usage":      {source: "https://github.com/NousResearch/hermes-agent/pull/11736", profile: "anthropic", status: 400, body: `{"type":"error","error":{"type":"invalid_request_error","message":"You're out of extra usage. Add more at claude.ai/settings/usage and keep going."}}`, class: failure.AccountExhausted, shown: 502, account: true, on: true},
		"Novita, its quota":           {source: "https://github.com/experientiallabs/experiential/pull/993", status: 400, body: `{"code":0,"message":"Insufficient quota available for instant inference. trace_id: 0123","type":"invalid_request_error"}`, class: failure.AccountExhausted, shown: 502, account: true, on: true},
		"a gateway, its quota":        {source: "https://github.com/14790897/MiqroForge-Desktop/issues/1190", status: 429, body: `{"error":{"message":"Token quota exhausted, please contact the administrator","code":"consumer_token_quota_exceeded","type":"quota_exceeded"}}`, class: failure.AccountExhausted, shown: 502, account: true, on: true},
		"Spark, no grant":             {source: "https://github.com/log159/LogChat/issues/2", status: 200, body: `{"code":11200,"message":"AppIdNoAuthError:(21:00:00.909) tokens.total","sid":"cht000b5e72"}`, class: failure.AccountExhausted, shown: 502, account: true, on: true},
		"Google, what it may not say": {source: "https://github.com/googleapis/js-genai/issues/1973", profile: "google", status: 200, body: `{"error":{"code":"prohibited_content","message":"The input was blocked by the content filter."}}`, class: failure.Blocked, shown: 403},
		"Anthropic, credits":          {source: "https://github.com/code-yeongyu/senpi/pull/484", profile: "anthropic", status: 429, body: `{"type":"error","error":{"type":"rate_limit_error","message":"Usage credits are required for this model.","details":{"error_code":"credits_required"}}}`, class: failure.AccountExhausted, shown: 502, account: true, on: true},
		"Workers AI, the account":     {source: "https://github.com/cloudflare/cloudflare-docs/pull/19677", status: 403, body: `{"errors":[{"message":"AiError: The account is not allowed to access this model","code":5018}],"success":false}`, class: failure.Fail, shown: 502, account: true, on: true},
		"Workers AI, its terms":       {source: "https://github.com/cloudflare/cloudflare-docs/pull/19677", status: 403, body: `{"errors":[{"message":"AiError: AiError: User has not agreed to Llama3.2 model terms","code":5016}],"success":false}`, class: failure.Fail, shown: 502, account: true, on: true},
		"Workers AI, no route":        {source: "https://github.com/anomalyco/opencode/issues/23773", status: 404, body: `{"success":false,"errors":[{"code":7003,"message":"Could not route to /client/v4/accounts/cfut_lEnKhf2dKKb4x7saUeADGx/ai/v1/chat/completions, perhaps your object identifier is invalid?"}]}`, class: failure.Fail, shown: 404, on: true},
		"a key without the model":     {source: "https://github.com/open-ace/open-ace/pull/2003", status: 400, body: `{"error":{"message":"Model glm-5 is not available for this API key"}}`, class: failure.Fail, shown: 502, account: true, on: true},
		"Baidu, no permission":        {source: "https://ai.baidu.com/ai-doc/WENXINWORKSHOP/tlmyncueh", status: 200, body: `{"error_code":6,"error_msg":"No permission to access data"}`, class: failure.Fail, shown: 502, account: true, on: true},

		"NVIDIA, degraded":           {source: "https://github.com/tashfeenahmed/freellmapi/issues/522", status: 400, body: `{"status":400,"title":"Bad Request","detail":"Function id '3b9748d8-1d85-40e8-8573-0eeaa63a4b63': DEGRADED function cannot be invoked"}`, class: failure.Retry, shown: 503, unserved: true, on: true},
		"LM Studio, not loaded":      {source: "https://github.com/continuedev/continue/issues/10150", status: 400, body: `{"error":"Failed to load model \"gpt-oss-20b\". Error: Error loading model."}`, class: failure.Retry, shown: 503, unserved: true, on: true},
		"LM Studio, crashed":         {source: "https://github.com/aaif-goose/goose/issues/4549", status: 400, body: `{"error":"The model has crashed without additional information. (Exit code: 18446744072635812000). Error Data: n/a"}`, class: failure.Retry, shown: 502, charged: true, on: true},
		"Zen, behind it":             {source: served, status: 400, body: `{"error":{"message":"` + zen + `","type":"invalid_request_error"}}`, class: failure.Retry, shown: 502, charged: true, on: true},
		"Zen, behind it, by itself":  {source: served, status: 400, body: `{"error":{"message":"Upstream request failed."}}`, class: failure.Retry, shown: 502, charged: true, on: true},
		"Zen, of the request":        {source: "https://github.com/anomalyco/opencode/issues/43593", status: 400, body: `{"error":{"message":"` + zen + `: [invalid_request_error] This request requires an end-user identifier.","type":"invalid_request_error"}}`, class: failure.Fail, shown: 400},
		"embercloud, behind it":      {source: "https://github.com/theopenco/llmgateway/pull/3012", status: 400, body: `{"error":{"message":"Temporary routing error (400)."}}`, class: failure.Retry, shown: 502, charged: true, on: true},
		"new-api, no channel":        {source: "https://github.com/a37836323/-chatgpt4.0-api-key/issues/2", status: 503, body: noChannel, class: failure.Retry, shown: 503, unserved: true, on: true},
		"one-api, no model":          {source: "https://github.com/songquanpeng/one-api/issues/2340", status: 503, body: `{"error":{"message":"当前分组 default 下对于模型  无可用渠道 (request id: 2025121521151664761470129816750)","type":"one_api_error"}}`, class: failure.Retry, shown: 503, unserved: true, on: true},
		"somebody else's no channel": {source: "https://github.com/a37836323/-chatgpt4.0-api-key/issues/2", status: 503, body: strings.Replace(noChannel, "new_api_error", "server_error", 1), class: failure.Retry, shown: 503, charged: true, on: true},
		"Baidu, no app":              {source: "https://ai.baidu.com/ai-doc/WENXINWORKSHOP/tlmyncueh", status: 200, body: `{"error_code":15,"error_msg":"app not exists or create failed"}`, class: failure.Retry, shown: 503, charged: true, on: true},

		"llama.cpp, too long":       {source: "https://github.com/ggml-org/llama.cpp/pull/15780", status: 500, body: `{"error":{"code":500,"message":"the request exceeds the available context size. try increasing the context size or enable context shift","type":"exceed_context_size_error","n_prompt_tokens":1407,"n_ctx":256}}`, class: failure.Fail, shown: 400, long: true},
		"llama.cpp, in a success":   {source: "https://github.com/oobabooga/textgen/issues/7257", status: 200, body: `{"error":{"code":400,"message":"m","type":"exceed_context_size_error"}}`, class: failure.Fail, shown: 400, long: true},
		"llama.cpp, another fault":  {source: "https://github.com/ggml-org/llama.cpp/pull/15780", status: 500, body: `{"error":{"code":500,"message":"m","type":"server_error"}}`, class: failure.Retry, shown: 500, charged: true, on: true},
		"Baidu, a parameter":        {source: "https://github.com/baidubce/bce-qianfan-sdk/issues/576", status: 200, body: `{"error_code":336003,"error_msg":"function_call's name can't be blank"}`, class: failure.Fail, shown: 400},
		"Baidu, a permission":       {source: "python/qianfan/consts.py of baidubce/bce-qianfan-sdk", status: 200, body: `{"error_code":336004,"error_msg":"m"}`, class: failure.Fail, shown: 502, account: true, on: true},
		"Baidu, another permission": {source: "python/qianfan/consts.py of baidubce/bce-qianfan-sdk", status: 200, body: `{"code":336004,"msg":"m"}`, class: failure.Fail, shown: 502, account: true, on: true},
		"Baidu, the messages":       {source: "https://github.com/baidubce/bce-qianfan-sdk/issues/866", status: 200, body: `{"code":336006,"msg":"the length of messages must be an odd number"}`, class: failure.Fail, shown: 400},
		"Baidu, too long":           {source: "https://cloud.baidu.com/doc/qianfan-api/s/Om9b4yj3w", status: 200, body: `{"error_code":336103,"error_msg":"the max input characters is 11200"}`, class: failure.Fail, shown: 400, long: true},
		"Baidu, too long in words":  {source: "https://cloud.baidu.com/doc/qianfan-api/s/Om9b4yj3w", status: 400, body: `{"error":{"code":"characters_too_long","message":"m","type":"invalid_request_error"}}`, class: failure.Fail, shown: 400, long: true},
		"Baidu's own fault":         {source: "https://ai.baidu.com/ai-doc/BML/Hkhzv1j2k", status: 200, body: `{"code":336000,"msg":"Internal error"}`, class: failure.Retry, shown: 500, charged: true, on: true},
	} {
		t.Run(name, func(t *testing.T) {
			f, reported := answered(t, test.profile, test.status, test.body)
			if f.Class != test.class || f.Status != test.shown || f.FallsOver() != test.on {
				t.Errorf("%s: class %s, status %d, another is asked: %t; want %s, %d, %t", test.source, f.Class, f.Status, f.FallsOver(), test.class, test.shown, test.on)
			}
			if hidden := f.Message != reported.Message; test.account != (hidden && f.Status == http.StatusBadGateway) {
				t.Errorf("%s: a client sees %d %q", test.source, f.Status, f.Message)
			}
			if f.Unserved != test.unserved || (f.Code == wire.CodeContextLength) != test.long {
				t.Errorf("%s: unserved %t, code %s; want %t, too long %t", test.source, f.Unserved, f.Code, test.unserved, test.long)
			}
			if charged := f.MayHaveExecuted() && !f.RefusedUnread(); charged != test.charged {
				t.Errorf("%s: may have executed: %t", test.source, charged)
			}
		})
	}
}

// answered gives the failure that a body is, where it comes under that status from a provider of that profile; and what it reports.
func answered(t *testing.T, profile string, status int, body string) (*failure.Failure, wire.Failure) {
	t.Helper()
	of, err := upstream.LookupProfile(orOwn(profile))
	if err != nil {
		t.Fatal(err)
	}
	reported := wire.ParseRefusal([]byte(body))
	if status == http.StatusOK {
		chunk, err := wire.ParseChunk([]byte(body))
		if err != nil || chunk.Failure == nil {
			t.Fatalf("%s: %+v, %v", body, chunk, err)
		}
		reported = *chunk.Failure
	}
	return failure.OfUpstream(status, nil, &reported, of.Codes, false, time.Unix(0, 0)), reported
}

// TestWordsThatAreNotTheVendors has messages that hold, or begin with, what a client can have put into them: its words choose no class,
// and what a server's fault may have cost is charged.
func TestWordsThatAreNotTheVendors(t *testing.T) {
	const permission = "permission_error"
	for name, test := range map[string]struct {
		status   int
		reported wire.Failure
		class    failure.Class
		charged  bool
	}{
		// The field is the client's: https://github.com/amrit110/oli/issues/7.
		"a field, of a limit":          {400, wire.Failure{Type: "invalid_request_error", Message: "throttling: Extra inputs are not permitted"}, failure.Fail, false},
		"a field within one":           {400, wire.Failure{Type: "invalid_request_error", Message: "throttling.a: Input should be a valid string"}, failure.Fail, false},
		"a field, of what failed":      {400, wire.Failure{Type: "invalid_request_error", Message: "temporary routing error: Extra inputs are not permitted"}, failure.Fail, false},
		"a field, of credit":           {400, wire.Failure{Type: "invalid_request_error", Message: "you're out of extra usage: Extra inputs are not permitted"}, failure.Fail, false},
		"a field, of an organisation":  {400, wire.Failure{Type: "invalid_request_error", Message: "this organization has been disabled: Extra inputs are not permitted"}, failure.Fail, false},
		"a field, in a success":        {200, wire.Failure{Code: "400", Message: "throttling: Field required"}, failure.Fail, false},
		"calls at once, of the text":   {403, wire.Failure{Type: permission, Message: "Flagged: you've reached your concurrent request limit"}, failure.Fail, false},
		"calls at once, in its middle": {403, wire.Failure{Type: permission, Message: "Key my concurrent request limit may not do this"}, failure.Fail, false},
		"calls at once, of a key":      {403, wire.Failure{Code: "invalid_api_key", Message: "You've reached your concurrent request limit."}, failure.RefreshToken, false},
		"too long, quoted":             {500, wire.Failure{Type: "server_error", Message: "cannot render 'prompt is too long'"}, failure.Retry, true},
		"too long, as it begins":       {502, wire.Failure{Message: "prompt is too long, says the user"}, failure.Retry, true},
		"too long, but too late":       {504, wire.Failure{Type: "exceed_context_size_error", Message: "why"}, failure.Retry, true},
		"too long, of an answer":       {200, wire.Failure{Message: "The model wrote: my prompt is too long. I would shorten it."}, failure.Retry, true},
		"too long, further on":         {200, wire.Failure{Message: "The runner has crashed. Last output: prompt is too long"}, failure.Retry, true},
		"too long, without a word":     {200, wire.Failure{Message: "prompt is too long: 213462 tokens > 200000 maximum"}, failure.Fail, false},
		"too long, as vLLM says it":    {200, wire.Failure{Message: "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."}, failure.Fail, false},
		"too long, as a gateway says":  {200, wire.Failure{Message: "litellm.BadRequestError: AnthropicException - prompt is too long: 1 tokens > 0 maximum"}, failure.Fail, false},
		"too long, in Chinese":         {200, wire.Failure{Message: "模型回答：prompt is too long，我会缩短它"}, failure.Retry, true},
		"too long, behind Chinese":     {200, wire.Failure{Message: "服务崩溃。最后输出 prompt is too long"}, failure.Retry, true},
		"too long, behind a colon":     {200, wire.Failure{Message: "The last error was of a client who said: prompt is too long"}, failure.Retry, true},
		"too long, of an error":        {200, wire.Failure{Message: "Error: ValueError: This model's maximum context length is 8192 tokens."}, failure.Fail, false},
		"too long, of an SDK's error":  {200, wire.Failure{Message: "ChatGPT error 400: This model's maximum context length is 4096 tokens. However"}, failure.Fail, false},
		"too long, of Moonshot":        {200, wire.Failure{Message: "Invalid request: Your request exceeded model token limit: 8192"}, failure.Fail, false},
		"too long, of Qwen":            {200, wire.Failure{Message: "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]"}, failure.Fail, false},
		"too long, by its type":        {200, wire.Failure{Message: "upstream error: invalid_request_error: prompt is too long"}, failure.Fail, false},
		"too long, of an SDK":          {200, wire.Failure{Message: "error, status code: 400, status: 400 Bad Request, message: This model's maximum context length is 4096 tokens."}, failure.Fail, false},
		"too long, of a Chinese one":   {200, wire.Failure{Message: "上游错误：This model's maximum context length is 4096 tokens."}, failure.Fail, false},
		"too long, and a conflict":     {409, wire.Failure{Message: "a run says 'prompt is too long' already"}, failure.Fail, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := failure.OfUpstream(test.status, nil, &test.reported, nil, false, time.Unix(0, 0))
			if charged := f.MayHaveExecuted() && !f.RefusedUnread(); f.Class != test.class || charged != test.charged {
				t.Errorf("class %s, charged: %t; want %s, %t", f.Class, charged, test.class, test.charged)
			}
			if f.FallsOver() && test.class == failure.Fail && test.reported.Type != permission {
				t.Errorf("another is asked: %d %q", f.Status, f.Message)
			}
		})
	}
}

// TestRulesOverWords holds that a rule decides over what a sentence means by another status: a client sees the vendor's.
func TestRulesOverWords(t *testing.T) {
	for name, test := range map[string]struct {
		rules []failure.Rule
		shown int
	}{
		"none":               {nil, http.StatusBadGateway},
		"of another failure": {[]failure.Rule{{Pattern: "401", Class: failure.Fail}}, http.StatusBadGateway},
		"of the request":     {[]failure.Rule{{Pattern: "400", Class: failure.Fail}}, http.StatusBadRequest},
		"of the status":      {[]failure.Rule{failure.ByStatus("400")}, http.StatusBadGateway},
	} {
		t.Run(name, func(t *testing.T) {
			f := failure.OfUpstream(http.StatusBadRequest, nil, &wire.Failure{Message: "Upstream request failed"}, test.rules, false, time.Unix(0, 0))
			if f.Status != test.shown {
				t.Errorf("%s: %d", f.Class, f.Status)
			}
		})
	}
}

// orOwn gives the profile of that name, or that of a contract of one's own.
func orOwn(name string) string {
	if name == "" {
		return "own"
	}
	return name
}
