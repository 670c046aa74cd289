package anthropic

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// withoutUnsigned gives the body without thinking that has no signature, and without messages that had nothing else.
func withoutUnsigned(body []byte) []byte {
	out := []byte{'{'}
	_ = translate.Members(body, func(name string, v jsontext.Value) error { // it has been read before
		if name == "messages" {
			v = filtered(v, withoutThinking)
		}
		out = appendMember(out, name, v)
		return nil
	})
	return append(out, '}')
}

// withoutThinking gives a message without its unsigned thinking, nothing if it has nothing else.
func withoutThinking(message jsontext.Value) jsontext.Value {
	out := []byte{'{'}
	empty := false
	_ = translate.Members(message, func(name string, v jsontext.Value) error {
		if name == "content" && v.Kind() == '[' {
			kept := filtered(v, signed)
			empty = len(kept) == len("[]") && isFilled(v)
			v = kept
		}
		out = appendMember(out, name, v)
		return nil
	})
	if empty {
		return nil
	}
	return append(out, '}')
}

// signed gives a block, unless it is thinking without a signature.
func signed(block jsontext.Value) jsontext.Value {
	var kind string
	signature := false
	_ = translate.Members(block, func(name string, v jsontext.Value) error {
		switch name {
		case "type":
			kind = translate.Unquote(v)
		case "signature":
			signature = len(translate.Characters(v)) > 0
		}
		return nil
	})
	if kind == "thinking" && !signature {
		return nil
	}
	return block
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
