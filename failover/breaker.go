package failover

import (
	"errors"
	"fmt"
	"time"
)

// Key names a breaker: each tenant has its own at each provider, so that one
// tenant's calls never close a provider to another.
type Key struct{ Tenant, Provider string }

// MaxSpan is the longest time in a Rule, since breakers remember for so long.
const MaxSpan = time.Hour

// Rule says when a breaker opens and for how long. A field that is zero or less
// has its default, and a time that is longer than MaxSpan is cut to it.
//
// Calls with different rules share a breaker: their failures are one row, and each
// failure is judged by its call's own rule. So with calls of two rules in turn it opens
// with the first failure that is one too many for the rule that it came under.
type Rule struct {
	// Failures is how many in a row are tolerated: one more opens the breaker.
	// 3 by default.
	Failures int
	// Within is the time from the first of these failures to the one that
	// opens; 5 minutes by default.
	Within time.Duration
	// OpenFor is how long no call is admitted; 60 seconds by default.
	OpenFor time.Duration
	// ProbeFor is how long the first call after that may take before another
	// one is tried in its place; 30 seconds by default.
	ProbeFor time.Duration
	// Changed is called when a call of this replica opens, reopens or closes a
	// breaker; not for probes, nor for what other replicas do. It is called
	// without locks, on the call's goroutine, or in the background where the
	// replicas together made the change. The caller waits for it, so it should
	// return soon. Nil is none.
	Changed func(Key, State)
}

// withDefaults fills what is not set.
func (r Rule) withDefaults() Rule {
	if r.Failures <= 0 {
		r.Failures = 3
	}
	r.Within = duration(r.Within, 5*time.Minute)
	r.OpenFor = duration(r.OpenFor, 60*time.Second)
	r.ProbeFor = duration(r.ProbeFor, 30*time.Second)
	return r
}

func duration(d, preset time.Duration) time.Duration {
	if d <= 0 {
		return preset
	}
	return min(d, MaxSpan)
}

// changed reports a change to the owner of the rule.
func (r Rule) changed(key Key, state State) {
	if r.Changed != nil {
		r.Changed(key, state)
	}
}

// Result is what the end of a call says about its provider's health.
type Result int8

// The results.
const (
	// Ignored says nothing: the client left, the request was at fault, it was
	// rejected before it was sent, or the answer was a compliance block.
	Ignored Result = iota
	// Success is an answer.
	Success
	// Failure is a failure of the provider, counted once for a call however
	// many attempts it took.
	Failure
	// Begun is an answer that has begun and may take long, as a stream does: a
	// Success of a probe, which is an ordinary call from then on. How the call ends
	// is reported by a second call of done.
	Begun
)

// State is what a breaker does with calls.
type State int8

// The states.
const (
	// Closed admits calls.
	Closed State = iota
	// Open rejects calls.
	Open
	// HalfOpen rejects calls except one, the probe, which is in flight.
	HalfOpen
)

// String is the state in a word, as metrics and logs have it.
func (s State) String() string {
	switch s {
	case Open:
		return "open"
	case HalfOpen:
		return "half_open"
	default:
		return "closed"
	}
}

// ErrOpen is the error that every OpenError wraps.
var ErrOpen = errors.New("breaker is open")

// OpenError is the error of a call that a breaker rejected.
type OpenError struct {
	// RetryAfter is how long to wait until a call may be admitted again. A probe
	// that is in flight until then may fail and make it longer.
	RetryAfter time.Duration
}

// Error says how long the breaker stays open.
func (e *OpenError) Error() string {
	return fmt.Sprintf("%s; retry after %s", ErrOpen, e.RetryAfter)
}

// Unwrap makes it an ErrOpen.
func (*OpenError) Unwrap() error { return ErrOpen }
