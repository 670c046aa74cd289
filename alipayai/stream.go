package alipayai

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

const (
	// maxHeld bounds what is held of a stream before its first content, in bytes.
	maxHeld = 1 << 20
	// drainTime is how long a finished stream may take to its end, so that
	// its connection can be used again.
	drainTime = 250 * time.Millisecond
)

// stream is an event stream of an upstream. Its events are held until the
// first content, so that an early failure still becomes a true status; from
// then on they pass through, each as it comes.
type stream struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	dog     *watchdog
	timeout time.Duration
	resp    *http.Response

	events *wire.EventReader
	// held are the raw bytes of the events up to the first content.
	held []byte
	// finished says that a finish reason was seen, done that [DONE] was.
	finished, done bool
	usage          wire.Usage
}

func isEventStream(h http.Header) bool {
	return strings.HasPrefix(h.Get("Content-Type"), "text/event-stream")
}

// close ends the attempt that the stream belongs to.
func (s *stream) close() {
	s.dog.disarm()
	s.cancel(errAttemptIsEnded)
	_ = s.resp.Body.Close()
	s.events.Release()
}

// openStream reads s up to its first content, or to a clean end of an answer
// that has none.
func (c *call) openStream(s *stream) (*answer, *failure) {
	s.events = wire.NewEventReader(s.resp.Body, wire.MaxEventBytes)
	for {
		event, chunk, f := c.next(s)
		if f != nil {
			s.close()
			return nil, f
		}
		if s.done && !s.finished {
			s.close()
			return nil, upstreamFault(codeTruncated, "the provider ended its stream before any content")
		}
		if len(s.held)+len(event.Raw) > maxHeld {
			s.close()
			return nil, upstreamFault(codeTooLarge, "the provider's stream has no content within its first mebibyte")
		}
		s.held = append(s.held, event.Raw...)
		if chunk.Content || s.done {
			return &answer{status: s.resp.StatusCode, header: s.resp.Header, stream: s}, nil
		}
	}
}

// next reads one event and makes sense of it.
func (c *call) next(s *stream) (wire.Event, wire.Chunk, *failure) {
	event, err := s.events.Next()
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return event, wire.Chunk{}, upstreamFault(codeTruncated, "the provider's stream broke off before its end")
	case errors.Is(err, wire.ErrEventTooLarge):
		return event, wire.Chunk{}, upstreamFault(codeTooLarge, "an event of the provider's stream is larger than this gateway takes")
	case err != nil:
		return event, wire.Chunk{}, c.lost(s.ctx, err, true)
	}
	// A comment, as servers send to keep connections alive, is an empty chunk.
	chunk, err := wire.ParseEvent(event)
	if err != nil {
		return event, chunk, upstreamFault(codeMalformed, "an event of the provider's stream is not valid JSON")
	}
	if chunk.Failure != nil {
		return event, chunk, reported(http.StatusOK, chunk.Failure, s.resp.Header, c.g.Now())
	}
	s.done = chunk.Done
	s.finished = s.finished || chunk.FinishReason != ""
	if chunk.Usage.OK {
		s.usage = chunk.Usage
	}
	return event, chunk, nil
}

// pass sends the stream to the client, each event as soon as it is there.
func (c *call) pass(s *stream) {
	defer s.close()
	s.dog.disarm()
	flusher := http.NewResponseController(c.w)
	_, err := c.w.Write(s.held)
	for err == nil && !s.done {
		if !s.events.Buffered() {
			if err = flusher.Flush(); err != nil {
				break
			}
			s.dog.arm(s.timeout, &errNoEvent)
		}
		event, _, f := c.next(s)
		s.dog.disarm()
		if f != nil {
			c.outcome.Usage = s.usage
			c.abort(f, flusher)
			return
		}
		_, err = c.w.Write(event.Raw)
	}
	c.outcome.Usage = s.usage
	if err == nil {
		err = flusher.Flush()
	}
	if err != nil {
		c.outcome.Code, c.outcome.Aborted = codeClientGone, true
		return
	}
	// Nothing after [DONE] matters but the end of the body.
	s.dog.arm(drainTime, &errAttemptIsEnded)
	_, _ = s.events.Next()
}

// abort breaks off a stream that has content already: the format's error
// event, and a connection that does not end cleanly.
func (c *call) abort(f *failure, flusher *http.ResponseController) {
	c.outcome.Code, c.outcome.Aborted = f.Code, true
	if f.clientGone {
		return
	}
	f.RequestID = c.outcome.RequestID
	_, _ = c.w.Write(f.AppendEvent(nil))
	_ = flusher.Flush()
	panic(http.ErrAbortHandler)
}
