package alipayai

import (
	"context"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/limiter"
	"github.com/caddy-alipayai/gateway/signer"
)

// What tests look at that the package does not show.
const (
	DrainTime      = drainTime
	HeaderModel    = headerModel
	HeaderProvider = headerProvider
	HeaderReason   = headerReason
	LeaseMargin    = leaseMargin
	HoldSpread     = holdSpread
	MaxAttempts    = maxAttempts
	MaxHeld        = maxHeld
	UnseenTokens   = unseenTokens
	MaxRecorded    = maxRecorded
	MaxReport      = maxReport
	MinSkew        = minSkew
	SlowDownHold   = slowDownHold
	ThrottleHold   = throttleHold
	TokenWait      = tokenWait
	UserAgent      = userAgent
)

var VersionedPaths, IdempotencyID = versionedPaths, idempotencyID

func (l *TenantLimits) Allow(tenant string, now time.Time) (func(time.Time, int), *failure.Failure) {
	return l.allow(tenant, now)
}

type Watchdog struct{ *watchdog }

func NewWatchdog(cancel context.CancelCauseFunc) Watchdog { return Watchdog{newWatchdog(cancel)} }

func (w Watchdog) Arm(d time.Duration, cause error) { w.arm(d, cause) }
func (w Watchdog) Disarm()                          { w.disarm() }
func (w Watchdog) Pause()                           { w.pause() }
func (w Watchdog) Resume()                          { w.resume() }

func (h *Hold) Extend(now time.Time, d time.Duration)   { h.extend(now, d) }
func (h *Hold) Left(now time.Time) time.Duration        { return h.left(now) }
func (h *Hold) Waiting() *atomic.Int64                  { return &h.waiting }
func (k *Cap) Throttled(hold time.Duration)             { k.throttled(hold) }
func (p *Provider) SigningTime(now time.Time) time.Time { return p.signingTime(now) }
func (p *Provider) Message(method, target string, body []byte, now time.Time) signer.Message {
	return p.message(method, target, body, now)
}

func (p *Provider) Target(e Endpoint) (u *url.URL, requestTarget string) {
	t := p.targets[e]
	return t.url, t.requestTarget
}

// DepartWith is the permit to send with a slot that is taken already.
func DepartWith(k *Cap, slot limiter.Slot) *Departure { return &Departure{cap: k, slot: slot} }

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
