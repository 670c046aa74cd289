package alipayai

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/residency"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/failover"
	"github.com/caddy-alipayai/gateway/failover/balance"
)

// route is where a call is asked, and where it was.
type route struct {
	// at is the provider that is asked, or was last, and alternatives says that there are others after it.
	at           *upstream.Provider
	alternatives bool
	// preferred is the provider that is asked first.
	preferred *upstream.Provider
	// equals are the providers that may be asked as well as the one that is; nil for none.
	// leftAt is when the last request left, if there are any.
	equals *upstream.Equals
	leftAt time.Time
	// by is when the provider that is asked must have answered, where that is before the deadline; zero for none.
	by time.Time
	// failed are the providers that brought no answer. keptOut says that some are in none of the call's regions.
	failed  []failedProvider
	keptOut bool
	// mayHaveExecuted says that an attempt may have executed although it
	// brought no answer.
	mayHaveExecuted bool
	room            [4]*upstream.Provider // of those that may serve the call, mostly
}

// failedProvider is one that was asked and brought no answer, and why.
type failedProvider struct {
	*upstream.Provider
	attempts int
	f        *failure.Failure
}

// leaving notes that a request is about to be sent.
func (r *route) leaving(now time.Time) {
	if r.equals != nil {
		r.leftAt = now
	}
}

// moved gives the equal provider that has a permit in the place of p, to which nothing was sent then; nil for none.
func (r *route) moved(p *upstream.Provider) *upstream.Provider {
	if r.equals == nil {
		return nil
	}
	if next := r.equals.Next; next != nil && next != p {
		return next
	}
	r.equals.Release() // p did not come to use it
	r.repeat()
	return nil
}

// repeat begins another try at the same provider, which is no other's.
func (r *route) repeat() { r.equals = r.equals.Anew() }

// walk asks the providers in order until one answers, and falls back on the
// tenant's last good answer to the same request when none does.
func (c *call) walk(providers []*upstream.Provider) (*Answer, *failure.Failure) {
	// Not asked yet: some that may be asked as well as each other, and those after them.
	var equals []*upstream.Provider
	after, groups := providers, 0
	for len(equals)+len(after) > 0 {
		if len(equals) == 0 {
			var n int
			n, c.route.equals = c.g.Balance.arrange(c, c.g.Canary, c.g.Now, after)
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
		c.route.failed = append(c.route.failed, failedProvider{c.route.at, c.outcome.Attempts - before, f})
		last := len(equals)+len(after) == 0 || c.g.Now().After(c.latest())
		c.outcome.Exhausted = last && c.route.failedOtherwise()
		if c.g.Answers.standsIn(groups == 1 && len(equals) == 0, last) {
			a = c.cachedAnswer()
		}
		if a != nil || !last {
			c.g.Observer.FellOver(c.route.at.Name, f.Reason())
		}
		if a != nil {
			return a, nil
		}
		if last {
			break
		}
	}
	return nil, c.route.exhausted(&c.Call, c.tenancy.regions, slices.Concat(equals, after))
}

// askOne asks the first of equals or, where it waits for a permit, whichever of them has one first. It gives the others as
// they come next.
func (c *call) askOne(equals []*upstream.Provider, alternatives bool) (_ *Answer, _ *failure.Failure, others []*upstream.Provider) {
	for {
		p := equals[0]
		a, f := c.at(p).tryEqual(equals[1:], alternatives)
		if c.route.at != p { // its pack had a permit there first
			p = c.route.at
			putFirst(p, equals)
		}
		if f != nil {
			if next := c.route.moved(p); next != nil {
				putFirst(next, equals) // p comes after it, as one that has not been asked
				continue
			}
		}
		c.trial.tried(p, f)
		return a, f, equals[1:]
	}
}

// putFirst puts p, which is one of rest, before the others.
func putFirst(p *upstream.Provider, rest []*upstream.Provider) {
	i := slices.Index(rest, p)
	copy(rest[1:i+1], rest[:i])
	rest[0] = p
}

// tryEqual is try, where the providers in others, or the candidate of a canary among them, may
// be asked as well as p.
func (q at) tryEqual(others []*upstream.Provider, alternatives bool) (*Answer, *failure.Failure) {
	if q.route.equals == nil {
		return q.try(alternatives)
	}
	q.route.equals.Others = others
	if k := q.g.Canary; k != nil {
		q.route.equals.Others = slices.DeleteFunc(slices.Clone(others), func(p *upstream.Provider) bool { return p == k.Candidate })
	}
	b := q.g.Balance
	if b.Policy != balance.Fastest {
		return q.try(alternatives)
	}
	q.route.leftAt = time.Time{}
	b.Latencies.Begin(q.p.Name)
	var took time.Duration
	defer func() { b.Latencies.End(q.p.Name, q.g.Now(), took) }() // of a panic too: it outlives the call
	a, f := q.try(alternatives)
	if !q.route.leftAt.IsZero() && (f == nil || f.TimedOut()) {
		took = q.g.Now().Sub(q.route.leftAt)
	}
	return a, f
}

// goTo notes that the call is at p now.
func (c *call) goTo(p *upstream.Provider) {
	c.route.at, c.outcome.Provider, c.outcome.UpstreamModel = p, p.Name, p.UpstreamModel(c.Request.Model)
}

// waits is how long the call would wait for p if it came there now.
func (q at) waits() time.Duration {
	return max(q.p.Cap.Predict(q.Tenant, q.share()), q.p.Held(q.g.Now(), q.p.UpstreamModel(q.Request.Model)))
}

// try asks p, together with other calls if c may be packed.
func (q at) try(alternatives bool) (*Answer, *failure.Failure) {
	q.goTo(q.p)
	if f := q.account.dearer(q.p); f != nil {
		return nil, f
	}
	if q.mayPack() {
		return q.tryPacked(alternatives)
	}
	return q.tryAlone(alternatives)
}

// tryAlone asks p if its breaker lets it, and tells the breaker what came of it:
// of a stream, when it ends.
func (q at) tryAlone(alternatives bool) (*Answer, *failure.Failure) {
	admitted, f := q.allowed()
	if f != nil {
		return nil, f
	}
	result := failover.Ignored // whether it is in health is not known, as of a panic too
	defer func() { admitted.Done(result) }()
	a, f := q.ask(alternatives)
	switch {
	case f == nil && a.stream != nil:
		result, a.stream.admitted = failover.Begun, admitted
	case f != nil || a.ending != wire.EndingUnknown:
		result = f.Result()
	}
	return a, f
}

// allowed asks p's breaker, which has to be told by Done what came of the call.
func (q at) allowed() (admitted failover.Admission, f *failure.Failure) {
	if q.g.Breakers == nil {
		return admitted, nil
	}
	admitted, err := q.g.Breakers.Allow(q.ctx, failover.Key{Tenant: q.Tenant, Provider: q.p.Account()}, q.g.Breaker)
	switch {
	case err == nil:
		return admitted, nil
	case q.ctx.Err() != nil:
		return admitted, failure.OfTransport(q.ctx, q.ctx, err, false)
	}
	f = failure.Unavailable(failure.CodeBreakerOpen, "provider "+q.p.Name+" is skipped after system errors in a row")
	if open, ok := errors.AsType[*failover.OpenError](err); ok {
		f.RetryAfter = max(open.RetryAfter, time.Millisecond)
	}
	q.g.Observer.Rejected(q.p.Name, f.Code)
	return admitted, f
}

// failedOtherwise reports whether some have failed not for rate limits only, or for what the request asks for.
func (r *route) failedOtherwise() bool {
	return slices.ContainsFunc(r.failed, func(p failedProvider) bool {
		return !p.f.UnsupportedHere && p.f.Class != failure.Throttle
	})
}

// reasons says, for the client, why the providers before the one that answers
// did not.
func (r *route) reasons() string {
	reasons := make([]string, len(r.failed))
	for i, one := range r.failed {
		reasons[i] = one.f.Reason()
	}
	return strings.Join(reasons, ", ")
}

// exhausted makes the failure of the call in that none of the providers has answered, and for which there was no time to ask some.
// That of one provider alone speaks for itself.
func (r *route) exhausted(in *Call, regions residency.Regions, unasked []*upstream.Provider) *failure.Failure {
	failed := r.failed
	first, last := failed[0], failed[len(failed)-1]
	if !slices.ContainsFunc(failed, func(p failedProvider) bool { return !p.f.UnsupportedHere }) {
		return first.f // no provider can do what the request asks for
	}
	if !slices.ContainsFunc(failed, func(p failedProvider) bool { return !p.f.UnsupportedHere && !p.f.OverBudget() }) {
		// Another could be asked, but none for less.
		return failed[slices.IndexFunc(failed, func(p failedProvider) bool { return p.f.OverBudget() })].f
	}
	if len(failed)+len(unasked) == 1 && !r.keptOut {
		first.f.NoRetry = first.f.NoRetry || first.f.Final || first.f.Unserved || first.attempts >= maxAttempts
		return first.f
	}
	if i := slices.IndexFunc(failed, func(p failedProvider) bool { return p.f.LacksEndpoint() }); i >= 0 && in.Endpoint.Counts() {
		return failed[i].f // what the others could not count can be estimated, as if that one were alone
	}
	f := failure.InvalidRequest(http.StatusServiceUnavailable, failure.CodeAllProvidersFailed, "no provider answered: "+r.tried(unasked))
	switch {
	case r.keptOut:
		f.Code = failure.CodeResidencyUnavailable
		f.Message = "no provider in a region where your data may be (" + regions.String() + ") answered: " + r.tried(unasked)
	case last.f.Status == http.StatusGatewayTimeout:
		f.Status = http.StatusGatewayTimeout
	}
	for _, p := range failed {
		f.NoRetry = f.NoRetry || p.f.NoRetry || p.attempts >= maxAttempts
		f.Sent = f.Sent || p.f.Sent
		if p.f.RetryAfter > 0 && (f.RetryAfter == 0 || p.f.RetryAfter < f.RetryAfter) {
			f.RetryAfter = p.f.RetryAfter
		}
	}
	f.NoRetry = f.NoRetry || !slices.ContainsFunc(failed, func(p failedProvider) bool { return !p.f.Unserved })
	f.RetryAfter = max(f.RetryAfter, time.Second)
	return f
}

// tried says who was asked and what came of it, and who was not.
func (r *route) tried(unasked []*upstream.Provider) string {
	var what []string
	for _, p := range r.failed {
		one := p.Name + ": " + p.f.Reason()
		if p.f.FromUpstream && p.f.Code != "" {
			one += " (" + p.f.Code + ")"
		}
		if p.attempts > 1 {
			one += " after " + strconv.Itoa(p.attempts) + " attempts"
		}
		what = append(what, one)
	}
	for _, p := range unasked {
		what = append(what, p.Name+": not asked, since no time was left")
	}
	return strings.Join(what, "; ")
}
