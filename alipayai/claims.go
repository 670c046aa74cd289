package alipayai

import (
	"bytes"
	"cmp"
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

// once is by what a call happens once.
type once struct {
	// id goes upstream as Idempotency-Key, and stays the same over the call's attempts.
	id string
	// key names what the client's own Idempotency-Key is for, where it has one that counts.
	key replay.Key
	// claim is the call's hold of its own Idempotency-Key, until it ends; none without one.
	claim claim
	// hash is that of the request, once it was needed; see bodyHash.
	hash   [sha256.Size]byte
	hashed bool
}

// claim is a hold of an Idempotency-Key.
type claim struct {
	replay.Claim
	// until is when its lease ends.
	until time.Time
	// left says that the store knows, or may know, that the call has left.
	left bool
}

func (c *claim) held() bool { return c.Claim != nil }

// leave marks the claim, before the first request of the call is written: from then
// on the end of its lease, with this process dead or frozen, does not free the key.
// A call whose mark cannot be made is not sent. Whatever the process sleeps through
// after that, the key is the call's alone.
func (c *claim) leave(ctx context.Context, ttl time.Duration, now time.Time) error {
	if c.left {
		return nil
	}
	lease := c.until.Sub(now)
	if lease <= 0 {
		return replay.ErrLost
	}
	err := c.Leave(ctx, lease, ttl)
	c.left = !errors.Is(err, replay.ErrLost)
	return err
}

// leaveClaim marks the call's claim, if it has one.
func (c *call) leaveClaim() error {
	if !c.once.claim.held() {
		return nil
	}
	return c.once.claim.leave(c.lasting(), c.g.Claims.TTL, c.g.Now())
}

// extendClaim keeps the claim of a stream that goes on, and that may be silent for
// as long as silence.
func (c *call) extendClaim(silence time.Duration) {
	claim := &c.once.claim
	if !claim.held() || claim.until.Sub(c.g.Now()) > silence+leaseMargin {
		return
	}
	lease := c.g.Deadline + silence + leaseMargin
	_ = claim.Extend(c.lasting(), lease, c.g.Claims.TTL) // or it counts as held
	claim.until = c.g.Now().Add(lease)
}

// name notes what the call is known by: by what goes upstream as Idempotency-Key, the same for every attempt. A client's
// own key is bound to its tenant, the user and the endpoint, since two that use the same key at one upstream account mean
// two calls.
func (o *once) name(in *Call, user, requestID string) {
	if !in.happensOnce() {
		o.id = requestID
		return
	}
	o.key = in.claimKey(user)
	var digits [32]byte
	hex.Encode(digits[:], o.key[:len(digits)/2])
	o.id = string(digits[:])
}

// happensOnce reports whether the call has an Idempotency-Key that counts. Anonymous clients cannot be told apart, so theirs
// counts for nothing.
func (c *Call) happensOnce() bool { return c.IdempotencyKey != "" && c.Tenant != AnonymousTenant }

// claimKey names what the call's Idempotency-Key is for.
func (c *Call) claimKey(user string) replay.Key {
	if user != "" {
		return replay.NewKey(c.Tenant, string(c.Endpoint), c.IdempotencyKey, user)
	}
	return replay.NewKey(c.Tenant, string(c.Endpoint), c.IdempotencyKey)
}

// ClaimOf names the claim of a call, for what has to be the same whenever its answer is given again; it is empty for a call
// that happens each time.
func (g *Gateway) ClaimOf(c *Call) string {
	if g.Claims == nil || !c.happensOnce() {
		return ""
	}
	parts := []string{c.Tenant, string(c.Endpoint), c.IdempotencyKey}
	if g.hasUsers {
		parts = append(parts, c.Header[g.userField]...) // over the one of the body, which is the claim's too
	}
	key := replay.NewKey(parts...)
	return string(key[:])
}

// bodyHash is the SHA-256 of in's body, as the client has sent it, and of what else it is sent with.
func (o *once) bodyHash(in *Call) [sha256.Size]byte {
	switch {
	case o.hashed:
	case in.Native == nil:
		o.hash = sha256.Sum256(in.Request.Body)
	default:
		parts := replay.AppendPart(nil, in.Native.Form)
		for _, name := range in.Native.Fields {
			for _, value := range in.Header[name] {
				parts = replay.AppendPart(parts, name+": "+value)
			}
		}
		o.hash = replay.KeyOf(replay.AppendPart(parts, in.Native.Body))
	}
	o.hashed = true
	return o.hash
}

// takeClaim claims the call's Idempotency-Key, if it has one: then it happens here, or it was served already, and that answer
// is given.
func (c *call) takeClaim() (given *Answer, f *failure.Failure) {
	if c.g.Claims == nil || !c.happensOnce() {
		return nil, nil
	}
	now := c.g.Now()
	lease := c.deadline().Sub(now) + leaseMargin
	if c.Request.Stream {
		lease += ClientTimeout // until its first content is sent
	}
	held, before, err := c.g.Claims.Store.Claim(c.ctx, c.Tenant, c.once.key, c.once.bodyHash(&c.Call), lease)
	if err != nil {
		return nil, c.claimFailure(err)
	}
	if before != nil {
		s := &replayed{Answer: *before, from: StoredClaim}
		return s.answer(), nil
	}
	c.once.claim = claim{Claim: held, until: now.Add(lease)}
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
	if !c.once.claim.held() {
		return
	}
	held := c.once.claim
	c.once.claim = claim{}
	end := claimEnd{claim: held.Claim, ctx: c.lasting(), ttl: c.g.Claims.TTL}
	var until time.Time // unless it ends by itself, as long as its end would be kept
	var ok bool
	end.answer, ok = c.recorded()
	switch {
	case ok:
		end.as = finish
	case c.recording.on && c.recording.whole && c.outcome.Code == "":
		end.as = serve
	case c.recording.on || c.route.mayHaveExecuted || c.outcome.Status == 0: // or a panic broke it off
		end.as = hold
	default:
		end.as = release
		if !held.left {
			until = held.until
		}
	}
	if err := end.do(); errors.Is(err, replay.ErrUnavailable) {
		end.answer.Body = bytes.Clone(end.answer.Body) // its buffer goes back with the call
		go end.retry(cmp.Or(until, c.g.Now().Add(end.ttl)))
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
// store went: with it away nothing is claimed. They end with the process, though, and with a store that is closed.
func (e claimEnd) retry(until time.Time) {
	for pause := firstEndPause; time.Now().Before(until); pause = min(2*pause, maxEndPause) {
		time.Sleep(pause)
		if !errors.Is(e.do(), replay.ErrUnavailable) {
			return
		}
	}
}
