package alipayai

import (
	"bytes"
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
	// provider is whose stream it is.
	provider *Provider
	resp     *http.Response

	events *wire.EventReader
	chunks wire.ChunkReader
	// pending are the raw bytes of events that have not been sent yet, at
	// first those up to the first content. Its buffer is pooled.
	pending *bytes.Buffer
	// finished says that a finish reason was seen, done that [DONE] was.
	finished, done bool
	usage          wire.Usage
}

var doneData, doneEvent = []byte("[DONE]"), []byte("data: [DONE]\n\n")

func isEventStream(h http.Header) bool {
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(media), "text/event-stream")
}

// close ends the attempt that the stream belongs to.
func (s *stream) close() {
	s.dog.disarm()
	s.cancel(errAttemptIsEnded)
	_ = s.resp.Body.Close()
	s.events.Release()
	recycle(s.pending)
}

// openStream reads s up to its first content, or to a clean end of an answer
// that has none.
func (c *call) openStream(s *stream) (*answer, *failure) {
	s.events = wire.NewEventReader(s.resp.Body, wire.MaxEventBytes)
	s.pending = answers.Get().(*bytes.Buffer)
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
		if s.pending.Len()+len(event.Raw) > maxHeld {
			s.close()
			return nil, upstreamFault(codeTooLarge, "the provider's stream has no content within its first mebibyte")
		}
		s.pending.Write(event.Raw)
		if chunk.Content || s.done {
			return &answer{status: s.resp.StatusCode, header: s.resp.Header, stream: s}, nil
		}
	}
}

// next reads one event and makes sense of it.
func (c *call) next(s *stream) (wire.Event, wire.Chunk, *failure) {
	event, err := s.events.Next()
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF) && bytes.HasPrefix(event.Data, doneData):
		// Some servers close without the blank line that should follow.
		event.Raw = doneEvent
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return event, wire.Chunk{}, upstreamFault(codeTruncated, "the provider's stream broke off before its end")
	case errors.Is(err, wire.ErrEventTooLarge):
		return event, wire.Chunk{}, upstreamFault(codeTooLarge, "an event of the provider's stream is larger than this gateway takes")
	case err != nil:
		return event, wire.Chunk{}, c.lost(s.ctx, err, true)
	}
	chunk, err := s.chunks.Read(event)
	if err != nil {
		return event, chunk, upstreamFault(codeMalformed, "an event of the provider's stream is not valid JSON")
	}
	if chunk.Failure != nil {
		return event, chunk, s.provider.reported(http.StatusOK, chunk.Failure, s.resp, c.g.Now())
	}
	s.done = chunk.Done
	s.finished = s.finished || chunk.FinishReason != ""
	if chunk.Usage.OK {
		s.usage = chunk.Usage
	}
	return event, chunk, nil
}

// pass sends the stream to the client. Whatever has arrived goes out with one
// write and one flush before the next read, which may block.
func (c *call) pass(s *stream) {
	defer s.close()
	defer func() { c.outcome.Usage = s.usage }()
	s.dog.arm(s.timeout, errNoEvent)
	s.dog.pause()
	flusher := http.NewResponseController(c.w)
	for {
		if !s.done && s.events.Buffered() {
			if f := c.take(s); f != nil {
				c.abort(f, s, flusher)
			}
			continue
		}
		if err := c.send(s, flusher); err != nil {
			c.outcome.Status, c.outcome.Code, c.outcome.Aborted = clientClosedRequest, codeClientGone, true
			return
		}
		if s.done {
			break
		}
		s.dog.resume()
		f := c.take(s)
		s.dog.pause()
		if f != nil {
			c.abort(f, s, flusher)
		}
	}
	// Nothing after [DONE] matters but the end of the body.
	s.dog.arm(drainTime, errAttemptIsEnded)
	_, _ = s.events.Next()
}

// take adds the next event to what is pending.
func (c *call) take(s *stream) *failure {
	event, _, f := c.next(s)
	if f == nil {
		s.pending.Write(event.Raw)
	}
	return f
}

// send writes what is pending.
func (c *call) send(s *stream, flusher *http.ResponseController) error {
	if _, err := c.w.Write(s.pending.Bytes()); err != nil {
		s.pending = new(bytes.Buffer) // see recycle
		return err
	}
	s.pending.Reset()
	return flusher.Flush()
}

// abort breaks off a stream that has content already: what is pending, the
// format's error event, and a connection that does not end cleanly. It does
// not return.
func (c *call) abort(f *failure, s *stream, flusher *http.ResponseController) {
	c.outcome.Code, c.outcome.Aborted = f.Code, true
	if f.clientGone {
		c.outcome.Status = f.Status
		panic(http.ErrAbortHandler)
	}
	f.RequestID = c.outcome.RequestID
	_, _ = c.w.Write(f.AppendEvent(s.pending.Bytes()))
	_ = flusher.Flush()
	s.pending = new(bytes.Buffer) // see recycle
	panic(http.ErrAbortHandler)
}
