// Package limiter keeps calls under an upstream's rate cap: an exact sliding
// window, in memory or shared in Redis, which hands out permits, and a fair queue
// for the calls that have to wait for one. A permit is a reserved slot in the
// window: it allows one request to be sent, at its time.
//
// The queue is fail-fast: a call is rejected at once if this replica could not
// serve it within its MaxWait even with every permit that the window has, as far
// as it knows those of other replicas. With a window of its own that is exact: a
// call that enters the queue gets its permit in time, unless others overtake it,
// the upstream throttles or the process is held up. With several replicas the
// others take their part: some calls wait for all of their MaxWait, and are
// rejected then.
//
// Windows and queues hold history only. The limits come with every call, so
// that a reload can change them and the permits already given still count.
package limiter

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Limit is a rate cap: in no time span of Per+Guard may more than Requests
// requests be sent.
type Limit struct {
	// Requests is the most permits in any window; at least 1.
	Requests int
	// Per is the window that the upstream counts in.
	Per time.Duration
	// Guard lengthens the window against jitter on the way to the upstream.
	Guard time.Duration
}

// Span is the time that must pass from one permit to the one Requests later.
func (l Limit) Span() time.Duration { return l.Per + l.Guard }

// Slot is a permit: one slot that a Window has reserved, for one request.
type Slot struct {
	// At is when the slot begins, in local time: the request may be sent from
	// then on. It may have passed already if a shared window answered slowly;
	// that is the same as a caller that is late for its slot.
	At time.Time

	id      uint64          // finds the slot in the memory window
	seq     uint32          // finds it in Redis; zero when Redis does not know it
	revoked <-chan struct{} // see Revoked
	licence *licence        // that it depends on; nil for none
	window  Window          // where a Queue gives it back to
}

// Revoked is closed when the slot must not be used any more: the upstream
// throttled, or the authority that gave the slot (Redis, or this replica alone)
// has changed. The caller gives the slot back and reserves anew.
func (s Slot) Revoked() <-chan struct{} { return s.revoked }

// Void reports whether the slot must not be used at the time: it is revoked, or what permitted a replica to act on its own
// has ended, which a busy machine may have been too late to tell it.
func (s Slot) Void(now time.Time) bool {
	select {
	case <-s.revoked:
		return true
	default:
		return s.licence != nil && s.licence.over(now)
	}
}

// Window hands out permits. It is safe for concurrent use.
type Window interface {
	// Reserve takes the next free slot and says when it begins, so that the
	// caller knows its wait at once. It blocks no longer than the store needs.
	Reserve(ctx context.Context, l Limit) (Slot, error)
	// Return gives back a slot that no request was sent in: it is late, revoked
	// or not wanted any more.
	Return(s Slot)
	// Next predicts when the next free slot begins, without taking it.
	Next(l Limit, now time.Time) time.Time
	// NextAfter predicts the slot that a call gets that comes at from and goes
	// after ahead others, each of which takes a slot at least pace after the
	// one before. The prediction is exact, unless other replicas take slots
	// that this one does not know of or the window is throttled anew (then it
	// is later), or a slot is returned (then it may be earlier).
	NextAfter(l Limit, from time.Time, pace time.Duration, ahead int) time.Time
	// Sharers is how many replicas take slots of it now, each without knowing what
	// the others are about to take: this one and, while a store decides, the others.
	Sharers() int
	// Throttle closes the window for d, because the upstream said so, for
	// every replica; after that the rate recovers additively.
	Throttle(d time.Duration)
	// Rate is the effective number of permits in a window just now, at
	// most l.Requests.
	Rate(l Limit, now time.Time) float64
}

// Reason says why a call was rejected.
type Reason string

// The reasons.
const (
	QueueFull     Reason = "queue_full"
	QueueDeadline Reason = "queue_deadline"
	ClientGone    Reason = "client_gone"
	Draining      Reason = "draining"
)

// Rejection is the error of a call that was not admitted.
type Rejection struct { //nolint:errname // exported name
	Reason Reason
	// RetryAfter is how long to wait before a repeat may succeed; zero if unknown.
	RetryAfter time.Duration
}

// Error says the reason and the wait.
func (r *Rejection) Error() string {
	if r.RetryAfter > 0 {
		return fmt.Sprintf("rejected:  %s; retry after %s", r.Reason, r.RetryAfter)
	}
	return "rejected:  " + string(r.Reason)
}

// ErrLimit is an unusable Limit.
var ErrLimit = errors.New("limit must have at least one request and a positive window")

// Check refuses a limit that cannot be kept.
func (l Limit) Check() error {
	if l.Requests < 1 || l.Per <= 0 || l.Guard < 0 {
		return ErrLimit
	}
	return nil
}
