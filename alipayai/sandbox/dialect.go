package sandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Dialect names the vendor of OpenAI's form as which a simulator judges requests.
type Dialect string

// The dialects: Mistral, DeepSeek, Qwen at Model Studio, OpenAI's own API, and a
// server that renders conversations with a chat template, as vLLM does.
const (
	Mistral  Dialect = "mistral"
	DeepSeek Dialect = "deepseek"
	Qwen     Dialect = "qwen"
	Strict   Dialect = "openai"
	Legacy   Dialect = "legacy"
)

// vendorError is what a vendor says of a request that it refuses.
type vendorError struct {
	status int
	body   any
}

// vendorRequest is a chat request as the vendors' checks read it.
type vendorRequest struct {
	fields   map[string]json.RawMessage
	messages []vendorMessage
}

type vendorMessage struct {
	fields map[string]json.RawMessage
	role   string
	text   string   // content that is no array
	texts  []string // those of its parts
	parts  []string // their types
	calls  []vendorCall
	callID string
}

type vendorCall struct {
	ID       string
	Function struct{ Name, Arguments string }
}

// empty reports whether it has neither content nor calls.
func (m vendorMessage) empty() bool { return m.text == "" && len(m.parts) == 0 && len(m.calls) == 0 }

var vendors = map[Dialect]func(r *vendorRequest) *vendorError{
	"": nil, Mistral: mistral, DeepSeek: deepSeek, Qwen: qwen, Strict: strict, Legacy: legacy, Google: google, GLM: glm, Moonshot: moonshot, VLLM: vllm,
}

func (d Dialect) check(spoken Format) error {
	if _, known := vendors[d]; !known {
		names := slices.Sorted(maps.Keys(vendors))
		return fmt.Errorf("%w: Dialect %q: want %s", ErrConfig, d, quoted(asStrings(names[1:])))
	}
	if d != "" && spoken != OpenAI {
		return fmt.Errorf("%w: Dialect: format %s has no such thing", ErrConfig, spoken)
	}
	return nil
}

func asStrings(names []Dialect) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = string(name)
	}
	return out
}

// judge gives what the vendor refuses; nil for nothing, and for what is no chat
// request, which is found out elsewhere.
func (d Dialect) judge(body []byte) *vendorError {
	check := vendors[d]
	r := new(vendorRequest)
	if check == nil || json.Unmarshal(body, &r.fields) != nil {
		return nil
	}
	var messages []map[string]json.RawMessage
	_ = json.Unmarshal(r.fields["messages"], &messages)
	for _, fields := range messages {
		m := vendorMessage{fields: fields}
		_ = json.Unmarshal(fields["role"], &m.role)
		_ = json.Unmarshal(fields["tool_calls"], &m.calls)
		_ = json.Unmarshal(fields["tool_call_id"], &m.callID)
		var parts []struct{ Type, Text string }
		if json.Unmarshal(fields["content"], &m.text) != nil && json.Unmarshal(fields["content"], &parts) == nil {
			for _, p := range parts {
				m.parts, m.texts = append(m.parts, p.Type), append(m.texts, p.Text)
			}
		}
		r.messages = append(r.messages, m)
	}
	return check(r)
}

func (r *vendorRequest) has(field string) bool {
	v, ok := r.fields[field]
	return ok && string(v) != "null"
}

// number reads a field that is to be a number, and reports whether it is there. What is no number is NaN, which is in no range.
func (r *vendorRequest) number(field string) (f float64, has bool) {
	if !r.has(field) {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(r.fields[field]), 64)
	if err != nil {
		f = math.NaN()
	}
	return f, true
}

// outside reports whether a field is there, and no number from least to most.
func (r *vendorRequest) outside(field string, least, most float64) bool {
	f, has := r.number(field)
	return has && (math.IsNaN(f) || f < least || f > most)
}

// noShare reports whether a field is there, and no number above 0 and up to 1.
func (r *vendorRequest) noShare(field string) bool {
	f, has := r.number(field)
	return has && (math.IsNaN(f) || f <= 0 || f > 1)
}

// responseFormat is the type of response_format.
func (r *vendorRequest) responseFormat() string {
	var format struct{ Type string }
	_ = json.Unmarshal(r.fields["response_format"], &format)
	return format.Type
}

// wantsJSONWord reports whether JSON mode is on and the texts of the messages lack the word that it wants.
func (r *vendorRequest) wantsJSONWord() bool {
	return r.responseFormat() == "json_object" && !slices.ContainsFunc(r.messages, func(m vendorMessage) bool {
		return strings.Contains(strings.ToLower(m.text+" "+strings.Join(m.texts, " ")), "json")
	})
}

// unpaired finds a tool's result without a call before it, and a call that has no result before the next turn.
func (r *vendorRequest) unpaired() (result, call bool) {
	waiting := make(map[string]bool)
	for _, m := range r.messages {
		if m.role == "tool" {
			if _, asked := waiting[m.callID]; !asked {
				return true, false
			}
			waiting[m.callID] = false
			continue
		}
		for _, open := range waiting {
			if open {
				return false, true
			}
		}
		clear(waiting)
		for _, c := range m.calls {
			waiting[c.ID] = true
		}
	}
	for _, open := range waiting {
		call = call || open
	}
	return false, call
}

// isObject reports whether text is a JSON object.
func isObject(text string) bool {
	var object map[string]json.RawMessage
	return json.Unmarshal([]byte(text), &object) == nil && object != nil
}

// openAIError is an error in OpenAI's shape, as most vendors have it.
func openAIError(status int, code, format string, args ...any) *vendorError {
	return &vendorError{status, map[string]any{"error": map[string]any{
		"message": fmt.Sprintf(format, args...), "type": "invalid_request_error", "param": nil, "code": code,
	}}}
}

// deepSeek is as its API reference and its guide on thinking have it, in its own words: those of ranges are named in
// https://github.com/Aider-AI/aider/pull/4125 (max_tokens, whose end is the model's), those of calls and their results in
// https://github.com/bytedance/deer-flow/issues/2706 and https://github.com/FoundationAgents/OpenManus/issues/227.
func deepSeek(r *vendorRequest) *vendorError {
	const code = "invalid_request_error"
	deserialize := func(format string, args ...any) *vendorError {
		return openAIError(http.StatusUnprocessableEntity, code, "Failed to deserialize the JSON body into the target type: "+format, args...)
	}
	var thinking struct{ Type string }
	var model string
	_ = json.Unmarshal(r.fields["thinking"], &thinking)
	_ = json.Unmarshal(r.fields["model"], &model)
	if r.has("n") && string(r.fields["n"]) != "1" {
		return openAIError(http.StatusBadRequest, code, "Invalid n value (currently only n = 1 is supported)")
	}
	if r.outside("temperature", 0, 2) {
		return openAIError(http.StatusBadRequest, code, "Invalid temperature value, the valid range of temperature is [0, 2]")
	}
	if r.noShare("top_p") {
		return openAIError(http.StatusBadRequest, code, "Invalid top_p value, the valid range of top_p is (0, 1.0]")
	}
	if r.outside("max_tokens", 1, 393216) {
		return openAIError(http.StatusBadRequest, code, "Invalid max_tokens value, the valid range of max_tokens is [1, 393216]")
	}
	if r.has("top_logprobs") && string(r.fields["logprobs"]) != "true" {
		return openAIError(http.StatusBadRequest, code, "Invalid top_logprobs and logprobs value, logprobs must be set to true if top_logprobs is used.")
	}
	if r.outside("top_logprobs", 0, 20) {
		return openAIError(http.StatusBadRequest, code, "Invalid top_logprobs value, the valid range of top_logprobs is [0, 20].")
	}
	if r.responseFormat() == "json_schema" {
		return openAIError(http.StatusBadRequest, code, "This response_format type is unavailable now")
	}
	if r.wantsJSONWord() {
		return openAIError(http.StatusBadRequest, code, "Prompt must contain the word 'json' in some form to use 'response_format' of type 'json_object'.")
	}
	thinks := r.has("tools") && (thinking.Type == "enabled" || thinking.Type == "" && model != "deepseek-chat")
	if thinks && r.forcesTool() {
		return openAIError(http.StatusBadRequest, code, "Thinking mode does not support this tool_choice")
	}
	if at, name := r.misnamed(plainName); name != "" {
		return openAIError(http.StatusBadRequest, code, "Invalid '%s': string does not match pattern. Expected a string that matches the pattern '%s'.", at, plainName)
	}
	for i, m := range r.messages {
		_, reasoned := m.fields["reasoning_content"]
		switch {
		case !slices.Contains([]string{"system", "user", "assistant", "tool"}, m.role):
			return deserialize("messages[%d].role: unknown variant `%s`, expected one of `system`, `user`, `assistant`, `tool`", i, m.role)
		case slices.ContainsFunc(m.parts, func(typ string) bool { return typ != "text" }):
			return deserialize("messages[%d]: unknown variant `%s`, expected `text`", i, m.parts)
		case m.role != "assistant":
		case m.empty():
			return openAIError(http.StatusBadRequest, code, "Invalid assistant message: content or tool_calls must be set")
		case thinks && !reasoned:
			return openAIError(http.StatusBadRequest, code, "The `reasoning_content` in the thinking mode must be passed back to the API.")
		case !thinks && reasoned:
			return openAIError(http.StatusBadRequest, code, "The `reasoning_content` field must not be in the history")
		}
	}
	switch result, call := r.unpaired(); {
	case result:
		return openAIError(http.StatusBadRequest, code, "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'")
	case call:
		return openAIError(http.StatusBadRequest, code, "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. (insufficient tool messages following tool_calls message)")
	}
	return nil
}

// qwen is as Model Studio's reference has it, in the words of its list of errors
// (https://help.aliyun.com/zh/model-studio/error-code, 400-InvalidParameter, of 2025-12-26).
func qwen(r *vendorRequest) *vendorError {
	wrong := func(format string, args ...any) *vendorError {
		return openAIError(http.StatusBadRequest, "invalid_parameter_error", "<400> InternalError.Algo.InvalidParameter: "+format, args...)
	}
	if string(r.fields["enable_thinking"]) == "true" && string(r.fields["stream"]) != "true" {
		return wrong("parameter.enable_thinking must be set to false for non-streaming calls")
	}
	if r.has("n") && r.has("tools") && string(r.fields["n"]) != "1" {
		return wrong("The n parameter must be 1 when tools are used")
	}
	switch {
	case r.noShare("top_p"):
		return wrong("Range of top_p should be (0.0, 1.0]")
	case r.outside("temperature", 0, math.Nextafter(2, 0)):
		return wrong("Temperature should be in [0.0, 2.0)")
	case r.outside("presence_penalty", -2, 2):
		return wrong("Presence_penalty should be in [-2.0, 2.0]")
	case r.outside("repetition_penalty", math.SmallestNonzeroFloat64, math.MaxFloat64):
		return wrong("Repetition_penalty should be greater than 0.0")
	case r.outside("top_k", 0, math.MaxFloat64):
		return wrong("Parameter top_k be greater than or equal to 0")
	case r.outside("n", 1, 4):
		return wrong("Range of n should be [1, 4]")
	case r.outside("max_tokens", 1, 65536):
		return wrong("Range of max_tokens should be [1, 65536]")
	case r.wantsJSONWord():
		return wrong("'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.")
	case r.forcesTool() && string(r.fields["enable_thinking"]) == "true":
		return wrong("The tool_choice parameter does not support being set to required or object in thinking mode")
	case r.responseFormat() == "json_object" && string(r.fields["enable_thinking"]) == "true":
		return wrong("Json mode response is not supported when enable_thinking is true")
	case len(r.fields["tool_choice"]) > 0 && r.fields["tool_choice"][0] == '"' && !slices.Contains([]string{`"none"`, `"auto"`}, string(r.fields["tool_choice"])):
		return wrong("tool_choice is one of the strings that should be [\"none\", \"auto\"]")
	}
	if at, name := r.misnamed(plainName); name != "" {
		return wrong("'%s' does not match '%s' - '%s'", name, plainName, at)
	}
	if slices.Contains(r.toolNames(), "search") {
		return wrong("Tool names are not allowed to be [search]")
	}
	if result, _ := r.unpaired(); result {
		return wrong("messages with role \"tool\" must be a response to a preceeding message with \"tool_calls\".") //nolint:misspell // as Model Studio writes it
	}
	for i, m := range r.messages {
		switch {
		case !slices.Contains([]string{"system", "user", "assistant", "tool", "function"}, m.role):
			return wrong("%s is not one of ['system', 'assistant', 'user', 'tool', 'function'] - 'messages.%d.role'", m.role, i)
		case m.role == "assistant" && m.empty():
			return wrong("The content field is a required field - 'messages.%d'", i)
		}
		for _, call := range m.calls {
			if !isObject(call.Function.Arguments) {
				return wrong(`The "function.arguments" parameter of the code model must be in JSON format.`)
			}
		}
	}
	return nil
}

// openAIFields are those of completion_create_params.py of openai-python.
var openAIFields = []string{
	"messages", "model", "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens",
	"max_tokens", "metadata", "modalities", "moderation", "n", "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key",
	"prompt_cache_options", "prompt_cache_retention", "reasoning_effort", "response_format", "safety_identifier", "seed", "service_tier",
	"stop", "store", "stream", "stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity",
	"web_search_options",
}

// strict is OpenAI's own API with a model that reasons.
func strict(r *vendorRequest) *vendorError {
	for _, name := range slices.Sorted(maps.Keys(r.fields)) {
		if !slices.Contains(openAIFields, name) {
			return openAIError(http.StatusBadRequest, "unknown_parameter", "Unknown parameter: '%s'.", name)
		}
	}
	if r.has("max_tokens") {
		return openAIError(http.StatusBadRequest, "unsupported_parameter", "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.")
	}
	if string(r.fields["tool_choice"]) == `"any"` {
		return openAIError(http.StatusBadRequest, "invalid_value", "Invalid value: 'any'. Supported values are: 'none', 'auto', and 'required'.")
	}
	if r.wantsJSONWord() {
		return openAIError(http.StatusBadRequest, "", "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.")
	}
	if at, name := r.misnamed(plainName); name != "" {
		return openAIError(http.StatusBadRequest, "invalid_value", "Invalid '%s': string does not match pattern. Expected a string that matches the pattern '%s'.", at, plainName)
	}
	for i, m := range r.messages {
		for _, call := range m.calls {
			if len(call.ID) > 40 {
				return openAIError(http.StatusBadRequest, "string_above_max_length", "Invalid 'messages[%d].tool_calls[0].id': string too long. Expected a string with maximum length 40, but got a string with length %d instead.", i, len(call.ID))
			}
		}
		for _, typ := range m.parts {
			if !slices.Contains([]string{"text", "image_url", "input_audio", "file", "refusal"}, typ) {
				return openAIError(http.StatusBadRequest, "invalid_value", "Invalid value: '%s'.", typ)
			}
		}
		for _, name := range []string{"reasoning_content", "reasoning", "reasoning_details", "prefix"} {
			if _, has := m.fields[name]; has {
				return openAIError(http.StatusBadRequest, "unknown_parameter", "Unknown parameter: 'messages[%d].%s'.", i, name)
			}
		}
	}
	return nil
}

// legacy is a server that renders the conversation with a chat template.
func legacy(r *vendorRequest) *vendorError {
	begun := false
	for _, m := range r.messages {
		switch {
		case !slices.Contains([]string{"system", "user", "assistant", "tool"}, m.role):
			return openAIError(http.StatusBadRequest, "400", "Unexpected message role.")
		case m.role == "system" && begun:
			return openAIError(http.StatusBadRequest, "400", "System message must be at the beginning.")
		}
		begun = begun || m.role != "system"
		for _, call := range m.calls {
			if !isObject(call.Function.Arguments) {
				return openAIError(http.StatusBadRequest, "400", "invalid tool call arguments")
			}
		}
	}
	if r.has("max_completion_tokens") {
		return openAIError(http.StatusBadRequest, "400", "max_completion_tokens: Extra inputs are not permitted")
	}
	return nil
}
