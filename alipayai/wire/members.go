package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// MemberFields say where answers, and the events of streams, have what OpenAI's form has in its choices, where that is not
// in choices. Of several paths the first counts that has something. There is one choice.
type MemberFields struct {
	// Content and Reasoning are texts: strings, or arrays of parts with a text.
	Content, Reasoning []string
	// Calls is a tool call, or an array of them, in each of which CallID, CallName and CallArguments stand; empty for as in
	// OpenAI's form: id, function.name and function.arguments. Arguments may be an object as well as its text.
	Calls                           []string
	CallID, CallName, CallArguments string
	// Finish says why an answer ended: the first that says so counts.
	Finish []FinishField
	// Usage counts tokens: the first that is there counts.
	Usage []UsageField
	// Whole says that each event of a stream repeats all that has been said; else it has what is new.
	Whole bool
}

// FinishField is a member that says why an answer ended.
type FinishField struct {
	// Path is where it stands.
	Path string
	// Words are OpenAI's words for those that may stand there; an empty one says nothing. What is not among them passes as it
	// is, but for true, false, null and the text "null", which say nothing.
	Words map[string]string
}

// UsageField is where the numbers of tokens stand. Total may be empty: then it is their sum.
type UsageField struct {
	Prompt, Completion, Total string
}

// memberForm is a MemberFields with its paths in one list: those of content, reasoning and calls, then of finish, then three
// for each usage.
type memberForm struct {
	MemberFields
	paths []Path
	// call are the paths of id, name and arguments in a call.
	call []Path
}

func newMemberForm(fields MemberFields) (*memberForm, error) {
	m := &memberForm{MemberFields: fields}
	if len(fields.Content) == 0 {
		return nil, errors.New("content has no path; write it like content output.text")
	}
	if len(fields.Calls) == 0 && fields.CallID+fields.CallName+fields.CallArguments != "" {
		return nil, errors.New("tool_calls has paths within a call, and none to where calls stand; write it like tool_calls output.calls")
	}
	add := func(to *[]Path, option, text string) error {
		path, err := ParsePath(text)
		if err != nil {
			return fmt.Errorf("%s %q %w; write the names of the members to go through, like output.choices.0.text", option, text, err)
		}
		*to = append(*to, path)
		return nil
	}
	var errs []error
	for _, list := range []struct {
		option string
		texts  []string
	}{{"content", fields.Content}, {"reasoning", fields.Reasoning}, {"tool_calls", fields.Calls}} {
		for _, text := range list.texts {
			errs = append(errs, add(&m.paths, list.option, text))
		}
	}
	for _, f := range fields.Finish {
		errs = append(errs, add(&m.paths, "finish", f.Path))
	}
	for _, u := range fields.Usage {
		errs = append(errs, add(&m.paths, "usage", u.Prompt), add(&m.paths, "usage", u.Completion))
		if u.Total == "" {
			m.paths = append(m.paths, nil)
		} else {
			errs = append(errs, add(&m.paths, "usage", u.Total))
		}
	}
	for i, text := range []string{fields.CallID, fields.CallName, fields.CallArguments} {
		if text == "" {
			text = []string{"id", "function.name", "function.arguments"}[i]
		}
		errs = append(errs, add(&m.call, "tool_calls", text))
	}
	return m, errors.Join(errs...)
}

// said is what an answer, or an event of a stream, says. Its texts are what stands between the quotes of a string in JSON:
// half of a surrogate pair stays what it is.
type said struct {
	content, reasoning []byte
	calls              []saidCall
	finish             string
	usage              []byte // a usage object of OpenAI's
	// any says that it says something.
	any bool
}

type saidCall struct {
	id, name, arguments []byte
	index               int // which of its answer's calls it is, of a stream
}

// read reads an answer, or the data of an event.
func (m *memberForm) read(text []byte) (s said, err error) {
	found, err := find(text, m.paths)
	if err != nil {
		return s, err
	}
	next := func(n int) (values []jsontext.Value) {
		values, found = found[:n], found[n:]
		return values
	}
	s.content = firstCharacters(next(len(m.Content)), &s.any)
	s.reasoning = firstCharacters(next(len(m.Reasoning)), &s.any)
	for _, v := range next(len(m.Calls)) {
		if s.calls, err = m.readCalls(v); err != nil {
			return s, err
		}
		if len(s.calls) > 0 {
			s.any = true
			break
		}
	}
	for i, v := range next(len(m.Finish)) {
		if s.finish == "" {
			s.finish = m.Finish[i].word(v)
		}
	}
	s.any = s.any || s.finish != ""
	for range m.Usage {
		if v := next(3); s.usage == nil && v[0].Kind() == '0' && v[1].Kind() == '0' {
			s.usage = append(append([]byte(`{"prompt_tokens":`), v[0]...), `,"completion_tokens":`...)
			s.usage = append(append(s.usage, v[1]...), `,"total_tokens":`...)
			total := v[2]
			if total.Kind() != '0' {
				prompt, _ := TokenCount(v[0])
				completion, _ := TokenCount(v[1])
				total = strconv.AppendInt(nil, prompt+completion, 10)
			}
			s.usage = append(append(s.usage, total...), '}')
		}
	}
	return s, nil
}

// word gives OpenAI's word for what stands there; empty where that says nothing.
func (f FinishField) word(v jsontext.Value) string {
	text := scalarText(v)
	if word, ok := f.Words[text]; ok {
		return word
	}
	if v.Kind() == 't' || v.Kind() == 'f' || text == "null" {
		return ""
	}
	return text
}

// firstCharacters gives the text of the first value that has one. there is set where a value is one, though it may be empty.
func firstCharacters(values []jsontext.Value, there *bool) []byte {
	for _, v := range values {
		text, ok := characters(v)
		*there = *there || ok
		if len(text) > 0 {
			return text
		}
	}
	return nil
}

// characters gives what stands between the quotes of a string, or of the texts of an array's parts.
func characters(v jsontext.Value) (text []byte, ok bool) {
	switch v.Kind() {
	case '"':
		return v[1 : len(v)-1], true
	case '[':
		var parts []json.RawMessage
		if json.Unmarshal(v, &parts) != nil {
			return nil, false
		}
		for _, part := range parts {
			value := jsontext.Value(part)
			if value.Kind() == '{' {
				found, err := find(value, []Path{{"text"}})
				if err != nil {
					continue
				}
				value = found[0]
			}
			if value.Kind() == '"' {
				text, ok = append(text, value[1:len(value)-1]...), true
			}
		}
	}
	return text, ok
}

// readCalls reads a tool call, or an array of them.
func (m *memberForm) readCalls(v jsontext.Value) (calls []saidCall, err error) {
	var elements []json.RawMessage
	switch v.Kind() {
	case '{':
		elements = []json.RawMessage{json.RawMessage(v)}
	case '[':
		if err := json.Unmarshal(v, &elements); err != nil {
			return nil, fmt.Errorf("%w: tool calls that are none", ErrMalformed)
		}
	}
	if len(elements) > MaxToolCalls {
		return nil, TooManyCalls()
	}
	for _, element := range elements {
		found, err := find(element, m.call)
		if err != nil {
			return nil, err
		}
		var call saidCall
		call.id, _ = characters(found[0])
		call.name, _ = characters(found[1])
		switch arguments := found[2]; arguments.Kind() {
		case '"':
			call.arguments = arguments[1 : len(arguments)-1]
		case '{':
			quoted, _ := jsontext.AppendQuote(nil, arguments)
			call.arguments = quoted[1 : len(quoted)-1]
		}
		calls = append(calls, call)
	}
	return calls, nil
}

// since makes s what it says beyond before, and before all that has been said: for streams whose events repeat it. Text that
// was given to a client cannot be taken back.
func (s *said) since(before *said) error {
	for now, then := range map[*[]byte]*[]byte{&s.content: &before.content, &s.reasoning: &before.reasoning} {
		if err := beyond(now, then); err != nil {
			return err
		}
	}
	for i := range s.calls {
		now := &s.calls[i]
		if i == len(before.calls) {
			before.calls = append(before.calls, saidCall{})
		}
		then := &before.calls[i]
		if err := errors.Join(beyond(&now.id, &then.id), beyond(&now.name, &then.name), beyond(&now.arguments, &then.arguments)); err != nil {
			return err
		}
	}
	return nil
}

// beyond leaves in now what follows on then, and makes then all of it.
func beyond(now, then *[]byte) error {
	switch {
	case len(*now) == 0: // an event that says nothing of it
	case bytes.HasPrefix(*now, *then):
		all := slices.Clone(*now)
		*now, *then = all[len(*then):], all
	default:
		return fmt.Errorf("%w: an event does not repeat what was said before", ErrMalformed)
	}
	return nil
}

// Mentions reports whether text has word, which has an underscore. See [Behind].
func Mentions(text []byte, word string) bool {
	_, found := Behind(text, word)
	return found
}

// Behind gives what of text follows the first word in it, and whether it has that. The word has an underscore: Behind looks for
// what begins with that, since JSON has few underscores and many quotes. That takes a tenth of the time of a search for a name
// with the quotes about it.
func Behind(text []byte, word string) (rest []byte, found bool) {
	before := strings.IndexByte(word, '_')
	head, tail := []byte(word[:before]), []byte(word[before:])
	for seen := 0; ; {
		at := bytes.Index(text[seen:], tail)
		if at < 0 {
			return nil, false
		}
		if seen += at; bytes.HasSuffix(text[:seen], head) {
			return text[seen+len(tail):], true
		}
		seen++
	}
}
