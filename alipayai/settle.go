package alipayai

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/toolcheck"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/failover/canary"
)

// settle ends the call's bookkeeping, whichever way it went.
func (c *call) settle() {
	c.settleTrial()
	c.Seen.settle(c)
	c.endClaim()
	c.buffered.release()
	c.settleSpending()
	c.checkUsage()
	c.addLost()
	c.limited.Done(c.g.Now(), int(c.tokens()))
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
	o := canary.Outcome{Arm: t.arm, ID: c.outcome.RequestID, Conversation: t.conversation}
	switch f := t.failed; {
	case f == nil:
		if c.outcome.Status >= http.StatusBadRequest && c.outcome.Code == "" { // it asks for payment
			return
		}
		c.judgeAnswer(&o)
	case !f.AtProvider():
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
	if s == nil && a.body != nil {
		body, streamed := a.body.Bytes(), upstream.IsEventStream(a.header)
		if a.native {
			body, _ = c.canonical(body, streamed) // what cannot be read has no calls
		}
		if !streamed {
			calls = toolcheck.CallsOf(body)
		} else {
			t.tools.Add(body)
			calls = t.tools.Calls()
		}
	}
	o.HasToolCalls = len(calls) > 0
	o.BrokenToolCall = t.of.Tools.Judge(c.Request.Body, calls) != toolcheck.None
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
	if countsNothing(c.outcome.Usage) && c.answered > 0 {
		c.outcome.Usage = wire.Usage{Implausible: true}
	}
	c.outcome.Usage, c.outcome.UsageEstimated = c.plausible(c.outcome.Usage, c.answered)
}

// maxDeclined is how many models may decline to go on with an answer: Anthropic takes three fallbacks
// (MAX_MODELS of https://docs.rs/vtcode-config), the last of which answers.
const maxDeclined = 3

// countsNothing reports whether a usage is there and has nothing but zeros, as some proxies make up where they know none.
func countsNothing(u wire.Usage) bool {
	return u.OK && u.Prompt == 0 && u.Completion == 0 && u.Total == 0
}

// plausible gives u, or an estimate in its place, for an answer of so many bytes.
func (c *call) plausible(u wire.Usage, answer int64) (_ wire.Usage, estimated bool) {
	prompt := int64(len(c.Request.Body))
	most := prompt + answer + unseenTokens
	if !u.OK && !u.Implausible || u.OK && u.Prompt >= 0 && u.Completion >= 0 && u.Total >= 0 && u.Prompt <= most && u.Completion <= most && u.Total <= most &&
		u.Declined.Prompt <= maxDeclined*most && u.Declined.Completion <= maxDeclined*most {
		return u, false
	}
	u = wire.Usage{Prompt: prompt / bytesPerToken, Completion: answer / bytesPerToken, OK: true}
	u.Total = u.Prompt + u.Completion
	return u, true
}

// Shadow has copies of a part of the calls sent to another provider, when their clients have
// their answers. Its fields do not change after Prepare. The methods of a nil Shadow do nothing.
type Shadow struct {
	// Provider gets the copies. It is none of the gateway's, and has a rate cap of its own.
	Provider *upstream.Provider
	// Share is the part of the calls that are copied, from above 0 to 1.
	Share float64
	// OptedOut are tenants whose calls are not.
	OptedOut map[string]bool
	// Copy takes a copy, of its tenant, with what the client has seen. Both are Copy's to keep.
	// It must not block.
	Copy func(c *Call, seen *Seen)
}

// check refuses a shadow that cannot be.
func (s *Shadow) check(g *Gateway) error {
	if s == nil {
		return nil
	}
	p := s.Provider
	switch {
	case g.Class == ClassMoney:
		return errors.New("shadow has no meaning for class money, whose calls are never made twice")
	case p.Profile.Kind().SignsParameters:
		return fmt.Errorf("shadow: provider %s: profile %s signs form parameters, not OpenAI calls", p.Name, p.Profile.Name)
	case p.Profile.Agent:
		return fmt.Errorf("shadow: provider %s is an agent, which may act on what it is asked", p.Name)
	case !(s.Share > 0 && s.Share <= 1):
		return fmt.Errorf("shadow: the share must be a part from above 0 to 1, not %v", s.Share)
	}
	for _, own := range slices.Concat(g.Providers, g.Canary.candidate()) {
		switch {
		case own == p:
			return fmt.Errorf("shadow: %s serves calls here already; name another provider", p.Name)
		case own.ClientID != "" && own.ClientID == p.ClientID && own.BaseURL.Host == p.BaseURL.Host:
			return fmt.Errorf("shadow: %s and %s are the same app %s at %s, whose rate limit the calls need; give %s credentials of its own", own.Name, p.Name, p.ClientID, p.BaseURL.Host, p.Name)
		}
	}
	return nil
}

// provider is that of a shadow, if there is one.
func (s *Shadow) provider() []*upstream.Provider {
	if s == nil {
		return nil
	}
	return []*upstream.Provider{s.Provider}
}

// sample has c observed if it is one to copy. Never copied are calls that may move money, those
// of tenants that are not known or have opted out, and those whose text may not go there.
func (s *Shadow) sample(c *call) {
	if s == nil || !chosen(s.Share) || c.class() != ClassInference || c.Tenant == AnonymousTenant || s.OptedOut[c.Tenant] ||
		!c.Endpoint.HasChoices() || !s.Provider.Serves(c.Endpoint, c.Request.Model) || !c.g.maySee(s.Provider, c.Tenant) {
		return
	}
	c.Seen, c.outcome.Shadow = new(Seen), s.Provider.Name
}

// isCopied reports whether the call, which is answered, is passed on to a shadow.
func (c *call) isCopied() bool { return c.outcome.Shadow != "" }

// copyToShadow passes the settled call on, if a provider has served it, or failed at it, for its client.
func (c *call) copyToShadow() {
	if !c.isCopied() || !c.Seen.Comparable || c.forbidden() != nil {
		return
	}
	of := &Call{
		Endpoint: c.Endpoint, Tenant: c.Tenant, Request: c.Request, Format: c.Format, Native: c.Native,
		Regions: c.regions.And(c.g.Shadow.Provider.Residency.Of(c.Tenant)), // the copy is asked as the operator's
	}
	if c.Native != nil {
		of.Header = make(http.Header)
		upstream.Forward(of.Header, c.Header, c.Native.Fields, nil)
	}
	c.g.Shadow.Copy(of, c.Seen)
}

// Seen is what a client has seen of a call. The methods of a nil Seen do nothing.
type Seen struct {
	// RequestID and Provider are the call's: the provider has answered, or failed last.
	RequestID, Provider string
	// Comparable says that it tells how a provider does: not of answers that were given before, of what the gateway has
	// rejected by itself, of demands for payment, and of calls whose clients have left.
	Comparable bool
	// Failed is the class of the failure, and Code its code; empty for an answer.
	Failed failure.Class
	Code   string
	// Answer is the answer in OpenAI's form, a stream's events where Streamed is set, up to 1 MiB; Cut says that it was
	// longer. There is none with a failure.
	Answer        []byte
	Streamed, Cut bool
	// FirstContent is how long the provider took to the first content, and of an answer that is no stream to its end; 0
	// where that is not known.
	FirstContent time.Duration

	sent   time.Time
	answer *Answer
	body   []byte
	stream bytes.Buffer
	failed *failure.Failure
}

// leaving notes that a request is about to be sent.
func (s *Seen) leaving(c *call) {
	if s != nil {
		s.sent = c.g.Now()
	}
}

// begin notes the answer that the client is given.
func (s *Seen) begin(c *call, a *Answer) {
	if s == nil {
		return
	}
	s.answer, s.body, s.Streamed = a, a.Body(), a.stream != nil || upstream.IsEventStream(a.header)
	if !s.sent.IsZero() {
		s.FirstContent = c.g.Now().Sub(s.sent)
	}
}

// add notes events that the client is given.
func (s *Seen) add(events []byte) {
	if s == nil || s.Cut {
		return
	}
	if s.Cut = s.stream.Len()+len(events) > maxRecorded; !s.Cut {
		s.stream.Write(events)
	}
}

// refused notes why the client gets no answer: the last provider's failure, where several were asked.
func (s *Seen) refused(c *call, f *failure.Failure) {
	if s == nil {
		return
	}
	s.failed = f
	if n := len(c.failedProviders); n > 0 {
		s.failed = c.failedProviders[n-1].f
	}
}

// settle makes sense of what was noted.
func (s *Seen) settle(c *call) {
	if s == nil {
		return
	}
	a := s.answer
	s.RequestID, s.Provider = c.outcome.RequestID, c.outcome.Provider
	if a != nil && a.stream != nil && a.stream.broken != nil {
		s.failed = a.stream.broken
	}
	switch {
	case c.outcome.Stored != "" || a != nil && a.failed != nil || c.outcome.Status == failure.ClientClosedRequest:
	case s.failed != nil:
		if s.Comparable = s.failed.AtProvider(); s.Comparable {
			s.Failed, s.Code = s.failed.Class, s.failed.Code
		}
	case a != nil && a.Status < http.StatusBadRequest:
		s.Comparable = s.canonical(c)
	}
	s.answer, s.body, s.stream, s.failed = nil, nil, bytes.Buffer{}, nil
}

// canonical makes the answer, and reports whether it can be read.
func (s *Seen) canonical(c *call) bool {
	if s.Answer = s.stream.Bytes(); s.answer.stream == nil {
		s.Answer = bytes.Clone(s.body) // the buffer goes back with the call
	}
	if s.Cut = s.Cut || len(s.Answer) > maxRecorded; s.Cut {
		s.Answer = nil
		return true
	}
	if !s.answer.native {
		return true
	}
	var err error
	s.Answer, err = c.canonical(s.Answer, s.Streamed)
	return err == nil
}
