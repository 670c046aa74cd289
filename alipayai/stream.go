package alipayai

import (
	"io"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/failover"
)

// ClientTimeout is how long a client may take to read what it is sent, to within
// a second.
const ClientTimeout = time.Minute

// next gives what is pending. Only the wait for the upstream counts against the
// stream's timeout: a slow client may take its time.
func (s *stream) next() ([]byte, error) {
	c := s.call
	switch {
	case s.broken != nil:
		return nil, s.brokenOff()
	case s.given && s.done:
		return nil, io.EOF
	case s.given:
		s.pending.Reset()
		s.given = false
		if !s.idle.IsZero() { // what the client takes is not the upstream's
			s.idle = s.idle.Add(c.g.Now().Sub(s.gave))
		}
	}
	for s.pending.Len() == 0 && s.broken == nil && !s.done {
		c.extendClaim(s.timeout + ClientTimeout)
		s.Watch.Resume()
		s.events.Await()
		if s.passAlike(); s.pending.Len() == 0 {
			_, s.broken = s.readEvent()
		}
		s.Watch.Pause()
	}
	for s.broken == nil && !s.done && s.events.Buffered() {
		if !s.passAlike() {
			_, s.broken = s.readEvent()
		}
	}
	c.recording.add(s.pending.Bytes())
	c.Seen.add(s.pending.Bytes())
	if s.broken != nil && s.pending.Len() == 0 {
		return nil, s.brokenOff()
	}
	if s.done {
		if s.finish != "" { // or it is not known whether it is all
			c.recording.end(s.ending)
		}
		s.charge()
		c.endClaim() // the client may repeat its key as soon as it has seen the end
	}
	s.given = true
	if !s.idle.IsZero() {
		s.gave = c.g.Now()
	}
	c.taken.answered += int64(s.pending.Len())
	return s.pending.Bytes(), nil
}

// passAlike passes on what has come of events that differ from the one before in the text of their content alone, which is
// what most of a stream is, and reports whether there was any. Each has nothing to say that readEvent has not heard.
func (s *stream) passAlike() bool {
	if s.passing == nil {
		return false
	}
	alike := s.passing.Alike(s.events.Unread())
	if alike.Events == 0 {
		return false
	}
	s.events.Skip(len(alike.Raw))
	s.pending.Write(alike.Raw)
	s.content += int64(alike.ContentBytes)
	s.contentEvents += int64(alike.Events)
	s.idle, s.resumed = time.Time{}, s.resumed || s.finish != ""
	return true
}

// lingers reports whether a stream has kept its connection alive for longer than it may be silent, with nothing in it: behind an answer
// that is whole that is its end, which upstreams forget (https://github.com/tombii/better-ccflare/pull/307 of Anthropic's message_stop,
// behind which pings went on for minutes). One that is silent there ends likewise, by its watch.
func (s *stream) lingers(chunk wire.Chunk) bool {
	if s.contentEvents == 0 || s.mayResume() || chunk.Done || chunk.HasChoices || chunk.Usage.OK || chunk.Failure != nil {
		s.idle = time.Time{}
		return false
	}
	now := s.call.g.Now()
	if s.idle.IsZero() {
		s.idle = now
	}
	return now.Sub(s.idle) > s.timeout
}

// mayResume reports whether there may be more of the answer to come, although each choice that has come has its finish reason: what
// asks for several may get the next one.
func (s *stream) mayResume() bool { return s.resumed || s.call.Request.N > 1 }

// brokenOff notes that the stream broke off after its first content, and gives what the
// client sees of it.
func (s *stream) brokenOff() *Error {
	c, f := s.call, s.broken
	c.outcome.Code, c.outcome.Aborted = f.Code, true
	if f.ClientGone {
		c.outcome.Status = f.Status
	}
	f.RequestID = c.outcome.RequestID
	c.secrets.mask().Texts(&f.Code, &f.Message, &f.Param)
	return &Error{Failure: f, Served: c.served(), call: c}
}

// drainTime is how long a finished stream may take to its end, so that its
// connection can be used again.
const drainTime = 250 * time.Millisecond

// settle ends the stream: the provider's breaker hears how it went, and what
// follows the last event is read, so that the connection can be used again.
func (s *stream) settle(delivered bool) {
	defer s.close()
	s.charge()
	result := failover.Ignored // the client left, which tells nothing
	switch {
	case s.broken != nil:
		result = s.broken.Result()
	case delivered && s.done && s.ending != wire.EndingUnknown:
		result = failover.Success
	}
	if !delivered {
		s.pending = nil // see recycle
	}
	s.admitted.Done(result) // the rest may take a moment
	if delivered && s.done && !s.events.Ended() {
		// Nothing after [DONE] matters but the end of the body.
		s.Watch.Arm(drainTime, upstream.ErrEnded)
		_, _ = s.events.Next()
	}
}

// close ends the attempt that the stream belongs to.
func (s *stream) close() {
	s.End()
	_ = s.Response.Body.Close()
	s.events.Release()
	if s.passing != nil {
		s.passing.Recycle()
		s.passing, s.decoder = nil, nil
	}
	if s.pending != nil {
		recycle(s.pending)
	}
	if s.received != nil {
		recycle(s.received)
	}
}

// charge notes what the stream has taken, and ends its attempt: by its usage where it is whole, by what was
// delivered where the client has left, or a guard has refused the rest, and by all that it may cost where it broke off.
func (s *stream) charge() {
	c := s.call
	c.outcome.Usage = s.usage
	c.taken.estimate(c.Request, s.tokens())
	c.taken.cut = !s.done
	answer := generated{tokens: s.tokens(), some: s.contentEvents > 0, model: s.model, given: c.taken.answered}
	switch {
	case s.done:
		c.account.used(s.usage, answer, ledger.Known)
	case s.broken != nil && !s.broken.ClientGone && s.refused == nil:
		c.account.most()
	default:
		c.account.used(s.usage, answer, ledger.Estimated)
	}
}

// tokens estimates those of what the stream has brought.
func (s *stream) tokens() int64 {
	if s.content == 0 {
		return s.contentEvents // one each, where the format tells no more
	}
	return s.content / bytesPerToken
}
