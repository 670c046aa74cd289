package sandbox

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
)

// Google's OpenAI-compatible endpoint, and GLM's API at Z.AI and bigmodel.cn.
const (
	Google Dialect = "google"
	GLM    Dialect = "glm"
)

// google knows no member but its own, and wants its signature, or the word for another model's, in the first tool call of
// an answer: https://github.com/MinLL/SkyrimNet-GamePlugin/issues/77, https://github.com/0xsline/OpenChatCut/issues/6.
func google(r *vendorRequest) *vendorError {
	wrong := func(message string) *vendorError {
		return &vendorError{http.StatusBadRequest, []any{map[string]any{"error": map[string]any{
			"code": http.StatusBadRequest, "message": message, "status": "INVALID_ARGUMENT",
		}}}}
	}
	known := []string{
		"model", "messages", "stream", "stream_options", "tools", "tool_choice", "parallel_tool_calls", "max_tokens", "max_completion_tokens",
		"temperature", "top_p", "n", "stop", "seed", "response_format", "reasoning_effort", "logprobs", "top_logprobs", "extra_body",
	}
	for _, name := range slices.Sorted(maps.Keys(r.fields)) {
		if !slices.Contains(known, name) {
			return wrong(`Invalid JSON payload received. Unknown name "` + name + `": Cannot find field.`)
		}
	}
	if at, name := r.misnamed(googleName); name != "" {
		return wrong("GenerateContentRequest." + at + ": [FIELD_INVALID] Invalid function name. Must start with a letter or an underscore. " +
			"Must be alphameric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 64.")
	}
	for _, m := range r.messages {
		if !slices.Contains([]string{"system", "user", "assistant", "tool"}, m.role) {
			return wrong("Please use a valid role: system, user, assistant, tool.")
		}
		var calls []struct {
			Extra struct {
				Google struct {
					Signature string `json:"thought_signature"`
				}
			} `json:"extra_content"`
		}
		_ = json.Unmarshal(m.fields["tool_calls"], &calls)
		if len(calls) > 0 && calls[0].Extra.Google.Signature == "" {
			return wrong("Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly.")
		}
	}
	return nil
}

// glm has four roles, and answers "1214" where no user has said anything: https://github.com/anomalyco/opencode/issues/2557.
// Neither end of the ranges of temperature and top_p is taken, as its SDK says, which keeps to them
// (https://github.com/zai-org/z-ai-sdk-python, src/zai/api_resource/chat/completions.py), and
// https://github.com/songquanpeng/one-api/issues/1141, https://github.com/langgenius/dify/issues/4768. Of tool_choice
// https://docs.z.ai/guides/capabilities/function-calling says "only supports auto", and since GLM-5.3 its API answers
// "Tool choice must be auto" to all else: https://github.com/vectorize-io/hindsight/issues/4246,
// https://github.com/onyx-dot-app/onyx/pull/14192.
func glm(r *vendorRequest) *vendorError {
	wrong := func(code, message string) *vendorError {
		return &vendorError{http.StatusBadRequest, map[string]any{"error": map[string]any{"code": code, "message": message}}}
	}
	users := 0
	for _, m := range r.messages {
		switch m.role {
		case "user":
			users++
		case "system", "assistant", "tool":
		default:
			return wrong("1214", "The messages parameter is illegal. Please check the documentation.")
		}
	}
	at, misnamed := r.misnamed(plainName)
	inside := func(field string) bool { f, has := r.number(field); return !has || f > 0 && f < 1 }
	switch {
	case !inside("temperature"):
		return wrong("1214", "temperature参数非法。请检查文档。")
	case !inside("top_p"):
		return wrong("1214", "top_p参数非法。请检查文档。")
	case misnamed != "":
		return wrong("1214", at+": invalid function name")
	case users == 0:
		return wrong("1214", "The messages parameter is illegal. Please check the documentation.")
	case r.has("tool_choice") && string(r.fields["tool_choice"]) != `"auto"`:
		return wrong("1210", "Tool choice must be auto")
	case r.has("max_completion_tokens"):
		return wrong("1210", "Invalid API parameter, please check the documentation.")
	}
	return nil
}

// VLLM is vLLM's server of OpenAI's form.
const VLLM Dialect = "vllm"

// vllm takes members that it does not know, and holds those that it knows against each other, as the validators of
// ChatCompletionRequest do (vllm/entrypoints/openai/protocol.py: validate_stream_options, check_logprobs, check_tool_usage),
// and reads the arguments of earlier calls, which chat templates want as objects (vllm/entrypoints/chat_utils.py).
func vllm(r *vendorRequest) *vendorError {
	wrong := func(message string) *vendorError {
		return &vendorError{http.StatusBadRequest, map[string]any{"error": map[string]any{
			"message": message, "type": "BadRequestError", "param": nil, "code": http.StatusBadRequest,
		}}}
	}
	streams := string(r.fields["stream"]) == "true"
	switch {
	case r.has("stream_options") && !streams:
		return wrong("Value error, Stream options can only be defined when `stream=True`.")
	case r.has("prompt_logprobs") && streams:
		return wrong("Value error, `prompt_logprobs` are not available when `stream=True`.")
	case r.has("top_logprobs") && string(r.fields["top_logprobs"]) != "0" && string(r.fields["logprobs"]) != "true":
		return wrong("Value error, when using `top_logprobs`, `logprobs` must be set to true.")
	case r.has("tool_choice") && string(r.fields["tool_choice"]) != `"none"` && !r.has("tools"):
		return wrong("Value error, When using `tool_choice`, `tools` must be set.")
	case string(r.fields["tool_choice"]) == `"any"`:
		return wrong("Value error, Invalid value for `tool_choice`: any! Only named tools, \"none\", \"auto\" or \"required\" are supported.")
	}
	for _, m := range r.messages {
		for _, call := range m.calls {
			if !isObject(call.Function.Arguments) {
				return wrong("Expecting value: the arguments of a tool call are no object")
			}
		}
	}
	return nil
}
