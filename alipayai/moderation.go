package alipayai

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"time"

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

// refuse gives the failure of an answer of provider's to c, which breaks a policy of its guard.
func (o *OutputGuard) refuse(c *call, provider, policy string) *failure.Failure {
	policy = moderate.PolicyName(o.Name, policy)
	if o.Blocked != nil {
		o.Blocked(BlockedAnswer{Policy: policy, RequestID: c.outcome.RequestID, Tenant: c.Tenant, Provider: provider})
	}
	return outputBlocked(policy)
}

// verdictWatch ends whatever a call waits for as soon as its verdict forbids it. That of a call without one does nothing.
type verdictWatch struct {
	client context.Context
	ended  chan struct{}
}

// watchVerdict begins to watch. Until the watch ends, the call's context is one that ends with a verdict against it.
func (c *call) watchVerdict() (w verdictWatch) {
	if c.Verdict == nil {
		return w
	}
	w = verdictWatch{c.ctx, make(chan struct{})}
	ctx, cancel := context.WithCancel(c.ctx)
	c.ctx = ctx
	go func(v *Verdict) {
		select {
		case <-v.done:
			if v.failed != nil {
				cancel()
			}
		case <-w.ended:
		}
	}(c.Verdict)
	return w
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
	case c.pack != nil:
		return c.pack.cleared
	case c.Verdict == nil:
		return nil
	}
	return c.Verdict.done
}

// forbidden gives the failure of a call that must not be sent, just before it is.
func (c *call) forbidden() *failure.Failure {
	switch {
	case c.Verdict == nil:
		return nil
	case !c.Verdict.known():
		return ModerationUnavailable("the moderator") // whoever sends has not waited
	}
	return c.Verdict.failed
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
	return c.Guard.refuse(c, provider, policy)
}

// canonical gives the canonical form of a whole answer, or a whole stream, in that of the call's Native.
func (c *call) canonical(body []byte, stream bool) ([]byte, error) {
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

// guardedStream is the guard of one stream.
type guardedStream struct {
	*moderate.Guard
	c *call
	x *upstream.Exchange
}

// guardOf makes the guard of the exchange's stream; nil for none.
func (c *call) guardOf(x *upstream.Exchange) *guardedStream {
	if c.Guard == nil || c.Endpoint != upstream.EndpointChat {
		return nil
	}
	if g := c.Guard.Rules.Guard(c.Guard.Window); g != nil {
		return &guardedStream{Guard: g, c: c, x: x}
	}
	return nil
}

// givesText reports whether some text of the stream has been given out, or nothing holds it back.
func (g *guardedStream) givesText() bool { return g == nil || g.GivenText() }

// give takes the next events of the stream, and writes those that may be given out; the last of all where done.
func (g *guardedStream) give(to *bytes.Buffer, events []byte, done bool) *failure.Failure {
	// events may stand in the spare room of the buffer itself.
	released, policy := g.Add(nil, events)
	if policy == "" && done {
		released, policy = g.End(released)
	}
	if policy != "" {
		return g.c.Guard.refuse(g.c, g.c.outcome.Provider, policy)
	}
	to.Write(released)
	switch held := int64(g.Held()); {
	case held > g.c.g.MaxAnswer:
		return failure.BadAnswer(failure.CodeResponseTooLarge, "the provider's stream has more bytes around a word than an answer may have")
	case held > largeEvent && g.c.reserveEvent(g.x) != nil:
		return noRoom()
	}
	return nil
}

// BlockedCalls remembers, for TTL, the requests that providers have blocked, so that they are not sent there again.
type BlockedCalls struct {
	Calls *moderate.Blocked
	TTL   time.Duration
}

// blockedKey is that of the call at p: by tenant, account, model, exact body and user.
func (c *call) blockedKey(p *upstream.Provider, body []byte) [sha256.Size]byte {
	return c.g.Blocked.Calls.Key(c.Tenant, p.Account(), string(c.Endpoint), p.UpstreamModel(c.Request.Model), string(body), c.userAt(p))
}

// wasBlocked gives the failure of a call that p has blocked already.
func (c *call) wasBlocked(p *upstream.Provider, body []byte) *failure.Failure {
	if c.g.Blocked == nil || c.Tenant == AnonymousTenant || body == nil || c.g.Blocked.Calls.Empty() {
		return nil
	}
	was, ok := c.g.Blocked.Calls.Get(c.blockedKey(p, body), c.g.Now())
	if !ok {
		return nil
	}
	f := &failure.Failure{Class: failure.Blocked}
	f.Status, f.Code, f.Message, f.Param = was.Status, was.Code, was.Message, was.Param
	c.g.Observer.Rejected(p.Name, failure.CodeBlockedBefore)
	return f
}

// rememberBlocked notes that p has blocked the call.
func (c *call) rememberBlocked(p *upstream.Provider, body []byte, f *failure.Failure) {
	if c.g.Blocked == nil || c.Tenant == AnonymousTenant || body == nil || f.Class != failure.Blocked || !f.FromUpstream {
		return
	}
	kept := f.Error
	c.mask().Texts(&kept.Code, &kept.Message, &kept.Param)
	c.g.Blocked.Calls.Put(c.blockedKey(p, body), kept, c.g.Now().Add(c.g.Blocked.TTL))
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
	f := m.Guard.refuse(&call{Call: Call{Tenant: tenant}}, "", policy)
	f.Sent, f.NoRetry = false, false // nothing is asked for it
	return f
}
