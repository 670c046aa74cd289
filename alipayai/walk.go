package alipayai

import (
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

// failedProvider is one that was asked and brought no answer, and why.
type failedProvider struct {
	*upstream.Provider
	attempts int
	f        *failure.Failure
}

// walk asks the providers in order until one answers, and falls back on the
// tenant's last good answer to the same request when none does.
func (c *call) walk(providers []*upstream.Provider) (*Answer, *failure.Failure) {
	// Not asked yet are some that are equal, and those after them.
	var equals []*upstream.Provider
	after, groups := providers, 0
	for len(equals)+len(after) > 0 {
		if len(equals) == 0 {
			n := c.g.Balance.arrange(c, after)
			equals, after = after[:n], after[n:]
			groups++
		}
		before := c.outcome.Attempts
		a, f, others := c.askOne(equals, len(equals)+len(after) > 1 && c.class() != ClassMoney)
		if f == nil {
			return a, nil
		}
		if c.class() == ClassMoney || !f.FallsOver() {
			return nil, f
		}
		equals = others
		c.failedProviders = append(c.failedProviders, failedProvider{c.at, c.outcome.Attempts - before, f})
		last := len(equals)+len(after) == 0 || c.g.Now().After(c.latest())
		c.outcome.Exhausted = last && slices.ContainsFunc(c.failedProviders, func(r failedProvider) bool {
			return !r.f.UnsupportedHere && r.f.Class != failure.Throttle
		})
		if c.g.Answers.standsIn(groups == 1 && len(equals) == 0, last) {
			a = c.cachedAnswer()
		}
		if a != nil || !last {
			c.g.Observer.FellOver(c.at.Name, f.Reason())
		}
		if a != nil {
			return a, nil
		}
		if last {
			break
		}
	}
	return nil, c.exhausted(slices.Concat(equals, after))
}

// askOne asks the first of equals or, where it waits for a permit, whichever of them has one first. It gives the others as
// they come next.
func (c *call) askOne(equals []*upstream.Provider, alternatives bool) (_ *Answer, _ *failure.Failure, others []*upstream.Provider) {
	for {
		p := equals[0]
		a, f := c.tryEqual(p, equals[1:], alternatives)
		if c.at != p { // its pack had a permit there first
			putFirst(c.at, equals)
		}
		if f != nil {
			if next := c.moved(p); next != nil {
				putFirst(next, equals) // p comes after it, as one that has not been asked
				continue
			}
		}
		c.trial.tried(p, f)
		return a, f, equals[1:]
	}
}

// moved gives the equal provider that has a permit for the call in the place of p, to which nothing was sent then; nil for none.
func (c *call) moved(p *upstream.Provider) *upstream.Provider {
	if c.equals == nil {
		return nil
	}
	if next := c.equals.Next; next != nil && next != p {
		return next
	}
	c.equals.Release() // p did not come to use it
	c.equals = c.equals.Anew()
	return nil
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

// exhausted makes the failure of a call that none of the providers has answered, and for which there was no time to ask some.
// That of one provider alone speaks for itself.
func (c *call) exhausted(unasked []*upstream.Provider) *failure.Failure {
	failed := c.failedProviders
	first, last := failed[0], failed[len(failed)-1]
	if !slices.ContainsFunc(failed, func(r failedProvider) bool { return !r.f.UnsupportedHere }) {
		return first.f // no provider can do what the request asks for
	}
	if !slices.ContainsFunc(failed, func(r failedProvider) bool { return !r.f.UnsupportedHere && !r.f.OverBudget() }) {
		// Another could be asked, but none for less.
		return failed[slices.IndexFunc(failed, func(r failedProvider) bool { return r.f.OverBudget() })].f
	}
	if len(failed)+len(unasked) == 1 && !c.keptOut {
		first.f.NoRetry = first.f.NoRetry || first.f.Final || first.attempts >= maxAttempts
		return first.f
	}
	if i := slices.IndexFunc(failed, func(r failedProvider) bool { return r.f.LacksEndpoint() }); i >= 0 && c.Endpoint.Counts() {
		return failed[i].f // what the others could not count can be estimated, as if that one were alone
	}
	f := failure.InvalidRequest(http.StatusServiceUnavailable, failure.CodeAllProvidersFailed, "no provider answered: "+c.tried(unasked))
	switch {
	case c.keptOut:
		f.Code = failure.CodeResidencyUnavailable
		f.Message = "no provider in a region where your data may be (" + c.regions.String() + ") answered: " + c.tried(unasked)
	case last.f.Status == http.StatusGatewayTimeout:
		f.Status = http.StatusGatewayTimeout
	}
	for _, r := range failed {
		f.NoRetry = f.NoRetry || r.f.NoRetry || r.attempts >= maxAttempts
		f.Sent = f.Sent || r.f.Sent
		if r.f.RetryAfter > 0 && (f.RetryAfter == 0 || r.f.RetryAfter < f.RetryAfter) {
			f.RetryAfter = r.f.RetryAfter
		}
	}
	f.RetryAfter = max(f.RetryAfter, time.Second)
	return f
}

// tried says who was asked and what came of it, and who was not.
func (c *call) tried(unasked []*upstream.Provider) string {
	var what []string
	for _, r := range c.failedProviders {
		one := r.Name + ": " + r.f.Reason()
		if r.f.FromUpstream && r.f.Code != "" {
			one += " (" + r.f.Code + ")"
		}
		if r.attempts > 1 {
			one += " after " + strconv.Itoa(r.attempts) + " attempts"
		}
		what = append(what, one)
	}
	for _, p := range unasked {
		what = append(what, p.Name+": not asked, since no time was left")
	}
	return strings.Join(what, "; ")
}
