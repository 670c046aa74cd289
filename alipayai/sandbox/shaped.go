package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Opener takes what is around an app's requests off them, and refuses those that are not as was agreed. It is the caller's
// code, as a [Contract] is. now is the simulator's clock.
type Opener func(r *http.Request, body []byte, now time.Time) (call []byte, err error)

// AnswerShape is how an app's answers look, where it and the API have agreed on a form of their own. A path is the names of
// the members to go through; an empty one is not agreed on.
type AnswerShape struct {
	// Inside holds what the API's own answers have at the top.
	Inside []string
	// Success has SuccessValue in a success, and a failure's code else, unless Code has another place.
	Success      []string
	SuccessValue string
	// Code, Message and RequestID are those of a failure, RetryAfter how long it lasts, in RetryUnit.
	Code, Message, RequestID, RetryAfter []string
	RetryUnit                            time.Duration
	// Stream is how streams look; nil for the API's own events, each of which is shaped as an answer is.
	Stream *StreamShape
}

// StreamShape is how a stream looks.
type StreamShape struct {
	// Lines makes it of JSON values, one on each line.
	Lines bool
	// Name is where an event's name stands, empty for its field "event"; Event is that of events with the answer, to which
	// others are added that a reader has to pass over, Error that of failures, and End that of the last event. Events have no
	// names where Event and Error are empty: End then is the data of the last event, empty for [DONE].
	Name              []string
	Event, Error, End string
	// Last has LastValue in the last event, in the place of End.
	Last      []string
	LastValue string
}

// shape is the form of the call's answers; nil for the API's own.
func (c *call) shape() *AnswerShape {
	switch {
	case c.ep.token:
	case c.srv.variantShape() != nil:
		return c.srv.variantShape()
	case c.app != nil && c.app.answer != nil:
		return c.app.answer
	case c.app == nil && len(c.srv.apps) == 1: // refused before it is known who calls
		for _, only := range c.srv.apps {
			return only.answer
		}
	}
	return nil
}

// tree is a JSON object that is written by paths.
type tree map[string]any

func (o tree) set(path []string, value any) {
	if len(path) == 0 {
		return
	}
	for _, name := range path[:len(path)-1] {
		inner, ok := o[name].(tree)
		if !ok {
			inner = tree{}
			o[name] = inner
		}
		o = inner
	}
	o[path[len(path)-1]] = value
}

// scalar writes a word as JSON has it: a number, true or false without quotes.
func scalar(word string) any {
	if slices.Contains([]string{"true", "false"}, word) || json.Valid([]byte(word)) && strings.ContainsAny(word, "0123456789") {
		return json.RawMessage(word)
	}
	return word
}

// success puts an answer of the API's own, or a chunk of one, into the shape.
func (a *AnswerShape) success(body []byte) tree {
	o := tree{}
	if len(a.Inside) > 0 {
		o.set(a.Inside, json.RawMessage(body))
	} else if json.Unmarshal(body, &o) != nil {
		panic("an answer of the simulator is no object")
	}
	o.set(a.Success, scalar(a.SuccessValue))
	return o
}

// refusal writes a failure.
func (a *AnswerShape) refusal(f failure) tree {
	o := tree{}
	code, message := a.Code, a.Message
	if len(code) == 0 {
		code = []string{"code"}
	}
	if len(message) == 0 {
		message = []string{"message"}
	}
	o.set(a.Success, f.code)
	o.set(code, f.code)
	o.set(message, f.message)
	o.set(a.RequestID, f.requestID)
	if len(a.RetryAfter) > 0 {
		o.set(a.RetryAfter, variantRetry.Seconds()/a.RetryUnit.Seconds())
	}
	return o
}

// write writes an event of that name: one with the answer, or with a failure.
func (s *StreamShape) write(name string, o tree) []byte {
	var b bytes.Buffer
	if name != "" && len(s.Name) > 0 {
		o.set(s.Name, name)
	} else if name != "" && !s.Lines {
		fmt.Fprintf(&b, "event: %s\n", name)
	}
	if s.Lines {
		return append(mustJSON(o), '\n')
	}
	fmt.Fprintf(&b, "data: %s\n\n", mustJSON(o))
	return b.Bytes()
}

// end writes the event that ends a stream.
func (s *StreamShape) end() []byte {
	switch {
	case len(s.Last) > 0:
		o := tree{}
		o.set(s.Last, scalar(s.LastValue))
		return s.write(s.Event, o)
	case s.End != "" && s.Event+s.Error != "":
		return s.write(s.End, tree{})
	}
	word := s.End
	if word == "" {
		word = "[DONE]"
	}
	if s.Lines {
		return []byte(word + "\n")
	}
	return []byte("data: " + word + "\n\n")
}

// shaped puts a stream into the shape.
func (a *AnswerShape) shaped(s script) script {
	stream := a.Stream
	if stream == nil {
		stream = &StreamShape{}
	}
	events := func(list [][]byte) (out [][]byte) {
		for _, event := range list {
			for one := range bytes.SplitSeq(bytes.TrimSuffix(event, []byte("\n\n")), []byte("\n\n")) {
				data := bytes.TrimPrefix(one, []byte("data: "))
				if bytes.HasPrefix(data, []byte("{")) {
					out = append(out, stream.write(stream.Event, a.success(data)))
				} else {
					out = append(out, stream.end())
				}
			}
		}
		return out
	}
	shaped := script{open: events(s.open), content: events(s.content), finish: events(s.finish), end: stream.end()}
	if stream.Event != "" {
		shaped.open = append([][]byte{stream.write("of-the-sandbox", tree{"note": "what a reader has to pass over"})}, shaped.open...)
	}
	return shaped
}

// refusedEvent writes a failure in a stream.
func (a *AnswerShape) refusedEvent(f failure) []byte {
	if a.Stream == nil {
		return (&StreamShape{}).write("", a.refusal(f))
	}
	return a.Stream.write(a.Stream.Error, a.refusal(f))
}
