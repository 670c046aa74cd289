package alipayai

import (
	"cmp"
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
)

// Hold is how long an upstream without a rate cap of its own asks to be left
// alone. One with a Cap closes its window instead. The zero value holds nothing.
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

// spread makes a pause longer, so that not all calls that wait come back at once,
// but not so long that there is no time for an answer.
func (c *call) spread(now time.Time, pause time.Duration) time.Duration {
	spare := c.latest().Sub(now) - pause
	if spare <= 0 {
		return pause
	}
	return pause + rand.N(min(spare, holdSpread))
}

// holdOn waits until p may be asked again, if that is worth it: not where
// another provider can be asked at once.
func (c *call) holdOn(ctx context.Context, p *Provider, now time.Time) *failure.Failure {
	left := p.Hold.left(now)
	if left == 0 {
		return nil
	}
	defer p.Hold.waiting.Add(-1)
	fits := p.Hold.waiting.Add(1) <= DefaultQueueCount
	for !c.alternatives && fits && left <= p.Cap.maxWait() && now.Add(left).Before(c.latest()) {
		if !c.wait(c.spread(now, left)) {
			return failure.OfTransport(c.ctx, ctx, ctx.Err(), false)
		}
		now = c.g.Now()
		if left = p.Hold.left(now); left == 0 {
			return nil
		}
	}
	f := failure.Limited(failure.CodeThrottled, "provider "+p.Name+" asks to be left alone", left)
	c.g.Observer.Rejected(p.Name, f.Code)
	return f
}
