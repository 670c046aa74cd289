package failover

import (
	"slices"
	"time"
)

// history is the whole state of a breaker. It is never changed, only replaced,
// so that calls read it without a lock.
type history struct {
	// failures are those in a row while it is closed, the oldest first.
	failures []time.Time
	// opened is when it opened; zero while it is closed.
	opened time.Time
	// probe is the lease of the latest probe since it opened, if its end is not known.
	probe lease
	// turn is when it last opened or closed, counted in such turns of all
	// breakers. Results of calls that began before it are out of date.
	turn uint64
	// version is the latest one of the replicas' common memory that is known.
	version int64
}

// lease is the right to be the probe, which ends by itself.
type lease struct {
	holder uint64 // random; zero for no holder
	until  time.Time
}

func (h *history) isOpen() bool { return !h.opened.IsZero() }

// isEmpty reports whether forgetting it makes no difference.
func (h *history) isEmpty() bool { return !h.isOpen() && len(h.failures) == 0 && h.turn == 0 }

// state is what it is at the time now.
func (h *history) state(now time.Time) State {
	switch {
	case !h.isOpen():
		return Closed
	case now.Before(h.probe.until):
		return HalfOpen
	default:
		return Open
	}
}

// wait is how long it is until one call may be admitted; zero or less if the
// breaker is closed or a probe is due.
func (h *history) wait(rule Rule, now time.Time) time.Duration {
	if !h.isOpen() {
		return 0
	}
	return max(h.opened.Add(rule.OpenFor).Sub(now), h.probe.until.Sub(now))
}

// An event is what a result does to a breaker. It is also a command of the script.
type event string

const (
	nothing  event = ""
	failed   event = "failed"   // one more in a row
	reset    event = "reset"    // no failures in a row any more
	opened   event = "opened"   // by one failure too many
	closed   event = "closed"   // by the probe
	reopened event = "reopened" // by the probe
	released event = "released" // the probe ended without a result: another call may be it
	probing  event = "probing"  // a call asks to be the probe
)

// changed is the state that the event leads to; ok reports whether Rule.Changed
// is called for it. Probes are not reported, of which there may be many, until one
// has a result.
func (e event) changed() (state State, ok bool) {
	switch e {
	case opened, reopened:
		return Open, true
	case closed:
		return Closed, true
	default:
		return 0, false
	}
}

// after is the history after the result of a call, which is the probe if it holds
// the lease. While the breaker is open, only the probe's result counts.
func (h history) after(result Result, holder uint64, rule Rule, now time.Time) (history, event) {
	if h.isOpen() {
		if holder == 0 || holder != h.probe.holder {
			return h, nothing
		}
		h.probe = lease{}
		switch result {
		case Success:
			h.opened = time.Time{}
			return h, closed
		case Failure:
			h.opened = now
			return h, reopened
		default:
			return h, released
		}
	}
	switch {
	case result == Success && len(h.failures) > 0:
		h.failures = nil
		return h, reset
	case result == Failure:
		return h.failed(rule, now)
	default:
		return h, nothing
	}
}

// failed is the history of a closed breaker after one more failure. The failures in a
// row are those of all rules, and each failure is judged by its own: rule takes the
// latest that it asks for. It remembers no more than these, but never fewer than before:
// so a rule opens with its own failures at the latest, whatever other rules are beside it.
func (h history) failed(rule Rule, now time.Time) (history, event) {
	enough := rule.Failures + 1
	remembers := max(enough, len(h.failures))
	h.failures = append(slices.Clone(h.failures), now)
	if spare := len(h.failures) - remembers; spare > 0 {
		h.failures = h.failures[spare:]
	}
	first := len(h.failures) - enough
	if first < 0 || now.Sub(h.failures[first]) > rule.Within {
		return h, failed
	}
	h.failures, h.opened = nil, now
	return h, opened
}
