package failure_test

import (
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// A refusal of the model that was asked for is told from all others, in whichever vendor's words.
func TestModelsThatAreRefused(t *testing.T) {
	const (
		known   = failure.ModelTaken
		unknown = failure.ModelUnknown
		retired = failure.ModelRetired
	)
	for name, c := range map[string]struct {
		status int
		body   string
		want   failure.ModelRefusal
	}{
		// https://github.com/yihong0618/bilingual_book_maker/pull/371, https://github.com/camel-ai/camel/pull/834,
		// https://github.com/simonw/llm-openai-plugin/issues/17.
		"openai, retired":   {404, "{\"error\":{\"message\":\"The model `gpt-4-0314` has been deprecated, learn more here: https://platform.openai.com/docs/deprecations\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"model_not_found\"}}", retired},
		"openai, unknown":   {404, "{\"error\":{\"message\":\"The model `gpt-4-32k` does not exist or you do not have access to it.\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"model_not_found\"}}", unknown},
		"openai, under 400": {400, `{"error":{"message":"The requested model 'o3-streaming' does not exist.","type":"invalid_request_error","param":"model","code":"model_not_found"}}`, unknown},
		// https://github.com/spring-projects/spring-ai/pull/2387.
		"anthropic": {404, `{"type":"error","error":{"type":"not_found_error","message":"model: claude-2.1"}}`, unknown},
		// https://github.com/atiilla/sqlmap-ai/issues/3.
		"groq": {400, "{\"error\":{\"message\":\"The model `qwen-qwq-32b` has been decommissioned and is no longer supported. Please refer to https://console.groq.com/docs/deprecations for a recommendation on which model to use instead.\",\"type\":\"invalid_request_error\",\"code\":\"model_decommissioned\"}}", retired},
		// https://github.com/wwardaww/gnome-gemini-ai/issues/21, https://github.com/sohzm/cheating-daddy/issues/444.
		"google, unknown": {404, `[{"error":{"code":404,"message":"models/gemini-pro is not found for API version v1beta, or is not supported for generateContent. Call ListModels to see the list of available models and their supported methods.","status":"NOT_FOUND"}}]`, unknown},
		"google, retired": {404, `{"error":{"code":404,"message":"This model models/gemini-2.5-flash is no longer available to new users.","status":"NOT_FOUND"}}`, retired},
		// https://github.com/mistralai/mistral-vibe/issues/617.
		"mistral": {400, `{"object":"error","message":"Invalid model: mistral-medium-3.5","type":"invalid_model","param":null,"code":"1500","raw_status_code":400}`, unknown},
		// https://github.com/deepwn/addi/issues/13.
		"deepseek": {400, `{"error":{"message":"Model Not Exist","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}`, unknown},
		// https://help.aliyun.com/zh/model-studio/error-code, https://github.com/AIDotNet/OpenDeepWiki/issues/308.
		"qwen":           {404, `{"code":"ModelNotFound","message":"The model qwen-vip can not be found.","request_id":"r"}`, unknown},
		"qwen, openai's": {404, "{\"error\":{\"message\":\"The model `Qwen-Plus` does not exist or you do not have access to it.\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"model_not_found\"}}", unknown},
		// https://github.com/volcengine/MineContext/issues/328, https://github.com/w4n9H/autocoder-nano/issues/3.
		"ark":           {404, `{"error":{"code":"InvalidEndpointOrModel.NotFound","message":"The model or endpoint doubao-x does not exist or you do not have access to it.","param":"","type":"NotFound"}}`, unknown},
		"ark, endpoint": {404, `{"error":{"code":"InvalidEndpoint.NotFound","message":"The request targeted an endpoint that does not exist or is invalid. Request id: 0217","param":"","type":"NotFound"}}`, unknown},
		// https://github.com/HeyPuter/puter/issues/3168.
		"together":             {400, `{"id":"o","error":{"message":"Unable to access non-serverless model mistralai/Mistral-Small-24B-Instruct-2501. Please visit https://api.together.ai/models to create and start a new dedicated endpoint for the model.","type":"invalid_request_error","param":null,"code":"model_not_available"}}`, unknown},
		"together, its server": {400, `{"id":"o","error":{"message":"The dedicated endpoint for mistralai/Mixtral-8x22B-Instruct-v0.1 is not running. Please visit https://api.together.ai/models to start the endpoint.","type":"invalid_request_error","param":null,"code":"dedicated_endpoint_not_running"}}`, unknown},
		// https://github.com/warpdotdev/warp/issues/15107.
		"fireworks": {404, `{"message":"Model not found, inaccessible, and/or not deployed","param":"model","code":"NOT_FOUND","type":"error"}`, unknown},
		// https://github.com/mozilla-ai/any-llm/issues/778.
		"moonshot": {404, `{"error":{"message":"Not found the model kimi-thinking-preview or Permission denied","type":"resource_not_found_error"}}`, unknown},
		// https://github.com/maxnowack/anthropic-proxy/issues/4, https://github.com/Alishahryar1/free-claude-code/issues/166.
		"openrouter":              {400, `{"error":{"message":"google/gemini-2.0-pro-exp-02-05:free is not a valid model ID","code":400},"user_id":"u"}`, unknown},
		"openrouter, none has it": {404, `{"error":{"message":"No endpoints found for stepfun/step-3.5-flash:free.","code":404},"user_id":"u"}`, unknown},
		// https://github.com/QwenLM/Qwen3/issues/20, https://github.com/ollama/ollama/issues/15718.
		"vllm":   {404, "{\"object\":\"error\",\"message\":\"The model `Qwen/Qwen1.5-7B-Chat` does not exist.\",\"type\":\"NotFoundError\",\"param\":null,\"code\":404}", unknown},
		"ollama": {404, `{"error":{"message":"model \"qwen3.6:latest\" not found","type":"not_found_error","param":null,"code":null}}`, unknown},
		// https://github.com/capocasa/3code/issues/2.
		"nvidia": {410, `{"type":"about:blank","title":"Gone","status":410,"detail":"The model 'z-ai/glm4.7' has reached its end of life on 2026-05-14T00:00:00Z and is no longer available."}`, retired},
		"gone":   {410, `<html><h1>410 Gone</h1></html>`, retired},
		// https://github.com/aws-solutions-library-samples/accelerated-intelligent-document-processing-on-aws/issues/708,
		// https://github.com/earendil-works/pi/issues/4993.
		"amazon, retired": {404, `{"__type":"ResourceNotFoundException","message":"This model version has reached the end of its life. Please refer to the AWS documentation for more details."}`, retired},
		"amazon, unknown": {400, `{"__type":"ValidationException","message":"The provided model identifier is invalid."}`, unknown},
		// https://github.com/awslabs/llmeter/issues/35.
		"amazon, legacy": {404, `{"__type":"ResourceNotFoundException","message":"Access denied. This Model is marked by provider as Legacy and you have not been actively using the model in the last 15 days. Please upgrade to an active model on Amazon Bedrock"}`, retired},
		// https://learn.microsoft.com/azure/ai-services/openai/reference, and Google's of a publisher's model.
		"azure":          {404, `{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}`, unknown},
		"google, vertex": {404, "[{\"error\":{\"code\":404,\"message\":\"Publisher Model `publishers/google/models/gemini-1.5-pro` was not found or your project does not have access to it.\",\"status\":\"NOT_FOUND\"}}]", unknown},
		"in a stream":    {200, `{"error":{"message":"The model x does not exist","type":"invalid_request_error","code":"model_not_found"}}`, unknown},

		"another path":        {404, `{"message":"no Route matched with those values"}`, known},
		"another thing":       {404, `{"error":{"message":"Previous response with id 'resp_1' not found.","type":"invalid_request_error","param":"previous_response_id","code":"previous_response_not_found"}}`, known},
		"anthropic's files":   {404, `{"type":"error","error":{"type":"not_found_error","message":"File not found: file_1"}}`, known},
		"a member of it":      {400, `{"error":{"message":"Unsupported parameter: 'functions' has been deprecated for this model.","type":"invalid_request_error","param":"functions","code":"unsupported_parameter"}}`, known},
		"what it cannot do":   {404, `{"error":{"message":"No endpoints found that support tool use.","code":404}}`, known},
		"what it takes":       {400, `{"error":{"message":"This model does not support image input.","type":"invalid_request_error"}}`, known},
		"too long for it":     {400, `{"error":{"message":"This model's maximum context length is 128 tokens.","type":"invalid_request_error","code":"context_length_exceeded"}}`, known},
		"not for the account": {403, "{\"error\":{\"message\":\"Project `proj_1` does not have access to model `gpt-9`\",\"code\":\"model_not_found\"}}", known},
		"no channel for it":   {503, `{"error":{"code":"model_not_found","message":"No available channel for model x under group default","type":"new_api_error"}}`, known},
	} {
		t.Run(name, func(t *testing.T) {
			reported := wire.ParseRefusal([]byte(c.body))
			f := failure.OfUpstream(c.status, nil, &reported, nil, false, time.Unix(0, 0))
			if f.Model != c.want {
				t.Errorf("%q of class %s: %v, want %v", f.Message, f.Class, f.Model, c.want)
			}
			if c.want != known && (f.Class != failure.Fail || f.Message != reported.Message && reported.Message != "") {
				t.Errorf("a client sees %q of class %s", f.Message, f.Class)
			}
		})
	}
}
