package alipayai

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/token"
)

// admit gets what an attempt at p needs before anything is sent: a provider
// that can be used now and, where p takes one, a live access token.
func (c *call) admit(ctx context.Context, p *Provider) (token string, f *failure.Failure) {
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
	waiting, cancel := context.WithTimeoutCause(ctx, min(tokenWait, c.latest().Sub(now)), errNoToken)
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

// shortPause is what is worth waiting for the next try of a token endpoint, although
// another provider could be asked.
const shortPause = time.Second

// noToken makes the failure of a call that has to do without p's token. Why is for
// the operator: the storage's path and the endpoint's words are in it.
func noToken(p *Provider, err error) *failure.Failure {
	f := failure.Unavailable(failure.CodeTokenUnavailable, "provider "+p.Name+" has no access token: "+token.Reason(err))
	f.Cause = err
	return f
}

// ready takes a departure at p and signs the request with that in hand, so
// that nothing is left to do but to write it. The departure comes last of all
// since it is worth something only at its time.
func (c *call) ready(ctx context.Context, p *Provider, token string, body []byte) (*http.Request, *Departure, *failure.Failure) {
	d, f := c.depart(ctx, p)
	if f != nil {
		return nil, nil, f
	}
	req, f := c.signed(d.trace(ctx, p.BaseURL.Scheme), p, token, body)
	if f != nil {
		d.Cancel()
		return nil, nil, f
	}
	return req, d, nil
}

// depart waits for a departure at p.
func (c *call) depart(ctx context.Context, p *Provider) (*Departure, *failure.Failure) {
	began := c.g.Now()
	tenant := c.Tenant
	d, err := p.Cap.depart(ctx, tenant, c.g.share(tenant), int64(len(c.Request.Body)), c.latest())
	if err == nil {
		if p.Cap != nil {
			c.g.Observer.Departed(p.Name, c.g.Now().Sub(began))
		}
		return d, nil
	}
	f := p.Cap.rejected(err, c.g.Now())
	if ctx.Err() != nil { // the client left, or the call's deadline has passed
		f = failure.OfTransport(c.ctx, ctx, err, false)
	}
	c.g.Observer.Rejected(p.Name, f.Code)
	return nil, f
}

// tokenWait is how long a call waits for an access token when there is none:
// long enough for a fetch and a repeat, too short to pile up calls.
const tokenWait = 5 * time.Second

var errNoToken = errors.New("no access token could be had in time")
