package alipayai

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// maxUnsentAttempts is how often a request that provably never left is tried
// at one provider.
const maxUnsentAttempts = 3

// ask gets an answer of p. It repeats an attempt only where that is safe
// whatever the call does: the request never left, or the upstream refused it
// before doing anything for a token or a clock that has been put right since.
// Each of the latter is done once.
func (c *call) ask(p *Provider) (*answer, *failure) {
	c.outcome.Provider = p.Name
	deadline := c.deadline()
	before := c.outcome.Attempts // at other providers
	var refreshed, resigned bool
	for {
		a, f := c.attempt(p, deadline)
		if f == nil {
			c.g.Observer.Attempted(c.outcome, nil)
			return a, nil
		}
		c.g.Observer.Attempted(c.failed(f), f.cause)
		switch {
		case f.Code == codeUnreachable && !f.sent && c.outcome.Attempts-before < maxUnsentAttempts && c.g.Now().Before(deadline):
		case f.action == ActionRefreshToken && !refreshed && c.dropToken(p, f):
			refreshed = true
		case f.action == ActionResign && !resigned && f.clockLearned:
			resigned = true
		default:
			return nil, f
		}
	}
}

// dropToken drops the token that f was refused with, and reports whether
// another one may help.
func (c *call) dropToken(p *Provider, f *failure) bool {
	if p.Tokens == nil || f.token == "" {
		return false
	}
	p.Tokens.Drop(f.token)
	return true
}

// failed is the outcome so far, with the failure of the last attempt.
func (c *call) failed(f *failure) Outcome {
	o := c.outcome
	o.Status, o.Code = f.Status, f.Code
	return o
}

// answer is an upstream's answer, ready to go to the client.
type answer struct {
	status int
	header http.Header
	usage  wire.Usage
	// body of a JSON answer, complete; nil for a stream.
	body *bytes.Buffer
	// stream of an event stream whose first content has arrived.
	stream *stream
}

// attempt makes one request to p and classifies what comes back.
func (c *call) attempt(p *Provider, deadline time.Time) (a *answer, f *failure) {
	ctx, cancel := context.WithCancelCause(c.r.Context())
	now := c.g.Now()
	dog := newWatchdog(cancel)
	defer func() {
		if a == nil || a.stream == nil {
			dog.disarm()
			cancel(errAttemptIsEnded)
		}
	}()

	token, f := c.admit(ctx, p, now)
	if f != nil {
		return nil, f
	}
	skew := p.Clock.Skew()
	req, departure, f := c.ready(ctx, p, token)
	if f != nil {
		return nil, f
	}

	start := c.g.Now()
	dog.arm(min(p.Timeout, deadline.Sub(start)), errNoHead)
	c.outcome.Attempts++
	resp, err := p.Transport.RoundTrip(req)
	if err != nil {
		departure.Cancel()
		return nil, c.lost(ctx, err, departure.Left())
	}
	received := c.g.Now()
	p.Clock.Learn(resp.Header, start, received)

	if c.request.Stream && resp.StatusCode == http.StatusOK && isEventStream(resp.Header) {
		dog.arm(min(p.Timeout, deadline.Sub(start))-received.Sub(start), errNoContent)
		a, f = c.openStream(&stream{ctx: ctx, cancel: cancel, dog: dog, timeout: p.Timeout, provider: p, resp: resp})
	} else {
		dog.arm(deadline.Sub(received), errDeadline)
		a, f = c.readAnswer(ctx, p, req, resp)
	}
	if f != nil {
		// Another call may have been the one that taught the clock.
		f.clockLearned = (p.Clock.Skew() - skew).Abs() > minSkew
		f.token = token
		if f.action == ActionThrottle {
			p.Cap.throttled(f.RetryAfter)
		}
	}
	return a, f
}

// readAnswer reads an answer that is not a stream, and tells a success from a
// failure in any of the shapes and under any status.
func (c *call) readAnswer(ctx context.Context, p *Provider, req *http.Request, resp *http.Response) (*answer, *failure) {
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 200 || resp.StatusCode > 599 {
		return nil, upstreamFault(codeMalformed, "the provider answered with a status that is none")
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		// A redirect could carry the signed request to another host.
		return nil, upstreamFault(codeRedirect, "the provider answered with a redirect, which is not followed")
	}
	buffer, err := readAll(resp, c.g.MaxAnswer)
	if errors.Is(err, errTooLarge) {
		return nil, upstreamFault(codeTooLarge, "the provider's answer is larger than this gateway takes")
	}
	if err != nil {
		return nil, c.lost(ctx, err, true)
	}
	body := buffer.Bytes()
	if p.verifies() && p.verify(req, resp.Header, body) != nil {
		return nil, upstreamFault(codeBadSignature, ErrBadAnswer.Error())
	}
	if resp.StatusCode == http.StatusPaymentRequired && c.outcome.Endpoint != EndpointModels {
		// Agent payments: the client pays and comes back with the proof.
		return &answer{status: resp.StatusCode, header: resp.Header, body: buffer}, nil
	}
	parsed, err := wire.ParseBody(body, wire.Limits{})
	switch {
	case err != nil && resp.StatusCode < http.StatusBadRequest:
		return nil, upstreamFault(codeMalformed, "the provider's answer is not valid JSON")
	case parsed.Failure != nil:
		return nil, p.reported(resp.StatusCode, parsed.Failure, resp, c.g.Now())
	case resp.StatusCode >= http.StatusBadRequest:
		return nil, p.reported(resp.StatusCode, &wire.Failure{Message: "the provider answered " + http.StatusText(resp.StatusCode)}, resp, c.g.Now())
	}
	if !parsed.HasChoices && c.outcome.Endpoint != EndpointModels {
		return nil, upstreamFault(codeMalformed, "the provider's answer has neither choices nor data")
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: buffer, usage: parsed.Usage}, nil
}

// upstreamFault makes the failure of an answer that cannot be used. What the
// upstream did for it is not known, so nobody should repeat it blindly.
func upstreamFault(code, message string) *failure {
	f := &failure{action: ActionFail, sent: true}
	f.Status, f.Code, f.Message, f.NoRetry = http.StatusBadGateway, code, message, true
	return f
}
