package nextbuilder

import (
	"errors"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// sessionKey is the key in a request's metadata that names a session.
const sessionKey = "session_id"

// chat is a request in OpenAI's form.
type chat struct {
	Messages         []message                 `json:"messages"`
	User             string                    `json:"user"`
	SafetyIdentifier string                    `json:"safety_identifier"`
	Metadata         map[string]string         `json:"metadata"`
	Other            map[string]jsontext.Value `json:",embed"`
}

// readChat reads the body of a request. Every error is a [*wire.RequestError].
func readChat(body []byte) (chat, error) {
	var c chat
	err := json.Unmarshal(body, &c)
	if err == nil {
		return c, nil
	}
	wrong, ok := errors.AsType[*json.SemanticError](err)
	if !ok {
		return chat{}, &wire.RequestError{Code: wire.CodeInvalidJSON, Message: "the body is not one valid JSON object"}
	}
	for param := range wrong.JSONPointer.Tokens() {
		switch param {
		case "messages":
			return chat{}, wrongType(param, "an array of messages, each with a 'role' and a 'content'")
		case "metadata":
			return chat{}, wrongType(param, "an object of strings")
		}
		return chat{}, wrongType(param, "a string")
	}
	return chat{}, &wire.RequestError{Code: wire.CodeInvalidType, Message: "the body must be one JSON object"}
}

func wrongType(param, want string) error {
	return &wire.RequestError{Param: param, Code: wire.CodeInvalidType,
		Message: "invalid type for '" + param + "': expected " + want}
}

// unsupportedFields names what is asked for beside the messages and cannot be had.
func (c chat) unsupportedFields() []string {
	var names []string
	for name, value := range c.Other {
		if value.Kind() != 'n' && !saysNothing(name, value) {
			names = append(names, cleanName(name))
		}
	}
	for key := range c.Metadata {
		if key != sessionKey {
			names = append(names, "metadata")
		}
	}
	return names
}

// saysNothing reports whether a field has the value that it has in OpenAI's API when it is absent, or one that is heeded
// without being carried over: there are no tools, so that none is called whatever tool_choice says, and how the answer
// is delivered is the gateway's business.
func saysNothing(name string, value jsontext.Value) bool {
	var same []string
	switch name {
	case "model", "stream", "stream_options":
		return true
	case "n", "temperature", "top_p":
		same = []string{"1"}
	case "frequency_penalty", "presence_penalty", "top_logprobs":
		same = []string{"0"}
	case "logprobs", "store":
		same = []string{"false"}
	case "parallel_tool_calls":
		same = []string{"true", "false"}
	case "tools", "functions", "stop":
		same = []string{"[]"}
	case "tool_choice", "function_call":
		same = []string{`"auto"`, `"none"`}
	case "logit_bias":
		same = []string{"{}"}
	case "modalities":
		same = []string{`["text"]`}
	case "response_format":
		same = []string{`{"type":"text"}`}
	case "service_tier":
		same = []string{`"auto"`, `"default"`}
	case "verbosity":
		same = []string{`"medium"`}
	default:
		return false
	}
	value = value.Clone()
	return value.Canonicalize() == nil && slices.Contains(same, string(value)) // 1.0 is 1
}

// maxName is how much is kept of a name that the client chose, in bytes.
const maxName = 64

// cleanName makes a client's name fit for a header field: visible ASCII, and not without end.
func cleanName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '?'
		}
		return r
	}, name)
	return name[:min(len(name), maxName)]
}
