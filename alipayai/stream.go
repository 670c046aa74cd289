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
	ctx     context.Context
	cancel  context.CancelCauseFunc
	dog     *watchdog
	timeout time.Duration
	// writeBy is when the client must have read what was sent.
	writeBy time.Time
	// provider is whose stream it is.
	provider *Provider
	resp     *http.Response

	events *wire.EventReader
	// decoder translates the provider's format; nil for OpenAI's, which chunks
	// reads.
	decoder wire.StreamDecoder
	chunks  wire.ChunkReader
	// pending are the raw bytes of events that have not been sent yet, at
	// first those up to the first content. Its buffer is pooled.
	pending *bytes.Buffer
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
func (c *call) openStream(s *stream) (*answer, *failure) {
	body := io.Reader(s.resp.Body)
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
			f = badAnswer(codeTruncated, "the provider ended its stream before any content")
		case s.pending.Len() > maxHeld:
			f = badAnswer(codeTooLarge, "the provider's stream has no content within its first mebibyte")
		}
		if f != nil {
			s.close()
			return nil, f
		}
		if chunk.Content || s.done {
			return &answer{status: s.resp.StatusCode, header: s.resp.Header, model: s.model, stream: s}, nil
		}
	}
}

// readEvent reads one event, makes sense of it, and adds it to what is pending.
func (c *call) readEvent(s *stream) (wire.Chunk, *failure) {
	event, err := s.events.Next()
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF) && bytes.HasPrefix(event.Data, doneData):
		// Some servers close without the blank line that should follow.
		event.Raw = doneEvent
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return wire.Chunk{}, badAnswer(codeTruncated, "the provider's stream broke off before its end")
	case errors.Is(err, wire.ErrEventTooLarge):
		return wire.Chunk{}, badAnswer(codeTooLarge, "an event of the provider's stream is larger than this gateway takes")
	case err != nil:
		return wire.Chunk{}, c.transportFailure(s.ctx, err, true)
	}
	chunk, err := s.decode(event)
	if err != nil {
		return chunk, badAnswer(codeMalformed, "the provider's stream does not keep to its format")
	}
	if chunk.Failure != nil {
		var received []byte
		if s.received != nil {
			received = s.received.Bytes()
		}
		return chunk, c.failed(s.provider, chunk.Failure, s.resp, received, event.Raw)
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

// decode makes sense of an event, and adds it to what is pending in OpenAI's
// form.
func (s *stream) decode(event wire.Event) (wire.Chunk, error) {
	if s.decoder == nil {
		chunk, err := s.chunks.Read(event)
		if err == nil && chunk.Failure == nil {
			s.pending.Write(event.Raw)
		}
		return chunk, err
	}
	translated, chunk, err := s.decoder.Decode(s.pending.AvailableBuffer(), event)
	if err == nil {
		s.pending.Write(translated)
	}
	return chunk, err
}

// pass sends the stream to the client. Whatever has arrived goes out with one
// write and one flush before the next read, which may block.
func (c *call) pass(s *stream) {
	var f *failure
	complete := false
	defer s.close()
	defer func() {
		c.outcome.Usage = s.usage
		if s.ended != nil {
			s.ended(f.streamResult(complete))
		}
	}()
	s.dog.arm(s.timeout, errNoEvent)
	s.dog.pause()
	flusher := http.NewResponseController(c.w)
	for {
		for !s.done && s.events.Buffered() {
			if _, f = c.readEvent(s); f != nil {
				c.abort(f, s, flusher)
			}
		}
		c.recording.add(s.pending.Bytes())
		if s.done {
			break
		}
		if c.send(s, flusher) != nil {
			return
		}
		c.extend(s.timeout + clientTimeout)
		s.dog.resume()
		_, f = c.readEvent(s)
		s.dog.pause()
		if f != nil {
			c.abort(f, s, flusher)
		}
	}
	if s.finish != "" { // or nobody knows whether it is all
		c.recording.end(s.finish)
	}
	c.endClaim() // the client may repeat its key as soon as it has seen the end
	if c.send(s, flusher) != nil {
		return
	}
	complete = true
	if s.ended != nil {
		s.ended(failover.Success) // the rest may take a moment
	}
	_ = flusher.SetWriteDeadline(time.Time{}) // the connection goes on
	// Nothing after [DONE] matters but the end of the body.
	s.dog.arm(drainTime, errAttemptIsEnded)
	_, _ = s.events.Next()
}

// clientTimeout is how long a client may take to read what it is sent, to within
// a second.
const clientTimeout = time.Minute

// send writes what is pending. After an error the client is gone.
func (c *call) send(s *stream, flusher *http.ResponseController) error {
	// A client that reads no more must not hold a stream, nor its claim, for ever.
	if now := c.g.Now(); s.writeBy.Sub(now) < clientTimeout-time.Second {
		s.writeBy = now.Add(clientTimeout)
		_ = flusher.SetWriteDeadline(s.writeBy) // where the server knows deadlines
	}
	c.answered += int64(s.pending.Len())
	_, err := c.w.Write(s.pending.Bytes())
	if err != nil {
		s.pending = new(bytes.Buffer) // see recycle
	} else {
		s.pending.Reset()
		err = flusher.Flush()
	}
	if err != nil {
		c.outcome.Status, c.outcome.Code, c.outcome.Aborted = clientClosedRequest, codeClientGone, true
	}
	return err
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
	c.mask().Texts(&f.Code, &f.Message, &f.Param)
	_, _ = c.w.Write(f.AppendEvent(s.pending.Bytes()))
	_ = flusher.Flush()
	s.pending = new(bytes.Buffer) // see recycle
	panic(http.ErrAbortHandler)
}
