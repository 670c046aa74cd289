package sandbox

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// maxPlainEvents is the most content events of a stream that asks for no number.
const maxPlainEvents = 16

// stream writes the answer as server-sent events. It is not signed, since no
// body exists when the head goes out.
func (c *call) stream(s script) {
	if a := c.shape(); a != nil {
		s = a.shaped(s)
	} else {
		s.open, s.content, s.finish = c.envelopeEvents(s.open), c.envelopeEvents(s.content), c.envelopeEvents(s.finish)
	}
	c.openStream()
	if !c.wait(c.plan.firstByte) {
		return
	}
	for i, event := range s.content {
		if c.breakStream(i, &s) || i == 0 && !c.send(s.open...) {
			return
		}
		if i > 0 && !c.wait(c.marks.interval) {
			return
		}
		if !c.send(event) {
			return
		}
		c.events++
	}
	if c.breakStream(len(s.content), &s) {
		return
	}
	if c.send(s.finish...) && c.plan.outcome.Kind != MalformedChunk {
		c.code = codeOK
	}
}

// openStream sends the head of a stream.
func (c *call) openStream() {
	h := c.w.Header()
	h.Set("Content-Type", "text/event-stream")
	if a := c.shape(); a != nil && a.Stream != nil && a.Stream.Lines {
		h.Set("Content-Type", "application/x-ndjson")
	}
	h.Set("Cache-Control", "no-cache")
	c.w.WriteHeader(http.StatusOK)
	c.flush()
}

// send writes events, and sends each on its way.
func (c *call) send(events ...[]byte) bool {
	for _, event := range events {
		if !c.write(event) {
			return false
		}
		c.flush()
	}
	return true
}

// breakStream carries out the stream's fault when its turn has come, after
// `sent` content events. It reports whether the stream is over.
func (c *call) breakStream(sent int, s *script) bool {
	f := c.plan.outcome
	if sent != min(f.AfterEvents, len(s.content)) {
		return false
	}
	switch f.Kind {
	case SystemErrorFirst, SystemErrorMidstream:
		c.failStream(f.Shape, orElse(f.Code, c.systemCode()), systemMessage)
	case Stall:
		c.wait(forever)
	case ResetAfter:
		c.reset()
	case Cut:
		if f.MidEvent {
			c.send(half(s.next(sent)))
		}
	case MalformedChunk:
		return !c.send(append(half(s.next(sent)), "\n\n"...))
	case DoneFirst:
		c.send(s.end)
	case EmptyStream:
	default:
		return false
	}
	return true
}

// failStream ends a stream with an error, in the format's own shape where none
// is given.
func (c *call) failStream(shape Shape, code, message string) {
	event := errorEvent
	if shape == "" && c.srv.has(VariantErrorNames) {
		event = func(Shape, failure) []byte { return []byte("data: " + string(c.namedError(code, message)) + "\n\n") }
	}
	if a := c.shape(); shape == "" && a != nil {
		event = func(_ Shape, f failure) []byte { return a.refusedEvent(f) }
	}
	if shape == "" {
		_, shape = c.srv.format.shapes()
	}
	if c.send(event(shape, c.failure(code, message))) {
		c.code = code
	}
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
