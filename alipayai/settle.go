package alipayai

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/toolcheck"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/failover/canary"
)

// settle ends the call's bookkeeping, whichever way it went.
func (c *call) settle() {
	c.settleTrial()
	c.endClaim()
	c.buffered.release()
	c.settleSpending()
	c.checkUsage()
	c.addLost()
	c.limited.Done(c.g.Now(), int(c.outcome.Usage.Total))
	if c.spent != nil {
		recycle(c.spent)
	}
	if !c.filter.Passed(c.outcome.Model) || !c.filter.Passed(c.outcome.UpstreamModel) {
		c.mask().Texts(&c.outcome.Model, &c.outcome.UpstreamModel)
	}
	c.outcome.Cost = c.cost()
	c.outcome.Duration = c.g.Now().Sub(c.Began)
	c.g.Observer.Settled(c.ctx, c.outcome)
	if c.exchange != nil && c.pack == nil { // a pack's answer belongs to its calls
		c.sent, c.hiding, c.answer.header = nil, nil, nil
		c.exchange.Recycle()
		c.exchange = nil
	}
}

// trial is a call's part in a canary. The methods of a nil trial do nothing.
type trial struct {
	of  *Canary
	arm canary.Arm
	// provider is that of the arm.
	provider     *upstream.Provider
	conversation []byte
	// sent is when the first request went to provider.
	sent time.Time
	// asked says that provider was asked, and failed what became of that; nil for an answer.
	asked  bool
	failed *failure.Failure
	// tools are the tool calls of its stream.
	tools toolcheck.Collector
}

func (t *trial) leaving(c *call, p *upstream.Provider) {
	if t != nil && p == t.provider && t.sent.IsZero() {
		t.sent = c.g.Now()
	}
}

func (t *trial) tried(p *upstream.Provider, f *failure.Failure) {
	if t != nil && p == t.provider {
		t.asked, t.failed = true, f
	}
}

func (t *trial) collect(p *upstream.Provider, events []byte) {
	if t != nil && p == t.provider && t.of.Tools != nil {
		t.tools.Add(events)
	}
}

// settleTrial tells the canary what became of the call at its arm.
func (c *call) settleTrial() {
	t := c.trial
	if t == nil || !t.asked {
		return
	}
	o := canary.Outcome{Arm: t.arm, Conversation: t.conversation}
	switch f := t.failed; {
	case f == nil:
		if c.outcome.Status >= http.StatusBadRequest && c.outcome.Code == "" { // it asks for payment
			return
		}
		c.judgeAnswer(&o)
	case f.ClientGone || !f.AtProvider():
		return // nothing is known of it
	case f.Class == failure.Blocked:
		o.Blocked = true
	default:
		o.Failed = true
	}
	t.of.Trial.Record(o)
}

// judgeAnswer judges the answer that the call's arm has begun.
func (c *call) judgeAnswer(o *canary.Outcome) {
	t, s, a := c.trial, c.answer.stream, &c.answer
	if c.outcome.FirstByte > 0 && !t.sent.IsZero() {
		o.FirstContent = c.Began.Add(c.outcome.FirstByte).Sub(t.sent)
	}
	finish := a.finish
	if s != nil {
		finish = s.finish
		o.Failed = s.broken != nil && !s.broken.ClientGone
		if !s.done {
			return
		}
	}
	class, _ := failure.FinishClass(finish)
	o.Blocked = class == failure.Blocked || strings.EqualFold(finish, "content_filter")
	if t.of.Tools == nil || !c.Request.HasTools {
		return
	}
	calls := t.tools.Calls()
	switch {
	case s != nil || a.body == nil:
	case upstream.IsEventStream(a.header):
		var whole toolcheck.Collector
		whole.Add(a.body.Bytes())
		calls = whole.Calls()
	default:
		calls = toolcheck.CallsOf(a.body.Bytes())
	}
	o.HasToolCalls = len(calls) > 0
	o.BrokenToolCall = t.of.Tools.Judge(c.Request.Body, calls) != toolcheck.None
}

// endClaim ends the claim: with the answer if there is one, open for another try
// if the call was definitely not served, and held where that is not known.
func (c *call) endClaim() {
	if c.claim == nil {
		return
	}
	claim := c.claim
	c.claim = nil
	end := claimEnd{claim: claim.Claim, ctx: c.lasting(), ttl: c.g.Claims.TTL}
	until := c.g.Now().Add(end.ttl)
	if c.caches() && !c.g.Answers.Remote {
		c.recording.keep() // for the cache as well
	}
	var ok bool
	end.answer, ok = c.recorded()
	switch {
	case ok:
		end.as = finish
	case c.recording != nil && c.recording.whole && c.outcome.Code == "":
		end.as = serve
	case c.recording != nil || c.mayHaveExecuted || c.outcome.Status == 0: // or a panic broke it off
		end.as = hold
	default:
		end.as = release
		if !claim.left {
			until = claim.until // it ends by itself
		}
	}
	if err := end.do(); errors.Is(err, replay.ErrUnavailable) {
		end.answer.Body = bytes.Clone(end.answer.Body) // its buffer goes back with the call
		go end.retry(until)
	}
}

// claimEnd is how a claim ends.
type claimEnd struct {
	claim  replay.Claim
	ctx    context.Context
	as     func(claimEnd) error
	answer replay.Answer
	ttl    time.Duration
}

func (e claimEnd) do() error { return e.as(e) }

// The ways to end.
func finish(e claimEnd) error  { return e.claim.Finish(e.ctx, e.answer, e.ttl) }
func serve(e claimEnd) error   { return e.claim.Served(e.ctx, e.ttl) }
func hold(e claimEnd) error    { return e.claim.Hold(e.ctx, e.ttl) }
func release(e claimEnd) error { return e.claim.Release(e.ctx) }

// The pauses between tries to end a claim while its store is away: they double.
const firstEndPause, maxEndPause = 50 * time.Millisecond, 400 * time.Millisecond

// retry ends a claim as soon as its store is back. Were it left to its lease, an
// answer that is there would be lost, and a call that failed would count as one whose
// outcome is unknown. There are never more of these than calls were under way when the
// store went: with it away nothing is claimed. They end with the process, though.
func (e claimEnd) retry(until time.Time) {
	for pause := firstEndPause; time.Now().Before(until); pause = min(2*pause, maxEndPause) {
		time.Sleep(pause)
		if !errors.Is(e.do(), replay.ErrUnavailable) {
			return
		}
	}
}

// unseenTokens is how many tokens a call may take beyond a token for each byte of
// prompt and answer: images behind a URL, reasoning that is not shown and the
// provider's own prompt are in neither. It is the context of the largest models.
const unseenTokens = 1 << 20

// bytesPerToken is what estimates take a token for: about four letters of English.
const bytesPerToken = 4

// checkUsage replaces a usage that prompt and answer cannot have taken, or that
// cannot be counted, by an estimate: a provider's mistake costs a tenant no more
// than its call, and makes no call free.
func (c *call) checkUsage() {
	c.outcome.Usage, c.outcome.UsageEstimated = c.plausible(c.outcome.Usage, c.answered)
}

// plausible gives u, or an estimate in its place, for an answer of so many bytes.
func (c *call) plausible(u wire.Usage, answer int64) (_ wire.Usage, estimated bool) {
	prompt := int64(len(c.Request.Body))
	most := prompt + answer + unseenTokens
	if !u.OK && !u.Implausible || u.OK && u.Prompt >= 0 && u.Completion >= 0 && u.Total >= 0 && u.Prompt <= most && u.Completion <= most && u.Total <= most {
		return u, false
	}
	u = wire.Usage{Prompt: prompt / bytesPerToken, Completion: answer / bytesPerToken, OK: true}
	u.Total = u.Prompt + u.Completion
	return u, true
}
