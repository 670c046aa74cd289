package sandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
)

// closed is a schema of an object that has the named members and no other.
type closed struct {
	names    []string
	required []string
	notNull  []string
	// inside are the schemas of members that are objects, or arrays of them.
	inside map[string]closed
	// tags are the schemas of a member's elements by their type, where they have several.
	tags map[string]map[string]closed
	// is says of members what they must be; the word is Pydantic's for what they are not.
	is map[string]func(v json.RawMessage) (kind, message string)
}

// refuses gives what is wrong with an object that stands at a place; "" for nothing.
func (c closed) refuses(fields map[string]json.RawMessage, at []any) (kind, message string, where []any) {
	for _, name := range c.required {
		if _, ok := fields[name]; !ok {
			return "missing", "Field required", append(slices.Clone(at), name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		here, v := append(slices.Clone(at), name), fields[name]
		switch {
		case !slices.Contains(c.names, name):
			return "extra_forbidden", "Extra inputs are not permitted", here
		case string(v) == "null" && slices.Contains(c.notNull, name):
			return "type_error", "Input should not be null", here
		}
		if check := c.is[name]; check != nil && string(v) != "null" {
			if kind, message := check(v); kind != "" {
				return kind, message, here
			}
		}
		if inner, ok := c.inside[name]; ok {
			if kind, message, where := refusesEach(v, here, func(map[string]json.RawMessage) (closed, bool) { return inner, true }); kind != "" {
				return kind, message, where
			}
		}
		if tags := c.tags[name]; tags != nil {
			if kind, message, where := refusesEach(v, here, func(element map[string]json.RawMessage) (closed, bool) {
				var typ string
				_ = json.Unmarshal(element["type"], &typ)
				schema, ok := tags[typ]
				return schema, ok
			}); kind != "" {
				return kind, message, where
			}
		}
	}
	return "", "", nil
}

// refusesEach is refuses for the object v, or for each of an array's.
func refusesEach(v json.RawMessage, at []any, schema func(map[string]json.RawMessage) (closed, bool)) (kind, message string, where []any) {
	var object map[string]json.RawMessage
	if json.Unmarshal(v, &object) == nil && object != nil {
		known, ok := schema(object)
		if !ok {
			return "union_tag_invalid", "Input tag does not match any of the expected tags", at
		}
		return known.refuses(object, at)
	}
	var list []json.RawMessage
	if json.Unmarshal(v, &list) != nil {
		return "", "", nil // a string, which content may be
	}
	for i, element := range list {
		if kind, message, where = refusesEach(element, append(slices.Clone(at), i), schema); kind != "" {
			return kind, message, where
		}
	}
	return "", "", nil
}

// between is for numbers.
func between(least, most float64) func(json.RawMessage) (string, string) {
	return func(v json.RawMessage) (string, string) {
		f, err := strconv.ParseFloat(string(v), 64)
		switch {
		case err != nil:
			return "float_type", "Input should be a valid number"
		case f < least:
			return "greater_than_equal", fmt.Sprintf("Input should be greater than or equal to %g", least)
		case f > most:
			return "less_than_equal", fmt.Sprintf("Input should be less than or equal to %g", most)
		}
		return "", ""
	}
}

// aString is for strings.
func aString(v json.RawMessage) (kind, message string) {
	if v[0] != '"' {
		return "string_type", "Input should be a valid string"
	}
	return "", ""
}

// oneOf is for words.
func oneOf(words ...string) func(json.RawMessage) (string, string) {
	return func(v json.RawMessage) (string, string) {
		var word string
		if json.Unmarshal(v, &word) == nil && !slices.Contains(words, word) {
			return "enum", fmt.Sprintf("Input should be one of %q", words)
		}
		return "", ""
	}
}

type checks = map[string]func(json.RawMessage) (string, string)

var (
	mistralText  = closed{names: []string{"type", "text"}, required: []string{"text"}, is: checks{"text": aString}}
	mistralThink = closed{names: []string{"type", "thinking", "signature", "closed"}, required: []string{"thinking"}}
	mistralParts = map[string]closed{
		"text": mistralText, "thinking": mistralThink,
		"image_url": {
			names: []string{"type", "image_url"}, required: []string{"image_url"},
			inside: map[string]closed{"image_url": {names: []string{"url", "detail"}, required: []string{"url"}}},
		},
		"document_url": {names: []string{"type", "document_url", "document_name"}, required: []string{"document_url"}},
		"reference":    {names: []string{"type", "reference_ids"}, required: []string{"reference_ids"}},
		"file":         {names: []string{"type", "file_id"}, required: []string{"file_id"}},
		"input_audio":  {names: []string{"type", "input_audio"}, required: []string{"input_audio"}, is: checks{"input_audio": aString}},
	}
	mistralMessages = map[string]closed{
		"system": {
			names: []string{"role", "content"}, required: []string{"content"}, notNull: []string{"content"},
			tags: map[string]map[string]closed{"content": {"text": mistralText, "thinking": mistralThink}},
		},
		"user": {names: []string{"role", "content"}, required: []string{"content"}, tags: map[string]map[string]closed{"content": mistralParts}},
		"assistant": {
			names: []string{"role", "content", "tool_calls", "prefix"}, notNull: []string{"prefix"}, tags: map[string]map[string]closed{"content": mistralParts},
			inside: map[string]closed{"tool_calls": {
				names: []string{"id", "type", "function", "index"}, required: []string{"function"}, notNull: []string{"id", "type", "index"},
				inside: map[string]closed{"function": {names: []string{"name", "arguments"}, required: []string{"name", "arguments"}}},
			}},
		},
		"tool": {names: []string{"role", "content", "tool_call_id", "name"}, required: []string{"content"}, tags: map[string]map[string]closed{"content": mistralParts}},
	}
	mistralSchema = closed{
		names: []string{
			"model", "temperature", "top_p", "max_tokens", "stream", "stop", "random_seed", "metadata", "messages", "response_format", "tools",
			"tool_choice", "presence_penalty", "frequency_penalty", "n", "prediction", "parallel_tool_calls", "prompt_mode", "reasoning_effort",
			"guardrails", "prompt_cache_key", "service_tier", "safe_prompt",
		},
		required: []string{"messages", "model"},
		notNull:  []string{"model", "messages", "stream", "response_format", "tool_choice", "prediction", "parallel_tool_calls", "safe_prompt"},
		is: checks{
			"temperature": between(0, 1.5), "top_p": between(0, 1), "max_tokens": between(0, 1e9), "random_seed": between(0, 1e18), "n": between(1, 1e9),
			"presence_penalty": between(-2, 2), "frequency_penalty": between(-2, 2), "service_tier": oneOf("auto", "standard_only"),
		},
		inside: map[string]closed{
			"tools": {
				names: []string{"type", "function"}, required: []string{"function"}, is: checks{"type": oneOf("function")},
				inside: map[string]closed{"function": {
					names: []string{"name", "description", "strict", "parameters"}, required: []string{"name", "parameters"}, notNull: []string{"parameters"},
				}},
			},
			"tool_choice": {
				names: []string{"type", "function"}, required: []string{"function"}, is: checks{"type": oneOf("function")},
				inside: map[string]closed{"function": {names: []string{"name"}, required: []string{"name"}}},
			},
			"response_format": {
				names: []string{"type", "json_schema"}, is: checks{"type": oneOf("text", "json_object", "json_schema")},
				inside: map[string]closed{"json_schema": {names: []string{"name", "description", "schema", "strict"}, required: []string{"name", "schema"}}},
			},
			"prediction": {names: []string{"type", "content"}, is: checks{"content": aString}},
		},
	}
)

var nine = regexp.MustCompile(`^[a-zA-Z0-9]{9}$`)

// mistral is as its API reference (https://docs.mistral.ai/openapi.yaml, ChatCompletionRequest) and mistral_common's validator
// for serving have it.
func mistral(r *vendorRequest) *vendorError {
	if kind, message, at := mistralSchema.refuses(r.fields, nil); kind != "" {
		return mistralDetail(kind, message, at...)
	}
	if string(r.fields["tool_choice"]) == `"required"` { // of older versions
		return mistralDetail("enum", "Input should be 'auto', 'none' or 'any'", "tool_choice")
	}
	if at, name := r.misnamed(plainName); name != "" {
		return mistralWrong("invalid_request_function_name", "%s: Function name was %s but must be a-z, A-Z, 0-9, or contain underscores and dashes, with a maximum length of 64.", at, name)
	}
	before, waiting := "", 0 // the role of the message before, and how many calls have no answer
	for i, m := range r.messages {
		schema, known := mistralMessages[m.role]
		if !known {
			return mistralDetail("union_tag_invalid", "Input tag does not match any of the expected tags", "messages", i)
		}
		if kind, message, at := schema.refuses(m.fields, []any{"messages", i, m.role}); kind != "" {
			return mistralDetail(kind, message, at...)
		}
		if err := mistralOrder(m, before, i == 0, i == len(r.messages)-1); err != nil {
			return err
		}
		if m.role == "tool" {
			waiting--
		} else if waiting != 0 {
			return mistralUnanswered()
		}
		waiting += len(m.calls)
		if err := mistralCalls(m); err != nil {
			return err
		}
		before = m.role
	}
	if waiting != 0 {
		return mistralUnanswered()
	}
	return nil
}

// mistralDetail is how the API's schema refuses, and mistralWrong how its validator does.
func mistralDetail(kind, message string, at ...any) *vendorError {
	return &vendorError{http.StatusUnprocessableEntity, map[string]any{"detail": []any{
		map[string]any{"type": kind, "loc": append([]any{"body"}, at...), "msg": message},
	}}}
}

func mistralWrong(kind, format string, args ...any) *vendorError {
	return &vendorError{http.StatusBadRequest, map[string]any{
		"object": "error", "message": fmt.Sprintf(format, args...), "type": kind, "param": nil, "code": "3230",
	}}
}

func mistralUnanswered() *vendorError {
	return mistralWrong("invalid_request_message_order", "Not the same number of function calls and responses")
}

// mistralAfter are the roles that may follow each; the first message follows "".
var mistralAfter = map[string][]string{
	"": {"system", "user", "assistant"}, "system": {"user", "assistant", "system"}, "user": {"assistant", "system", "user"},
	"assistant": {"assistant", "user", "tool"}, "tool": {"assistant", "tool"},
}

// mistralOrder refuses a message where it stands.
func mistralOrder(m vendorMessage, before string, first, last bool) *vendorError {
	prefix := string(m.fields["prefix"]) == "true"
	switch {
	case !slices.Contains(mistralAfter[before], m.role):
		return mistralWrong("invalid_request_message_order", "Unexpected role '%s' after role '%s'", m.role, before)
	case m.role == "assistant" && m.empty():
		return mistralWrong("invalid_request_assistant_message", "Assistant message must have either content or tool_calls, but not none.")
	case prefix && !last:
		return mistralWrong("invalid_request_assistant_message", "Assistant message with prefix True must be last message")
	case last && m.role != "user" && m.role != "tool" && !prefix && !first:
		return mistralWrong("invalid_request_message_order", "Expected last role User or Tool (or Assistant with prefix True) for serving but got %s", m.role)
	}
	return nil
}

// mistralCalls refuses calls whose ids or arguments are of another form, and answers to such ids.
func mistralCalls(m vendorMessage) *vendorError {
	var ids []string
	if m.role == "tool" {
		ids = []string{m.callID}
	}
	for _, call := range m.calls {
		ids = append(ids, call.ID)
		if !isObject(call.Function.Arguments) {
			return mistralWrong("invalid_request_function_call", "Invalid arguments of a function call")
		}
	}
	for _, id := range ids {
		if !nine.MatchString(id) {
			return mistralWrong("invalid_function_call", "Tool call id was %s but must be a-z, A-Z, 0-9, with a length of 9.", id)
		}
	}
	return nil
}
