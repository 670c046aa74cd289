package wire

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Translates reports whether answers of the form are put into OpenAI's by [AnswerForm.Translate].
func (f *AnswerForm) Translates() bool { return f != nil && f.members != nil }

// Translate reads the whole answer to a chat request and gives it in OpenAI's form: only for a form that Translates.
func (f *AnswerForm) Translate(text []byte, ask Ask) ([]byte, Answer, error) {
	o, err := f.open(text, false)
	if err != nil || o.failure != nil {
		return nil, Answer{Failure: o.failure}, err
	}
	said, err := f.members.read(o.body)
	if err == nil && !said.any { // it may be a failure in a form that is known
		a, err := parseWhole(o.body, Limits{}, &envelope{succeeded: o.succeeded})
		if err == nil && a.Failure == nil {
			err = fmt.Errorf("%w: nothing of an answer is where the option answer says", ErrMalformed)
		}
		return nil, a, err
	}
	if err != nil {
		return nil, Answer{}, err
	}
	if said.finish == "" && len(f.members.Finish) == 0 {
		said.finish = "stop"
	}
	w := memberWriter{ask: ask, created: time.Now().Unix()}
	translated := w.whole(&said)
	a, err := parseWhole(translated, Limits{}, &envelope{})
	return translated, a, err
}

// memberWriter writes what was said in OpenAI's form.
type memberWriter struct {
	ask     Ask
	created int64 // Unix seconds
}

func (w *memberWriter) head(dst []byte, kind string) []byte {
	dst, _ = jsontext.AppendQuote(append(dst, `{"id":`...), "chatcmpl-"+w.ask.ID)
	dst = strconv.AppendInt(append(dst, `,"object":"`+kind+`","created":`...), w.created, 10)
	dst, _ = jsontext.AppendQuote(append(dst, `,"model":`...), w.ask.UpstreamModel)
	return append(dst, `,"choices":[`...)
}

// words appends the members of a message or a delta; first is where each call is in its answer, or -1 for a whole answer.
func (w *memberWriter) words(dst []byte, s *said, delta bool) []byte {
	dst = append(dst, `"role":"assistant"`...)
	if !delta && len(s.calls) > 0 && len(s.content) == 0 {
		dst = append(dst, `,"content":null`...)
	} else if !delta || len(s.content) > 0 {
		dst = append(append(append(dst, `,"content":"`...), s.content...), '"')
	}
	if len(s.reasoning) > 0 {
		dst = append(append(append(dst, `,"reasoning_content":"`...), s.reasoning...), '"')
	}
	for i := range s.calls {
		if i == 0 {
			dst = append(dst, `,"tool_calls":[`...)
		} else {
			dst = append(dst, ',')
		}
		dst = w.call(dst, &s.calls[i], delta, i)
	}
	if len(s.calls) > 0 {
		dst = append(dst, ']')
	}
	return dst
}

// call appends a tool call. One without an id gets one, with its name.
func (w *memberWriter) call(dst []byte, c *saidCall, delta bool, i int) []byte {
	dst = append(dst, '{')
	if delta {
		i = c.index
		dst = append(strconv.AppendInt(append(dst, `"index":`...), int64(i), 10), ',')
	}
	id := c.id
	if len(id) == 0 && (len(c.name) > 0 || !delta) {
		quoted, _ := jsontext.AppendQuote(nil, "call_"+w.ask.ID+"_"+strconv.Itoa(i))
		id = quoted[1 : len(quoted)-1]
	}
	if len(id) > 0 {
		dst = append(append(append(dst, `"id":"`...), id...), `","type":"function",`...)
	}
	dst = append(dst, `"function":{`...)
	if len(c.name) > 0 {
		dst = append(append(append(dst, `"name":"`...), c.name...), `",`...)
	}
	return append(append(append(dst, `"arguments":"`...), c.arguments...), `"}}`...)
}

func (w *memberWriter) whole(s *said) []byte {
	dst := w.words(append(w.head(nil, "chat.completion"), `{"index":0,"message":{`...), s, false)
	dst = append(appendFinish(append(dst, `},"finish_reason":`...), finishWith(s.finish, len(s.calls) > 0)), `}]`...)
	if s.usage != nil {
		dst = append(append(dst, `,"usage":`...), s.usage...)
	}
	return append(dst, '}')
}

// finishWith is OpenAI's word where there are tool calls: clients go on by it.
func finishWith(finish string, calls bool) string {
	if calls && finish == "stop" {
		return "tool_calls"
	}
	return finish
}

func appendFinish(dst []byte, finish string) []byte {
	if finish == "" {
		return append(dst, "null"...)
	}
	dst, _ = jsontext.AppendQuote(dst, finish)
	return dst
}

// memberStream reads a stream whose answer's members stand elsewhere.
type memberStream struct {
	memberWriter
	form *AnswerForm
	// before is all that has been said, for streams whose events repeat it.
	before said
	// events is how many have said something of the answer.
	events int
	// calls is how many tool calls there are so far.
	calls  int
	places CallPlaces
	finish string
	usage  []byte
}

const chunkKind = "chat.completion.chunk"

// Decode implements [StreamDecoder].
func (m *memberStream) Decode(dst []byte, ev Event) ([]byte, Chunk, error) {
	if bytes.HasPrefix(ev.Data, done) {
		return m.end(dst, m.finish)
	}
	var r role
	if m.form.stream != nil {
		var err error
		if ev, r, err = m.form.stream.role(ev); err != nil {
			return dst, Chunk{}, err
		}
	}
	var chunk Chunk
	if !r.skipped && !ev.SaysNothing() {
		opened, reported, err := m.form.openData(ev)
		if err != nil || reported != nil {
			return dst, Chunk{Answer: Answer{Failure: reported}}, err
		}
		if dst, chunk, err = m.chunk(dst, opened); err != nil || chunk.Failure != nil {
			return dst, chunk, err
		}
	}
	if !r.ends {
		return dst, chunk, nil
	}
	finish := m.finish
	if finish == "" { // the form's own end says that it is all
		finish = "stop"
	}
	dst, last, err := m.end(dst, finish)
	last.Content, last.ContentBytes = chunk.Content, chunk.ContentBytes
	return dst, last, err
}

// chunk appends what an event says.
func (m *memberStream) chunk(dst []byte, ev Event) ([]byte, Chunk, error) {
	s, err := m.form.members.read(ev.Data)
	if string(ev.Type) == "error" || err == nil && !s.any && s.usage == nil { // it may be a failure in a form that is known
		chunk, err := ParseEvent(ev)
		return dst, Chunk{Answer: Answer{Failure: chunk.Failure}}, err
	}
	if err != nil {
		return dst, Chunk{}, err
	}
	m.events++
	if m.form.members.Whole {
		if err := s.since(&m.before); err != nil {
			return dst, Chunk{}, err
		}
	}
	resumes := m.finish != ""
	if s.finish != "" {
		m.finish = s.finish
	}
	if s.usage != nil {
		m.usage = bytes.Clone(s.usage)
	}
	if !m.newCalls(&s) && len(s.content) == 0 && len(s.reasoning) == 0 {
		return dst, Chunk{}, nil
	}
	if err := m.place(&s); err != nil {
		return dst, Chunk{}, err
	}
	data := m.words(append(m.head(nil, chunkKind), `{"index":0,"delta":{`...), &s, true)
	data = append(data, `},"finish_reason":null}]}`...)
	chunk, err := ParseChunk(data)
	chunk.Resumes = resumes && chunk.Content
	return appendEvent(dst, data), chunk, err
}

// newCalls takes out of s the calls that say nothing new, if all do, and reports whether any is left.
func (m *memberStream) newCalls(s *said) bool {
	for _, c := range s.calls {
		if len(c.id)+len(c.name)+len(c.arguments) > 0 {
			return true
		}
	}
	s.calls = nil
	return false
}

// place says which of the answer's calls those of an event are: of an event that repeats all, by their order.
func (m *memberStream) place(s *said) error {
	m.places.Chunk()
	for i := range s.calls {
		c := &s.calls[i]
		if m.form.members.Whole {
			c.index, m.calls = i, max(m.calls, i+1)
			continue
		}
		place := NoPlace
		if len(s.calls) > 1 && len(c.id) == 0 {
			place = i
		}
		c.index = m.places.Place(place, string(c.id), string(c.name), unescaped(c.arguments))
		m.calls = m.places.Len()
	}
	if m.calls > MaxToolCalls {
		return TooManyCalls()
	}
	return nil
}

// unescaped gives the text of what stands between the quotes of a string in JSON.
func unescaped(characters []byte) string {
	text, _ := jsontext.AppendUnquote(nil, slices.Concat([]byte{'"'}, characters, []byte{'"'})) // half of a surrogate pair is replaced
	return string(text)
}

// end appends what a stream ends with.
func (m *memberStream) end(dst []byte, finish string) ([]byte, Chunk, error) {
	if finish == "" && len(m.form.members.Finish) == 0 && m.events > 0 {
		finish = "stop"
	}
	var chunk Chunk
	if finish != "" {
		data := appendFinish(append(m.head(nil, chunkKind), `{"index":0,"delta":{},"finish_reason":`...), finishWith(finish, m.calls > 0))
		data = append(data, `}]}`...)
		var err error
		if chunk, err = ParseChunk(data); err != nil {
			return dst, chunk, err
		}
		dst = appendEvent(dst, data)
	}
	if m.usage != nil {
		data := append(append(append(m.head(nil, chunkKind), `],"usage":`...), m.usage...), '}')
		counted, err := ParseChunk(data)
		if err != nil {
			return dst, chunk, err
		}
		chunk.Usage = counted.Usage
		if m.ask.IncludeUsage {
			dst = appendEvent(dst, data)
		}
	}
	chunk.Done, chunk.Unfinished = true, finish == ""
	return append(dst, doneEvent.Raw...), chunk, nil
}

// End implements [StreamDecoder]: an answer is whole that has said why it ended, unless the form has an end of its own, which
// a whole answer of an upstream that does not stream has not.
func (m *memberStream) End(dst []byte) ([]byte, Chunk, bool) {
	ownEnd := m.form.stream != nil && (m.form.stream.Last != "" || len(m.form.stream.End) > 0)
	if m.finish == "" || ownEnd && (m.events != 1 || !m.form.Values()) {
		return dst, Chunk{}, false
	}
	dst, chunk, err := m.end(dst, m.finish)
	return dst, chunk, err == nil
}

func appendEvent(dst, data []byte) []byte {
	return append(append(append(dst, "data: "...), data...), "\n\n"...)
}
