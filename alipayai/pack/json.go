package pack

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// members calls each for every member of the object text, as long as it gives true, and
// reports whether text is such an object and each always did.
func members(text []byte, each func(name string, v jsontext.Value) bool, options ...jsontext.Options) bool {
	return walk(text, '{', func(dec *jsontext.Decoder) bool {
		name, err := dec.ReadToken()
		if err != nil {
			return false
		}
		key := name.String()
		v, err := dec.ReadValue()
		return err == nil && each(key, v)
	}, options...)
}

// elements is members for an array.
func elements(text []byte, each func(v jsontext.Value) bool) bool {
	return walk(text, '[', func(dec *jsontext.Decoder) bool {
		v, err := dec.ReadValue()
		return err == nil && each(v)
	})
}

// walk reads one object or array and nothing after it.
func walk(text []byte, kind jsontext.Kind, item func(dec *jsontext.Decoder) bool, options ...jsontext.Options) bool {
	dec := jsontext.NewDecoder(bytes.NewReader(text), options...)
	if dec.PeekKind() != kind {
		return false
	}
	if _, err := dec.ReadToken(); err != nil {
		return false
	}
	for k := dec.PeekKind(); k != '}' && k != ']'; k = dec.PeekKind() {
		if k == jsontext.KindInvalid || !item(dec) {
			return false
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return false
	}
	return len(bytes.TrimSpace(text[dec.InputOffset():])) == 0
}

// unquote decodes a JSON string; anything else is "".
func unquote(v jsontext.Value) string {
	if v.Kind() != '"' {
		return ""
	}
	b, _ := jsontext.AppendUnquote(nil, v)
	return string(b)
}

// appendQuote appends text as a JSON string.
func appendQuote(dst []byte, text string) []byte {
	dst, _ = jsontext.AppendQuote(dst, text) // the error only says that invalid UTF-8 was replaced
	return dst
}
