package limiter

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// TenantLimit is what one tenant may use. A field that is zero sets no limit.
type TenantLimit struct {
	// RequestsPerSecond is the sustained rate of calls.
	RequestsPerSecond float64
	// Burst is how many calls may come at once; by default those of a second,
	// at least one.
	Burst int
	// TokensPerMinute is the sustained rate of model tokens, and how many may
	// be used at once.
	TokensPerMinute int
	// Concurrent is how many calls may be under way.
	Concurrent int
}

// The reasons why TenantLimits does not let a call through.
const (
	TenantRequests    Reason = "tenant_requests"
	TenantTokens      Reason = "tenant_tokens"
	TenantConcurrency Reason = "tenant_concurrency"
)

// TenantLimits keeps tenants within their limits: token buckets for requests
// and model tokens, a count for concurrency. They bound what a tenant uses on
// average; what must never be exceeded in any window is a Window's work.
//
// Memory is held for tenants that lately used something only. The zero value
// is ready, and safe for concurrent use.
type TenantLimits struct {
	mu      sync.Mutex
	tenants map[string]*usage
	// oldest and newest are the ends of a list in the order of last use.
	oldest, newest *usage
}

// usage is what a tenant has used lately.
type usage struct {
	tenant           string
	requests, tokens *rate.Limiter // nil as long as there was no limit
	concurrent       int
	older, newer     *usage
}

// Allow admits a call of the tenant that uses n model tokens, or says with a
// *Rejection what it exceeds. When the call is over, done has to be called,
// once, with the tokens that it used beyond n: a tenant that is over its
// tokens then waits for as long as they take to come back. Since n is not paid
// back, it should be what the call uses at least.
//
// Tokens beyond those of a minute do not make a call impossible: it needs a
// full minute's, and owes the rest.
func (t *TenantLimits) Allow(now time.Time, tenant string, l TenantLimit, n int) (done func(now time.Time, more int), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.evict(now)
	u := t.use(tenant)
	l.apply(u, now)

	if l.Concurrent > 0 && u.concurrent >= l.Concurrent {
		return nil, &Rejection{Reason: TenantConcurrency}
	}
	n = max(n, 0)
	now = now.Round(0) // compared with times of other processes' making in tests
	requests, tokens := shortage(u.requests, now, 1), shortage(u.tokens, now, n)
	switch {
	case requests > 0 && requests >= tokens:
		return nil, &Rejection{Reason: TenantRequests, RetryAfter: requests}
	case tokens > 0:
		return nil, &Rejection{Reason: TenantTokens, RetryAfter: tokens}
	}
	charge(u.requests, now, 1)
	charge(u.tokens, now, n)
	u.concurrent++
	return func(now time.Time, more int) {
		t.mu.Lock()
		defer t.mu.Unlock()
		u.concurrent--
		charge(u.tokens, now, more)
	}, nil
}
