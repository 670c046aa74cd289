package upstream

import (
	"errors"
	"net/http"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/limiter"
)

// Defaults of a Cap.
const (
	// DefaultGuard lengthens a cap's window against jitter on the way.
	DefaultGuard = 10 * time.Millisecond
	// DefaultMaxWait is the longest that a call is queued for.
	DefaultMaxWait = 10 * time.Second
	// DefaultQueueCount and DefaultQueueBytes bound a provider's queue.
	DefaultQueueCount = 1000
	DefaultQueueBytes = 256 << 20
)

// ThrottleHold is how long a window stays closed when the upstream throttles
// without saying for how long.
const ThrottleHold = time.Second

// Cap is a provider's rate cap, and what becomes of the calls over it. Every
// attempt takes a permit of its own, whatever it is for.
type Cap struct {
	Limit  limiter.Limit
	Window limiter.Window
	Queue  *limiter.Queue
	// MaxWait is the longest wait, inside the call's deadline.
	MaxWait time.Duration
	// MaxCount and MaxBytes bound the queue.
	MaxCount int
	MaxBytes int64
}

// Share is a tenant's part of the permits that it competes for.
type Share struct {
	// Weight against the other tenants of the same class; less than 1 is 1.
	Weight   int
	Priority limiter.Priority
}

// maxPace is time enough to send a request.
const maxPace = 5 * time.Millisecond

// pace spreads a window's permits over an eighth of it, where they could all
// be used at once. What is less than a timer can keep is no pace.
func (k *Cap) pace() time.Duration {
	pace := min(k.Limit.Span()/time.Duration(8*max(k.Limit.Requests, 1)), maxPace)
	if pace < time.Millisecond {
		return 0
	}
	return pace
}

// LongestWait is how long a call may be made to wait.
func (k *Cap) LongestWait() time.Duration {
	if k == nil {
		return DefaultMaxWait
	}
	return k.MaxWait
}

// Predict is how long a request of the tenant would wait for its permit if it came now.
func (k *Cap) Predict(tenant string, share Share) time.Duration {
	if k == nil {
		return 0
	}
	return k.Queue.Predict(limiter.Request{
		Tenant: tenant, Weight: share.Weight, Priority: share.Priority, Limit: k.Limit, Pace: k.pace(),
	})
}

// Throttled closes the window after the upstream has throttled: for as long
// as it said, or a second.
func (k *Cap) Throttled(hold time.Duration) {
	if k == nil {
		return
	}
	if hold <= 0 {
		hold = ThrottleHold
	}
	k.Queue.Window().Throttle(hold) // a reload may have changed the store since
}

// Rejected makes the failure of a call that the cap rejects. Its headers
// are named as OpenAI names them, by which SDKs go.
func (k *Cap) Rejected(err error, now time.Time) *failure.Failure {
	rejection, ok := errors.AsType[*limiter.Rejection](err)
	if !ok {
		f := failure.Unavailable(failure.CodeRateLimit, "the provider's rate limit cannot be kept just now")
		f.Cause = err
		return f
	}
	f := failure.Limited(string(rejection.Reason), "the provider's rate limit is used up: "+string(rejection.Reason), rejection.RetryAfter)
	if rejection.Reason == limiter.Draining {
		f.Status, f.Message = http.StatusServiceUnavailable, "the gateway is shutting down: "+string(rejection.Reason)
		return f
	}
	f.RateLimit = wire.RateLimit{Limit: k.Limit.Requests, Reset: max(k.Window.Next(k.Limit, now).Sub(now), 0)}
	return f
}
