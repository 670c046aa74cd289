package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// ErrMalformed means that an upstream's answer is not one complete JSON object, or repeats a key that decides what it is.
// Errors that wrap it name a byte offset and nothing of the answer.
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
	// FinishReason is the first one given by a choice, or one that is worse (see [EndingOf]): "stop", "length",
	// "tool_calls", "content_filter" or another word of the upstream's, empty while there is none.
	FinishReason string
	// Unfinished: of a whole answer, or at a stream's end, a choice has no finish reason.
	Unfinished bool
	// Loose: it is not quite in the form of OpenAI's API, whose clients may refuse it: see [looseness].
	Loose bool
	// Silent: it is a whole answer that has messages with nothing in them, says of no choice how it ended, and counts nothing that was
	// generated.
	Silent bool
	// Filtered: it has no choices, and says that the prompt was filtered, as Azure does beside them.
	Filtered bool
}

// Ending says how much of the whole answer there is: that is unknown where a choice says nothing of how it ended.
func (a Answer) Ending() Ending {
	if a.Unfinished {
		return EndingUnknown
	}
	return EndingOf(a.FinishReason)
}

// ParseBody reads a complete JSON answer in one walk, whatever its HTTP status was. It fails with [ErrMalformed] when body
// is not one JSON object, or an array of them with a failure in it.
func ParseBody(body []byte, lim Limits) (Answer, error) {
	return parseWhole(body, lim, &envelope{})
}

// parseWhole reads an answer to its end into e.
func parseWhole(body []byte, lim Limits, e *envelope) (Answer, error) {
	if err := parseEnvelope(body, lim, e); err != nil {
		return Answer{}, err
	}
	e.Unfinished = e.open
	e.Loose = e.loose.whole()
	e.Silent = e.spoke && !e.Content && e.open && e.FinishReason == "" && e.Usage.Completion == 0 && !e.Usage.Implausible
	if e.Filtered && e.Failure == nil {
		e.Failure = PromptFiltered()
	}
	return e.Answer, nil
}

// envelope is an answer while it is read. Values that matter only if the answer is a failure stay undecoded until
// that is known.
type envelope struct {
	Answer
	code, status, message, typ, param, payload, detail, errors, said, title, filter jsontext.Value
	// numbered is a code that stands in a place of one vendor's, with its name before it.
	numbered string
	// choiceFailure is what a choice has for its error.
	choiceFailure *Failure
	hasError      bool // {"error": something that is no object and no string}
	isError       bool // {"object":"error"}, or any answer whose status or event says that it is one
	// tier is the service tier that the answer names, and elsewhere the usage that stands in another place than its own.
	tier      string
	elsewhere Usage
	// ofSpark says that the answer has a "sid", as iFlytek's Spark names a call.
	ofSpark bool
	// succeeded says that what is around the answer calls it a success, whatever its member code is.
	succeeded bool
	choices   choiceSet
	open      bool // a choice has no finish reason
	spoke     bool // a choice has a message, or a delta
	loose     looseness
	// decided are the members seen that decide what the answer is.
	decided members
	// contentStart and contentEnd are where the characters of the last content string stand in the text.
	contentStart, contentEnd int
	// contentBytes is how long all content is, as JSON.
	contentBytes int
}

// members are those of an object that decide, each of which may come once: a reader that takes the first and one that
// takes the last would see two answers. What else is repeated passes on.
type members uint16

const (
	memberChoices members = 1 << iota
	memberData
	memberError
	memberResult
	memberCode
	memberType
	memberPayload
)

func (m *members) once(member members) error {
	if *m&member != 0 {
		return errRepeated
	}
	*m |= member
	return nil
}

// parseEnvelope reads text into e, which says what is known of it before: isError, that it comes with a status, or in an
// event, that says that it is a failure. It is read where it stands, since it is large and each chunk of a stream has one. Where
// reading fails nothing is left in it.
func parseEnvelope(text []byte, lim Limits, e *envelope) error {
	s := newScanner(text, lim, lenient...)
	defer s.release()
	err := errInvalidUTF8
	if utf8.Valid(text) {
		err = s.envelope(e)
	}
	if err != nil {
		*e = envelope{}
		return s.malformed(err)
	}
	if !e.Usage.OK && !e.Usage.Implausible {
		e.Usage = e.elsewhere
	}
	if e.Usage.OK {
		e.Usage.Tier = e.tier
	}
	e.Filtered = len(e.filter) > 0 && !e.HasChoices && filters(e.filter)
	return nil
}

// envelope reads the whole text. Google puts an array around an error: [{"error":{..}}].
func (s *scanner) envelope(e *envelope) error {
	if !s.is('[') {
		if err := s.document(func(name []byte) error { return s.envelopeMember(e, name) }); err != nil {
			return err
		}
		e.conclude()
		return nil
	}
	err := s.array(func() error {
		if e.Failure != nil || !s.is('{') {
			_, err := s.skip()
			return err
		}
		*e = envelope{}
		if err := s.object(func(name []byte) error { return s.envelopeMember(e, name) }); err != nil {
			return err
		}
		e.conclude()
		return nil
	})
	if err == nil && e.Failure == nil {
		err = errNotObject
	}
	if err == nil {
		err = s.end()
	}
	return err
}

// envelopeMember reads the member of that name.
func (s *scanner) envelopeMember(e *envelope, name []byte) error {
	if member, decides := deciding(name); decides {
		return s.decidingMember(e, member)
	}
	if v := e.undecoded(name); v != nil {
		var err error
		*v, err = s.raw()
		return err
	}
	switch string(name) {
	case "model":
		if s.is('"') {
			v, err := s.scalar()
			if err == nil {
				e.Model = s.intern(v)
				e.loose.has(headModel, len(v) > len(`""`))
			}
			return err
		}
	case "id", "created":
		return s.headMember(e, name)
	case "usage":
		return s.usageOf(e)
	case "x_groq": // of Groq's streams (console.groq.com/docs/api-reference)
		return s.eachMember(func(name []byte) error {
			if string(name) == "usage" {
				return s.usage(&e.elsewhere)
			}
			_, err := s.skip()
			return err
		})
	case "service_tier":
		v, err := s.scalar()
		e.tier = wordOf(v)
		e.loose.is(PlainTier(e.tier) != "")
		return err
	case "object":
		v, err := s.scalar()
		e.loose.object(v)
		e.isError = e.isError || equals(v, "error") || equals(v, "Error")
		return err
	case "status", "statusCode":
		var err error
		e.status, err = s.scalar()
		return err
	case "error_type", "__type": // Hugging Face TGI's, and Amazon's
		v, err := s.scalar()
		if len(e.typ) == 0 {
			e.typ = v
		}
		return err
	case "error_code":
		return s.numbered(e, "error_code")
	case "base_resp":
		return s.baseResponse(e)
	case "Response", "ErrorMsg":
		return s.tencentError(e, string(name))
	case "param":
		var err error
		e.param, err = s.scalar()
		return err
	case "sid":
		v, err := s.scalar()
		e.ofSpark = v.Kind() == '"' && len(v) > len(`""`)
		return err
	default:
		if bytes.HasSuffix(name, []byte("_response")) {
			return s.gatewayResponse(e)
		}
	}
	_, err := s.skip()
	return err
}

// undecoded gives the place of a member that is read only if the answer is a failure; nil for any other name.
func (e *envelope) undecoded(name []byte) *jsontext.Value {
	switch string(name) {
	case "message", "msg":
		return &e.message
	case "detail":
		return &e.detail
	case "title": // RFC 9457
		return &e.title
	case "errors":
		return &e.errors
	case "error_message", "errorMessage", "error_msg", "errorMsg", "err", "error_description", "reason", "description", "Message", "fault":
		return &e.said
	case "prompt_filter_results", "prompt_annotations": // Azure's, the second in old versions
		return &e.filter
	}
	return nil
}

// deciding gives the member of that name, if it is one of those that decide.
func deciding(name []byte) (member members, decides bool) {
	switch string(name) {
	case "choices":
		return memberChoices, true
	case "data":
		return memberData, true
	case "error":
		return memberError, true
	case "result":
		return memberResult, true
	case "code":
		return memberCode, true
	case "type":
		return memberType, true
	case "payload":
		return memberPayload, true
	}
	return 0, false
}

// decidingMember reads such a member, whose second one fails.
func (s *scanner) decidingMember(e *envelope, member members) (err error) {
	if err := e.decided.once(member); err != nil {
		return err
	}
	switch member {
	case memberChoices:
		err = s.readChoices(e)
	case memberData:
		list := s.is('[')
		var filled bool
		filled, err = s.skip()
		e.HasChoices = e.HasChoices || list && filled
	case memberError:
		e.Failure, err = s.errorMember(e)
	case memberResult:
		err = s.globalResult(e)
	case memberCode:
		e.code, err = s.scalar()
	case memberType:
		e.typ, err = s.scalar()
	case memberPayload:
		e.payload, err = s.raw()
	}
	return err
}

// malformed describes what stopped the walk without quoting the text.
func (s *scanner) malformed(err error) error {
	var what strings.Builder
	switch {
	case errors.Is(err, io.EOF):
		what.WriteString("empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		what.WriteString("ends too early")
	case errors.Is(err, errRepeated):
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
