package anthropic

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// sendable gives the body without thinking that has no signature, texts of the assistant's that say nothing, and citations of another
// provider's search, without messages that had nothing else, and with ids of tool calls as [wire.CallIDs] gives them.
func sendable(body []byte) []byte {
	ids := wire.CallIDs{Form: toolUseID}
	out := []byte{'{'}
	_ = translate.Members(body, func(name string, v jsontext.Value) error { // it has been read before
		if name == "messages" {
			v = filtered(v, func(message jsontext.Value) jsontext.Value { return sendableMessage(message, &ids) })
		}
		out = appendMember(out, name, v)
		return nil
	})
	return append(out, '}')
}

// sendableMessage gives nothing for a message that has nothing but what is left out.
func sendableMessage(message jsontext.Value, ids *wire.CallIDs) jsontext.Value {
	out := []byte{'{'}
	empty, called := false, false
	byModel := isAssistant(message)
	_ = translate.Members(message, func(name string, v jsontext.Value) error {
		if name == "content" && v.Kind() == '[' {
			kept := filtered(v, func(block jsontext.Value) jsontext.Value {
				kind, id, signed, blank := outline(block)
				switch {
				case kind == "thinking" && !signed, kind == "text" && blank && byModel:
					return nil
				case kind == "text" && byModel:
					return withoutUnsigned(block)
				case kind == "tool_use":
					if !called {
						ids.Turn()
					}
					called = true
					return withMember(block, "id", ids.Call(id))
				case kind == "tool_result":
					return withMember(block, "tool_use_id", ids.Result(id))
				}
				return block
			})
			empty = len(kept) == len("[]") && (byModel || isFilled(v))
			v = kept
		}
		empty = empty || name == "content" && byModel && isBlank(v)
		out = appendMember(out, name, v)
		return nil
	})
	if empty {
		return nil
	}
	return append(out, '}')
}

// isAssistant reports whether a message is the model's.
func isAssistant(message jsontext.Value) (is bool) {
	_ = translate.Members(message, func(name string, v jsontext.Value) error {
		is = is || name == "role" && translate.Unquote(v) == "assistant"
		return nil
	})
	return is
}

// isBlank reports whether a text says nothing. The API gives such texts beside its tool calls, but refuses them in a history:
// "text content blocks must be non-empty", "… must contain non-whitespace text" (https://github.com/BerriAI/litellm/pull/22979).
func isBlank(text jsontext.Value) bool {
	return text.Kind() == '"' && strings.TrimSpace(translate.Unquote(text)) == ""
}

// outline gives what kind of block it is, the tool call's id that it names, whether it has a signature, and whether its text says
// nothing.
func outline(block jsontext.Value) (kind, id string, signed, blank bool) {
	_ = translate.Members(block, func(name string, v jsontext.Value) error {
		switch name {
		case "type":
			kind = translate.Unquote(v)
		case "id", "tool_use_id":
			id = translate.Unquote(v)
		case "signature":
			signed = len(translate.Characters(v)) > 0
		case "text":
			blank = isBlank(v)
		}
		return nil
	})
	return kind, id, signed, blank
}

// withMember gives the object with another string for the value of its member of that name.
func withMember(object jsontext.Value, name, value string) jsontext.Value {
	out := []byte{'{'}
	_ = translate.Members(object, func(n string, v jsontext.Value) error {
		if n == name {
			v = translate.Quote(nil, value)
		}
		out = appendMember(out, n, v)
		return nil
	})
	return append(out, '}')
}

// filtered gives an array of what change makes of its elements; those that become nothing are left out.
func filtered(array jsontext.Value, change func(jsontext.Value) jsontext.Value) jsontext.Value {
	out := []byte{'['}
	_ = translate.Elements(array, func(_ int, v jsontext.Value) error {
		v = change(v)
		if len(out) > 1 && len(v) > 0 {
			out = append(out, ',')
		}
		out = append(out, v...)
		return nil
	})
	return append(out, ']')
}

func appendMember(object []byte, name string, v []byte) []byte {
	if len(object) > 1 {
		object = append(object, ',')
	}
	return append(append(translate.Quote(object, name), ':'), v...)
}
