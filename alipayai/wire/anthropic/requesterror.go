package anthropic

import (
	"errors"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

func missing(param, want string) error {
	return &wire.RequestError{Param: param, Code: wire.CodeMissingParameter,
		Message: "missing required parameter '" + param + "': expected " + want}
}

func wrongType(param, want string) error {
	return &wire.RequestError{Param: param, Code: wire.CodeInvalidType,
		Message: "invalid type for '" + param + "': expected " + want}
}

func invalid(param, want string) error {
	return &wire.RequestError{Param: param, Code: wire.CodeInvalidValue,
		Message: "invalid value for '" + param + "': expected " + want}
}

// requestError makes a client's error of whatever reading the request ended with.
func requestError(err error) error {
	if own, ok := errors.AsType[*wire.RequestError](err); ok {
		return own
	}
	return &wire.RequestError{Code: wire.CodeInvalidJSON, Message: "the body must be one strict JSON object"}
}

// object calls member for each member of the object that stands at path.
func object(path string, v jsontext.Value, member func(name string, value jsontext.Value) error) error {
	if v.Kind() != '{' {
		return wrongType(path, "an object")
	}
	return members(v, member)
}

// array calls element for each element of the array that stands at path, with the element's own path.
func array(path string, v jsontext.Value, element func(path string, value jsontext.Value) error) error {
	if v.Kind() != '[' {
		return wrongType(path, "an array")
	}
	return elements(v, func(i int, value jsontext.Value) error {
		return element(path+"["+strconv.Itoa(i)+"]", value)
	})
}

// str reads the string that stands at path; where there is none it may not be missing.
func str(path string, v jsontext.Value) (string, error) {
	switch {
	case len(v) == 0 || v.Kind() == 'n':
		return "", missing(path, "a string")
	case v.Kind() != '"':
		return "", wrongType(path, "a string")
	}
	return unquote(v), nil
}

// boolean reads the boolean that stands at path.
func boolean(path string, v jsontext.Value) (bool, error) {
	if v.Kind() != 't' && v.Kind() != 'f' {
		return false, wrongType(path, "a boolean")
	}
	return v.Kind() == 't', nil
}

// number reads the number that stands at path and may be from least to most.
func number(path string, v jsontext.Value, least, most float64) (float64, error) {
	if v.Kind() != '0' {
		return 0, wrongType(path, "a number")
	}
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil || f < least || f > most {
		return 0, invalid(path, "a number from "+strconv.FormatFloat(least, 'g', -1, 64)+" to "+strconv.FormatFloat(most, 'g', -1, 64))
	}
	return f, nil
}

// count reads the whole number above zero that stands at path.
func count(path string, v jsontext.Value) (int64, error) {
	if v.Kind() != '0' {
		return 0, wrongType(path, "a whole number")
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil || n < 1 {
		return 0, invalid(path, "a whole number above zero")
	}
	return n, nil
}
