package alipayai_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// TestPublicReports has answers that users of other gateways reported: where the next provider has to be asked, and what the
// client must not get where there is none.
func TestPublicReports(t *testing.T) {
	const (
		overloaded = `{"type":"error","error":{"type":"overloaded_error","message":"m"}}`
		keyLimit   = `{"error":{"message":"Key limit exceeded (monthly limit). Manage it using https://openrouter.ai/settings/keys","code":403}}`
		googleKey  = `{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}`
		leakedKey  = `{"error":{"code":403,"message":"Your API key was reported as leaked. Please use another API key.","status":"PERMISSION_DENIED"}}`
		busy       = `{"error":{"message":"Our servers are currently overloaded. Please try again later.","type":"server_error","param":null,"code":"server_is_overloaded"}}`
		noTokens   = `{"id":"g","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"stop","native_finish_reason":"network_error"}]}`
		event      = "Content-Type"
		sse        = "text/event-stream"
	)
	for source, test := range map[string]struct {
		body   string
		turn   turn
		status int    // alone
		lacks  string // alone
	}{
		"https://github.com/ENTERPILOT/GoModel/issues/947":           {chatBody("hello"), says(200, `{"id":"c","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":0,"total_tokens":1}}`), 502, "choices\":"},
		"https://github.com/zai-org/GLM-5/issues/91":                 {chatBody("hello"), says(200, `{"id":"","object":"","created":0,"model":"","system_fingerprint":null,"choices":null,"usage":null}`), 502, "system_fingerprint"},
		"https://github.com/musistudio/claude-code-router/pull/1759": {streamBody("hello"), says(200, ": PING\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\nevent: error\ndata: "+overloaded+"\n\n", event, sse), 503, sse},
		"https://github.com/preloop/preloop/pull/121":                {streamBody("hello"), says(200, "", event, sse), 502, sse},
		"https://github.com/maximhq/bifrost/issues/4005":             {chatBody("hello"), says(502, "<html><head><title>502 Bad Gateway</title></head><body>nginx/1.30.2</body></html>", event, "text/html"), 502, "nginx"},
		"https://github.com/Portkey-AI/gateway/issues/165":           {chatBody("hello"), says(401, `{"error":{"message":"Incorrect API key provided: sk-1","code":"invalid_api_key"}}`), 502, "sk-1"},
		"https://github.com/gptme/gptme/issues/1449":                 {chatBody("hello"), says(403, keyLimit), 502, "openrouter.ai"},
		"https://github.com/Kong/kong/issues/14680":                  {streamBody("hello"), says(200, `[{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}]`), 502, sse},
		// An account that may spend no more says so under 400.
		"https://github.com/laravel/ai/pull/864": {chatBody("hello"), says(400, `{"type":"error","error":{"type":"invalid_request_error","message":"You have reached your specified API usage limits. To continue, please adjust your limits."}}`), 502, "usage limits"},
		// So does Google of the gateway's key, and a proxy that quotes it.
		"https://github.com/yym68686/uni-api/issues/140":           {chatBody("hello"), says(400, "["+googleKey+"]"), 502, "API key"},
		"https://github.com/can1357/oh-my-pi/issues/449":           {chatBody("hello"), says(400, `{"error":{"message":`+strconv.Quote(googleKey)+`,"code":400,"status":"Bad Request"}}`), 502, "API key"},
		"https://github.com/apache/rocketmq-dashboard/issues/2178": {streamBody("hello"), says(200, "data: {\"error\":{\"message\":\"quota exceeded\"}}\n\ndata: [DONE]\n\n", event, sse), 502, sse},
		"https://github.com/doublewordai/control-layer/pull/1800":  {streamBody("hello"), says(200, "data: {\"error\":{\"code\":429,\"message\":\"slow down\"}}\n\n", event, sse), 429, sse},
		"https://github.com/langwatch/langwatch/issues/7027":       {chatBody("hello"), says(429, `{"error":{"message":"Rate limit exceeded: free-models-per-day","code":429}}`, "X-RateLimit-Remaining", "0"), 429, sse},
		// An overload that a body, or the first event, tells of under a 200.
		"https://github.com/QuantumNous/new-api/issues/7399":  {chatBody("hello"), says(200, busy), 503, "choices"},
		"https://github.com/QuantumNous/new-api/issues/7399 ": {streamBody("hello"), says(200, "data: "+busy+"\n\n", event, sse), 503, sse},
		// The gateway's key, its account or its place may not use the model, under 403 or 400.
		"https://github.com/continuedev/continue/issues/11449":          {chatBody("hello"), says(403, `{"error":{"code":"unsupported_country_region_territory","message":"Country, region, or territory not supported","param":null,"type":"request_forbidden"}}`), 502, "Country"},
		"https://github.com/continuedev/continue/issues/11541":          {chatBody("hello"), says(403, `{"error":{"message":`+strconv.Quote(leakedKey)+`,"code":403,"status":"Forbidden"}}`), 502, "leaked"},
		"https://github.com/continuedev/continue/issues/10513":          {chatBody("hello"), says(403, leakedKey), 502, "leaked"},
		"https://github.com/higress-group/higress/issues/3643":          {chatBody("hello"), says(403, `{"error":{"message":"Workspace access denied.","type":"Workspace.AccessDenied","param":null,"code":"Workspace.AccessDenied"},"id":"c","request_id":"r"}`), 502, "Workspace access"},
		"https://github.com/QwenLM/qwen-code/issues/9605":               {streamBody("hello"), says(403, `{"error":{"message":"Access to model denied. Please make sure you are eligible for using the model.","type":"AccessDenied.Unpurchased","param":null,"code":"AccessDenied.Unpurchased"}}`), 502, "eligible"},
		"https://github.com/tashfeenahmed/freellmapi/issues/268":        {chatBody("hello"), says(400, `[{"error":{"code":400,"message":"User location is not supported for the API use.","status":"FAILED_PRECONDITION"}}]`), 502, "User location"},
		"https://github.com/alvinunreal/oh-my-opencode-slim/issues/511": {chatBody("hello"), says(403, "<!DOCTYPE html><html><title>Attention Required! | Cloudflare</title></html>", event, "text/html"), 502, "Cloudflare"},
		"https://github.com/continuedev/continue/issues/10866":          {streamBody("hello"), says(403, "403 Forbidden", event, "text/plain"), 502, "Forbidden"},
		"https://github.com/memovai/mimiclaw/issues/162":                {chatBody("hello"), says(403, `{"error":{"type":"forbidden","message":"Request not allowed"}}`), 502, "not allowed"},
		"https://github.com/continuedev/continue/issues/8209":           {streamBody("hello"), says(400, `{"error":{"message":"Your organization must be verified to stream this model. Please go to: https://platform.openai.com/settings/organization/general","type":"invalid_request_error","param":"stream","code":"unsupported_value"}}`), 502, "organization"},
		"https://platform.openai.com/docs/guides/error-codes":           {chatBody("hello"), says(403, "{\"error\":{\"message\":\"Project `proj_x` does not have access to model `gpt-5`\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"model_not_found\"}}"), 502, "proj_x"},
		// So do vendors of an account that is empty: xAI, MiniMax, Fireworks, Moonshot.
		"https://github.com/openclaw/openclaw/pull/117341":        {chatBody("hello"), says(403, `{"code":"The caller does not have permission to execute the specified operation","error":"You have run out of credits or need a Grok subscription. Add credits at https://grok.com"}`), 502, "grok.com"},
		"https://github.com/NousResearch/hermes-agent/pull/28111": {streamBody("hello"), says(200, "event: error\ndata: {\"type\":\"error\",\"code\":null,\"message\":\"You have either run out of available resources or do not have an active Grok subscription. Manage at https://grok.com\"}\n\n", event, sse), 502, "grok.com"},
		"https://github.com/anomalyco/opencode/issues/1298":       {streamBody("hello"), says(200, "data: {\"code\":\"Some resource has been exhausted\",\"error\":\"Too many requests for team\"}\n\n", event, sse), 429, sse},
		"https://github.com/anomalyco/opencode/issues/1298 ":      {chatBody("hello"), says(200, `{"code":"The service is currently unavailable","error":"The service is currently unavailable"}`), 503, "choices"},
		"https://github.com/MiniMax-AI/MiniMax-M2/issues/62":      {chatBody("hello"), says(500, `{"type":"error","error":{"type":"api_error","message":"insufficient balance (1008)"},"request_id":"r"}`), 502, "1008"},
		"https://github.com/RooCodeInc/Roo-Code/pull/9105":        {streamBody("hello"), says(200, "data: {\"id\":\"x\",\"choices\":null,\"base_resp\":{\"status_code\":1008,\"status_msg\":\"insufficient balance\"}}\n\n", event, sse), 502, "insufficient"},
		"https://docs.fireworks.ai/guides/inference-error-codes":  {chatBody("hello"), says(412, `{"error":{"code":"PRECONDITION_FAILED","message":"Account acme is suspended, possibly due to reaching the monthly spending limit or failure to pay past invoices."}}`), 502, "invoices"},
		"https://github.com/NanmiCoder/cc-haha/issues/1208":       {chatBody("hello"), says(403, `{"error":{"type":"permission_error","message":"You've reached your usage limit for this billing cycle. Your quota will be refreshed in the next cycle."},"type":"error"}`), 502, "billing cycle"},
		// A broken answer without an error, in a stream that ends as a good one does.
		"https://github.com/theopenco/llmgateway/pull/2520": {streamBody("hello"), says(200, "data: {\"choices\":[{\"delta\":{\"content\":null},\"finish_reason\":\"error\"}]}\n\ndata: [DONE]\n\n", event, sse), 503, sse},
		// Google's of a call that its model wrote wrong.
		"https://github.com/coder/coder/pull/28470":  {streamBody("hello"), says(200, chunksOf(`"delta":{"role":"assistant","content":""}`, `"delta":{},"finish_reason":"function_call_filter: MALFORMED_FUNCTION_CALL"`), event, sse), 503, sse},
		"https://github.com/coder/coder/pull/28470 ": {chatBody("hello"), says(200, completionOf(`"message":{"role":"assistant"},"finish_reason":"function_call_filter: MALFORMED_FUNCTION_CALL"`, "")), 503, "MALFORMED"},
		// What broke stands in native_finish_reason alone.
		"https://github.com/earendil-works/pi/issues/8511":  {streamBody("hello"), says(200, "data: "+noTokens+"\n\ndata: [DONE]\n\n", event, sse), 503, sse},
		"https://github.com/earendil-works/pi/issues/8511 ": {chatBody("hello"), says(200, strings.Replace(noTokens, "delta", "message", 1)), 503, "native"},
		// Whose limit it was stands in what the provider said raw, or when it ends in header fields that the body quotes.
		"https://github.com/open-webui/computer/issues/293":               {chatBody("hello"), says(429, `{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"z-ai/glm-5.3-flash is temporarily rate-limited upstream. Please retry shortly, or add your own key to accumulate your rate limits","provider_name":"BaseTen","limit_source":"upstream_provider_shared_pool"}}}`), 429, "limit_source"},
		"https://github.com/BerriAI/litellm/issues/9035":                  {streamBody("hello"), says(200, "data: {\"error\":{\"message\":\"Rate limit exceeded: limit_rpd/m\",\"code\":429,\"metadata\":{\"headers\":{\"X-RateLimit-Limit\":\"80\",\"X-RateLimit-Remaining\":\"0\",\"X-RateLimit-Reset\":\"1741305600000\"}}}}\n\n", event, sse), 429, sse},
		"https://portkey.ai/docs/api-reference/inference-api/error-codes": {chatBody("hello"), says(408, `{"status":"failure","message":"timed out"}`), 408, "failure\""},
	} {
		t.Run(source, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{test.turn, test.turn, test.turn}, {good}})
				got := s.call(test.body)
				if got.status != http.StatusOK || got.err != nil || got.header.Get("X-Alipayai-Provider") != "second" {
					t.Errorf("%d %v %s", got.status, got.header, got.body)
				}
			})
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{test.turn, test.turn, test.turn}}, caching(), claiming)
				got := s.call(test.body, keyed...)
				wantFailure(t, got, test.status)
				if strings.Contains(got.body, test.lacks) || got.header.Get("Content-Type") != "application/json" {
					t.Errorf("%v %s", got.header, got.body)
				}
				if again := s.call(test.body); again.header.Get("Cache-Status") != "" {
					t.Errorf("it was kept: %s", again.body)
				}
			})
		})
	}
}

// TestPublicReportsOfStreams has streams of such reports: those that are whole, and one that is cut after its first words.
func TestPublicReportsOfStreams(t *testing.T) {
	bare := func(content string) string { return `{"choices":[{"index":0,"delta":{"content":"` + content + `"}}]}` }
	for source, test := range map[string]struct {
		turn  turn
		whole bool
	}{
		// Azure's DeepSeek closes without [DONE] after a filter; LiteLLM's client got a "stop" for no finish at all.
		"https://github.com/experientiallabs/experiential/pull/962":   {streams(nil, bare("a"), `{"choices":[{"index":0,"delta":{},"finish_reason":"content_filter"}]}`), true},
		"https://github.com/experientiallabs/experiential/issues/758": {streams(nil, `{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{\"a"}}]}}]}`, `{"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}`, "[DONE]"), true},
		"https://github.com/BerriAI/litellm/issues/40260":             {streams(nil, bare("a"), `{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`), false},
		"https://github.com/cline/cline/pull/8518":                    {streams(nil, deltaEvent, finishEvent, `{"choices":null,"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`, "[DONE]"), true},
		"https://github.com/openai/openai-python/pull/3246":           {streams(nil, `{"choices":[{"index":0,"delta":{"tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]}}]}`, `{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}`, "[DONE]"), true},
		"https://github.com/mlflow/mlflow/pull/24111":                 {streams(nil, bare("a"), bare("b"), finishEvent, "[DONE]"), true},
		// What holds no choices, in whatever form, is no end and no failure; what is no JSON is.
		"https://github.com/QuantumNous/new-api/issues/7470":     {streams(nil, deltaEvent, finishEvent, `{"choices":{},"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`, "[DONE]"), true},
		"https://github.com/Kilo-Org/kilocode/pull/3083":         {streams(nil, deltaEvent, "null", finishEvent, "[DONE]"), true},
		"https://github.com/ROCm/ATOM/pull/1711":                 {streams(nil, deltaEvent, finishEvent, `{"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`, "[DONE]"), true},
		"https://github.com/songquanpeng/one-api/issues/1278":    {streams(nil, `{"id":"","object":"","created":0,"model":"","choices":[]}`, deltaEvent, finishEvent, "[DONE]"), true},
		"https://github.com/QuantumNous/new-api/issues/7489":     {streams(nil, deltaEvent, `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`, "[DONE]"), true},
		"https://github.com/SamSaffron/term-llm/pull/448":        {streams(nil, deltaEvent, `{"choices":[{"index":0,"delta":{"tool_calls":[{"ind`, "[DONE]"), false},
		"https://github.com/damianvtran/local-operator/pull/223": {streams(nil, deltaEvent, `{"id":"g","error":{"code":502,"message":"Network connection lost.","metadata":{"error_type":"provider_unavailable"}},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}`, "[DONE]"), false},
		"https://github.com/coder/coder/pull/28470":              {streams(nil, `{"choices":[{"index":0,"delta":{"reasoning_content":"a"}}]}`, `{"choices":[{"index":0,"delta":{},"finish_reason":"function_call_filter: MALFORMED_FUNCTION_CALL"}]}`, "[DONE]"), false},
		// What proxies compress unasked is read.
		"https://github.com/Wei-Shaw/claude-relay-service/issues/1027": {says(200, deflate(t, chunksOf(`"delta":{"content":"a"}`, `"delta":{},"finish_reason":"stop"`)), "Content-Type", "text/event-stream", "Content-Encoding", "gzip"), true},
		"https://github.com/agentgateway/agentgateway/pull/873":        {says(200, deflate(t, completionOf(`"message":{"content":"a"},"finish_reason":"stop"`, "")), "Content-Encoding", "X-GZIP"), true},
		"https://github.com/Portkey-AI/gateway/issues/1797":            {streams(breaksOff, deltaEvent, deltaEvent), false},
		"https://github.com/Portkey-AI/gateway/issues/1797 ":           {streams(nil, deltaEvent, deltaEvent), false},
	} {
		t.Run(source, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{test.turn}, {good}}, claiming)
				got := s.call(streamBody("hello"), keyed...)
				done := strings.HasSuffix(got.body, "data: [DONE]\n\n")
				if told := strings.Contains(got.body, `"error"`); done != test.whole || told == test.whole || (got.err == nil) != test.whole {
					t.Errorf("done %t, told %t, %v: %s", done, told, got.err, got.body)
				}
				s.wantCalls(1, 0)
			})
		})
	}
}

// TestPublicReportsOfRefusals has requests that a provider refused for its own reasons: the client gets its words, not an
// envelope's, and none of what it had sent.
func TestPublicReportsOfRefusals(t *testing.T) {
	for source, test := range map[string]struct {
		status int
		body   string
		shown  int
		words  string
	}{
		"https://github.com/mistralai/platform-docs-public/issues/7":   {422, `{"object":"error","message":"{\"detail\":[{\"type\":\"extra_forbidden\",\"loc\":[\"body\",\"frequency_penalty\"],\"msg\":\"Extra inputs are not permitted\",\"input\":\"S3CR3T\"}]}","type":"internal_error_proxy","param":null,"code":"1000"}`, 422, "body.frequency_penalty: Extra inputs are not permitted"},
		"https://github.com/diegosouzapw/OmniRoute/issues/3044":        {400, `{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"error\":{\"type\":\"invalid_request_error\",\"message\":\"Model supports at most 1 image per prompt.\",\"request_id\":\"S3CR3T\"}}","provider_name":"Crucible"}},"user_id":"S3CR3T"}`, 400, "Provider returned error: Model supports at most 1 image per prompt."},
		"https://github.com/666ghj/BettaFish/issues/108":               {400, `{"error":{"message":"Content Exists Risk","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}`, 400, "Content Exists Risk"},
		"https://github.com/openclaw/clawrouter/issues/101":            {200, "event: error\ndata: {\"error\":{\"message\":\"invalid request\",\"type\":\"invalid_request\",\"code\":400}}\n\n", 400, "invalid request"},
		"https://github.com/Alishahryar1/free-claude-code/issues/1543": {200, "data: {\"object\":\"error\",\"message\":\"Invalid request: Disaggregated request received without bootstrap room id.\",\"type\":\"BAD_REQUEST\",\"param\":null,\"code\":400}\n\n", 400, "Invalid request: Disaggregated request received without bootstrap room id."},
		"https://github.com/QuantumNous/new-api/issues/6432":           {400, `{"error":{"type":"","message":""},"type":"error"}`, 400, "the provider reports a failure"},
		"https://github.com/experientiallabs/experiential/pull/967":    {400, `{"id":"chatcmpl-8","model":"","choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"content_filter","content_filter_results":{"error":{"code":"content_filter","message":"Response content blocked by label 'MultiSeverity_ViolenceScore'."}}}],"usage":{"prompt_tokens":55,"total_tokens":55},"object":"chat.completion","prompt_filter_results":"S3CR3T"}`, 400, "Response content blocked by label 'MultiSeverity_ViolenceScore'."},
		"https://github.com/theroyallab/tabbyAPI/issues/485":           {422, `{"detail":[{"type":"missing","loc":["body","tools",7,"function","parameters"],"msg":"Field required","input":{"name":"S3CR3T"}}]}`, 422, "body.tools.7.function.parameters: Field required"},
	} {
		t.Run(source, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				mistral, err := upstream.LookupProfile("mistral")
				if err != nil {
					t.Fatal(err)
				}
				label := "application/json"
				if test.status == http.StatusOK {
					label = "text/event-stream"
				}
				s := perform(t, [][]turn{{says(test.status, test.body, "Content-Type", label)}, {good}}, func(g *alipayai.Gateway) { g.Providers[0].Profile.Codes = mistral.Codes })
				got := s.call(streamBody("hello"))
				if words := wantFailure(t, got, test.shown); words != test.words || strings.Contains(got.body, "S3CR3T") {
					t.Errorf("%q, want %q: %s", words, test.words, got.body)
				}
				s.wantCalls(1, 0)
			})
		})
	}
}
