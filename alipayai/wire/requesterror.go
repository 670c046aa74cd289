package wire

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Codes of a [RequestError]. Those for a single parameter are the ones OpenAI answers with; the others are ours, since
// OpenAI's API gives malformed bodies no code.
const (
	CodeInvalidJSON      = "invalid_json"               // not one complete, valid JSON object
	CodeDuplicateKey     = "duplicate_key"              // an object repeats a key
	CodeNestingTooDeep   = "nesting_too_deep"           // deeper than Limits.MaxDepth
	CodeMissingParameter = "missing_required_parameter" // a required field is absent
	CodeInvalidType      = "invalid_type"               // a field has the wrong JSON type
	CodeEmptyString      = "empty_string"               // a string may not be empty
	CodeEmptyArray       = "empty_array"                // an array may not be empty
	CodeUnknownParameter = "unknown_parameter"          // a key differs from a known one only in case
	CodeInvalidValue     = "invalid_value"              // a field has the right type, but a value that it may not have
	CodeContextLength    = "context_length_exceeded"    // an upstream's model does not take so long a conversation
)

// RequestError says what is wrong with a client's request and what would be right, for an answer with status 400.
// Message names known fields and byte offsets only, never anything that the client sent.
type RequestError struct {
	Param   string // the field, empty when the whole body is at fault
	Code    string // one of the Code constants
	Message string
}

// Error returns the message.
func (e *RequestError) Error() string { return e.Message }

// HTTP returns the answer to the request: 400 invalid_request_error.
func (e *RequestError) HTTP() Error {
	return Error{Status: http.StatusBadRequest, Message: e.Message, Param: e.Param, Code: e.Code}
}

func missing(param, want string) error {
	return &RequestError{Param: param, Code: CodeMissingParameter,
		Message: "missing required parameter '" + param + "': expected " + want}
}

func empty(param, kind string) error {
	code := CodeEmptyString
	if kind == "array" {
		code = CodeEmptyArray
	}
	return &RequestError{Param: param, Code: code,
		Message: "invalid '" + param + "': expected a non-empty " + kind}
}

// wrongType reads the value that comes next, so that a syntax error in it is reported as one, and names its kind.
func (s *scanner) wrongType(param, want string) error {
	kind := s.dec.PeekKind()
	if _, err := s.skip(); err != nil {
		return err
	}
	got := strings.NewReplacer("true", "boolean", "false", "boolean", "{", "object", "[", "array").Replace(kind.String())
	return &RequestError{Param: param, Code: CodeInvalidType,
		Message: fmt.Sprintf("invalid type for '%s': expected %s, not %s", param, want, got)}
}

// requestError turns what stopped the walk into the client's error.
func (s *scanner) requestError(err error) error {
	if own, ok := errors.AsType[*RequestError](err); ok {
		return own
	}
	at := s.offset(err)
	code := CodeInvalidJSON
	var message string
	switch {
	case errors.Is(err, errTooDeep):
		code = CodeNestingTooDeep
		message = fmt.Sprintf("the body is nested too deep at byte %d: at most %d levels are accepted", at, s.maxDepth)
	case errors.Is(err, jsontext.ErrDuplicateName):
		code = CodeDuplicateKey
		message = fmt.Sprintf("an object repeats a key at byte %d: each key may occur once", at)
	case errors.Is(err, errNotObject):
		message = "the body must be one JSON object"
	case errors.Is(err, errTrailing):
		message = fmt.Sprintf("the body must be one JSON object: something follows it at byte %d", at)
	case errors.Is(err, io.EOF):
		message = "the body is empty: expected one JSON object"
	case errors.Is(err, io.ErrUnexpectedEOF):
		message = fmt.Sprintf("the body ends too early, at byte %d: expected one complete JSON object", at)
	case !utf8.Valid(s.text):
		message = fmt.Sprintf("the body is not valid UTF-8 at byte %d", firstInvalid(s.text))
	default:
		message = fmt.Sprintf("the body is not valid JSON at byte %d", at)
	}
	return &RequestError{Code: code, Message: message}
}

// offset is the byte at or after which err occurred.
func (s *scanner) offset(err error) int64 {
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return syntax.ByteOffset
	}
	return s.dec.InputOffset()
}

// firstInvalid is the offset of the first byte of text that is not UTF-8.
func firstInvalid(text []byte) int {
	at := 0
	for at < len(text) {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	return at
}
