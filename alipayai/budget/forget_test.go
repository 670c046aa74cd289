package budget

import (
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// What is known of windows that are over is forgotten an hour later, also what the store knows of them.
func TestAccountsEnd(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	file := NewFile(&disk{stored: make(map[string]price.Amount)})
	budgets := New(file, func() time.Time { return now })
	minute, err := Every(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	const tenants = 5
	for range 300 {
		for tenant := range tenants {
			if _, err := budgets.Reserve(t.Context(), strconv.Itoa(tenant), []Limit{{Amount: 1, Currency: "CNY", Window: minute}}, []price.Amount{1}); err != nil {
				t.Fatal(err)
			}
		}
		now = now.Add(time.Minute)
	}
	const most = tenants * int((keepAfter+2*sweepEvery)/time.Minute+1)
	if n := len(budgets.accounts); n > most {
		t.Errorf("%d accounts are kept", n)
	}
	if n := len(file.before); n > most {
		t.Errorf("the store remembers %d", n)
	}
	if states := budgets.States(); len(states) > tenants {
		t.Errorf("%d budgets are shown", len(states))
	}
}

// A clock that is set forward, and then back into a window whose budget is used up, gives nothing out again.
func TestClockGoesBack(t *testing.T) {
	hour, err := Every(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	limits := []Limit{{Amount: 100, Currency: "CNY", Window: hour}}
	inMemory := func(store func() Store) func(*testing.T, func() time.Time) *Budgets {
		return func(_ *testing.T, now func() time.Time) *Budgets { return New(store(), now) }
	}
	for name, store := range map[string]func(*testing.T, func() time.Time) *Budgets{
		"memory": inMemory(func() Store { return Memory{} }),
		"file":   inMemory(func() Store { return NewFile(&disk{stored: make(map[string]price.Amount)}) }),
		"redis": func(t *testing.T, now func() time.Time) *Budgets {
			return newReplicaAt(t, redistest.Start(t).Addr, 1, now).Budgets
		},
	} {
		t.Run(name, func(t *testing.T) {
			var clock atomic.Int64
			clock.Store(time.Now().Truncate(time.Hour).Add(2*time.Hour - 10*time.Second).UnixNano())
			b := store(t, func() time.Time { return time.Unix(0, clock.Load()) })
			r, err := b.Reserve(t.Context(), "shop", limits, []price.Amount{100})
			if err != nil {
				t.Fatal(err)
			}
			r.Keep()
			for _, by := range []time.Duration{75 * time.Second, 10 * time.Minute, keepAfter} {
				clock.Add(int64(by))
				if r, err := b.Reserve(t.Context(), "shop", limits, []price.Amount{1}); err != nil {
					t.Errorf("after %v: %v", by, err)
				} else {
					r.Release()
				}
				clock.Add(-int64(by))
				var exceeded *ExceededError
				if _, err := b.Reserve(t.Context(), "shop", limits, []price.Amount{1}); !errors.As(err, &exceeded) {
					t.Errorf("back by %v: reserved more than there is (%v)", by, err)
				}
			}
		})
	}
}

// Where what was taken is written down, not even one that is set back by more does.
func TestClockGoesBackFar(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	b := New(NewFile(&disk{stored: make(map[string]price.Amount)}), func() time.Time { return now })
	r, err := b.Reserve(t.Context(), "shop", []Limit{limitOf(100)}, []price.Amount{60})
	if err != nil {
		t.Fatal(err)
	}
	r.Keep()
	b.Trim(t.Context(), func(Key) bool { return true })
	now = now.Add(14 * time.Hour)
	if _, err := b.Reserve(t.Context(), "shop", []Limit{limitOf(100)}, []price.Amount{60}); err != nil {
		t.Fatal(err)
	}
	now = now.Add(-14 * time.Hour)
	if _, err := b.Reserve(t.Context(), "shop", []Limit{limitOf(100)}, []price.Amount{41}); err == nil {
		t.Error("101 of 100 are reserved")
	}
	if _, err := b.Reserve(t.Context(), "shop", []Limit{limitOf(100)}, []price.Amount{40}); err != nil {
		t.Errorf("the rest: %v", err)
	}
}
