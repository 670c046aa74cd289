package limiter

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// deny checks that a call is refused, and returns when to come back.
func deny(t *testing.T, l *TenantLimits, now time.Time, limit TenantLimit, n int, want Reason) time.Duration {
	t.Helper()
	_, err := l.Allow(now, "a", limit, n)
	var r *Rejection
	if !errors.As(err, &r) || r.Reason != want {
		t.Fatalf("the call gets %v, want %s", err, want)
	}
	return r.RetryAfter
}

func allow(t *testing.T, l *TenantLimits, now time.Time, limit TenantLimit, n int) TenantCall {
	t.Helper()
	admitted, err := l.Allow(now, "a", limit, n)
	if err != nil {
		t.Fatalf("the call is refused: %v", err)
	}
	return admitted
}

func TestTenantRequests(t *testing.T) {
	tests := map[string]struct {
		limit TenantLimit
		burst int
		retry time.Duration
	}{
		"a second's at once by default": {TenantLimit{RequestsPerSecond: 4}, 4, time.Second / 4},
		"one at least":                  {TenantLimit{RequestsPerSecond: 0.5}, 1, 2 * time.Second},
		"burst":                         {TenantLimit{RequestsPerSecond: 4, Burst: 10}, 10, time.Second / 4},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var l TenantLimits
			for range tt.burst {
				allow(t, &l, epoch, tt.limit, 0)
			}
			got := deny(t, &l, epoch, tt.limit, 0, TenantRequests)
			if got != tt.retry {
				t.Errorf("RetryAfter is %v, want %v", got, tt.retry)
			}
			// A rejected call takes nothing, and a call after RetryAfter is allowed.
			deny(t, &l, epoch.Add(got-time.Millisecond), tt.limit, 0, TenantRequests)
			allow(t, &l, epoch.Add(got), tt.limit, 0)
			if _, err := l.Allow(epoch, "b", tt.limit, 0); err != nil {
				t.Errorf("another tenant is refused: %v", err)
			}
		})
	}
}

func TestTenantTokens(t *testing.T) {
	var l TenantLimits
	limit := TenantLimit{TokensPerMinute: 600}
	admitted := allow(t, &l, epoch, limit, 500)
	if got := deny(t, &l, epoch, limit, 200, TenantTokens); got != 10*time.Second {
		t.Errorf("100 missing tokens take %v, want 10 s", got)
	}
	// It used 700 more: 600 are owed, which is a minute.
	admitted.Done(epoch, 700)
	if got := deny(t, &l, epoch, limit, 0, TenantTokens); got != time.Minute {
		t.Errorf("to come back takes %v, want a minute", got)
	}
	allow(t, &l, epoch.Add(time.Minute), limit, 0)

	// More than a minute's is possible, but has to be earned.
	later := epoch.Add(time.Hour)
	allow(t, &l, later, limit, 1200)
	if got := deny(t, &l, later, limit, 0, TenantTokens); got != time.Minute {
		t.Errorf("after twice a minute's, to come back takes %v, want a minute", got)
	}
}

func TestTenantConcurrency(t *testing.T) {
	var l TenantLimits
	limit := TenantLimit{Concurrent: 2}
	first := allow(t, &l, epoch, limit, 0)
	allow(t, &l, epoch, limit, 0)
	deny(t, &l, epoch, limit, 0, TenantConcurrency)
	first.Done(epoch, 0)
	allow(t, &l, epoch, limit, 0)
	deny(t, &l, epoch, limit, 0, TenantConcurrency)
}

// Two directives may hold a tenant to different limits: calls under one of them make no room under the other, and take none.
func TestTwoLimitsOfOneTenant(t *testing.T) {
	strict := TenantLimit{RequestsPerSecond: 0.01, TokensPerMinute: 60, Concurrent: 2}
	for name, other := range map[string]TenantLimit{
		"a looser one":     {RequestsPerSecond: 1000, TokensPerMinute: 1 << 30, Concurrent: 1000},
		"of requests only": {RequestsPerSecond: 1000},
		"of tokens only":   {TokensPerMinute: 1 << 30},
		"of concurrency":   {Concurrent: 1000},
		"of nothing":       {},
	} {
		t.Run(name, func(t *testing.T) {
			var l TenantLimits
			allow(t, &l, epoch, strict, 0).Done(epoch, 600)
			for i := range 40 {
				now := epoch.Add(time.Duration(i) * time.Second)
				allow(t, &l, now, other, 0) // in flight
				allow(t, &l, now, other, 0).Done(now, 1)
				deny(t, &l, now, strict, 0, TenantTokens)
			}
			// Nine minutes' tokens are owed, and a request comes back in a hundred seconds.
			now := epoch.Add(9 * time.Minute)
			allow(t, &l, now, strict, 0)
			if got := deny(t, &l, now, strict, 0, TenantRequests); got != 100*time.Second {
				t.Errorf("the next request comes back in %v, want 100 s", got)
			}
		})
	}
}

// A limit that is changed begins anew, and the one of before is forgotten as an idle tenant is.
func TestTenantLimitsChange(t *testing.T) {
	var l TenantLimits
	for i := range 1000 {
		now, limit := epoch.Add(time.Duration(i)*time.Minute), TenantLimit{RequestsPerSecond: 1, Burst: 1 + i%500}
		allow(t, &l, now, limit, 0).Done(now, 0)
	}
	if n := len(l.tenants); n > 5 {
		t.Errorf("%d limits of a tenant are kept", n)
	}
}

func TestTenantThatExceedsTwoLimitsIsToldTheLonger(t *testing.T) {
	var l TenantLimits
	limit := TenantLimit{RequestsPerSecond: 1, TokensPerMinute: 60}
	allow(t, &l, epoch, limit, 60)
	if got := deny(t, &l, epoch, limit, 30, TenantTokens); got != 30*time.Second {
		t.Errorf("error %v, want the 30 s that its tokens take", got)
	}
}

func TestIdleTenantsAreForgotten(t *testing.T) {
	var l TenantLimits
	limit := TenantLimit{RequestsPerSecond: 1, TokensPerMinute: 60, Concurrent: 1}
	for i := range 1000 {
		admitted, err := l.Allow(epoch, fmt.Sprint(i), limit, 30)
		if err != nil {
			t.Fatal(err)
		}
		if i != 7 {
			admitted.Done(epoch, 0)
		}
	}
	if len(l.tenants) != 1000 {
		t.Fatalf("%d tenants are known, want 1000 as long as they owe", len(l.tenants))
	}
	later := epoch.Add(time.Minute)
	for range 1000 {
		if admitted, err := l.Allow(later, "a", TenantLimit{}, 0); err == nil {
			admitted.Done(later, 0)
		}
	}
	if len(l.tenants) != 2 || l.tenants[limited{"7", limit}] == nil || l.tenants[limited{tenant: "a"}] == nil {
		t.Errorf("%d tenants are known, want the one whose call is in flight and the one that came", len(l.tenants))
	}
}

func TestTenantsSeenLatelyAreKept(t *testing.T) {
	var l TenantLimits
	limit := TenantLimit{RequestsPerSecond: 1000}
	allow(t, &l, epoch, limit, 0).Done(epoch, 0)
	before := l.tenants[limited{"a", limit}]
	for i := range 10 {
		now := epoch.Add(time.Duration(i) * 10 * time.Second)
		allow(t, &l, now, limit, 0).Done(now, 0)
	}
	if l.tenants[limited{"a", limit}] != before {
		t.Error("a tenant that comes all the time is forgotten in between")
	}
}

// Forgetting must not be noticed: the same calls get the same answers from a
// TenantLimits of their own, which never has reason to forget.
func TestForgettingMakesNoDifference(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var all TenantLimits
	own := make(map[string]*usage)
	limit := TenantLimit{RequestsPerSecond: 0.2, Burst: 3, TokensPerMinute: 60}
	now := epoch
	refused, forgotten := 0, 0
	for range 20_000 {
		now = now.Add(time.Duration(rng.ExpFloat64() * float64(100*time.Millisecond)))
		tenant, n := fmt.Sprint(rng.IntN(1+rng.IntN(400))), rng.IntN(30)
		if own[tenant] == nil {
			own[tenant] = &usage{
				requests: newBucket(now, limit.RequestsPerSecond, limit.Burst),
				tokens:   newBucket(now, float64(limit.TokensPerMinute)/60, limit.TokensPerMinute),
			}
		} else if all.tenants[limited{tenant, limit}] == nil {
			forgotten++
		}
		u := own[tenant]
		ok := shortage(u.requests, now, 1) == 0 && shortage(u.tokens, now, n) == 0
		if ok {
			charge(u.requests, now, 1)
			charge(u.tokens, now, n)
		}
		admitted, err := all.Allow(now, tenant, limit, n)
		if (err == nil) != ok {
			t.Fatalf("%s at %v: %v, want allowed %t", tenant, now.Sub(epoch), err, ok)
		}
		if err != nil {
			refused++
			continue
		}
		admitted.Done(now, 0)
	}
	if refused < 100 || forgotten < 100 {
		t.Errorf("%d refused and %d forgotten: the test shows little", refused, forgotten)
	}
}

func TestTenantLimitsConcurrently(t *testing.T) {
	var l TenantLimits
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 1000 {
				admitted, err := l.Allow(time.Now(), fmt.Sprint((i+j)%5), TenantLimit{RequestsPerSecond: 1000, Concurrent: 3}, 1)
				if err == nil {
					admitted.Done(time.Now(), 1)
				}
			}
		})
	}
	wg.Wait()
	for tenant, u := range l.tenants {
		if u.concurrent != 0 {
			t.Errorf("%d calls of %s are still counted", u.concurrent, tenant.tenant)
		}
	}
}
