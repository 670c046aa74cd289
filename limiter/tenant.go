package limiter

import (
	"math"
	"strconv"
	"sync"
	"time"
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
	// Concurrent is how many calls may be in flight.
	Concurrent int
	// Kind is of which calls: what calls of one kind use does not count for those of another.
	Kind string
}

func (l TenantLimit) burst() int {
	if l.Burst > 0 {
		return l.Burst
	}
	return max(1, int(math.Ceil(l.RequestsPerSecond)))
}

// The reasons why TenantLimits rejects a call.
const (
	TenantRequests    Reason = "tenant_requests"
	TenantTokens      Reason = "tenant_tokens"
	TenantConcurrency Reason = "tenant_concurrency"
)

// Of says in words how much the limit allows of what a call was rejected for.
func (l TenantLimit) Of(rejected Reason) string {
	switch rejected {
	case TenantRequests:
		return strconv.FormatFloat(l.RequestsPerSecond, 'g', -1, 64) + " requests a second"
	case TenantTokens:
		return strconv.Itoa(l.TokensPerMinute) + " tokens a minute"
	case TenantConcurrency:
		return strconv.Itoa(l.Concurrent) + " calls at once"
	}
	return string(rejected)
}

// TenantLimits keeps tenants within their limits: token buckets for requests
// and model tokens, a count for concurrency. They bound what a tenant uses on
// average; what must never be exceeded in any window is a Window's work.
//
// A tenant may be held to several limits, as by several directives: what it uses
// under one of them counts for that one alone, and a changed limit begins anew.
//
// Memory is held for tenants that lately used something only. The zero value
// is ready, and safe for concurrent use.
type TenantLimits struct {
	mu      sync.Mutex
	tenants map[limited]*usage
	// oldest and newest are the ends of a list in the order of usage.seen.
	oldest, newest *usage
}

// limited is a tenant under one of its limits.
type limited struct {
	tenant string
	limit  TenantLimit
}

// usage is what a tenant has used lately under one of its limits.
type usage struct {
	of               limited
	requests, tokens *bucket // nil for no limit
	concurrent       int
	seen             time.Time // by Allow, or by evict, which kept it
	older, newer     *usage
}

// Allow admits a call of the tenant that uses n model tokens, or says with a
// *Rejection what it exceeds. When the call is over, its Done has to be called,
// once, with the tokens that it used beyond n: a tenant that is over its
// tokens then waits for as long as they take to come back. Since n is not paid
// back, it should be what the call uses at least.
//
// A call may use more tokens than those of a minute: it needs a full minute's, and
// owes the rest. What a tenant owes is bounded, for any number that an upstream
// reports: no wait for tokens is longer than ten minutes.
func (t *TenantLimits) Allow(now time.Time, tenant string, l TenantLimit, n int) (TenantCall, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.evict(now)
	u := t.touch(limited{tenant, l}, now)
	if l.Concurrent > 0 && u.concurrent >= l.Concurrent {
		return TenantCall{}, &Rejection{Reason: TenantConcurrency}
	}
	requests, tokens := shortage(u.requests, now, 1), shortage(u.tokens, now, n)
	switch {
	case requests > 0 && requests >= tokens:
		return TenantCall{}, &Rejection{Reason: TenantRequests, RetryAfter: requests}
	case tokens > 0:
		return TenantCall{}, &Rejection{Reason: TenantTokens, RetryAfter: tokens}
	}
	charge(u.requests, now, 1)
	charge(u.tokens, now, n)
	u.concurrent++
	return TenantCall{t, u}, nil
}

// TenantCall is a call of a tenant that TenantLimits admitted. That of the zero value has
// no limits.
type TenantCall struct {
	of   *TenantLimits
	uses *usage
}

// Done ends the call, which has used so many more tokens than it was admitted with.
func (c TenantCall) Done(now time.Time, more int) {
	if c.of == nil {
		return
	}
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.uses.concurrent--
	charge(c.uses.tokens, now, more)
}

// idle reports whether forgetting the tenant makes no difference.
func (u *usage) idle(now time.Time) bool {
	return u.concurrent == 0 && full(u.requests, now) && full(u.tokens, now)
}

// touch returns the usage of a tenant under a limit and makes it the newest.
func (t *TenantLimits) touch(of limited, now time.Time) *usage {
	u := t.tenants[of]
	if u == nil {
		if t.tenants == nil {
			t.tenants = make(map[limited]*usage)
		}
		l := of.limit
		u = &usage{of: of, requests: newBucket(now, l.RequestsPerSecond, l.burst()), tokens: newBucket(now, float64(l.TokensPerMinute)/60, l.TokensPerMinute)}
		t.tenants[of] = u
	} else {
		t.unlink(u)
	}
	t.append(u, now)
	return u
}

// evict forgets up to two idle tenants of those that were not seen for longest:
// one more than a call can add, so that all idle ones are forgotten in the end
// while the work per call stays constant. A tenant that was seen within the last
// minute is kept, as it is likely to come again.
func (t *TenantLimits) evict(now time.Time) {
	const lately = time.Minute
	for range 2 {
		u := t.oldest
		if u == nil || now.Sub(u.seen) < lately {
			return
		}
		t.unlink(u)
		if !u.idle(now) {
			t.append(u, now) // to be asked again when the others have been
			continue
		}
		delete(t.tenants, u.of)
		if len(t.tenants) == 0 {
			t.tenants = nil // a map does not shrink
		}
	}
}

func (t *TenantLimits) append(u *usage, now time.Time) {
	u.seen, u.older, u.newer = now, t.newest, nil
	if t.newest == nil {
		t.oldest = u
	} else {
		t.newest.newer = u
	}
	t.newest = u
}

func (t *TenantLimits) unlink(u *usage) {
	if u.older == nil {
		t.oldest = u.newer
	} else {
		u.older.newer = u.newer
	}
	if u.newer == nil {
		t.newest = u.older
	} else {
		u.newer.older = u.older
	}
}
