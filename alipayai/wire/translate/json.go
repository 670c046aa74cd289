package translate

import (
	"errors"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

var (
	errNotObject = errors.New("not one JSON object")
	errNotArray  = errors.New("not a JSON array")
	errRepeated  = errors.New("a key is repeated")
)

// Members calls member for each member of the object v. The values are parts of v. A key of v itself may come once.
func Members(v jsontext.Value, member func(name string, value jsontext.Value) error) error {
	dec := Decode(v)
	defer dec.Close()
	if dec.PeekKind() != '{' {
		return errNotObject
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	var room [8]string
	seen := room[:0]
	for dec.PeekKind() != '}' {
		name, err := dec.Name()
		if err != nil {
			return err
		}
		if len(seen) < maxSeen {
			if slices.Contains(seen, name) {
				return errRepeated
			}
			seen = append(seen, name)
		}
		value, err := dec.Value()
		if err != nil {
			return err
		}
		if err := member(name, value); err != nil {
			return err
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return errNotObject
	}
	return nil
}

// maxSeen is among how many keys one that is repeated is found: more than any object has that the formats know.
const maxSeen = 64

// Generated is Members for what has been generated: what is no object has none, and of a key that repeats the last one
// counts.
func Generated(v jsontext.Value, member func(name string, value jsontext.Value) error) error {
	dec := Decode(v)
	defer dec.Close()
	if dec.PeekKind() != '{' {
		return nil
	}
	_, err := dec.Members(member)
	return err
}

// Elements calls element for each element of the array v. The values are parts of v.
func Elements(v jsontext.Value, element func(i int, value jsontext.Value) error) error {
	dec := Decode(v)
	defer dec.Close()
	if dec.PeekKind() != '[' {
		return errNotArray
	}
	return dec.Array(func(i int) error {
		value, err := dec.Value()
		if err != nil {
			return err
		}
		return element(i, value)
	})
}

// Unquote decodes a JSON string that a decoder has accepted; anything else is "".
func Unquote(v jsontext.Value) string {
	if v.Kind() != '"' {
		return ""
	}
	for _, c := range v {
		if c == '\\' || c >= utf8.RuneSelf {
			b, _ := jsontext.AppendUnquote(nil, v)
			return string(b)
		}
	}
	return string(v[1 : len(v)-1])
}

// Quote appends s as a JSON string.
func Quote(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // the error only says that invalid UTF-8 was replaced
	return dst
}

// Characters gives what stands between the quotes of a JSON string, as written; nil of anything else.
func Characters(v jsontext.Value) []byte {
	if v.Kind() != '"' {
		return nil
	}
	return v[1 : len(v)-1]
}

// Join appends more to list, with a comma where both hold something.
func Join(list, more []byte) []byte {
	if len(list) > 0 && len(more) > 0 {
		list = append(list, ',')
	}
	return append(list, more...)
}
