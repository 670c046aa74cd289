package sandbox

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// maxPlainEvents is the most content events of a stream that asks for no number.
const maxPlainEvents = 16

// stream writes the answer as server-sent events: a role chunk, the content, a
// finish chunk, usage if asked for, and [DONE]. It is not signed, since no body
// exists when the head goes out.
func (c *call) stream(a answer, includeUsage bool) {
	h := c.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	c.w.WriteHeader(http.StatusOK)
	c.flush()
	if !c.wait(c.plan.firstByte) {
		return
	}
	s := newEvents(&a, includeUsage)
	deltas := a.deltas()
	for i, delta := range deltas {
		if c.breakStream(i, len(deltas), s, delta) {
			return
		}
		if i == 0 && !c.send(s.chunk(`{"role":"assistant","content":""}`, "")) {
			return
		}
		if i > 0 && !c.wait(c.marks.interval) {
			return
		}
		if !c.send(s.chunk(delta, "")) {
			return
		}
		c.events++
	}
	if c.breakStream(len(deltas), len(deltas), s, `{}`) || !c.send(s.chunk(`{}`, a.finish())) {
		return
	}
	if includeUsage && !c.send(s.usage(a.usage)) {
		return
	}
	if c.send([]byte("data: [DONE]\n\n")) && c.plan.outcome.Kind != MalformedChunk {
		c.code = codeOK
	}
}

// send writes one event and sends it on its way.
func (c *call) send(event []byte) bool {
	if !c.write(event) {
		return false
	}
	c.flush()
	return true
}

// breakStream carries out the stream's fault when its turn has come: after
// `sent` of `total` content events, with `next` to follow. It reports whether
// the stream is over.
func (c *call) breakStream(sent, total int, s *events, next string) bool {
	f := c.plan.outcome
	if sent != min(f.AfterEvents, total) {
		return false
	}
	switch f.Kind {
	case SystemErrorFirst, SystemErrorMidstream:
		code := orElse(f.Code, codeSystem)
		if c.send(errorEvent(f.Shape, code, "system error, try again later")) {
			c.code = code
		}
	case Stall:
		c.wait(forever)
	case ResetAfter:
		c.reset()
	case Cut:
		if f.MidEvent {
			event := s.chunk(next, "")
			c.send(event[:len(event)/2])
		}
	case MalformedChunk:
		event := s.chunk(next, "")
		return !c.send(append(event[:len(event)/2:len(event)/2], "\n\n"...))
	case DoneFirst:
		c.send([]byte("data: [DONE]\n\n"))
	case EmptyStream:
	default:
		return false
	}
	return true
}

// events renders chunks into one buffer, each valid until the next.
type events struct {
	buf    bytes.Buffer
	prefix string
	suffix string
}

func newEvents(a *answer, includeUsage bool) *events {
	var b []byte
	b = append(b, `data: {"id":`...)
	b = appendString(b, a.id)
	b = append(b, `,"object":"chat.completion.chunk","created":`...)
	b = strconv.AppendInt(b, a.created, 10)
	b = append(b, `,"model":`...)
	b = appendString(b, a.model)
	b = append(b, `,"choices":[`...)
	s := &events{prefix: string(b), suffix: "]}\n\n"}
	if includeUsage {
		s.suffix = "],\"usage\":null}\n\n"
	}
	return s
}

// chunk renders a delta, given as JSON, with finish as its reason or none.
func (s *events) chunk(delta, finish string) []byte {
	s.buf.Reset()
	s.buf.WriteString(s.prefix)
	s.buf.WriteString(`{"index":0,"delta":`)
	s.buf.WriteString(delta)
	s.buf.WriteString(`,"finish_reason":`)
	if finish == "" {
		s.buf.WriteString("null}")
	} else {
		s.buf.WriteString(`"` + finish + `"}`)
	}
	s.buf.WriteString(s.suffix)
	return s.buf.Bytes()
}

func (s *events) usage(u usage) []byte {
	b, err := json.Marshal(u)
	if err != nil {
		panic(err) // three integers
	}
	s.buf.Reset()
	s.buf.WriteString(s.prefix)
	s.buf.WriteString(`],"usage":`)
	s.buf.Write(b)
	s.buf.WriteString("}\n\n")
	return s.buf.Bytes()
}

// deltas cuts the answer into content events.
func (a *answer) deltas() []string {
	if a.call == nil {
		pieces := split(a.text, a.events)
		for i, p := range pieces {
			pieces[i] = string(append(appendString([]byte(`{"content":`), p), '}'))
		}
		return pieces
	}
	first, err := json.Marshal(toolCall{a.call.ID, a.call.Type, toolFunction{Name: a.call.Function.Name}})
	if err != nil {
		panic(err) // strings always marshal
	}
	out := []string{`{"tool_calls":[{"index":0,` + string(first[1:]) + `]}`}
	for _, p := range split(a.call.Function.Arguments, a.events-1) {
		b := appendString([]byte(`{"tool_calls":[{"index":0,"function":{"arguments":`), p)
		out = append(out, string(append(b, `}}]}`...)))
	}
	return out
}

// split cuts text into n pieces, or without a number into its words, but few.
func split(text string, n int) []string {
	if n <= 0 {
		if words := strings.SplitAfter(text, " "); len(words) <= maxPlainEvents {
			return words
		}
		n = maxPlainEvents
	}
	left := utf8.RuneCountInString(text)
	pieces := make([]string, 0, n)
	for ; n > 0; n-- {
		take := left / n
		left -= take
		end := 0
		for ; take > 0; take-- {
			_, size := utf8.DecodeRuneInString(text[end:])
			end += size
		}
		pieces = append(pieces, text[:end])
		text = text[end:]
	}
	return pieces
}

// appendString appends s as a JSON string; what is not UTF-8 in it is replaced.
func appendString(b []byte, s string) []byte {
	b, err := jsontext.AppendQuote(b, strings.ToValidUTF8(s, "\uFFFD"))
	if err != nil {
		panic(err) // the text is valid UTF-8 now
	}
	return b
}
