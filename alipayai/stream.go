package alipayai

import (
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/failover"
)

const (
	// maxHeld bounds what is held of a stream before its first content, in bytes.
	maxHeld = 1 << 20
	// maxEvidence bounds what is kept of a stream as evidence, in bytes.
	maxEvidence = 1 << 20
	// drainTime is how long a finished stream may take to its end, so that
	// its connection can be used again.
	drainTime = 250 * time.Millisecond
)

// stream is an event stream of an upstream. Its events are held until the
// first content, so that an early failure still becomes a true status; from
// then on they pass through, each as it comes.
type stream struct {
	*upstream.Exchange
	timeout time.Duration
	// provider is whose stream it is.
	provider *upstream.Provider

	events *wire.EventReader
	// decoder reads the provider's format.
	decoder wire.StreamDecoder
	// pending are the bytes of events that have not been given out yet, at
	// first those up to the first content. Its buffer is pooled.
	pending *bytes.Buffer
	// given says that pending has been given out.
	given bool
	// received is what has come of the body, for evidence; nil where nobody asks
	// for it. It is pooled.
	received *bytes.Buffer
	// ended tells the provider's breaker what came of the stream; nil for none.
	ended func(failover.Result)
	// model is what the upstream says answers, once it was seen.
	model string
	// finish is the finish reason, once it was seen; done says that [DONE] was.
	finish string
	done   bool
	usage  wire.Usage
	// broken is what has ended the stream before its end.
	broken *failure.Failure
}

var doneData, doneEvent = []byte("[DONE]"), []byte("data: [DONE]\n\n")

// close ends the attempt that the stream belongs to.
func (s *stream) close() {
	s.End()
	_ = s.Response.Body.Close()
	s.events.Release()
	if s.pending != nil {
		recycle(s.pending)
	}
	if s.received != nil {
		recycle(s.received)
	}
}

// kept is a body of which the first part is copied while it is read.
type kept struct {
	io.Reader
	to *bytes.Buffer
}

func (k kept) Read(b []byte) (int, error) {
	n, err := k.Reader.Read(b)
	k.to.Write(b[:min(n, maxEvidence-k.to.Len())])
	return n, err
}

// openStream reads s up to its first content, or to a clean end of an answer
// that has none.
func (c *call) openStream(s *stream) (*Answer, *failure.Failure) {
	body := io.Reader(s.Response.Body)
	if c.g.Evidence != nil {
		s.received = buffers.Get().(*bytes.Buffer)
		body = kept{body, s.received}
	}
	s.events = wire.NewEventReader(body, wire.MaxEventBytes)
	s.pending = buffers.Get().(*bytes.Buffer)
	for {
		chunk, f := c.readEvent(s)
		switch {
		case f != nil:
		case s.done && s.finish == "":
			f = failure.BadAnswer(failure.CodeTruncated, "the provider ended its stream before any content")
		case s.pending.Len() > maxHeld:
			f = failure.BadAnswer(failure.CodeResponseTooLarge, "the provider's stream has no content within its first mebibyte")
		}
		if f != nil {
			s.close()
			return nil, f
		}
		if chunk.Content || s.done {
			return &Answer{Status: s.Response.StatusCode, header: s.Response.Header, model: s.model, stream: s}, nil
		}
	}
}

// readEvent reads one event, makes sense of it, and adds it to what is pending.
func (c *call) readEvent(s *stream) (wire.Chunk, *failure.Failure) {
	event, err := s.events.Next()
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF) && bytes.HasPrefix(event.Data, doneData):
		// Some servers close without the blank line that should follow.
		event.Raw = doneEvent
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return wire.Chunk{}, failure.BadAnswer(failure.CodeTruncated, "the provider's stream broke off before its end")
	case errors.Is(err, wire.ErrEventTooLarge):
		return wire.Chunk{}, failure.BadAnswer(failure.CodeResponseTooLarge, "an event of the provider's stream is larger than this gateway takes")
	case err != nil:
		return wire.Chunk{}, s.Broken(err)
	}
	chunk, err := s.decode(event)
	if err != nil {
		return chunk, failure.BadAnswer(failure.CodeMalformed, "the provider's stream does not keep to its format")
	}
	if chunk.Failure != nil {
		var received []byte
		if s.received != nil {
			received = s.received.Bytes()
		}
		return chunk, c.failed(s.provider, s.Exchange, chunk.Failure, received, event.Raw)
	}
	s.done = chunk.Done
	if s.model == "" {
		s.model = chunk.Model
	}
	if chunk.FinishReason != "" {
		s.finish = chunk.FinishReason
	}
	if chunk.Usage.OK || chunk.Usage.Implausible {
		s.usage = chunk.Usage
	}
	return chunk, nil
}

// decode makes sense of an event, and adds it to what is pending in the client's
// form.
func (s *stream) decode(event wire.Event) (wire.Chunk, error) {
	translated, chunk, err := s.decoder.Decode(s.pending.AvailableBuffer(), event)
	if err == nil && chunk.Failure == nil {
		s.pending.Write(translated)
	}
	return chunk, err
}

// ClientTimeout is how long a client may take to read what it is sent, to within
// a second.
const ClientTimeout = time.Minute

// next gives what is pending. Only the wait for the upstream counts against the
// stream's timeout: a slow client may take its time.
func (c *call) next(s *stream) ([]byte, error) {
	switch {
	case s.broken != nil:
		return nil, c.broken(s)
	case s.given && s.done:
		return nil, io.EOF
	case s.given:
		s.pending.Reset()
		s.given = false
		c.extend(s.timeout + ClientTimeout)
		s.Watch.Resume()
		_, s.broken = c.readEvent(s)
		s.Watch.Pause()
	}
	for s.broken == nil && !s.done && s.events.Buffered() {
		_, s.broken = c.readEvent(s)
	}
	c.recording.add(s.pending.Bytes())
	if s.broken != nil && s.pending.Len() == 0 {
		return nil, c.broken(s)
	}
	if s.done {
		if s.finish != "" { // or it is not known whether it is all
			c.recording.end(s.finish)
		}
		c.outcome.Usage = s.usage
		c.endClaim() // the client may repeat its key as soon as it has seen the end
	}
	s.given = true
	c.answered += int64(s.pending.Len())
	return s.pending.Bytes(), nil
}

// broken notes that a stream broke off after its first content, and gives what the
// client sees of it.
func (c *call) broken(s *stream) *Error {
	f := s.broken
	c.outcome.Code, c.outcome.Aborted = f.Code, true
	if f.ClientGone {
		c.outcome.Status = f.Status
	}
	f.RequestID = c.outcome.RequestID
	c.mask().Texts(&f.Code, &f.Message, &f.Param)
	return &Error{Failure: f, Served: c.served()}
}

// closeStream ends a stream: the provider's breaker hears how it went, and what
// follows the last event is read, so that the connection can be used again.
func (c *call) closeStream(s *stream, delivered bool) {
	defer s.close()
	c.outcome.Usage = s.usage
	result := failover.Ignored // the client left, which tells nothing
	switch {
	case s.broken != nil:
		result = s.broken.Result()
	case delivered && s.done:
		result = failover.Success
	}
	if !delivered {
		s.pending = nil // see recycle
	}
	if s.ended != nil {
		s.ended(result) // the rest may take a moment
	}
	if result == failover.Success {
		// Nothing after [DONE] matters but the end of the body.
		s.Watch.Arm(drainTime, upstream.ErrEnded)
		_, _ = s.events.Next()
	}
}
