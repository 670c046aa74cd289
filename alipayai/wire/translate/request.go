package translate

import (
	"errors"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// Missing makes the error of a parameter that is not there.
func Missing(param, want string) error {
	return &wire.RequestError{Param: param, Code: wire.CodeMissingParameter,
		Message: "missing required parameter '" + param + "': expected " + want}
}

// WrongType makes the error of a parameter that has another JSON type.
func WrongType(param, want string) error {
	return &wire.RequestError{Param: param, Code: wire.CodeInvalidType,
		Message: "invalid type for '" + param + "': expected " + want}
}

// Invalid makes the error of a parameter that has the right type, but a value that it may not have.
func Invalid(param, want string) error {
	return &wire.RequestError{Param: param, Code: wire.CodeInvalidValue,
		Message: "invalid value for '" + param + "': expected " + want}
}

// RequestError makes a client's error of whatever reading the request ended with.
func RequestError(err error) error {
	if own, ok := errors.AsType[*wire.RequestError](err); ok {
		return own
	}
	return &wire.RequestError{Code: wire.CodeInvalidJSON, Message: "the body must be one strict JSON object"}
}

// OnlyInCase makes the error of a key that another reader may take for a known one.
func OnlyInCase(known string) error {
	return &wire.RequestError{Param: known, Code: wire.CodeUnknownParameter,
		Message: "a key differs from '" + known + "' only in case: write it in lower case, once"}
}

// Request reads the body of a request strictly, as [wire.ParseRequest], and calls member for each of its members. Every
// error is a [*wire.RequestError].
func Request(body []byte, member func(name string, v jsontext.Value) error) (wire.Request, error) {
	r, err := wire.ParseMembers(body, wire.Limits{}, func(name []byte, v jsontext.Value) error {
		known, ok := names[string(name)]
		if !ok {
			known = string(name)
		}
		return member(known, v)
	})
	if err != nil {
		return r, RequestError(err)
	}
	return r, nil
}

// Object calls member for each member of the object that stands at path.
func Object(path string, v jsontext.Value, member func(name string, value jsontext.Value) error) error {
	if v.Kind() != '{' {
		return WrongType(path, "an object")
	}
	return Members(v, member)
}

// Array calls element for each element of the array that stands at path, with the element's own path.
func Array(path string, v jsontext.Value, element func(path string, value jsontext.Value) error) error {
	if v.Kind() != '[' {
		return WrongType(path, "an array")
	}
	return Elements(v, func(i int, value jsontext.Value) error {
		return element(path+"["+strconv.Itoa(i)+"]", value)
	})
}

// Objects is Array for an array of objects, each of which object is to read by [Decoder.Members]. A key that repeats in one is not
// looked for: v is part of a request that has been read strictly.
func Objects(path string, v jsontext.Value, object func(path string, dec *Decoder) error) error {
	if v.Kind() != '[' {
		return WrongType(path, "an array")
	}
	dec := Decode(v)
	defer dec.Close()
	return dec.Array(func(i int) error {
		at := path + "[" + strconv.Itoa(i) + "]"
		if dec.PeekKind() != '{' {
			return WrongType(at, "an object")
		}
		return object(at, dec)
	})
}

// IsString checks that a string stands at path.
func IsString(path string, v jsontext.Value) error {
	switch {
	case len(v) == 0 || v.Kind() == 'n':
		return Missing(path, "a string")
	case v.Kind() != '"':
		return WrongType(path, "a string")
	}
	return nil
}

// String reads the string that stands at path; where there is none it may not be missing.
func String(path string, v jsontext.Value) (string, error) {
	if err := IsString(path, v); err != nil {
		return "", err
	}
	return Name(v), nil
}

// Boolean reads the boolean that stands at path.
func Boolean(path string, v jsontext.Value) (bool, error) {
	if v.Kind() != 't' && v.Kind() != 'f' {
		return false, WrongType(path, "a boolean")
	}
	return v.Kind() == 't', nil
}

// Number reads the number that stands at path and may be from least to most.
func Number(path string, v jsontext.Value, least, most float64) (float64, error) {
	if v.Kind() != '0' {
		return 0, WrongType(path, "a number")
	}
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil || f < least || f > most {
		return 0, Invalid(path, "a number from "+strconv.FormatFloat(least, 'g', -1, 64)+" to "+strconv.FormatFloat(most, 'g', -1, 64))
	}
	return f, nil
}

// Count reads the whole number that stands at path and is not below least. It may be written as 4096.0, as programs do whose numbers
// are floating (https://json-schema.org/draft/2020-12/json-schema-validation, section 6.1.1), which vendors' own readers take.
func Count(path string, v jsontext.Value, least int64) (int64, error) {
	if v.Kind() != '0' {
		return 0, WrongType(path, "a whole number")
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		var f float64
		if f, err = strconv.ParseFloat(string(v), 64); f != math.Trunc(f) || math.Abs(f) > maxExact {
			err = strconv.ErrRange
		}
		n = int64(f)
	}
	if err != nil || n < least {
		return 0, Invalid(path, "a whole number from "+strconv.FormatInt(least, 10))
	}
	return n, nil
}

// maxExact is the most up to which a float64 has all whole numbers.
const maxExact = 1 << 53

// MaxNames bounds how many names are given of what was left out; "..." stands for the others.
const MaxNames = 32

// Omissions are the names of what could not be carried over. The zero value has none.
type Omissions struct{ names map[string]struct{} }

func (o *Omissions) add(name string) {
	if o.names == nil {
		o.names = make(map[string]struct{})
	}
	o.names[name] = struct{}{}
}

// Leave notes that the member name of what stands at path is left out, unless its value says nothing.
func (o *Omissions) Leave(path, name string, v jsontext.Value) {
	name = wire.Visible(name)
	if path != "" {
		name = withoutIndexes(path) + "." + name
	}
	if !wire.IsDefault(name, v) {
		o.add(name)
	}
}

// LeaveOut notes that what stands at path is left out.
func (o *Omissions) LeaveOut(path string) { o.add(withoutIndexes(path)) }

// Names gives the names sorted.
func (o *Omissions) Names() []string {
	if len(o.names) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(o.names))
	if len(names) > MaxNames {
		names = append(names[:MaxNames], "...")
		slices.Sort(names)
	}
	return names
}

// withoutIndexes gives messages.content for messages[3].content[0].
func withoutIndexes(path string) string {
	var b strings.Builder
	for path != "" {
		name, rest, _ := strings.Cut(path, "[")
		b.WriteString(name)
		_, path, _ = strings.Cut(rest, "]")
	}
	return b.String()
}
