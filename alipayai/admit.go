package alipayai

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// admit gets what an attempt at p needs before anything is sent: a provider
// that can be used now and, where p takes one, a live access token.
func (c *call) admit(ctx context.Context, p *Provider) (token string, f *failure) {
	now := c.g.Now()
	if p.Unavailable != nil {
		if err := p.Unavailable(now); err != nil {
			return "", misconfigured(codeProviderDown, "provider "+p.Name+" is unavailable: "+err.Error(), err)
		}
	}
	if f := c.holdOn(ctx, p, now); f != nil {
		return "", f
	}
	now = c.g.Now()
	if p.Tokens == nil {
		return "", nil
	}
	if live := p.Tokens.Cell.live.Load(); live != nil && live.valid(now) {
		return live.Access, nil
	}
	// One that has failed once, as at a start, is asked again soon.
	if c.alternatives && p.Tokens.Cell.pause(now) > shortPause {
		if err := p.Tokens.Cell.lastError(); err != nil {
			return "", noToken(p, err)
		}
	}
	waiting, cancel := context.WithTimeoutCause(ctx, min(tokenWait, c.latest().Sub(now)), errNoToken)
	defer cancel()
	token, err := p.Tokens.Token(waiting)
	if err == nil {
		return token, nil
	}
	if c.r.Context().Err() != nil {
		return "", c.transportFailure(ctx, err, false)
	}
	return "", noToken(p, err)
}

// shortPause is what is worth waiting for the next try of a token endpoint, although
// another provider could be asked.
const shortPause = time.Second

// noToken makes the failure of a call that has to do without p's token. Why is for
// the operator: the storage's path and the endpoint's words are in it.
func noToken(p *Provider, err error) *failure {
	f := unavailable(codeNoToken, "provider "+p.Name+" has no access token: "+TokenReason(err))
	f.cause = err
	return f
}

// TokenReason is what a client may be told of an error of TokenSource.Token.
func TokenReason(err error) string {
	reason := ErrTokenUnavailable
	if errors.Is(err, ErrTokenRefused) {
		reason = ErrTokenRefused
	}
	if said, ok := errors.AsType[*endpointError](err); ok {
		return said.Error()
	}
	return reason.Error()
}

// ready takes a departure at p and signs the request with that in hand, so
// that nothing is left to do but to write it. The departure comes last of all
// since it is worth something only at its time.
func (c *call) ready(ctx context.Context, p *Provider, token string, body []byte) (*http.Request, *Departure, *failure) {
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
func (c *call) depart(ctx context.Context, p *Provider) (*Departure, *failure) {
	began := c.g.Now()
	tenant := c.outcome.Tenant
	d, err := p.Cap.depart(ctx, tenant, c.g.share(tenant), int64(len(c.request.Body)), c.latest())
	if err == nil {
		if p.Cap != nil {
			c.g.Observer.Departed(p.Name, c.g.Now().Sub(began))
		}
		return d, nil
	}
	f := p.Cap.rejected(err, c.g.Now())
	if ctx.Err() != nil { // the client left, or the call's deadline has passed
		f = c.transportFailure(ctx, err, false)
	}
	c.g.Observer.Rejected(p.Name, f.Code)
	return nil, f
}

// tokenWait is how long a call waits for an access token when there is none:
// long enough for a fetch and a repeat, too short to pile up calls.
const tokenWait = 5 * time.Second

var errNoToken = errors.New("no access token could be had in time")

// misconfigured makes the failure of a provider that cannot serve until an operator
// has done something.
func misconfigured(code, message string, cause error) *failure {
	f := unavailable(code, message)
	f.cause, f.RetryAfter, f.NoRetry = cause, 0, true
	return f
}

// unavailable makes the failure of a provider that was not asked.
func unavailable(code, message string) *failure {
	f := &failure{action: ActionRetry}
	f.Status, f.Code, f.Message = http.StatusServiceUnavailable, code, message
	f.RetryAfter = time.Second
	return f
}
