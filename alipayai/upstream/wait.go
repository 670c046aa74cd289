package upstream

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/token"
)

// Waits of a request before it takes its permit.
const (
	// TokenWait is how long a request waits for an access token when there is none:
	// long enough for a fetch and a repeat, too short to pile up calls.
	TokenWait = 5 * time.Second
	// shortPause is what is worth waiting for the next try of a token endpoint,
	// although another provider could be asked.
	shortPause = time.Second
	// HoldSpread is over how long calls come back that a hold has kept.
	HoldSpread = time.Second
)

// errNoToken is why a wait for an access token was given up.
var errNoToken = errors.New("no access token could be had in time")

// Spread makes a pause longer, so that not all that wait come back at once, but by
// no more than there is to spare.
func Spread(pause, spare time.Duration) time.Duration {
	if spare <= 0 {
		return pause
	}
	return pause + rand.N(min(spare, HoldSpread))
}

// admit waits for what an attempt needs before anything is sent: a provider that
// can be used now and, where it takes one, a live access token.
func (x *Exchange) admit(r *Request) *failure.Failure {
	p := x.provider
	x.at = x.now()
	if p.Unavailable != nil {
		if err := p.Unavailable(x.at); err != nil {
			return failure.Misconfigured(failure.CodeProviderUnavailable, "provider "+p.Name+" is unavailable: "+err.Error(), err)
		}
	}
	if f := x.awaitHold(r); f != nil {
		return f
	}
	if r.User != "" && p.Users != nil {
		if f := x.takeUserToken(r); f != nil || p.UserHeader == "" {
			return f
		}
	}
	if p.Tokens == nil {
		return nil
	}
	return x.takeToken(r)
}

// awaitHold waits until the provider may be asked again, if that is worth it: not
// where another one can be asked at once.
func (x *Exchange) awaitHold(r *Request) *failure.Failure {
	p := x.provider
	left := p.Held(x.at, r.Model)
	if left == 0 {
		return nil
	}
	latest := r.Latest
	if latest.IsZero() {
		latest, _ = x.client.Deadline()
	}
	done, fits := p.Hold.Wait()
	defer done()
	for !r.Alternatives && fits && left <= p.Cap.LongestWait() && (latest.IsZero() || x.at.Add(left).Before(latest)) {
		spare := HoldSpread
		if !latest.IsZero() {
			spare = latest.Sub(x.at) - left
		}
		timer := time.NewTimer(Spread(left, spare))
		select {
		case <-timer.C:
		case <-x.ctx.Done():
			timer.Stop()
			return failure.OfTransport(x.client, &x.ctx, x.ctx.Err(), false)
		}
		x.at = x.now()
		if left = p.Held(x.at, r.Model); left == 0 {
			return nil
		}
	}
	f := failure.Limited(failure.CodeThrottled, "provider "+p.Name+" is throttling", left)
	r.Caller.Rejected(p, f.Code)
	return f
}

// takeToken takes a live access token, and waits for one where there is none.
func (x *Exchange) takeToken(r *Request) *failure.Failure {
	p := x.provider
	var live bool
	if x.token, live = p.Tokens.Cell.Live(x.at); live {
		return nil
	}
	// One that has failed once, as at a start, is asked again soon.
	if r.Alternatives && p.Tokens.Cell.Pause(x.at) > shortPause {
		if err := p.Tokens.Cell.LastError(); err != nil {
			return p.noToken(err)
		}
	}
	wait := TokenWait
	if !r.Latest.IsZero() {
		wait = min(wait, r.Latest.Sub(x.at))
	}
	waiting, cancel := context.WithTimeoutCause(&x.ctx, wait, errNoToken)
	defer cancel()
	var err error
	x.token, err = p.Tokens.Token(waiting)
	if x.at = x.now(); err == nil {
		return nil
	}
	if x.client.Err() != nil {
		return failure.OfTransport(x.client, &x.ctx, err, false)
	}
	return p.noToken(err)
}

// takeUserToken takes the access token of the user that r names, and waits for one that is being renewed.
func (x *Exchange) takeUserToken(r *Request) *failure.Failure {
	p, wait := x.provider, TokenWait
	if !r.Latest.IsZero() {
		wait = min(wait, r.Latest.Sub(x.at))
	}
	waiting, cancel := context.WithTimeoutCause(&x.ctx, wait, errNoToken)
	defer cancel()
	var err error
	x.user, err = p.Users.Token(waiting, r.Tenant, r.User)
	x.at = x.now()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNotAuthorised):
		return p.NotAuthorised(r.Tenant, r.User)
	case x.client.Err() != nil:
		return failure.OfTransport(x.client, &x.ctx, err, false)
	}
	f := failure.Unavailable(failure.CodeTokenUnavailable, "the user's access token cannot be had just now")
	f.Cause = err
	return f
}

// NotAuthorised makes the failure of a call whose user has to give its consent: it says where.
func (p *Provider) NotAuthorised(tenant, user string) *failure.Failure {
	return failure.AuthorisationRequired(p.Users.Link(tenant, user))
}

// noToken makes the failure of a request that has to do without p's token. Why is
// for the operator: the storage's path and the endpoint's words are in it.
func (p *Provider) noToken(err error) *failure.Failure {
	f := failure.Unavailable(failure.CodeTokenUnavailable, "provider "+p.Name+" has no access token: "+token.Reason(err))
	f.Cause = err
	return f
}
