package budget

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/price"
)

func TestWindows(t *testing.T) {
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	day, err := Every(24 * time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		window         Window
		at, begin, end string
	}{
		"day":               {Day(time.UTC), "2026-11-28T23:59:59Z", "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z"},
		"day in Shanghai":   {Day(shanghai), "2026-11-28T16:00:00Z", "2026-11-28T16:00:00Z", "2026-11-29T16:00:00Z"},
		"a day of 25 hours": {Day(berlin), "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},
		"month":             {Month(time.UTC), "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"},
		"month in Shanghai": {Month(shanghai), "2026-12-31T16:30:00Z", "2026-12-31T16:00:00Z", "2027-01-31T16:00:00Z"},
		"duration":          {day, "2026-11-28T23:59:59Z", "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z"},
	} {
		at, err := time.Parse(time.RFC3339, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		begin, end := tt.window.Bounds(at)
		if got := begin.UTC().Format(time.RFC3339); got != tt.begin {
			t.Errorf("%s begins %s, want %s", name, got, tt.begin)
		}
		if got := end.UTC().Format(time.RFC3339); got != tt.end {
			t.Errorf("%s ends %s, want %s", name, got, tt.end)
		}
	}
	if _, err := Every(time.Second); err == nil {
		t.Error("a window of a second is taken")
	}
}

// Wherever the clocks change, also at midnight, each moment is in the window that it is given, windows follow each other,
// and all moments of a window are given the same. Paris has had midnight twice east of Greenwich, and Apia a day that was none.
func TestWindowsAreOneAfterTheOther(t *testing.T) {
	first := map[string]int{"Europe/Paris": 1975, "Pacific/Apia": 2010}
	for _, name := range []string{"Europe/Paris", "Pacific/Apia", "UTC", "Asia/Shanghai", "Europe/Berlin", "America/Sao_Paulo", "America/Santiago", "America/Havana", "Africa/Cairo", "Asia/Beirut", "Atlantic/Azores", "Australia/Lord_Howe", "Asia/Kathmandu"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range []Window{Day(zone), Month(zone)} {
			at := time.Date(cmp.Or(first[name], 2017), 12, 31, 12, 0, 0, 0, time.UTC)
			begin, end := w.Bounds(at)
			for last := at.Year() + 9; at.Year() <= last; at = at.Add(30 * time.Minute) {
				for ; !at.Before(end); begin, end = w.Bounds(end) {
					if next, _ := w.Bounds(end); !next.Equal(end) {
						t.Fatalf("%s: after the window to %s comes one from %s", w, end, next)
					}
				}
				if b, e := w.Bounds(at); !b.Equal(begin) || !e.Equal(end) || at.Before(b) {
					t.Fatalf("%s: %s is in the window from %s to %s, want from %s to %s", w, at.In(zone), b, e, begin, end)
				}
			}
		}
	}
}

// What is reserved is what is given back, also where an amount is no amount.
func TestNoAmountMakesRoom(t *testing.T) {
	budgets := New(Memory{}, time.Now)
	limit := Limit{Amount: 100, Currency: "CNY", Window: Month(time.UTC)}
	for _, end := range []func(*Reservation){(*Reservation).Release, (*Reservation).Keep, func(r *Reservation) { r.Settle([]price.Amount{-70}) }} {
		r, err := budgets.Reserve(t.Context(), "shop", []Limit{limit}, []price.Amount{-50})
		if err != nil {
			t.Fatal(err)
		}
		end(r)
		if s := budgets.States(); len(s) != 1 || s[0].Open != 0 || s[0].Used != 0 || s[0].Left != 100 {
			t.Errorf("%+v", s)
		}
	}
	for _, most := range []price.Amount{price.MaxAmount, MaxAmount, 101} {
		if _, err := budgets.Reserve(t.Context(), "shop", []Limit{limit}, []price.Amount{most}); err == nil {
			t.Errorf("%d is reserved of 100", most)
		}
	}
	r, err := budgets.Reserve(t.Context(), "shop", []Limit{limit}, []price.Amount{100})
	if err != nil {
		t.Fatal(err)
	}
	r.Settle([]price.Amount{price.MaxAmount}) // more than it could
	if _, err := budgets.Reserve(t.Context(), "shop", []Limit{limit}, []price.Amount{0}); err == nil {
		t.Error("nothing is left, and something is reserved")
	}
}

// disk is a File store's, which outlives processes.
type disk struct {
	mu     sync.Mutex
	stored map[string]price.Amount
	broken bool
}

var errDisk = errors.New("the disk is full")

func (d *disk) Budget(name string) (price.Amount, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken {
		return 0, errDisk
	}
	return d.stored[name], nil
}

func (d *disk) PutBudget(_ context.Context, name string, amount price.Amount, _ time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken {
		return errDisk
	}
	d.stored[name] = amount
	return nil
}

func limitOf(amount price.Amount) Limit {
	return Limit{Amount: amount, Currency: "CNY", Window: Day(time.UTC)}
}

// bill is what a vendor has charged, which a budget has to bound.
type bill struct {
	mu    sync.Mutex
	spent price.Amount
}

func (b *bill) add(a price.Amount) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spent += a
}

// Whatever the order is in which calls reserve, settle and are lost with their process,
// no more is spent than the budget, and without kills all of it can be.
func TestNoOrderSpendsMore(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 7))
		d := &disk{stored: make(map[string]price.Amount)}
		budgets := New(NewFile(d), func() time.Time { return now })
		limit := limitOf(price.Amount(1000 + random.Int64N(100_000)))
		kills := seed%2 == 0
		type call struct {
			r    *Reservation
			most price.Amount
		}
		var open []call
		var bill bill
		refused := 0
		for refused < 100 {
			switch n := random.IntN(100); {
			case n < 55:
				most := price.Amount(1 + random.Int64N(int64(limit.Amount)/20))
				r, err := budgets.Reserve(t.Context(), "shop", []Limit{limit}, []price.Amount{most})
				if exceeded, ok := errors.AsType[*ExceededError](err); ok {
					refused++
					if exceeded.RetryAfter != 12*time.Hour {
						t.Fatalf("retry after %s", exceeded.RetryAfter)
					}
				} else if err != nil {
					t.Fatal(err)
				} else {
					open = append(open, call{r, most})
				}
			case n < 98 && len(open) > 0:
				i := random.IntN(len(open))
				c := open[i]
				open = append(open[:i], open[i+1:]...)
				switch cost := price.Amount(random.Int64N(int64(c.most) + 1)); random.IntN(4) {
				case 0:
					c.r.Release()
				case 1: // the outcome is not known: it may have cost all
					c.r.Keep()
					bill.add(c.most)
				default:
					c.r.Settle([]price.Amount{cost})
					c.r.Release() // changes nothing
					bill.add(cost)
				}
			case n == 98: // a clean end
				if len(open) == 0 {
					budgets.Trim(t.Context(), func(Key) bool { return true })
					budgets = New(NewFile(d), func() time.Time { return now })
				}
			case n == 99 && kills: // whatever was under way is billed
				for _, c := range open {
					bill.add(c.most)
				}
				open = nil
				budgets = New(NewFile(d), func() time.Time { return now })
			}
			if bill.spent > limit.Amount {
				t.Fatalf("seed %d: spent %d of %d", seed, bill.spent, limit.Amount)
			}
		}
		if kills {
			continue
		}
		for _, c := range open {
			c.r.Release()
		}
		rest := limit.Amount - bill.spent
		if r, err := budgets.Reserve(t.Context(), "shop", []Limit{limit}, []price.Amount{rest}); err != nil {
			t.Fatalf("seed %d: the rest, %d of %d, is refused: %v", seed, rest, limit.Amount, err)
		} else {
			r.Keep()
		}
		if _, err := budgets.Reserve(t.Context(), "shop", []Limit{limit}, []price.Amount{1}); err == nil {
			t.Fatalf("seed %d: one more than the budget is reserved", seed)
		}
	}
}

// At once as well.
func TestManyAtOnceSpendNoMore(t *testing.T) {
	budgets := New(NewFile(&disk{stored: make(map[string]price.Amount)}), time.Now)
	limit := limitOf(100_000)
	limit.Window = Month(time.UTC)
	var bill bill
	var wait sync.WaitGroup
	for i := range uint64(16) {
		wait.Go(func() {
			random := rand.New(rand.NewPCG(i, 9))
			for range 500 {
				most := price.Amount(1 + random.Int64N(100))
				r, err := budgets.Reserve(t.Context(), "shop", []Limit{limit}, []price.Amount{most})
				if err != nil {
					continue
				}
				cost := price.Amount(random.Int64N(int64(most) + 1))
				r.Settle([]price.Amount{cost})
				bill.add(cost)
			}
		})
	}
	wait.Wait()
	if bill.spent > limit.Amount || bill.spent < limit.Amount-200 {
		t.Errorf("spent %d of %d", bill.spent, limit.Amount)
	}
}

// Of several budgets all hold, and one that refuses leaves nothing reserved of others.
func TestSeveralBudgets(t *testing.T) {
	budgets := New(Memory{}, time.Now)
	hour, err := Every(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	limits := []Limit{{Amount: 100, Currency: "CNY", Window: Month(time.UTC)}, {Amount: 30, Currency: "USD", Window: hour}}
	r, err := budgets.Reserve(t.Context(), "shop", limits, []price.Amount{50, 20})
	if err != nil {
		t.Fatal(err)
	}
	_, err = budgets.Reserve(t.Context(), "shop", limits, []price.Amount{50, 20})
	if exceeded, ok := errors.AsType[*ExceededError](err); !ok || exceeded.Limit.Currency != "USD" || exceeded.RetryAfter > time.Hour {
		t.Fatalf("%v", err)
	} else if exceeded.Tenant != "shop" || exceeded.Asked != 20 || exceeded.Left != 10 || exceeded.End.Before(time.Now()) {
		t.Errorf("%+v", exceeded)
	}
	r.Settle([]price.Amount{10, 1})
	for _, state := range budgets.States() {
		if want := map[price.Currency][2]price.Amount{"CNY": {100, 90}, "USD": {30, 29}}[state.Currency]; state.Limit != want[0] || state.Left != want[1] {
			t.Errorf("%+v, want limit and left of %v", state, want)
		}
	}
	if r, err = budgets.Reserve(t.Context(), "shop", limits, []price.Amount{90, 29}); err != nil {
		t.Fatal(err)
	}
	r.Release()
	// Tenants have budgets of their own.
	if _, err := budgets.Reserve(t.Context(), "other", limits, []price.Amount{100, 30}); err != nil {
		t.Error(err)
	}
}

// A reload may change a budget: what was spent counts.
func TestABudgetThatChanges(t *testing.T) {
	budgets := New(NewFile(&disk{stored: make(map[string]price.Amount)}), time.Now)
	reserve := func(limit, amount price.Amount) error {
		r, err := budgets.Reserve(t.Context(), "shop", []Limit{{Amount: limit, Currency: "CNY", Window: Month(time.UTC)}}, []price.Amount{amount})
		r.Keep()
		return err
	}
	for i, step := range []struct {
		limit, amount price.Amount
		fits          bool
	}{{100, 60, true}, {50, 1, false}, {200, 140, true}, {200, 1, false}, {201, 1, true}, {0, 1, false}, {0, 0, false}} {
		if err := reserve(step.limit, step.amount); (err == nil) != step.fits {
			t.Errorf("step %d: %v", i, err)
		}
	}
}

// usedUp is a store of which others have taken everything.
type usedUp struct {
	Memory
	asked, recalled int
}

func (u *usedUp) Take(_ context.Context, _ Key, _, limit price.Amount, _ time.Time) (others price.Amount, ok bool, err error) {
	u.asked++
	return limit, false, nil
}

func (u *usedUp) Recall(context.Context, Key) bool {
	u.recalled++
	return false
}

// Of a budget that others have used up no store is asked with each call: after a second anew, and at once for less.
func TestAUsedUpBudgetIsNotAskedForEachTime(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	store := new(usedUp)
	budgets := New(store, func() time.Time { return now })
	for i, step := range []struct {
		after  time.Duration
		amount price.Amount
		asks   bool
	}{{0, 5, true}, {0, 5, false}, {0, 6, false}, {0, 4, true}, {recallPause + 1, 5, true}, {recallPause / 2, 5, false}} {
		now = now.Add(step.after)
		before := store.asked
		_, err := budgets.Reserve(t.Context(), "shop", []Limit{{Amount: 100, Currency: "CNY", Window: Day(time.UTC)}}, []price.Amount{step.amount})
		if _, ok := errors.AsType[*ExceededError](err); !ok {
			t.Fatalf("step %d: %v", i, err)
		}
		if want := "tenant shop has 0 left of its budget of 0.0000001 CNY for window "; !strings.HasPrefix(err.Error(), want) {
			t.Errorf("step %d: %v", i, err)
		}
		if (store.asked > before) != step.asks {
			t.Errorf("step %d: the store was asked %d times", i, store.asked-before)
		}
	}
	if store.recalled == 0 {
		t.Error("others were not asked for what they do not use")
	}
}

// While the disk is full budgets are counted in memory, and what is on the disk is not
// overwritten by those who could not read it.
func TestBudgetsWithoutADisk(t *testing.T) {
	d := &disk{stored: make(map[string]price.Amount)}
	limit := Limit{Amount: 100, Currency: "CNY", Window: Month(time.UTC)}
	reserve := func(b *Budgets, amount price.Amount) bool {
		r, err := b.Reserve(t.Context(), "shop", []Limit{limit}, []price.Amount{amount})
		r.Keep()
		return err == nil
	}
	first := New(NewFile(d), time.Now)
	if !reserve(first, 40) {
		t.Fatal("refused")
	}
	first.Trim(t.Context(), func(Key) bool { return true })
	second := New(NewFile(d), time.Now)
	d.broken = true
	if !reserve(second, 30) {
		t.Fatal("refused while the disk is full")
	}
	d.broken = false
	if reserve(second, 40) || !reserve(second, 30) {
		t.Error("what was spent before, and while the disk was full, does not count")
	}
	if third := New(NewFile(d), time.Now); reserve(third, 1) {
		t.Error("all is spent, and more is permitted after a restart")
	}
}
