package alipayai

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/failover"
	"github.com/caddy-alipayai/gateway/failover/balance"
)

// failedProvider is why one of the providers, in their order, brought no answer.
type failedProvider struct {
	attempts int
	f        *failure.Failure
}

// walk asks the providers in order until one answers, and falls back on the
// tenant's last good answer to the same request when none does.
func (c *call) walk(providers []*upstream.Provider) (*Answer, *failure.Failure) {
	end, first := 0, 0 // of the equals that are asked, and of those asked first
	for i := 0; i < len(providers); i++ {
		if i == end {
			end += c.g.Balance.arrange(c, providers[i:])
			first = cmp.Or(first, end)
		}
		p, before := providers[i], c.outcome.Attempts
		a, f := c.tryEqual(p, providers[i+1:end], i < len(providers)-1 && c.class() != ClassMoney)
		if c.at != p { // its pack had a permit there first
			p = c.at
			putFirst(p, providers[i:end])
		}
		if f != nil && c.move(p, providers[i:end]) {
			i--
			continue
		}
		c.trial.tried(p, f)
		if f == nil {
			return a, nil
		}
		if c.class() == ClassMoney || !f.FallsOver() {
			return nil, f
		}
		c.failedProviders = append(c.failedProviders, failedProvider{c.outcome.Attempts - before, f})
		last := i == len(providers)-1 || c.g.Now().After(c.latest())
		if last {
			c.outcome.Exhausted = slices.ContainsFunc(c.failedProviders, func(r failedProvider) bool {
				return !r.f.UnsupportedHere && r.f.Class != failure.Throttle
			})
		}
		if c.g.Answers.first() && i == first-1 || !c.g.Answers.first() && last {
			if a := c.cachedAnswer(); a != nil {
				c.g.Observer.FellOver(p.Name, f.Reason())
				return a, nil
			}
		}
		if last {
			break
		}
		c.g.Observer.FellOver(p.Name, f.Reason())
	}
	return nil, c.exhausted(providers)
}

// putFirst puts p, which is one of rest, before the others.
func putFirst(p *upstream.Provider, rest []*upstream.Provider) {
	i := slices.Index(rest, p)
	copy(rest[1:i+1], rest[:i])
	rest[0] = p
}

// tryEqual is try, where the providers in others, or the candidate of a canary among them, may
// be asked as well as p.
func (c *call) tryEqual(p *upstream.Provider, others []*upstream.Provider, alternatives bool) (*Answer, *failure.Failure) {
	if c.equals == nil {
		return c.try(p, alternatives)
	}
	c.equals.Others = others
	if k := c.g.Canary; k != nil {
		c.equals.Others = slices.DeleteFunc(slices.Clone(others), func(p *upstream.Provider) bool { return p == k.Candidate })
	}
	b := c.g.Balance
	if b.Policy != balance.Fastest {
		return c.try(p, alternatives)
	}
	c.leftAt = time.Time{}
	b.Latencies.Begin(p.Name)
	a, f := c.try(p, alternatives)
	now, took := c.g.Now(), time.Duration(0)
	if !c.leftAt.IsZero() && (f == nil || f.TimedOut()) {
		took = now.Sub(c.leftAt)
	}
	b.Latencies.End(p.Name, now, took)
	return a, f
}

// goTo notes that the call is at p now.
func (c *call) goTo(p *upstream.Provider) {
	c.at, c.outcome.Provider, c.outcome.UpstreamModel = p, p.Name, p.UpstreamModel(c.Request.Model)
}

// waitAt is how long the call would wait for p if it came there now.
func (c *call) waitAt(p *upstream.Provider) time.Duration {
	return max(p.Cap.Predict(c.Tenant, c.share()), p.Held(c.g.Now(), p.UpstreamModel(c.Request.Model)))
}

// try asks p, together with other calls if c may be packed.
func (c *call) try(p *upstream.Provider, alternatives bool) (*Answer, *failure.Failure) {
	c.goTo(p)
	if f := c.dearer(p); f != nil {
		return nil, f
	}
	if c.mayPack(p) {
		return c.tryPacked(p, alternatives)
	}
	return c.tryAlone(p, alternatives)
}

// tryAlone asks p if its breaker lets it, and tells the breaker what came of it:
// of a stream, when it ends.
func (c *call) tryAlone(p *upstream.Provider, alternatives bool) (*Answer, *failure.Failure) {
	admitted, f := c.allowed(p)
	if f != nil {
		return nil, f
	}
	a, f := c.ask(p, alternatives)
	switch {
	case f == nil && a.stream != nil:
		admitted.Done(failover.Begun)
		a.stream.admitted = admitted
	case f == nil && a.ending == wire.EndingUnknown:
		admitted.Done(failover.Ignored) // whether it is in health is not known
	default:
		admitted.Done(f.Result())
	}
	return a, f
}

// allowed asks p's breaker, which has to be told by Done what came of the call.
func (c *call) allowed(p *upstream.Provider) (admitted failover.Admission, f *failure.Failure) {
	if c.g.Breakers == nil {
		return admitted, nil
	}
	admitted, err := c.g.Breakers.Allow(c.ctx, failover.Key{Tenant: c.Tenant, Provider: p.Account()}, c.g.Breaker)
	switch {
	case err == nil:
		return admitted, nil
	case c.ctx.Err() != nil:
		return admitted, failure.OfTransport(c.ctx, c.ctx, err, false)
	}
	f = failure.Unavailable(failure.CodeBreakerOpen, "provider "+p.Name+" is skipped after system errors in a row")
	if open, ok := errors.AsType[*failover.OpenError](err); ok {
		f.RetryAfter = max(open.RetryAfter, time.Millisecond)
	}
	c.g.Observer.Rejected(p.Name, f.Code)
	return admitted, f
}

// reasons says, for the client, why the providers before the one that answers
// did not.
func (c *call) reasons() string {
	reasons := make([]string, len(c.failedProviders))
	for i, r := range c.failedProviders {
		reasons[i] = r.f.Reason()
	}
	return strings.Join(reasons, ", ")
}

// exhausted makes the failure of a call that none of the providers has answered.
// That of one provider alone speaks for itself.
func (c *call) exhausted(providers []*upstream.Provider) *failure.Failure {
	first, last := c.failedProviders[0], c.failedProviders[len(c.failedProviders)-1]
	if !slices.ContainsFunc(c.failedProviders, func(r failedProvider) bool { return !r.f.UnsupportedHere }) {
		return first.f // no provider can do what the request asks for
	}
	if !slices.ContainsFunc(c.failedProviders, func(r failedProvider) bool { return !r.f.UnsupportedHere && !r.f.OverBudget() }) {
		first.f = c.failedProviders[slices.IndexFunc(c.failedProviders, func(r failedProvider) bool { return r.f.OverBudget() })].f
		return first.f // another could be asked, but none for less
	}
	if len(providers) == 1 && !c.keptOut {
		first.f.NoRetry = first.f.NoRetry || first.f.Final || first.attempts >= maxAttempts
		return first.f
	}
	if i := slices.IndexFunc(c.failedProviders, func(r failedProvider) bool { return r.f.LacksEndpoint() }); i >= 0 && c.Endpoint.Counts() {
		return c.failedProviders[i].f // what the others could not count can be estimated, as if that one were alone
	}
	f := failure.InvalidRequest(http.StatusServiceUnavailable, failure.CodeAllProvidersFailed, "")
	switch {
	case c.keptOut:
		f.Code = failure.CodeResidencyUnavailable
	case last.f.Status == http.StatusGatewayTimeout:
		f.Status = http.StatusGatewayTimeout
	}
	for _, r := range c.failedProviders {
		f.NoRetry = f.NoRetry || r.f.NoRetry || r.attempts >= maxAttempts
		f.Sent = f.Sent || r.f.Sent
		if r.f.RetryAfter > 0 && (f.RetryAfter == 0 || r.f.RetryAfter < f.RetryAfter) {
			f.RetryAfter = r.f.RetryAfter
		}
	}
	f.RetryAfter = max(f.RetryAfter, time.Second)
	f.Message = "no provider answered: " + c.tried(providers)
	if c.keptOut {
		f.Message = "no provider in a region where your data may be (" + c.regions.String() + ") answered: " + c.tried(providers)
	}
	return f
}

// tried says who was asked and what came of it, and who was not.
func (c *call) tried(providers []*upstream.Provider) string {
	var what strings.Builder
	for i, p := range providers {
		if i > 0 {
			what.WriteString("; ")
		}
		what.WriteString(p.Name + ": ")
		if i >= len(c.failedProviders) {
			what.WriteString("not asked, since no time was left")
			continue
		}
		r := c.failedProviders[i]
		what.WriteString(r.f.Reason())
		if r.f.FromUpstream && r.f.Code != "" {
			what.WriteString(" (" + r.f.Code + ")")
		}
		if r.attempts > 1 {
			what.WriteString(" after " + strconv.Itoa(r.attempts) + " attempts")
		}
	}
	return what.String()
}
