package alipayai

import (
	"errors"
	"net/http"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
)

// Claims make a call with an Idempotency-Key happen once per tenant, user, endpoint
// and key. Anonymous clients cannot be told apart, so theirs counts for nothing.
type Claims struct {
	Store replay.Claims
	// TTL is how long an answer is given again, and how long a call stays claimed of
	// which it is not known whether it was served.
	TTL time.Duration
}

// leaseMargin is how much longer a claim's lease is than the call may take.
const leaseMargin = 5 * time.Second

// claim is the call's hold of its Idempotency-Key.
type claim struct {
	replay.Claim
	// until is when its lease ends.
	until time.Time
	// left says that the store knows, or may know, that the call has left.
	left bool
}

// withClaim serves the call unless its Idempotency-Key says that it is, or was,
// served already.
func (c *call) withClaim(serve func() (*Answer, *failure.Failure)) (*Answer, *failure.Failure) {
	if c.g.Claims == nil || c.IdempotencyKey == "" || c.Tenant == AnonymousTenant {
		return serve()
	}
	lease := c.deadline().Sub(c.g.Now()) + leaseMargin
	if c.Request.Stream {
		lease += ClientTimeout // until its first content is sent
	}
	held, given, err := c.g.Claims.Store.Claim(c.ctx, c.Tenant, c.claimKey(), c.bodyHash(), lease)
	if err != nil {
		return nil, c.claimFailure(err)
	}
	if given != nil {
		s := &replayed{Answer: *given, from: StoredClaim}
		return s.answer(), nil
	}
	c.claimRoom = claim{Claim: held, until: c.g.Now().Add(lease)}
	c.claim = &c.claimRoom
	return serve()
}

// claimFailure makes the failure of a call whose key cannot be claimed.
func (c *call) claimFailure(err error) *failure.Failure {
	var f *failure.Failure
	switch {
	case c.ctx.Err() != nil:
		return failure.OfTransport(c.ctx, c.ctx, err, false)
	case errors.Is(err, replay.ErrMismatch):
		f = failure.InvalidRequest(http.StatusUnprocessableEntity, failure.CodeIdempotencyReused, "this Idempotency-Key was used for another request; use a new key")
	case errors.Is(err, replay.ErrInFlight):
		f = failure.InvalidRequest(http.StatusConflict, failure.CodeIdempotencyInFlight, "a request with this Idempotency-Key is being served; repeat it for its answer")
		f.RetryAfter = time.Second
	case errors.Is(err, replay.ErrHeld):
		f = failure.InvalidRequest(http.StatusConflict, failure.CodeIdempotencyUnresolved, "a request with this Idempotency-Key may have been served, but its outcome is unknown; use a new key if it may happen twice")
		f.NoRetry = true
	case errors.Is(err, replay.ErrNotKept):
		f = failure.InvalidRequest(http.StatusConflict, failure.CodeIdempotencyUnresolved, "a request with this Idempotency-Key was served, but its answer is not kept; use a new key if it may happen twice")
		f.NoRetry = true
	case errors.Is(err, replay.ErrLost):
		f = failure.Unavailable(failure.CodeIdempotencyUnavailable, "the claim of this Idempotency-Key has ended before the request could be sent, so it is not sent")
	default:
		f = failure.Unavailable(failure.CodeIdempotencyUnavailable, "the Idempotency-Key cannot be claimed just now, so the request is not sent")
		f.Cause = err
	}
	c.g.Observer.Rejected("", f.Code)
	return f
}
