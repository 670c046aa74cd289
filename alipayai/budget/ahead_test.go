package budget

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// hasAhead reports whether a process has taken a part of a window that has not begun.
func (b *Budgets) hasAhead() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.accounts {
		a.mu.Lock()
		taken := a.taken
		a.mu.Unlock()
		if taken > 0 && a.begin.After(b.now()) {
			return true
		}
	}
	return false
}

// Of a window that begins while Redis is away each replica has the part that it has taken ahead; together they spend no
// more than its budget, whatever becomes of Redis, and afterwards the rest of it can be spent.
func TestWindowsThatBeginInAnOutage(t *testing.T) {
	for name, start := range redistest.Outages() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outage := start(t)
			_, end := Month(time.UTC).Bounds(time.Now())
			var offset atomic.Int64 // to ten minutes before the month ends
			offset.Store(int64(time.Until(end) - 10*time.Minute))
			now := func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
			const replicas = 3
			limits := monthly(120_000)
			var all []replica
			for range replicas {
				r := newReplicaAt(t, outage.Addr, replicas, now)
				testwait.For(t, patience, "a first call", func() bool { return r.spend(t, limits, 1000, 1000) == nil })
				all = append(all, r)
			}
			for _, r := range all {
				testwait.For(t, patience, "a part of the next window", r.hasAhead)
			}
			outage.Break()
			offset.Add(int64(20 * time.Minute))
			var bill bill
			for i, r := range all {
				for range 400 {
					if err := r.spend(t, limits, 1000, 1000); err != nil {
						if !errors.Is(err, ErrUnavailable) && !isExceeded(err) {
							t.Fatal(err)
						}
						break
					}
					bill.add(1000)
				}
				if least := price.Amount(i+1) * limits[0].Amount / (2 * replicas); bill.spent < least {
					t.Errorf("%d replicas spend %d of the new window, want %d at least", i+1, bill.spent, least)
				}
			}
			outage.Heal()
			spendTheRest(t, all, limits, &bill)
		})
	}
}

// server keeps what processes have taken, as Redis does, and may be away from some of them.
type server struct {
	mu        sync.Mutex
	taken     map[Key]map[*link]price.Amount
	processes []*link
	share     price.Amount
}

// link is the store of one process: away from the server, or so that what it says arrives and no answer comes.
type link struct {
	*server
	budgets    *Budgets
	away, deaf bool
}

var errAway = errors.Join(ErrUnavailable)

func (l *link) Take(_ context.Context, key Key, amount, limit price.Amount, _ time.Time) (price.Amount, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		return 0, false, errAway
	}
	of := l.taken[key]
	if of == nil {
		of = make(map[*link]price.Amount)
		l.taken[key] = of
	}
	var others price.Amount
	for process, taken := range of {
		if process != l {
			others += taken
		}
	}
	ok := amount <= of[l] || others+amount <= limit
	if ok {
		of[l] = amount
	}
	if l.deaf {
		return 0, false, errAway
	}
	return others, ok, nil
}

func (l *link) Share() price.Amount { return l.share }

func (*link) Forget(Key) {}

func (l *link) Recall(ctx context.Context, key Key) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, other := range l.processes {
		if other != l && !l.away && !other.away {
			go other.budgets.Trim(ctx, func(k Key) bool { return k == key })
		}
	}
	return true
}

// Whatever the order is in which three replicas reserve, settle, lose the server and are killed while windows begin and
// end: in no window is more spent than its budget, and windows that begin without the server are served too.
func TestNoOrderOfWindowsSpendsMore(t *testing.T) {
	var without atomic.Int64 // calls served in windows that began while the process was away, and while it still is
	for seed := range uint64(30) {
		testwait.Bubble(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 3))
			s := &server{taken: make(map[Key]map[*link]price.Amount), share: 6}
			window, err := Every([]time.Duration{time.Minute, 10 * time.Minute, 2 * time.Hour}[seed%3])
			if err != nil {
				t.Fatal(err)
			}
			limit := Limit{Amount: 1000 + price.Amount(random.Int64N(50_000)), Currency: "CNY", Window: window}
			end := time.Now().Add(5 * window.duration)
			var mu sync.Mutex
			spent := make(map[int64]price.Amount) // by when the window began
			bill := func(r *Reservation, cost price.Amount) {
				mu.Lock()
				defer mu.Unlock()
				spent[r.parts[0].a.key.Begin] += cost
			}
			var wait sync.WaitGroup
			process := func(seed uint64) {
				random := rand.New(rand.NewPCG(seed, 5))
				for time.Now().Before(end) { // one life after the other
					l := &link{server: s}
					l.budgets = New(l, time.Now)
					s.mu.Lock()
					s.processes = append(s.processes, l)
					s.mu.Unlock()
					ctx, kill := context.WithTimeout(t.Context(), time.Duration(random.Int64N(int64(4*window.duration))))
					var since atomic.Int64 // when the process lost the server; 0 while it has not
					var life sync.WaitGroup
					live := func(every time.Duration, do func(*rand.Rand)) {
						random := rand.New(rand.NewPCG(random.Uint64(), 1))
						life.Go(func() {
							for ctx.Err() == nil && time.Now().Before(end) {
								do(random)
								time.Sleep(time.Duration(random.Int64N(int64(every))))
							}
						})
					}
					live(2*time.Second, func(*rand.Rand) { l.budgets.TakeAhead(ctx, 10) })
					live(2*window.duration, func(random *rand.Rand) {
						s.mu.Lock()
						defer s.mu.Unlock()
						if l.away, l.deaf = random.IntN(2) == 0, random.IntN(4) == 0; l.away {
							since.CompareAndSwap(0, time.Now().Unix())
						} else {
							since.Store(0)
						}
					})
					for range 3 {
						live(window.duration/20, func(random *rand.Rand) {
							most := 1 + price.Amount(random.Int64N(int64(limit.Amount)/20))
							r, err := l.budgets.Reserve(ctx, "shop", []Limit{limit}, []price.Amount{most})
							if err != nil {
								return
							}
							if lost := since.Load(); lost > 0 && lost < r.parts[0].a.key.Begin {
								without.Add(1)
							}
							time.Sleep(time.Duration(random.Int64N(int64(window.duration) / 4)))
							cost := price.Amount(random.Int64N(int64(most) + 1))
							if ctx.Err() != nil { // it was killed meanwhile
								cost = most
							} else {
								r.Settle([]price.Amount{cost})
							}
							bill(r, cost)
						})
					}
					life.Wait()
					kill()
				}
			}
			for range 3 {
				seed := random.Uint64()
				wait.Go(func() { process(seed) })
			}
			wait.Wait()
			for begin, sum := range spent {
				if sum > limit.Amount {
					t.Errorf("seed %d: spent %d of %d in the window of %d", seed, sum, limit.Amount, begin)
				}
			}
			if len(spent) < 3 {
				t.Errorf("seed %d: calls in %d windows", seed, len(spent))
			}
		})
	}
	if without.Load() == 0 {
		t.Error("no call was served in a window that began while the server was away")
	}
}

// What is taken ahead is bounded: at most so many at a time, once each, and only of windows that end soon.
func TestTakenAhead(t *testing.T) {
	now := time.Date(2026, 11, 28, 22, 0, 0, 0, time.UTC)
	l := &link{server: &server{taken: make(map[Key]map[*link]price.Amount), share: 4}}
	l.budgets = New(l, func() time.Time { return now })
	limit := limitOf(1000)
	next := func() (taken []price.Amount) {
		for key, of := range l.taken {
			if key.Begin > now.Unix() {
				taken = append(taken, of[l])
			}
		}
		return taken
	}
	for _, tenant := range []string{"a", "b", "c"} {
		if _, err := l.budgets.Reserve(t.Context(), tenant, []Limit{limit}, []price.Amount{1}); err != nil {
			t.Fatal(err)
		}
	}
	l.budgets.TakeAhead(t.Context(), 100)
	if taken := next(); len(taken) != 0 {
		t.Errorf("two hours before, %v are taken", taken)
	}
	now = now.Add(time.Hour + time.Minute)
	l.away = true
	l.budgets.TakeAhead(t.Context(), 100)
	l.away = false
	for want := 2; want < 4; want++ {
		l.budgets.TakeAhead(t.Context(), 2)
		if taken := next(); len(taken) != min(want, 3) || taken[0] != 250 {
			t.Errorf("taken %v", taken)
		}
	}
	if states := l.budgets.States(); len(states) != 3 {
		t.Errorf("windows that are not now: %+v", states)
	}
	// It is given back with all else.
	l.budgets.Trim(t.Context(), func(Key) bool { return true })
	for _, taken := range next() {
		if taken != 0 {
			t.Errorf("%d stay taken", taken)
		}
	}
}

// divided is a store of four parts, which counts what is taken of each window.
type divided struct {
	Memory
	away  bool
	full  bool                     // others have all
	taken map[int64][]price.Amount // by when the window ends
}

func (*divided) Share() price.Amount { return 4 }

func (d *divided) Take(_ context.Context, _ Key, amount, _ price.Amount, end time.Time) (others price.Amount, ok bool, err error) {
	d.taken[end.Unix()] = append(d.taken[end.Unix()], amount)
	if d.away {
		return 0, false, ErrUnavailable
	}
	return 0, !d.full, nil
}

// A part of the next window is taken once, within the hour before it begins, of budgets that can be divided, and again only where the
// store was away.
func TestWhenPartsAreTakenAhead(t *testing.T) {
	begin, end := Day(time.UTC).Bounds(time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC))
	for name, test := range map[string]struct {
		limit price.Amount
		at    time.Time
		away  bool
		takes int // of two tries
	}{
		"an hour before":          {400, end.Add(-aheadTime), false, 1},
		"long before":             {400, end.Add(-aheadTime - 1), false, 0},
		"at the end":              {400, end, false, 1},
		"after it":                {400, end.Add(1), false, 0},
		"before the window":       {400, begin.Add(-1), false, 0},
		"the least":               {4, end.Add(-1), false, 1},
		"what cannot be divided":  {3, end.Add(-1), false, 0},
		"while the store is away": {400, end.Add(-1), true, 2},
	} {
		now := begin.Add(time.Hour)
		store := &divided{taken: make(map[int64][]price.Amount)}
		b := New(store, func() time.Time { return now })
		limit := Limit{Amount: test.limit, Currency: "CNY", Window: Day(time.UTC)}
		r, err := b.Reserve(t.Context(), "acme", []Limit{limit}, []price.Amount{1})
		if err != nil {
			t.Fatal(err)
		}
		r.Keep()
		now, store.away = test.at, test.away
		for range 2 {
			b.TakeAhead(t.Context(), 10)
		}
		_, next := limit.Window.Bounds(end)
		ahead := store.taken[next.Unix()]
		if len(ahead) != test.takes || len(ahead) > 0 && ahead[0] != test.limit/4 {
			t.Errorf("%s: %d were taken ahead, want %d times a fourth of %d", name, ahead, test.takes, test.limit)
		}
	}
	for name, test := range map[string]struct {
		away, full bool
		most       int
		takes      []int // after each of three tries, of three tenants
	}{
		"all at once":            {false, false, 10, []int{3, 3, 3}},
		"as many as may be":      {false, false, 3, []int{3, 3, 3}},
		"two, and then the rest": {false, false, 2, []int{2, 3, 3}},
		"what others have":       {false, true, 10, []int{3, 3, 3}},
		"while it is away":       {true, false, 10, []int{1, 2, 3}},
	} {
		now := begin.Add(time.Hour)
		store := &divided{taken: make(map[int64][]price.Amount)}
		b := New(store, func() time.Time { return now })
		limit := Limit{Amount: 400, Currency: "CNY", Window: Day(time.UTC)}
		for _, tenant := range []string{"acme", "shop", "zeta"} {
			if _, err := b.Reserve(t.Context(), tenant, []Limit{limit}, []price.Amount{1}); err != nil {
				t.Fatal(err)
			}
		}
		now, store.away, store.full = end.Add(-1), test.away, test.full
		_, next := limit.Window.Bounds(end)
		for i, want := range test.takes {
			if b.TakeAhead(t.Context(), test.most); len(store.taken[next.Unix()]) != want {
				t.Errorf("%s: %d were taken ahead after try %d, want %d", name, len(store.taken[next.Unix()]), i+1, want)
			}
		}
	}
}
