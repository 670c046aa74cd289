package alipayai

import (
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/limiter"
)

// What tests look at that the package does not show.
const (
	DrainTime      = drainTime
	HeaderModel    = headerModel
	HeaderProvider = headerProvider
	HeaderReason   = headerReason
	LeaseMargin    = leaseMargin
	MaxAttempts    = maxAttempts
	LargeEvent     = largeEvent
	UnseenTokens   = unseenTokens
	MaxRecorded    = maxRecorded
)

var IdempotencyID = idempotencyID

func (l *TenantLimits) Allow(tenant string, now time.Time) (limiter.TenantCall, *failure.Failure) {
	return l.allow(tenant, now)
}

// Held is how much of MaxBuffered is reserved, to within a MiB.
func (g *Gateway) Held() int64 {
	for free := g.MaxBuffered; free > 0; free -= 1 << 20 {
		if g.Room.left.TryAcquire(free) {
			g.Room.left.Release(free)
			return g.MaxBuffered - free
		}
	}
	return g.MaxBuffered
}
