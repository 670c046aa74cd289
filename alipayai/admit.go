package alipayai

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// admit gets what an attempt at p needs before anything is sent: a provider
// that can be used now and, where p takes one, a live access token.
func (c *call) admit(ctx context.Context, p *upstream.Provider) (token string, f *failure.Failure) {
	now := c.g.Now()
	if p.Unavailable != nil {
		if err := p.Unavailable(now); err != nil {
			return "", failure.Misconfigured(failure.CodeProviderUnavailable, "provider "+p.Name+" is unavailable: "+err.Error(), err)
		}
	}
	if f := c.holdOn(ctx, p, now); f != nil {
		return "", f
	}
	now = c.g.Now()
	if p.Tokens == nil {
		return "", nil
	}
	if access, ok := p.Tokens.Cell.Live(now); ok {
		return access, nil
	}
	// One that has failed once, as at a start, is asked again soon.
	if c.alternatives && p.Tokens.Cell.Pause(now) > shortPause {
		if err := p.Tokens.Cell.LastError(); err != nil {
			return "", noToken(p, err)
		}
	}
	waiting, cancel := context.WithTimeoutCause(ctx, min(upstream.TokenWait, c.latest().Sub(now)), upstream.ErrNoToken)
	defer cancel()
	token, err := p.Tokens.Token(waiting)
	if err == nil {
		return token, nil
	}
	if c.ctx.Err() != nil {
		return "", failure.OfTransport(c.ctx, ctx, err, false)
	}
	return "", noToken(p, err)
}

// spread makes a pause longer, so that not all calls that wait come back at once,
// but not so long that there is no time for an answer.
func (c *call) spread(now time.Time, pause time.Duration) time.Duration {
	spare := c.latest().Sub(now) - pause
	if spare <= 0 {
		return pause
	}
	return pause + rand.N(min(spare, upstream.HoldSpread))
}

// holdOn waits until p may be asked again, if that is worth it: not where
// another provider can be asked at once.
func (c *call) holdOn(ctx context.Context, p *upstream.Provider, now time.Time) *failure.Failure {
	model := p.UpstreamModel(c.Request.Model)
	left := p.Held(now, model)
	if left == 0 {
		return nil
	}
	done, fits := p.Hold.Wait()
	defer done()
	for !c.alternatives && fits && left <= p.Cap.LongestWait() && now.Add(left).Before(c.latest()) {
		if !c.wait(c.spread(now, left)) {
			return failure.OfTransport(c.ctx, ctx, ctx.Err(), false)
		}
		now = c.g.Now()
		if left = p.Held(now, model); left == 0 {
			return nil
		}
	}
	f := failure.Limited(failure.CodeThrottled, "provider "+p.Name+" is throttling", left)
	c.g.Observer.Rejected(p.Name, f.Code)
	return f
}

// shortPause is what is worth waiting for the next try of a token endpoint, although
// another provider could be asked.
const shortPause = time.Second

// noToken makes the failure of a call that has to do without p's token. Why is for
// the operator: the storage's path and the endpoint's words are in it.
func noToken(p *upstream.Provider, err error) *failure.Failure {
	f := failure.Unavailable(failure.CodeTokenUnavailable, "provider "+p.Name+" has no access token: "+token.Reason(err))
	f.Cause = err
	return f
}

// ready takes a departure at p and signs the request with that in hand, so
// that nothing is left to do but to write it. The departure comes last of all
// since it is worth something only at its time.
func (c *call) ready(ctx context.Context, p *upstream.Provider, token string, body []byte) (*http.Request, *upstream.Permit, *failure.Failure) {
	d, f := c.depart(ctx, p)
	if f != nil {
		return nil, nil, f
	}
	req, f := p.Compose(d.Trace(ctx, p.BaseURL.Scheme), upstream.Composed{
		Endpoint: c.Endpoint, Body: body, Id: c.idempotencyID, Stream: c.Request.Stream, Header: c.Header,
	}, token, c.g.Now())
	if f != nil {
		d.Cancel()
		c.g.Observer.SigningFailed(p.Name)
		return nil, nil, f
	}
	return req, d, nil
}

// depart waits for a departure at p.
func (c *call) depart(ctx context.Context, p *upstream.Provider) (*upstream.Permit, *failure.Failure) {
	began := c.g.Now()
	tenant := c.Tenant
	d, err := p.Cap.Permit(ctx, tenant, c.g.share(tenant), int64(len(c.Request.Body)), c.latest())
	if err == nil {
		if p.Cap != nil {
			c.g.Observer.Departed(p.Name, c.g.Now().Sub(began))
		}
		return d, nil
	}
	f := p.Cap.Rejected(err, c.g.Now())
	if ctx.Err() != nil { // the client left, or the call's deadline has passed
		f = failure.OfTransport(c.ctx, ctx, err, false)
	}
	c.g.Observer.Rejected(p.Name, f.Code)
	return nil, f
}
