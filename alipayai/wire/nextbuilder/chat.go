package nextbuilder

import (
	"errors"

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
	Metadata         metadata                  `json:"metadata"`
	Other            map[string]jsontext.Value `json:",embed"`
}

// metadata is a request's, of which the API knows one string.
type metadata map[string]jsontext.Value

// UnmarshalJSONFrom implements [json.UnmarshalerFrom]. What is no object, as no reference has it, says nothing.
func (m *metadata) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if kind := dec.PeekKind(); kind != '{' {
		if kind != 'n' {
			*m = metadata{"": nil}
		}
		return dec.SkipValue()
	}
	return json.UnmarshalDecode(dec, (*map[string]jsontext.Value)(m))
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
		}
		return chat{}, wrongType(param, "a string")
	}
	return chat{}, &wire.RequestError{Code: wire.CodeInvalidType, Message: "the body must be one JSON object"}
}

func wrongType(param, want string) error {
	return &wire.RequestError{Param: param, Code: wire.CodeInvalidType,
		Message: "invalid type for '" + param + "': expected " + want}
}

// unsupportedFields names what is asked for beside the messages and cannot be had. The model is in the ask, and how the
// answer is delivered is the gateway's business.
func (c chat) unsupportedFields() []string {
	var names []string
	for name, value := range c.Other {
		switch name {
		case "model", "stream", "stream_options":
			continue
		}
		if !wire.IsDefault(name, value) {
			names = append(names, wire.Visible(name))
		}
	}
	for key := range c.Metadata {
		if key != sessionKey || c.Metadata[key].Kind() != '"' {
			names = append(names, "metadata")
		}
	}
	if c.User != "" && c.SafetyIdentifier != "" && c.SafetyIdentifier != c.User {
		names = append(names, "safety_identifier")
	}
	return names
}
