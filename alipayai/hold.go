package alipayai

import (
	"cmp"
	"sync/atomic"
	"time"
)

// Hold is how long an upstream without a rate cap of its own says that it
// is throttling. One with a Cap closes its window instead. The zero value holds nothing.
type Hold struct {
	until   atomic.Int64 // Unix nanoseconds
	waiting atomic.Int64
}

// extend holds until d from now, or longer if that was asked for already.
func (h *Hold) extend(now time.Time, d time.Duration) {
	for until := now.Add(d).UnixNano(); ; {
		held := h.until.Load()
		if held >= until || h.until.CompareAndSwap(held, until) {
			return
		}
	}
}

// left is how long it still holds.
func (h *Hold) left(now time.Time) time.Duration {
	until := h.until.Load()
	if until == 0 {
		return 0
	}
	return max(time.Unix(0, until).Sub(now), 0)
}

// throttled takes note that p takes no more calls for as long as it said, or a
// second.
func (p *Provider) throttled(now time.Time, hold time.Duration) {
	if p.Cap != nil {
		p.Cap.throttled(hold)
		return
	}
	p.Hold.extend(now, cmp.Or(hold, throttleHold))
}

// holdSpread is over how long calls come back that a hold has kept.
const holdSpread = time.Second
