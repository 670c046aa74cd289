package calendar

import (
	"cmp"
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/limiter"
	"github.com/caddy-alipayai/gateway/signer"
)

// tenant is who checks are of, in the queue of the rate cap.
const tenant = "alipayai check"

// maxAnswer is how much of an answer is read, in bytes.
const maxAnswer = 1 << 20

// Ask asks p for its models, which is free, signed by scheme: within p's rate cap, and with a permit that no client waits
// for. Where there is none within p's longest wait, it takes one out of ten, so that clients without a pause do not keep a
// key from being checked: one permit for each version and check. The path is that of p's option path.
func Ask(ctx context.Context, p *upstream.Provider, scheme signer.Scheme, now func() time.Time) Check {
	c := Check{At: now()}
	asking, cancel := context.WithTimeout(ctx, 2*p.Timeout)
	defer cancel()
	var began time.Time
	// send has a permit until latest, or within p's longest wait where that is zero.
	send := func(priority limiter.Priority, latest time.Time) (*upstream.Exchange, *failure.Failure) {
		began = now()
		return p.Send(asking, &upstream.Request{
			Endpoint: upstream.EndpointModels, ID: "check-" + rand.Text(), Scheme: scheme,
			Tenant: tenant, Share: upstream.Share{Priority: priority}, Latest: latest,
			Deadline: c.At.Add(2 * p.Timeout), Caller: (*caller)(&c), Now: now,
		})
	}
	x, f := send(limiter.Background, c.At.Add(p.Timeout)) // the other half is for the second
	if f != nil && failure.IsRejection(f.Code) && f.Code != failure.CodeThrottled && !f.Sent && asking.Err() == nil {
		x, f = send(limiter.Low, time.Time{})
	}
	if f != nil {
		c.Code = f.Code
		return c
	}
	defer x.End()
	defer func() { _ = x.Response.Body.Close() }()
	c.Protocol, c.Latency, c.Skew = x.Response.Proto, now().Sub(began), p.Clock.Skew()
	if state := x.Response.TLS; state != nil && len(state.PeerCertificates) > 0 {
		c.CertificateEnds = state.PeerCertificates[0].NotAfter
	}
	x.Inflate()
	body, err := io.ReadAll(io.LimitReader(x.Response.Body, maxAnswer))
	if err != nil {
		c.Code = x.Broken(err).Code
		return c
	}
	c.read(x, p, body)
	return c
}

// read says what the answer means for the key.
func (c *Check) read(x *upstream.Exchange, p *upstream.Provider, body []byte) {
	failed := x.Response.StatusCode >= http.StatusBadRequest
	_, parsed, err := p.AnswerForm.ParseBody(body, failed)
	reported := parsed.Failure
	if reported == nil && failed {
		reported = new(wire.Failure)
	}
	switch {
	case reported != nil:
		mask := p.Credentials.With(func() []string { return p.SentSecrets(nil, x.Request) })
		f := x.Failed(reported, mask)
		c.Code, c.Refused = cmp.Or(f.Code, f.Reason()), failure.RefusesKey(f.Code) // some report no code
	case err != nil || x.Response.StatusCode != http.StatusOK:
		c.Code = failure.CodeMalformed
	case x.Verify(body) != nil:
		c.Code = failure.CodeBadSignature
	default:
		c.Taken = true
	}
}

// caller takes in how the request fares.
type caller Check

func (*caller) Permitted(*upstream.Provider, time.Duration) {}
func (*caller) Rejected(*upstream.Provider, string)         {}
func (*caller) SigningFailed(*upstream.Provider)            {}

// Leaving notes that whatever comes before has been had.
func (c *caller) Leaving(p *upstream.Provider, _ *http.Request) *failure.Failure {
	c.Token = p.Tokens != nil
	return nil
}
