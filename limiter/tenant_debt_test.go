package limiter

import (
	"math"
	"testing"
	"time"
)

// hostileCounts are numbers of tokens that an upstream can say.
var hostileCounts = []int{math.MinInt64, -1, 0, 1, 99, 100, 101, 1 << 40, math.MaxInt64 - 1, math.MaxInt64}

// Charging takes no longer for a large number, holds the tenant for ten minutes
// at most, and always holds one that owes.
func TestDebtOfATenantIsBounded(t *testing.T) {
	for _, size := range []int{1, 100, 1 << 30, math.MaxInt64} {
		limit := TenantLimit{TokensPerMinute: size}
		for _, used := range hostileCounts {
			var l TenantLimits
			began := time.Now()
			allow(t, &l, epoch, limit, 0).Done(epoch, used)
			allow(t, &l, epoch.Add(20*time.Minute), limit, 0).Done(epoch.Add(20*time.Minute), used)
			if took := time.Since(began); took > time.Second {
				t.Fatalf("charging %d of %d a minute took %v", used, size, took)
			}
			now := epoch.Add(20 * time.Minute)
			_, err := l.Allow(now, "a", limit, math.MaxInt64)
			if used <= 0 {
				if err != nil {
					t.Errorf("charging %d of %d a minute: %v", used, size, err)
				}
				continue
			}
			wait := deny(t, &l, now, limit, math.MaxInt64, TenantTokens)
			if wait <= 0 || wait > 10*time.Minute {
				t.Errorf("charging %d of %d a minute holds the tenant for %v", used, size, wait)
			}
			allow(t, &l, now.Add(wait), limit, math.MaxInt64)
		}
	}
}

func FuzzTenantCharge(f *testing.F) {
	for _, n := range hostileCounts {
		f.Add(100, n, int64(0))
		f.Add(1, n, int64(math.MaxInt64))
		f.Add(math.MaxInt64, n, int64(-1))
	}
	f.Fuzz(func(t *testing.T, size, used int, later int64) {
		if size <= 0 {
			return
		}
		var l TenantLimits
		limit := TenantLimit{TokensPerMinute: size, RequestsPerSecond: float64(size), Burst: size}
		admitted, err := l.Allow(epoch, "a", limit, used)
		if err != nil {
			t.Fatal(err)
		}
		now := epoch.Add(time.Duration(later))
		admitted.Done(now, used)
		if wait := shortage(l.tenants[limited{"a", limit}].tokens, now, used); wait < 0 || wait > 10*time.Minute+time.Microsecond {
			t.Errorf("held for %v", wait)
		}
	})
}

// Where both waits are the same, it is the requests that are named.
func TestTenantThatExceedsTwoLimitsAlike(t *testing.T) {
	var l TenantLimits
	limit := TenantLimit{RequestsPerSecond: 1, TokensPerMinute: 60}
	allow(t, &l, epoch, limit, 60)
	if got := deny(t, &l, epoch, limit, 1, TenantRequests); got != time.Second {
		t.Errorf("error %v, want the second that both take", got)
	}
}
