package alipayai

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/moderate"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// Verdict says whether a call may be sent; it may still be on its way. It is for the very request that it was made for.
type Verdict struct {
	body   []byte
	done   chan struct{}
	failed *failure.Failure
}

// Pending begins a verdict on a request with that body: judge gives the failure of a call that must not be sent, and nil
// for one that may. It runs on a goroutine of its own; where it panics, the call is not sent.
func Pending(body []byte, judge func() *failure.Failure) *Verdict {
	v := &Verdict{body: body, done: make(chan struct{})}
	go func() {
		defer close(v.done)
		v.failed = ModerationUnavailable("the moderator")
		defer func() { _ = recover() }()
		v.failed = judge()
	}()
	return v
}

// Await waits for the verdict, and gives the failure of a call that must not be sent.
func (v *Verdict) Await(ctx context.Context) *failure.Failure {
	if v.known() { // also where the client has left meanwhile: what has been sent may have executed
		return v.failed
	}
	select {
	case <-v.done:
		return v.failed
	case <-ctx.Done():
		return failure.OfTransport(ctx, ctx, ctx.Err(), false)
	}
}

// ModerationBlocked makes the failure of a call that breaks a policy.
func ModerationBlocked(policy string) *failure.Failure {
	f := &failure.Failure{Class: failure.Blocked}
	f.Status, f.Code, f.Message = http.StatusForbidden, failure.CodeModerationBlocked, "the request was blocked by policy "+policy
	return f
}

// TunnelBlocked makes the failure of a request for a connection that no verdict of a policy can cover.
func TunnelBlocked(policy string) *failure.Failure {
	f := ModerationBlocked(policy)
	f.Message = "WebSockets, other upgrades and CONNECT are refused by policy " + policy + ", which cannot check what they carry; send requests"
	return f
}

// ModerationUnavailable makes the failure of a call that a moderator gives no verdict on, and must not be sent without.
func ModerationUnavailable(policy string) *failure.Failure {
	f := failure.Unavailable(failure.CodeModerationUnavailable, "there is no verdict of "+policy+" just now, so the request is not sent")
	f.Class = failure.Blocked // no other provider may be asked either
	return f
}

// NoVerdict makes the failure of a call that must not be sent, since err kept a moderator's model from being asked. A
// client learns of its own budget, which another try does not change; all else is the gateway's.
func NoVerdict(policy string, err error) *failure.Failure {
	own, ok := errors.AsType[*Error](err)
	if !ok || !own.OverBudget() {
		return ModerationUnavailable(policy)
	}
	f := *own.Failure
	f.Class, f.Message = failure.Blocked, "your budget at this gateway does not cover what the verdict of "+policy+" may cost"
	return &f
}

// outputBlocked makes the failure of an answer that breaks a policy. It was generated, and paid for.
func outputBlocked(policy string) *failure.Failure {
	f := ModerationBlocked(policy)
	f.Message, f.Sent, f.NoRetry = "the answer was blocked by policy "+policy, true, true
	return f
}

// OutputGuard holds what is generated against rules.
type OutputGuard struct {
	Rules *moderate.Rules
	// Name is that of the moderator, and Window how many characters are held back for patterns.
	Name   string
	Window int
	// Blocked follows each answer that is refused; it must not block.
	Blocked func(BlockedAnswer)
}

// BlockedAnswer is an answer that breaks a policy: which one, and whose it was. It has nothing of the text.
type BlockedAnswer struct {
	Policy, RequestID, Tenant, Provider string
}

// refuse gives the failure of an answer that breaks that policy, which is named as in its rules.
func (o *OutputGuard) refuse(a BlockedAnswer) *failure.Failure {
	a.Policy = moderate.PolicyName(o.Name, a.Policy)
	if o.Blocked != nil {
		o.Blocked(a)
	}
	return outputBlocked(a.Policy)
}

// verdictWatch ends whatever a call waits for as soon as its verdict forbids it. That of a call without one does nothing.
type verdictWatch struct {
	client context.Context
	ended  chan struct{}
}

// watchVerdict begins to watch. Until the watch ends, the call's context is one that ends with a verdict against it; what was begun
// under it, as a stream that goes on, has it until the call is settled.
func (c *call) watchVerdict() verdictWatch {
	if c.Verdict == nil {
		return verdictWatch{}
	}
	client, ended := c.ctx, make(chan struct{})
	ctx, cancel := context.WithCancel(client)
	c.ctx, c.unwatch = ctx, cancel
	go func(v *Verdict) {
		select {
		case <-v.done:
			if v.failed != nil {
				cancel()
			}
		case <-ended:
		}
	}(c.Verdict)
	return verdictWatch{client, ended}
}

// end ends the watch of c, which has an answer or failed by f, and gives what it fails by: by its verdict where that
// forbids it. A provider's answer has waited for the verdict; one that was given before has not, and waits here.
func (w verdictWatch) end(c *call, f *failure.Failure) *failure.Failure {
	if c.Verdict == nil {
		return f
	}
	close(w.ended)
	c.ctx = w.client
	switch {
	case f == nil:
		return c.Verdict.Await(c.ctx)
	case c.Verdict.known() && c.Verdict.failed != nil:
		return c.Verdict.failed
	}
	return f
}

func (v *Verdict) known() bool {
	select {
	case <-v.done:
		return true
	default:
		return false
	}
}

// cleared is closed when there is a verdict, on one call at least of a pack; nil where none is needed.
func (c *call) cleared() <-chan struct{} {
	switch {
	case c.packing.group != nil:
		return c.packing.group.cleared
	case c.Verdict == nil:
		return nil
	}
	return c.Verdict.done
}

// forbids gives the failure of a call that must not be sent, just before it is; nil where no verdict is needed.
func (v *Verdict) forbids() *failure.Failure {
	switch {
	case v == nil:
		return nil
	case !v.known():
		return ModerationUnavailable("the moderator") // whoever sends has not waited
	}
	return v.failed
}

// SetVerdict makes v the call's, if it is for the call's own request; else the call is not sent.
func (c *Call) SetVerdict(v *Verdict) {
	if v != nil && !bytes.Equal(v.body, c.received()) {
		v = Pending(c.received(), func() *failure.Failure {
			return failure.Misconfigured(failure.CodeModerationUnavailable, "the request was changed behind its moderator, so it is not sent",
				errors.New("a handler between alipayai_moderate and alipayai_proxy changes the body"))
		})
	}
	c.Verdict = v
}

// guardWhole holds a whole answer in OpenAI's form against the rules for output, and its own form, where the client gets
// that; nil where it does not.
func (c *call) guardWhole(a *Answer, own []byte) *failure.Failure {
	if c.Guard == nil || a.body == nil || c.Endpoint != upstream.EndpointChat {
		return nil
	}
	body, stream := a.body.Bytes(), upstream.IsEventStream(a.header)
	if a.native {
		var err error
		own = body
		if body, err = c.canonical(body, stream); err != nil {
			return failure.BadAnswer(failure.CodeMalformed, "the answer that was kept cannot be read")
		}
	}
	check := c.Guard.Rules.CheckAnswer
	if stream {
		check = c.Guard.Rules.CheckStream
	}
	policy := check(body)
	if policy == "" && own != nil {
		policy = c.Guard.Rules.CheckOwn(own, stream)
	}
	if policy == "" {
		return nil
	}
	provider := c.outcome.Provider
	if a.replayed != nil {
		provider = a.replayed.Provider
	}
	return c.Guard.refuse(BlockedAnswer{policy, c.outcome.RequestID, c.Tenant, provider})
}

// canonical gives the canonical form of a whole answer, or a whole stream, in that of the call's Native.
func (c *Call) canonical(body []byte, stream bool) ([]byte, error) {
	ask := wire.Ask{Request: c.Request}
	if !stream {
		translated, _, err := c.Native.Format.DecodeAnswer(body, ask)
		return translated, err
	}
	decoder, events := c.Native.Format.DecodeStream(ask), wire.EventsIn(body)
	defer events.Release()
	var translated []byte
	for {
		event, err := events.Next()
		if errors.Is(err, io.EOF) {
			return translated, nil
		}
		if err == nil {
			translated, _, err = decoder.Decode(translated, event)
		}
		if err != nil {
			return nil, err
		}
	}
}

// stream makes the guard of a stream of that endpoint; nil for none.
func (o *OutputGuard) stream(endpoint upstream.Endpoint) *moderate.Guard {
	if o == nil || endpoint != upstream.EndpointChat {
		return nil
	}
	return o.Rules.Guard(o.Window)
}

// givesText reports whether some text of the stream has been given out, or nothing holds it back.
func (s *stream) givesText() bool { return s.guard == nil || s.guard.GivenText() }

// giveGuarded adds those of the next events to what is pending that the guard gives out; the last of all where done.
func (s *stream) giveGuarded(events []byte, done bool) *failure.Failure {
	c := s.call
	// events may stand in the spare room of the buffer itself.
	released, policy := s.guard.Add(nil, events)
	if policy == "" && done {
		released, policy = s.guard.End(released)
	}
	if policy != "" {
		return c.Guard.refuse(BlockedAnswer{policy, c.outcome.RequestID, c.Tenant, c.outcome.Provider})
	}
	s.pending.Write(released)
	switch held := int64(s.guard.Held()); {
	case held > c.g.MaxAnswer:
		return failure.BadAnswer(failure.CodeResponseTooLarge, "the provider's stream has more bytes around a word than an answer may have")
	case held > largeEvent && s.BeforeGrowing() != nil:
		return noRoom()
	}
	return nil
}

// Moderation is what a moderator before a door knows of a request.
type Moderation struct {
	Verdict *Verdict // nil where it has been waited for
	Guard   *OutputGuard
}

type moderationKey struct{}

// WithModeration gives the context of a request that a moderator has seen.
func WithModeration(ctx context.Context, m Moderation) context.Context {
	return context.WithValue(ctx, moderationKey{}, m)
}

// TakeModeration makes the call that of a request that a moderator has seen, if one has.
func (c *Call) TakeModeration(ctx context.Context) {
	if m, ok := ctx.Value(moderationKey{}).(Moderation); ok {
		c.SetVerdict(m.Verdict)
		c.Guard = m.Guard
	}
}

// GuardKept holds an answer that was kept, in its client's own form, against the rules of the moderator that has seen the request
// for it: they may not have been there when it was generated. Nil says that it may be given.
func GuardKept(ctx context.Context, tenant string, body []byte) *failure.Failure {
	m, _ := ctx.Value(moderationKey{}).(Moderation)
	if m.Guard == nil {
		return nil
	}
	policy := m.Guard.Rules.CheckOwn(body, false)
	if policy == "" {
		return nil
	}
	f := m.Guard.refuse(BlockedAnswer{Policy: policy, Tenant: tenant})
	f.Sent, f.NoRetry = false, false // nothing is asked for it
	return f
}
