package upstream

import (
	"cmp"
	"sync/atomic"
	"time"
)

// Hold is how long an upstream without a rate cap of its own says that it
// is throttling. One with a Cap closes its window instead. The zero value holds nothing,
// and a nil Hold never does.
type Hold struct {
	until   atomic.Int64 // Unix nanoseconds
	waiting atomic.Int64
}

// Extend holds until d from now, or longer if that was asked for already.
func (h *Hold) Extend(now time.Time, d time.Duration) {
	if h == nil {
		return
	}
	for until := now.Add(d).UnixNano(); ; {
		held := h.until.Load()
		if held >= until || h.until.CompareAndSwap(held, until) {
			return
		}
	}
}

// Left is how long it still holds.
func (h *Hold) Left(now time.Time) time.Duration {
	if h == nil {
		return 0
	}
	until := h.until.Load()
	if until == 0 {
		return 0
	}
	return max(time.Unix(0, until).Sub(now), 0)
}

// Wait counts a caller that waits for the end of the hold. done must be called
// when it waits no longer; ok is false where too many wait already.
func (h *Hold) Wait() (done func(), ok bool) {
	return func() { h.waiting.Add(-1) }, h.waiting.Add(1) <= DefaultQueueCount
}

// Waiting is how many callers wait for the end of the hold.
func (h *Hold) Waiting() int64 { return h.waiting.Load() }

// Throttled takes note that p takes no more calls for as long as it said, or a
// second.
func (p *Provider) Throttled(now time.Time, hold time.Duration) {
	if p.Cap != nil {
		p.Cap.Throttled(hold)
		return
	}
	p.Hold.Extend(now, cmp.Or(hold, ThrottleHold))
}
