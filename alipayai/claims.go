package alipayai

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
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

// newIdempotencyID makes what goes upstream as Idempotency-Key: the same for every
// attempt of a call. A client's own key is bound to its tenant, the user and the endpoint,
// since two that use the same key at one upstream account mean two
// calls. Anonymous clients cannot be told apart, so theirs counts for nothing.
func (c *call) newIdempotencyID() string {
	if c.IdempotencyKey == "" || c.Tenant == AnonymousTenant {
		return c.outcome.RequestID
	}
	id := c.keyOfClaim()
	var digits [32]byte
	hex.Encode(digits[:], id[:len(digits)/2])
	return string(digits[:])
}

// keyOfClaim names what the call's Idempotency-Key is for.
func (c *call) keyOfClaim() replay.Key {
	if c.user != "" {
		return replay.NewKey(c.Tenant, string(c.Endpoint), c.IdempotencyKey, c.user)
	}
	return replay.NewKey(c.Tenant, string(c.Endpoint), c.IdempotencyKey)
}

// ClaimOf names the claim of a call, for what has to be the same whenever its answer is given again; it is empty for a call
// that happens each time.
func (g *Gateway) ClaimOf(c *Call) string {
	if g.Claims == nil || c.IdempotencyKey == "" || c.Tenant == AnonymousTenant {
		return ""
	}
	parts := []string{c.Tenant, string(c.Endpoint), c.IdempotencyKey}
	if g.hasUsers {
		parts = append(parts, c.Header[g.userField]...) // over the one of the body, which is the claim's too
	}
	key := replay.NewKey(parts...)
	return string(key[:])
}

// bodyHash is the SHA-256 of the request's body, as the client has sent it, and of what else it is sent with.
func (c *call) bodyHash() [sha256.Size]byte {
	switch {
	case c.hashed:
	case c.Native == nil:
		c.hash = sha256.Sum256(c.Request.Body)
	default:
		parts := replay.AppendPart(nil, c.Native.Form)
		for _, name := range c.Native.Fields {
			for _, value := range c.Header[name] {
				parts = replay.AppendPart(parts, name+": "+value)
			}
		}
		c.hash = replay.KeyOf(replay.AppendPart(parts, c.Native.Body))
	}
	c.hashed = true
	return c.hash
}

// claimKey claims the call's Idempotency-Key, if it has one: then it happens here, or it was served already, and that answer
// is given.
func (c *call) claimKey() (given *Answer, f *failure.Failure) {
	if c.g.Claims == nil || c.IdempotencyKey == "" || c.Tenant == AnonymousTenant {
		return nil, nil
	}
	lease := c.deadline().Sub(c.g.Now()) + leaseMargin
	if c.Request.Stream {
		lease += ClientTimeout // until its first content is sent
	}
	held, before, err := c.g.Claims.Store.Claim(c.ctx, c.Tenant, c.keyOfClaim(), c.bodyHash(), lease)
	if err != nil {
		return nil, c.claimFailure(err)
	}
	if before != nil {
		s := &replayed{Answer: *before, from: StoredClaim}
		return s.answer(), nil
	}
	c.claimRoom = claim{Claim: held, until: c.g.Now().Add(lease)}
	c.claim = &c.claimRoom
	return nil, nil
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
		f = failure.InvalidRequest(http.StatusConflict, failure.CodeIdempotencyUnresolved, "a request with this Idempotency-Key may have executed, but its outcome is unknown; use a new key if it may happen twice")
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

// endClaim ends the claim: with the answer if there is one, open for another try
// if the call was definitely not served, and held where that is not known.
func (c *call) endClaim() {
	if c.claim == nil {
		return
	}
	claim := c.claim
	c.claim = nil
	end := claimEnd{claim: claim.Claim, ctx: c.lasting(), ttl: c.g.Claims.TTL}
	until := c.g.Now().Add(end.ttl)
	if c.caches() && !c.g.Answers.Remote {
		c.recording.keep() // for the cache as well
	}
	var ok bool
	end.answer, ok = c.recorded()
	switch {
	case ok:
		end.as = finish
	case c.recording != nil && c.recording.whole && c.outcome.Code == "":
		end.as = serve
	case c.recording != nil || c.mayHaveExecuted || c.outcome.Status == 0: // or a panic broke it off
		end.as = hold
	default:
		end.as = release
		if !claim.left {
			until = claim.until // it ends by itself
		}
	}
	if err := end.do(); errors.Is(err, replay.ErrUnavailable) {
		end.answer.Body = bytes.Clone(end.answer.Body) // its buffer goes back with the call
		go end.retry(until)
	}
}

// claimEnd is how a claim ends.
type claimEnd struct {
	claim  replay.Claim
	ctx    context.Context
	as     func(claimEnd) error
	answer replay.Answer
	ttl    time.Duration
}

func (e claimEnd) do() error { return e.as(e) }

// The ways to end.
func finish(e claimEnd) error  { return e.claim.Finish(e.ctx, e.answer, e.ttl) }
func serve(e claimEnd) error   { return e.claim.Served(e.ctx, e.ttl) }
func hold(e claimEnd) error    { return e.claim.Hold(e.ctx, e.ttl) }
func release(e claimEnd) error { return e.claim.Release(e.ctx) }

// The pauses between tries to end a claim while its store is away: they double.
const firstEndPause, maxEndPause = 50 * time.Millisecond, 400 * time.Millisecond

// retry ends a claim as soon as its store is back. Were it left to its lease, an
// answer that is there would be lost, and a call that failed would count as one whose
// outcome is unknown. There are never more of these than calls were under way when the
// store went: with it away nothing is claimed. They end with the process, though.
func (e claimEnd) retry(until time.Time) {
	for pause := firstEndPause; time.Now().Before(until); pause = min(2*pause, maxEndPause) {
		time.Sleep(pause)
		if !errors.Is(e.do(), replay.ErrUnavailable) {
			return
		}
	}
}

// lasting is the client's context for what is done whether it has left or not.
func (c *call) lasting() context.Context {
	c.unending.Context = c.ctx //nolint:fatcontext // it is the same one each time
	return &c.unending
}

// unending is what [context.WithoutCancel] makes, in one piece with the call.
type unending struct{ context.Context }

// Deadline implements [context.Context].
func (*unending) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements [context.Context].
func (*unending) Done() <-chan struct{} { return nil }

// Err implements [context.Context].
func (*unending) Err() error { return nil }
