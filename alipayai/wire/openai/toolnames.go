package openai

import (
	"bytes"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// plainName is what OpenAI takes as a tool's name, and who follows it: "string does not match pattern '^[a-zA-Z0-9_-]+$'" in
// https://github.com/github/copilot-sdk/issues/743, and mistral_common's validator.
var plainName = wire.ToolName{Most: 64}

// toolName edits the name of a tool.
func (e *editor) toolName(v span) {
	name := translate.Unquote(e.text(v))
	if fit := e.names.Fit(e.ToolName, name); fit != name {
		e.replace(v, quote(fit))
	}
}

// OwnToolNames gives the chat completion, or the chunk of one, with the client's names in the place of the provider's.
// Every other byte is as it was.
func OwnToolNames(body []byte, names wire.ToolNames) []byte {
	if len(names) == 0 || !mayCall(body) {
		return body
	}
	return editChoices(body, func(e *edits, choice span) {
		for _, m := range e.members(choice) {
			if m.name == "message" || m.name == "delta" {
				e.ownNames(e.members(m.value), names)
			}
		}
	})
}

// ownNames edits the calls of a message.
func (e *edits) ownNames(message []member, names wire.ToolNames) {
	for _, m := range message {
		switch m.name {
		case "tool_calls":
			for _, call := range e.elements(m.value) {
				for _, one := range e.members(call) {
					if one.name == "function" || one.name == "custom" {
						e.ownName(one.value, names)
					}
				}
			}
		case "function_call":
			e.ownName(m.value, names)
		}
	}
}

func (e *edits) ownName(function span, names wire.ToolNames) {
	for _, m := range e.members(function) {
		if m.name != "name" {
			continue
		}
		if own, ok := names[translate.Unquote(e.text(m.value))]; ok {
			e.replace(m.value, quote(own))
		}
	}
}

// mayCall reports whether text may have the name of a tool in it, of however many: the member is of letters that JSON need
// not escape.
func mayCall(text []byte) bool { return bytes.Contains(text, []byte(`"name"`)) }
