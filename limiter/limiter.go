// Package limiter keeps calls under an upstream's rate cap: an exact sliding
// window of departures, in memory or shared in Redis, and a fair queue for the
// calls that have to wait for one.
//
// A call is refused at once only if this replica could not serve it within its
// longest wait although it got every departure that the window has, as far as it
// knows of those of others. With a window of its own that is exact: who is let in
// departs in time, unless others overtake it, the upstream throttles or the process
// is held up. With several replicas the others take their part: some calls wait out
// their longest wait, and are refused then.
//
// Windows and queues hold history only. The limits come with every call, so
// that a reload can change them without losing what has departed.
package limiter

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Limit is a cap on departures: in no time span of Per+Guard may more than
// Requests depart.
type Limit struct {
	// Requests is the most departures in any window; at least 1.
	Requests int
	// Per is the window that the upstream counts in.
	Per time.Duration
	// Guard lengthens the window against jitter on the way to the upstream.
	Guard time.Duration
}

// Span is the time that must pass from one departure to the one Requests later.
func (l Limit) Span() time.Duration { return l.Per + l.Guard }

// Slot is one departure that a Window has reserved.
type Slot struct {
	// At is when the departure may happen, in local time. It may have passed
	// already if a shared window answered slowly: the slot is then as good as
	// any that its holder comes late to.
	At time.Time

	id      uint64          // finds the slot in the memory window
	seq     uint32          // finds it in Redis; zero when Redis does not know it
	revoked <-chan struct{} // see Revoked
	window  Window          // where a Queue gives it back to
}

// Revoked is closed when the slot must not be used any more: the upstream
// throttled, or the authority that gave the slot (Redis, or this replica alone)
// has changed. The caller gives the slot back and reserves anew.
func (s Slot) Revoked() <-chan struct{} { return s.revoked }

// Window hands out departures. It is safe for concurrent use.
type Window interface {
	// Reserve takes the next free departure and says when it is, so that the
	// caller knows its wait at once. It blocks no longer than the store needs.
	Reserve(ctx context.Context, l Limit) (Slot, error)
	// Return gives back a slot whose departure does not happen, late, revoked
	// or not wanted any more.
	Return(s Slot)
	// Next predicts when the next free departure is, without taking it.
	Next(l Limit, now time.Time) time.Time
	// NextAfter predicts the free departure, from a time on, that is left when
	// so many others have taken theirs, each at least pace after the one
	// before. That is what happens, unless other replicas take departures that
	// it does not know of or the window is throttled anew, which makes it
	// later, or a slot is returned.
	NextAfter(l Limit, from time.Time, pace time.Duration, ahead int) time.Time
	// Throttle closes the window for d, because the upstream said so, for
	// every replica; after that the rate grows back additively.
	Throttle(d time.Duration)
	// Rate is the effective number of departures in a window just now, at
	// most l.Requests.
	Rate(l Limit, now time.Time) float64
}

// Reason says why a call was not let through.
type Reason string

// The reasons.
const (
	QueueFull     Reason = "queue_full"
	QueueDeadline Reason = "queue_deadline"
	ClientGone    Reason = "client_gone"
	Draining      Reason = "draining"
)

// Rejection is the error of a call that was not let through.
type Rejection struct { //nolint:errname // a rejection is what it is called wherever it is spoken of
	Reason Reason
	// RetryAfter is when a repeat has a chance; zero when that is unknown.
	RetryAfter time.Duration
}

// Error says the reason and the wait.
func (r *Rejection) Error() string {
	if r.RetryAfter > 0 {
		return fmt.Sprintf("not let through: %s; retry after %s", r.Reason, r.RetryAfter)
	}
	return "not let through: " + string(r.Reason)
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
