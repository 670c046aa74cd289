package wire

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// StreamFields say how a stream of answers reads, where that is not as server-sent events of chunks up to [DONE]. What is
// around each chunk is said by [AnswerFields.Inside] and its other fields.
type StreamFields struct {
	// Values says that a stream is JSON values that follow each other, such as one on each line: see [EventReader.ReadValues].
	Values bool
	// Name is the path of the member that names an event; empty for the event's own field "event".
	Name string
	// Events are the names of those that hold the answer, all others of which are passed over; none for all events.
	Events []string
	// Errors are the names of those that report a failure, besides "error".
	Errors []string
	// End are data, or the names, of events after which there is no more, besides [DONE].
	End []string
	// Last is the path of a member that has one of LastValues in the last event.
	Last       string
	LastValues []string
}

// streamForm is a StreamFields with its paths, first Name and then Last.
type streamForm struct {
	StreamFields
	paths [2]Path
}

func newStreamForm(fields StreamFields) (*streamForm, error) {
	s := &streamForm{StreamFields: fields}
	if len(fields.LastValues) == 0 && fields.Last != "" {
		return nil, fmt.Errorf("stream: last %s has no value; write it like last is_end true", fields.Last)
	}
	if len(fields.LastValues) > 0 && fields.Last == "" {
		return nil, errors.New("stream: last has values, and no path to where they stand; write it like last is_end true")
	}
	if fields.Values && fields.Name == "" && len(fields.Events) > 0 {
		return nil, errors.New("stream: events are chosen by names, and JSON values have none; add name <path>")
	}
	for _, list := range []struct {
		option string
		words  []string
	}{{"events", fields.Events}, {"errors", fields.Errors}, {"end", fields.End}} {
		if slices.Contains(list.words, "") {
			return nil, fmt.Errorf("stream: %s has an empty word", list.option)
		}
	}
	for i, text := range []string{fields.Name, fields.Last} {
		if text == "" {
			continue
		}
		path, err := ParsePath(text)
		if err != nil {
			return nil, fmt.Errorf("stream: %s %q %w; write the names of the members to go through, like data.event", []string{"name", "last"}[i], text, err)
		}
		s.paths[i] = path
	}
	return s, nil
}

// role is what an event is in its stream.
type role struct {
	skipped, ends bool
}

// role says what an event is. It gives the event as [ParseEvent] takes it: of type "error" if it reports a failure, and else of none.
func (s *streamForm) role(ev Event) (Event, role, error) {
	data, name := bytes.TrimSpace(ev.Data), string(ev.Type)
	var r role
	object := bytes.HasPrefix(data, []byte("{"))
	if object {
		found, err := find(data, s.paths[:])
		if err != nil {
			return ev, r, err
		}
		if s.Name != "" {
			name = scalarText(found[0])
		}
		r.ends = s.Last != "" && slices.Contains(s.LastValues, scalarText(found[1]))
	} else {
		r.ends = slices.Contains(s.End, string(data))
	}
	r.ends = r.ends || name != "" && slices.Contains(s.End, name)
	r.skipped = r.ends && !object // which holds no more of the answer
	ev.Type = nil
	if name == "error" || slices.Contains(s.Errors, name) {
		ev.Type = errorType
	} else if len(s.Events) > 0 && !r.ends && !slices.Contains(s.Events, name) && !bytes.HasPrefix(data, done) {
		r.skipped = true
	}
	return ev, r, nil
}

var (
	errorType = []byte("error")
	doneEvent = Event{Data: done, Raw: []byte("data: [DONE]\n\n")}
)

// Values reports whether streams of the form are JSON values.
func (f *AnswerForm) Values() bool { return f != nil && f.stream != nil && f.stream.Values }

// Decoder reads the stream that answers ask by next, which reads OpenAI's.
func (f *AnswerForm) Decoder(next StreamDecoder, ask Ask) StreamDecoder {
	switch {
	case f == nil:
		return next
	case f.members != nil:
		return &memberStream{memberWriter: memberWriter{ask: ask, created: time.Now().Unix()}, form: f}
	}
	return &formed{StreamDecoder: next, form: f, ask: ask}
}

type formed struct {
	StreamDecoder
	form  *AnswerForm
	ask   Ask
	begun bool
}

// Decode implements [StreamDecoder].
func (s *formed) Decode(dst []byte, ev Event) ([]byte, Chunk, error) {
	var r role
	if s.form.stream != nil {
		var err error
		if ev, r, err = s.form.stream.role(ev); err != nil {
			return dst, Chunk{}, err
		}
	}
	before := len(dst)
	var chunk Chunk
	if !r.skipped {
		opened, reported, err := s.form.openData(ev)
		if err != nil || reported != nil {
			return dst, Chunk{Answer: Answer{Failure: reported}}, err
		}
		if first := !s.begun; first && s.form.Values() && isCompletion(opened.Data) {
			return s.whole(dst, opened)
		}
		s.begun = true
		dst, chunk, err = s.StreamDecoder.Decode(dst, opened)
		if err != nil || chunk.Failure != nil {
			return dst, chunk, err
		}
		if s.form.stream != nil && !chunk.HasChoices && !chunk.Usage.OK && !chunk.Usage.Implausible && !chunk.Done {
			dst = dst[:before] // it would be a chunk of nothing to clients
		}
	}
	if !r.ends || chunk.Done {
		return dst, chunk, nil
	}
	dst, last, err := s.StreamDecoder.Decode(dst, doneEvent)
	chunk.Done, chunk.Unfinished = true, last.Unfinished
	return dst, chunk, err
}

// isCompletion reports whether the first value of a stream is a whole chat completion: the upstream does not stream.
func isCompletion(data []byte) bool {
	if !bytes.HasPrefix(data, []byte("{")) {
		return false
	}
	found, err := find(data, []Path{{"choices", "0", "message"}, {"choices", "0", "delta"}})
	return err == nil && found[0].Kind() == '{' && found[1] == nil
}

// whole gives a whole chat completion as the stream that was asked for.
func (s *formed) whole(dst []byte, ev Event) ([]byte, Chunk, error) {
	a, err := parseWhole(ev.Data, Limits{}, &envelope{succeeded: ev.succeeded})
	if err != nil || a.Failure != nil {
		return dst, Chunk{Answer: a}, err
	}
	dst, err = AppendStream(dst, ev.Data, s.ask.IncludeUsage)
	return dst, Chunk{Answer: a, Done: true}, err
}

// asEvent writes JSON as an event, and gives it.
func asEvent(data jsontext.Value, succeeded bool) Event {
	raw := make([]byte, 0, len(data)+len("data: \n\n"))
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		raw = append(append(append(raw, "data: "...), bytes.TrimSuffix(line, []byte("\r"))...), '\n')
	}
	return Event{Data: data, Raw: append(raw, '\n'), succeeded: succeeded}
}
