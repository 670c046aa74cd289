package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// ErrMalformed means that an upstream's answer is not one complete, strict JSON object. Errors that wrap it name a byte
// offset and nothing of the answer.
var ErrMalformed = errors.New("malformed JSON from upstream")

// Answer is what the gateway needs to know of an upstream's JSON answer or of one chunk of its stream.
type Answer struct {
	// Failure is set when the answer is an error in any of the shapes that the package knows.
	Failure *Failure
	Model   string
	Usage   Usage
	// HasChoices: "choices" or "data" is an array with something in it, so a call for chat or embeddings was served.
	// An answer with neither this nor a Failure is no answer to such a call.
	HasChoices bool
	// Content: a choice has non-empty text, reasoning, refusal, audio or a tool call, in its message or delta.
	Content bool
	// FinishReason is the first one given by a choice: "stop", "length", "tool_calls", "content_filter" or another word
	// of the upstream's, empty while there is none.
	FinishReason string
}

// Usage counts tokens as the upstream bills them. The numbers are 0 unless OK.
type Usage struct {
	Prompt, Completion, Total int64
	OK                        bool // the answer has a usage object with plausible numbers
	// Implausible: it has one whose numbers cannot be counted. What the call took is not known, which is not nothing.
	Implausible bool
}

// maxTokens bounds what is believed of a usage object, so that sums of it cannot overflow.
const maxTokens = 1 << 40

// TokenCount reads one of the numbers of a usage object, in whichever form JSON has for it (1000, 1e3, 1000.0). ok is
// false for what is no whole number, and for one that is negative or more than 2^40.
func TokenCount(v jsontext.Value) (n int64, ok bool) {
	f, err := strconv.ParseFloat(string(v), 64) // exact up to 2^53
	if err != nil || f < 0 || f > maxTokens || f != math.Trunc(f) {
		return 0, false
	}
	return int64(f), true
}

// ParseBody reads a complete JSON answer in one walk, whatever its HTTP status was. It fails with [ErrMalformed] when body
// is not one strict JSON object.
func ParseBody(body []byte, lim Limits) (Answer, error) {
	a, err := parseEnvelope(body, lim, false)
	return a.Answer, err
}

// envelope is an answer while it is read. Values that matter only if the answer is a failure stay undecoded until
// that is known.
type envelope struct {
	Answer
	code, message, typ, param, payload jsontext.Value
	hasError                           bool // {"error": something that is no object and no string}
	// contentStart and contentEnd are where the characters of the last content string stand in the text.
	contentStart, contentEnd int
}

// parseEnvelope reads text; isError says that it came in an event of type "error", and so is a failure in any case.
func parseEnvelope(text []byte, lim Limits, isError bool) (envelope, error) {
	s := newScanner(text, lim)
	defer s.release()
	var e envelope
	err := s.document(func(name []byte) (err error) {
		switch string(name) {
		case "model":
			if s.is('"') {
				var v jsontext.Value
				if v, err = s.scalar(); err == nil {
					e.Model = s.intern(v)
				}
				return err
			}
		case "choices":
			return s.choices(&e)
		case "usage":
			return s.usage(&e.Usage)
		case "data":
			list := s.is('[')
			filled, err := s.skip()
			e.HasChoices = e.HasChoices || list && filled
			return err
		case "error":
			return s.errorMember(&e)
		case "result":
			return s.globalResult(&e)
		case "code":
			e.code, err = s.scalar()
			return err
		case "message", "msg":
			e.message, err = s.scalar()
			return err
		case "type":
			e.typ, err = s.scalar()
			return err
		case "param":
			e.param, err = s.scalar()
			return err
		case "payload":
			e.payload, err = s.raw()
			return err
		default:
			if bytes.HasSuffix(name, []byte("_response")) {
				return s.gatewayResponse(&e)
			}
		}
		_, err = s.skip()
		return err
	})
	if err != nil {
		return envelope{}, s.malformed(err)
	}
	e.conclude(lim, isError)
	return e, nil
}

// choices reads the array of that name.
func (s *scanner) choices(e *envelope) error {
	a := &e.Answer
	if !s.is('[') {
		_, err := s.skip()
		return err
	}
	return s.array(func() error {
		a.HasChoices = true
		return s.eachMember(func(name []byte) error {
			switch string(name) {
			case "delta", "message":
				return s.eachMember(func(name []byte) error {
					switch string(name) {
					case "content", "reasoning_content", "reasoning", "refusal", "tool_calls", "function_call", "audio":
						isContent := string(name) == "content" && s.is('"')
						filled, err := s.skip()
						a.Content = a.Content || filled
						if isContent && err == nil {
							e.contentEnd = int(s.dec.InputOffset()) - 1
							e.contentStart = bytes.LastIndexByte(s.text[:e.contentEnd], '"') + 1
						}
						return err
					}
					_, err := s.skip()
					return err
				})
			case "finish_reason":
				v, err := s.scalar()
				if err == nil && v.Kind() == '"' && a.FinishReason == "" {
					a.FinishReason = finishReason(v)
				}
				return err
			}
			_, err := s.skip()
			return err
		})
	})
}

// finishReason decodes a finish reason; the common ones, without an allocation.
func finishReason(v jsontext.Value) string {
	switch string(v) {
	case `"stop"`:
		return "stop"
	case `"length"`:
		return "length"
	case `"tool_calls"`:
		return "tool_calls"
	case `"content_filter"`:
		return "content_filter"
	}
	return clean(v, maxWord)
}

// usage reads OpenAI's usage object. It is null in all chunks but the last of a stream, and embeddings have no completion
// tokens.
func (s *scanner) usage(u *Usage) error {
	var got Usage
	plausible, total := true, false
	err := s.eachMember(func(name []byte) error {
		var n *int64
		switch string(name) {
		case "prompt_tokens":
			n = &got.Prompt
		case "completion_tokens":
			n = &got.Completion
		case "total_tokens":
			n, total = &got.Total, true
		default:
			_, err := s.skip()
			return err
		}
		if s.is('n') {
			_, err := s.skip()
			return err
		}
		v, err := s.scalar()
		if err != nil {
			return err
		}
		count, ok := TokenCount(v)
		plausible = plausible && ok
		*n, got.OK = count, true
		return nil
	})
	if err != nil || !got.OK {
		return err
	}
	if !plausible {
		*u = Usage{Implausible: true}
		return nil
	}
	if !total {
		got.Total = got.Prompt + got.Completion
	}
	*u = got
	return nil
}

// malformed describes what stopped the walk without quoting the text.
func (s *scanner) malformed(err error) error {
	var what strings.Builder
	switch {
	case errors.Is(err, io.EOF):
		what.WriteString("empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		what.WriteString("ends too early")
	case errors.Is(err, jsontext.ErrDuplicateName):
		what.WriteString("repeats a key")
	case errors.Is(err, errTooDeep):
		fmt.Fprintf(&what, "nested deeper than %d levels", s.maxDepth)
	case errors.Is(err, errNotObject):
		what.WriteString("not an object")
	case errors.Is(err, errTrailing):
		what.WriteString("something follows the object")
	default:
		what.WriteString("syntax error")
	}
	return fmt.Errorf("%w: %s at byte %d", ErrMalformed, &what, s.offset(err))
}
