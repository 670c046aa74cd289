package alipayai

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"math"
	"slices"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/moderate"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/failover"
)

// maxEvidence bounds what is kept of a stream as evidence, in bytes.
const maxEvidence = 1 << 20

// stream is an event stream of an upstream. Its events are held until the
// first content, so that an early failure still becomes a true status; from
// then on they pass through, each as it comes.
type stream struct {
	*upstream.Exchange
	call    *call
	body    kept
	timeout time.Duration
	// provider is whose stream it is.
	provider *upstream.Provider
	// native says that the events are in the client's own form.
	native bool

	events wire.EventReader
	// decoder reads the provider's format.
	decoder wire.StreamDecoder
	// passing is the decoder where nothing else reads the events that it passes on as they came; nil for none.
	passing wire.Passing
	// guard holds back what its rules may refuse; nil for none. refused is the failure of what they have refused.
	guard   *moderate.Guard
	refused *failure.Failure
	// pending are the bytes of events that have not been given out yet, at
	// first those up to the first content. Its buffer is pooled.
	pending *bytes.Buffer
	// given says that pending has been given out.
	given bool
	// received is what has come of the body, for evidence; nil where no
	// evidence is kept. It is pooled.
	received *bytes.Buffer
	// admitted is the call as the provider's breaker has admitted it, which is told what came of the stream.
	admitted failover.Admission
	// model is what the upstream says answers, once it was seen.
	model string
	// finish is the finish reason, once it was seen; done says that [DONE] was.
	finish string
	done   bool
	// resumed says that content has come behind a finish reason, so that none says that there is no more to come: upstreams have written
	// one with each event (https://github.com/MartialBE/one-hub/issues/402 of Gemini), or before they ask a tool of their own
	// (https://github.com/0xPlaygrounds/rig/pull/2328).
	resumed bool
	// ending is how much of an answer it is, once it is done.
	ending wire.Ending
	usage  wire.Usage
	// idle is since when nothing has come but what keeps the connection alive; zero where something has. gave is when the client got that.
	idle, gave time.Time
	// filtered says that the provider's filter has refused the prompt, where no content comes.
	filtered bool
	// content is how many bytes of content have come, as JSON, in contentEvents events.
	content, contentEvents int64
	// broken is what has ended the stream before its end.
	broken *failure.Failure
}

// kept is a body of which the first part is copied while it is read, where it is
// wanted.
type kept struct {
	io.ReadCloser
	to *bytes.Buffer
}

func (k *kept) Read(b []byte) (int, error) {
	n, err := k.ReadCloser.Read(b)
	if k.to != nil {
		k.to.Write(b[:max(min(n, maxEvidence-k.to.Len()), 0)])
	}
	return n, err
}

// begin makes s the reader of an answer, and reports whether that is a stream.
// Servers label streams as JSON and as text, and failures as streams: what an answer
// begins with decides, and the label where that says nothing.
func (s *stream) begin() bool {
	resp, g := s.Response, s.call.g
	s.body.ReadCloser = resp.Body
	if g.Evidence != nil {
		s.received = buffers.Get().(*bytes.Buffer)
		s.body.to = s.received
	}
	s.events.Reset(&s.body, int(min(g.MaxAnswer, math.MaxInt)))
	s.events.BeforeGrowing(largeEvent, s)
	begins := s.events.Begins()
	if begins == wire.BeginsJSON && s.provider.AnswerForm.Values() {
		s.events.ReadValues()
		begins = wire.BeginsEvents
	}
	if begins == wire.BeginsEvents || begins == wire.BeginsOther && upstream.IsEventStream(resp.Header) {
		if !upstream.IsEventStream(resp.Header) {
			resp.Header["Content-Type"] = eventStream
		}
		resp.Body = &s.body
		return true
	}
	resp.Body = s.events.Rest(resp.Body)
	if s.received != nil {
		recycle(s.received)
	}
	if begins == wire.BeginsJSON {
		resp.Header["Content-Type"] = jsonType
	}
	return false
}

// BeforeGrowing implements [wire.Grower].
func (s *stream) BeforeGrowing() error {
	return s.call.intake.reserveEvent(s.call.g, s.Exchange, s.call.deadline())
}

// open reads the stream up to its first content, or to a clean end of an answer
// that has none.
func (s *stream) open() (*Answer, *failure.Failure) {
	s.pending = buffers.Get().(*bytes.Buffer)
	for {
		chunk, f := s.readEvent()
		switch {
		case f != nil:
		case s.done && s.finish == "" && s.contentEvents == 0 && s.filtered:
			f = s.call.at(s.provider).failed(s.Exchange, wire.PromptFiltered(), nil, nil)
		case s.done && s.finish == "" && s.contentEvents == 0:
			f = unusable(failure.CodeTruncated, "the provider ended its stream before any content", s.usage)
		case chunk.Content || s.pending.Len() <= largeEvent:
		case int64(s.pending.Len()) > s.call.g.MaxAnswer:
			f = failure.BadAnswer(failure.CodeResponseTooLarge, "the provider's stream has no content in as many bytes as an answer may have")
		case s.BeforeGrowing() != nil:
			f = noRoom()
		}
		if f != nil {
			if s.refused != nil {
				s.charge()
			}
			s.close()
			return nil, f
		}
		if chunk.Content && !s.done && !s.givesText() {
			s.Watch.Arm(s.timeout, failure.ErrNoEvent) // there is content, which goes on
			continue
		}
		if chunk.Content || s.done {
			a := &s.call.answer
			*a = Answer{Status: s.Response.StatusCode, header: s.Response.Header, model: s.model, stream: s, native: s.native}
			return a, nil
		}
	}
}

// readEvent reads one event, makes sense of it, and adds it to what is pending.
func (s *stream) readEvent() (wire.Chunk, *failure.Failure) {
	chunk, event, f := s.takeEvent()
	if f != nil {
		return chunk, f
	}
	if said := s.failureOf(chunk, event.Unframed().Data); said != nil && s.refused == nil {
		return s.failedBy(chunk, event, said)
	}
	s.count(chunk)
	if s.refused != nil {
		return chunk, s.refused // what it has brought is paid for
	}
	if s.done = chunk.Done; s.done {
		s.ending = wire.Answer{FinishReason: s.finish, Unfinished: s.finish == "" || chunk.Unfinished}.Ending()
	}
	return chunk, nil
}

// takeEvent reads and decodes an event, or what there is in the place of one. The failure is of the stream's form, or its end.
func (s *stream) takeEvent() (chunk wire.Chunk, event wire.Event, f *failure.Failure) {
	event, err := s.events.Next()
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		if chunk.Failure = bareFailure(event); chunk.Failure != nil {
			return chunk, event, nil
		}
	}
	switch {
	case err == nil:
		if chunk, err = s.decode(event); err == nil && s.lingers(chunk) {
			if last, cut := s.end(wire.Event{}); cut == nil {
				chunk = last
			}
		}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF) && len(event.Raw) > 0:
		chunk, err = s.end(event)
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = errCut
	case errors.Is(err, wire.ErrEventTooLarge):
		return chunk, event, failure.BadAnswer(failure.CodeResponseTooLarge, "an event of the provider's stream is larger than this gateway takes")
	case errors.Is(err, errNoRoom):
		return chunk, event, noRoom()
	default:
		broken := s.Broken(err)
		if broken.Code != failure.CodeTimeout || s.mayResume() {
			return chunk, event, broken
		}
		if chunk, err = s.end(wire.Event{}); err != nil {
			return chunk, event, broken
		}
	}
	switch {
	case errors.Is(err, errCut):
		f = failure.BadAnswer(failure.CodeTruncated, "the provider's stream broke off before its end"+s.Unread())
	case err != nil:
		f = failure.BadAnswer(failure.CodeMalformed, "the provider's stream does not keep to its format"+s.Unread())
	}
	return chunk, event, f
}

// failedBy is what an event says that has failed, and what was used until then.
func (s *stream) failedBy(chunk wire.Chunk, event wire.Event, said *wire.Failure) (wire.Chunk, *failure.Failure) {
	var received []byte
	if s.received != nil {
		received = s.received.Bytes()
	}
	f := s.call.at(s.provider).failed(s.Exchange, said, received, event.Raw)
	if wire.FinishCode(chunk.FinishReason) == wire.FinishErrorText {
		chunk.Content = false // it is what went wrong
	}
	if s.contentEvents > 0 || generates(chunk.Answer) || generates(wire.Answer{Usage: s.usage}) {
		f.AfterContent()
		if s.contentEvents == 0 || chunk.Usage.OK { // else what was counted before is not all
			f.Used = s.usage.With(chunk.Usage)
		}
	}
	return chunk, f
}

// count notes what a chunk brings, and what it says of the answer.
func (s *stream) count(chunk wire.Chunk) {
	if chunk.Content {
		s.content += int64(chunk.ContentBytes)
		s.contentEvents++
		s.resumed = s.resumed || chunk.Resumes || s.finish != ""
	}
	if s.model == "" {
		s.model = chunk.Model
	}
	if chunk.FinishReason != "" && (s.finish == "" || wire.EndingOf(chunk.FinishReason) < wire.EndingOf(s.finish)) {
		s.finish = chunk.FinishReason
	}
	s.usage = s.usage.With(chunk.Usage)
	s.filtered = s.filtered || chunk.Filtered
}

// bareFailure gives what a failure says that stands in a stream without the name of a field, for which readers of streams pass it
// over, as Google's does (https://github.com/googleapis/js-genai/issues/1973); nil for anything else.
func bareFailure(event wire.Event) *wire.Failure {
	if event.Data != nil {
		return nil
	}
	raw := bytes.TrimSpace(event.Raw)
	if len(raw) == 0 || raw[0] != '{' && raw[0] != '[' {
		return nil
	}
	said, err := wire.ParseBody(raw, wire.Limits{})
	if err != nil {
		return nil
	}
	return said.Failure
}

// errCut is the end of a stream whose answer is not whole.
var errCut = errors.New("the stream is cut")

// end makes sense of a clean end of the body, where the format's own end is missing.
// rest is what there is of an event without its blank line, which some servers leave
// out at the last.
func (s *stream) end(rest wire.Event) (wire.Chunk, error) {
	var chunk wire.Chunk
	if len(rest.Data) > 0 {
		rest.Raw = slices.Concat(bytes.TrimRight(rest.Raw, "\r\n"), []byte("\n\n"))
		var err error
		if chunk, err = s.decode(rest); err != nil {
			return chunk, errCut
		}
		if chunk.Done || chunk.Failure != nil {
			return chunk, nil
		}
	}
	missing, last, ok := s.decoder.End(s.pending.AvailableBuffer())
	if !ok {
		return chunk, errCut
	}
	s.give(missing, true)
	chunk.Done = true
	chunk.FinishReason = cmp.Or(last.FinishReason, chunk.FinishReason)
	if last.Usage.OK || last.Usage.Implausible {
		chunk.Usage = last.Usage
	}
	return chunk, nil
}

// failureOf gives what a chunk reports: a failure, or a finish reason of one. After
// content, those of an answer that was broken off are the client's to see, but for the
// bare "error", which no client takes for the end of an answer, and for Google's of a
// call that has not come, which one takes for a turn that has none. Where the content beside it is what went wrong, that
// is no content.
func (s *stream) failureOf(chunk wire.Chunk, data []byte) *wire.Failure {
	if chunk.Failure != nil {
		return chunk.Failure
	}
	code := wire.FinishCode(chunk.FinishReason)
	if code == wire.FinishErrorText {
		return finishedBy(data)
	}
	if _, bad := failure.FinishClass(code); bad && (s.contentEvents == 0 && !chunk.Content || code == "error" || code == "function_call_filter") {
		return &wire.Failure{Code: code, Message: brokenOffMessage}
	}
	return nil
}

// decode makes sense of an event, and adds it to what is pending in the client's
// form.
func (s *stream) decode(event wire.Event) (wire.Chunk, error) {
	translated, chunk, err := s.decoder.Decode(s.pending.AvailableBuffer(), event.Unframed())
	if err == nil && chunk.Failure == nil {
		if t := s.call.trial; t != nil {
			canonical := translated
			if u, ok := s.decoder.(*wire.Untranslated); ok {
				canonical = u.Canonical()
			}
			t.collect(s.provider, canonical)
		}
		s.give(translated, chunk.Done)
	}
	return chunk, err
}

// give adds events to what is pending, those that the guard gives out. done says that they are the last.
func (s *stream) give(events []byte, done bool) {
	if s.guard == nil {
		s.pending.Write(events)
		return
	}
	s.refused = s.giveGuarded(events, done)
}

// failingEvent finds the event of a whole stream that reports a failure, and whether it had content before; without a Failure where
// none does.
func failingEvent(p *upstream.Provider, stream []byte) (failed wire.Answer, raw []byte) {
	events := wire.EventsIn(stream)
	defer events.Release()
	for {
		event, err := events.Next()
		if err != nil {
			return wire.Answer{}, nil
		}
		inside, reported, err := p.AnswerForm.OpenEvent(event.Unframed())
		if err == nil && reported == nil {
			var chunk wire.Chunk
			chunk, err = wire.ParseEvent(inside)
			reported = chunk.Failure
			failed.Content = failed.Content || generates(chunk.Answer)
		}
		if err == nil && reported != nil {
			failed.Failure = reported
			return failed, bytes.Clone(event.Raw)
		}
	}
}
