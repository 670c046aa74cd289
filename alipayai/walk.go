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
)

// failedProvider is why one of the providers, in their order, brought no answer.
type failedProvider struct {
	attempts int
	f        *failure.Failure
}

// walk asks the providers in order until one answers, and falls back on the
// tenant's last good answer to the same request when none does.
func (c *call) walk(providers []*upstream.Provider) (*Answer, *failure.Failure) {
	for i, p := range providers {
		before := c.outcome.Attempts
		a, f := c.try(p, i < len(providers)-1 && c.class() != ClassMoney)
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
		if c.g.Answers.first() && i == 0 || !c.g.Answers.first() && last {
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

// try asks p, together with other calls if c may be packed.
func (c *call) try(p *upstream.Provider, alternatives bool) (*Answer, *failure.Failure) {
	c.outcome.Provider, c.outcome.UpstreamModel = p.Name, p.UpstreamModel(c.Request.Model)
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
	if len(providers) == 1 {
		first.f.NoRetry = first.f.NoRetry || first.attempts >= maxAttempts
		return first.f
	}
	f := failure.InvalidRequest(http.StatusServiceUnavailable, failure.CodeAllProvidersFailed, "")
	if last.f.Status == http.StatusGatewayTimeout {
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
