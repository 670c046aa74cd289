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

func TestTenantLimitsChange(t *testing.T) {
	var l TenantLimits
	allow(t, &l, epoch, TenantLimit{RequestsPerSecond: 1}, 0)
	deny(t, &l, epoch, TenantLimit{RequestsPerSecond: 1}, 0, TenantRequests)
	deny(t, &l, epoch, TenantLimit{RequestsPerSecond: 10}, 0, TenantRequests)
	allow(t, &l, epoch.Add(100*time.Millisecond), TenantLimit{RequestsPerSecond: 10}, 0)
	allow(t, &l, epoch.Add(100*time.Millisecond), TenantLimit{}, 0)
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
	if len(l.tenants) != 2 || l.tenants["7"] == nil || l.tenants["a"] == nil {
		t.Errorf("%d tenants are known, want the one whose call is in flight and the one that came", len(l.tenants))
	}
}

func TestTenantsSeenLatelyAreKept(t *testing.T) {
	var l TenantLimits
	limit := TenantLimit{RequestsPerSecond: 1000}
	allow(t, &l, epoch, limit, 0).Done(epoch, 0)
	before := l.tenants["a"]
	for i := range 10 {
		now := epoch.Add(time.Duration(i) * 10 * time.Second)
		allow(t, &l, now, limit, 0).Done(now, 0)
	}
	if l.tenants["a"] != before {
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
			own[tenant] = &usage{}
		} else if all.tenants[tenant] == nil {
			forgotten++
		}
		u := own[tenant]
		u.requests = adjust(u.requests, now, limit.RequestsPerSecond, limit.Burst)
		u.tokens = adjust(u.tokens, now, float64(limit.TokensPerMinute)/60, limit.TokensPerMinute)
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
			t.Errorf("%d calls of %s are still counted", u.concurrent, tenant)
		}
	}
}
