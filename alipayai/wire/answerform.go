package wire

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// AnswerFields say where an upstream's answers have what the gateway reads of them, by paths as [ParsePath] reads them. What
// is left empty is read as [ParseBody] does.
type AnswerFields struct {
	// Inside is the member that holds what OpenAI's form has at the top, in answers and in the events of streams.
	Inside string
	// Success is the member that tells a success from a failure, and SuccessValues are its values in a success: any other
	// is a failure, under whatever status.
	Success       string
	SuccessValues []string
	// Code is a failure's code: the first that is there, as a code that says more than the next one.
	Code []string
	// Message is what a failure says for people.
	Message []string
	// RequestID is by what the upstream's own logs know the call.
	RequestID []string
	// RetryAfter is how long a failure lasts, in RetryUnit.
	RetryAfter string
	RetryUnit  time.Duration
	// Members say where the answer itself has what; nil for as OpenAI's form has it.
	Members *MemberFields
	// Stream is how streams read; nil for as server-sent events of chunks.
	Stream *StreamFields
}

// AnswerForm reads answers by [AnswerFields]. A nil AnswerForm reads them as [ParseBody] and [ParseEvent] do. It is safe for
// concurrent use.
type AnswerForm struct {
	fields AnswerFields
	// paths are those of inside, success and retryAfter, and then those of code, message and requestID.
	paths []Path
	// stream is nil for a stream that reads as usual.
	stream *streamForm
	// members is nil for answers of OpenAI's form.
	members *memberForm
}

// The places of AnswerForm.paths.
const (
	pathInside = iota
	pathSuccess
	pathRetryAfter
	pathLists
)

// NewAnswerForm checks the fields. Errors name the option as a Caddyfile has it.
func NewAnswerForm(fields AnswerFields) (*AnswerForm, error) {
	f := &AnswerForm{fields: fields}
	if len(fields.SuccessValues) == 0 && fields.Success != "" {
		return nil, fmt.Errorf("success %s has no value that says success; write it like success code 10000", fields.Success)
	}
	if len(fields.SuccessValues) > 0 && fields.Success == "" {
		return nil, errors.New("success has values, and no path to where they stand; write it like success code 10000")
	}
	for i, option := range []string{pathInside: "inside", pathSuccess: "success", pathRetryAfter: "retry_after"} {
		text := []string{fields.Inside, fields.Success, fields.RetryAfter}[i]
		if text == "" {
			f.paths = append(f.paths, nil)
			continue
		}
		if err := f.add(option, text); err != nil {
			return nil, err
		}
	}
	err := cmp.Or(f.add("code", fields.Code...), f.add("message", fields.Message...), f.add("request_id", fields.RequestID...))
	if err == nil && fields.Stream != nil {
		f.stream, err = newStreamForm(*fields.Stream)
	}
	if err == nil && fields.Members != nil {
		f.members, err = newMemberForm(*fields.Members)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (f *AnswerForm) add(option string, texts ...string) error {
	for _, text := range texts {
		path, err := ParsePath(text)
		if err != nil {
			return fmt.Errorf("%s %q %w; write the names of the members to go through, like data.code", option, text, err)
		}
		f.paths = append(f.paths, path)
	}
	return nil
}

// opened is an answer of which the envelope has been read.
type opened struct {
	// body is what OpenAI's form has at the top.
	body []byte
	// failure is what the envelope reports; nil for nothing.
	failure *Failure
	// succeeded says that the envelope calls it a success.
	succeeded bool
}

// open reads an answer's envelope; failed says that it comes with a status, or in an event, that says that it is a failure.
// What is no object has none.
func (f *AnswerForm) open(text []byte, failed bool) (opened, error) {
	o := opened{body: text}
	if f == nil || !bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")) {
		return o, nil
	}
	found, err := find(text, f.paths)
	if err != nil {
		return o, err
	}
	if inside, ok := objectIn(found[pathInside]); ok {
		o.body = inside
	}
	success := scalarText(found[pathSuccess])
	lists := found[pathLists:]
	codes := lists[:len(f.fields.Code)]
	messages := lists[len(codes):][:len(f.fields.Message)]
	ids := lists[len(codes)+len(messages):]
	said := Failure{Code: firstText(codes), RequestID: firstText(ids)}
	for _, v := range messages {
		said.Message = cmp.Or(said.Message, words(v))
	}
	switch {
	case failed:
	case success != "":
		o.succeeded = slices.Contains(f.fields.SuccessValues, success)
		failed = !o.succeeded
	default:
		failed = isFailureText(said.Code)
	}
	if !failed || said == (Failure{}) && success == "" {
		return o, nil
	}
	said.RetryAfter = retryAfter(found[pathRetryAfter], cmp.Or(f.fields.RetryUnit, time.Second))
	if success == StatusUnknown {
		said.Status = success
	}
	if said.Code == "" || said.Message == "" { // what the option does not name
		known := ParseRefusal(o.body)
		said.Code, said.Message = cmp.Or(said.Code, known.Code, success), cmp.Or(said.Message, known.Message)
		said.Type, said.Param = known.Type, known.Param
	}
	o.failure = &said
	return o, nil
}

// ParseBody is [ParseBody] for an answer of the form, and gives what OpenAI's form has at the top; failed says that its status
// is a failure's.
func (f *AnswerForm) ParseBody(text []byte, failed bool) (body []byte, a Answer, err error) {
	o, err := f.open(text, failed)
	if err != nil || o.failure != nil {
		return o.body, Answer{Failure: o.failure}, err
	}
	a, err = parseWhole(o.body, Limits{}, &envelope{succeeded: o.succeeded})
	return o.body, a, err
}

// OpenEvent takes what is around an event of a stream off it. The event that it gives is to be read as [ParseEvent] does, and
// has no data where the form passes it over; or it is the failure that the envelope reports.
func (f *AnswerForm) OpenEvent(ev Event) (Event, *Failure, error) {
	if f == nil {
		return ev, nil, nil
	}
	if f.stream != nil {
		opened, r, err := f.stream.role(ev)
		if err != nil || r.skipped {
			return Event{Raw: ev.Raw}, nil, err
		}
		ev = opened
	}
	return f.openData(ev)
}

// openData is OpenEvent for an event of which it is known what it is.
func (f *AnswerForm) openData(ev Event) (Event, *Failure, error) {
	if len(ev.Data) == 0 {
		return ev, nil, nil
	}
	o, err := f.open(ev.Data, string(ev.Type) == "error")
	if err != nil || o.failure != nil {
		return ev, o.failure, err
	}
	ev.succeeded = o.succeeded
	if len(o.body) == len(ev.Data) && f.stream == nil {
		return ev, nil, nil
	}
	opened := asEvent(o.body, o.succeeded)
	opened.Type = ev.Type
	return opened, nil, nil
}

// scalarText is a string, a number, true or false as text, cut as codes are; empty for anything else.
func scalarText(v jsontext.Value) string {
	switch v.Kind() {
	case 't', 'f':
		return string(v)
	}
	return code(v)
}

func firstText(values []jsontext.Value) string {
	for _, v := range values {
		if text := scalarText(v); text != "" {
			return text
		}
	}
	return ""
}

// retryAfter reads how long a failure lasts; 0 for what is no time to come.
func retryAfter(v jsontext.Value, unit time.Duration) time.Duration {
	n, err := strconv.ParseFloat(scalarText(v), 64)
	if err != nil || !(n > 0) {
		return 0
	}
	return time.Duration(min(n, float64(24*time.Hour/unit)) * float64(unit))
}
