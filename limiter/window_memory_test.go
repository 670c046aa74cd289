package limiter

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// take reserves a slot and says how long it is away from now.
func take(t *testing.T, w Window, l Limit, now time.Time) (Slot, time.Duration) {
	t.Helper()
	s, err := w.Reserve(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	return s, s.At.Sub(now)
}

func TestMemoryWindowIsExact(t *testing.T) {
	l := Limit{Requests: 3, Per: time.Second, Guard: 10 * time.Millisecond}
	clock := newTestClock()
	w := NewMemoryWindow(clock.now)
	const once, twice = 1010 * time.Millisecond, 2020 * time.Millisecond
	for i, want := range []time.Duration{0, 0, 0, once, once, once, twice} {
		if w.Next(l, clock.now()).Sub(clock.now()) != want {
			t.Errorf("slot %d is predicted in %s, want %s", i, w.Next(l, clock.now()).Sub(clock.now()), want)
		}
		if _, wait := take(t, w, l, clock.now()); wait != want {
			t.Errorf("slot %d is in %s, want %s", i, wait, want)
		}
	}
}

func TestMemoryWindowTakesSlotsBack(t *testing.T) {
	l := Limit{Requests: 2, Per: time.Second}
	tests := map[string]struct {
		back []int // of four slots: two now, two in a second
		want time.Duration
	}{
		"none":              {nil, 2 * time.Second},
		"the last":          {[]int{3}, time.Second},
		"one in the middle": {[]int{1}, 2 * time.Second},
		"one twice":         {[]int{3, 3}, time.Second},
		"the last two":      {[]int{2, 3}, time.Second},
		"all of them":       {[]int{0, 1, 2, 3}, 0},
		"the first":         {[]int{0}, 2 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			clock := newTestClock()
			w := NewMemoryWindow(clock.now)
			var slots []Slot
			for range 4 {
				s, _ := take(t, w, l, clock.now())
				slots = append(slots, s)
			}
			for _, i := range test.back {
				w.Return(slots[i])
			}
			if _, wait := take(t, w, l, clock.now()); wait != test.want {
				t.Errorf("the next slot is in %s, want %s", wait, test.want)
			}
		})
	}
}

func TestMemoryWindowAgainstReference(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		l := Limit{
			Requests: 1 + random.IntN(40),
			Per:      time.Duration(1+random.IntN(1000)) * time.Millisecond,
			Guard:    time.Duration(random.IntN(20)) * time.Millisecond,
		}
		span := int64(l.Span())
		clock := newTestClock()
		w, want := NewMemoryWindow(clock.now), newReference()
		var now int64 // what has passed for certain
		read := clock.t
		look := func() {
			now += max(0, int64(clock.t.Sub(read)))
			read = clock.t
		}
		type held struct {
			Slot
			at int64
		}
		var holds []held
		for step := range 800 {
			switch random.IntN(12) {
			case 0, 1: // a pause, often shorter than the distance of two slots
				clock.add(time.Duration(random.Int64N(span)))
			case 2, 3:
				clock.add(time.Duration(random.Int64N(span) / int64(l.Requests)))
			case 4:
				if random.IntN(8) == 0 { // a jump back
					clock.add(-time.Duration(random.Int64N(100 * span)))
				}
			case 5:
				if random.IntN(20) == 0 {
					d := time.Duration(1 + random.Int64N(2*span))
					look()
					w.Throttle(d)
					want.throttle(now, int64(d), span)
				}
			case 6:
				if len(holds) > 0 {
					i := max(0, len(holds)-1-random.IntN(3))
					w.Return(holds[i].Slot)
					want.giveBack(holds[i].at)
					holds = slices.Delete(holds, i, i+1)
				}
			default:
				look()
				s, wait := take(t, w, l, clock.t)
				at := want.reserve(now, l.Requests, span)
				if now+int64(wait) != at {
					t.Fatalf("seed %d, step %d: slot at %d, reference says %d", seed, step, now+int64(wait), at)
				}
				holds = append(holds, held{s, at})
			}
		}
		overfull(t, want.all, l.Requests, span)
	}
}

func TestMemoryWindowWithChangingLimits(t *testing.T) {
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 2))
		clock := newTestClock()
		w := NewMemoryWindow(clock.now)
		var all []int64
		for range 600 {
			l := Limit{Requests: 1 + random.IntN(300), Per: time.Duration(1+random.IntN(5)) * time.Second}
			for range random.IntN(40) {
				clock.add(time.Duration(random.Int64N(int64(20 * time.Millisecond))))
				s, _ := take(t, w, l, clock.t)
				all = append(all, s.At.UnixNano())
				// The rule of this limit holds for the span that ends here.
				if i := len(all) - 1 - l.Requests; i >= 0 && all[len(all)-1]-all[i] < int64(l.Span()) {
					t.Fatalf("seed %d: %d+1 permits within %s, less than %s", seed, l.Requests,
						time.Duration(all[len(all)-1]-all[i]), l.Span())
				}
			}
		}
	}
}

func TestMemoryWindowGrowsForALargerLimit(t *testing.T) {
	clock := newTestClock()
	w := NewMemoryWindow(clock.now)
	small, large := Limit{Requests: 10, Per: time.Second}, Limit{Requests: 1000, Per: time.Second}
	for range 200 {
		take(t, w, small, clock.now())
	}
	clock.add(20 * time.Second) // the last ten slots begin about now
	for i := range large.Requests - 10 {
		if _, wait := take(t, w, large, clock.now()); i > 64 && wait > time.Second {
			t.Fatalf("slot %d is in %s: forgotten permits count for more than a window", i, wait)
		}
	}
}

func TestMemoryWindowSurvivesAJumpBack(t *testing.T) {
	l := Limit{Requests: 5, Per: time.Second}
	clock := newTestClock()
	w := NewMemoryWindow(clock.now)
	for range 5 {
		take(t, w, l, clock.now())
	}
	clock.add(-24 * time.Hour)
	if _, wait := take(t, w, l, clock.now()); wait != time.Second {
		t.Errorf("after a jump back the next slot is in %s, want 1s", wait)
	}
	clock.add(time.Second)
	if _, wait := take(t, w, l, clock.now()); wait != 0 {
		t.Errorf("a second later the next slot is in %s, want none", wait)
	}
}

func TestMemoryWindowThrottleAndRegrowth(t *testing.T) {
	l := Limit{Requests: 40, Per: time.Second}
	clock := newTestClock()
	w := NewMemoryWindow(clock.now)
	waiting, _ := take(t, w, l, clock.now())
	check := func(when string, want float64) {
		t.Helper()
		if got := w.Rate(l, clock.now()); got != want {
			t.Errorf("%s the rate is %g, want %g", when, got, want)
		}
	}
	check("before", 40)
	w.Throttle(0)
	select {
	case <-waiting.Revoked():
		t.Error("a throttle of no length revokes")
	default:
	}
	w.Throttle(2 * time.Second)
	select {
	case <-waiting.Revoked():
	default:
		t.Error("a throttle does not revoke the slot that waits")
	}
	w.Return(waiting)
	check("while closed", 0)
	if wait := w.Next(l, clock.now()).Sub(clock.now()); wait != 2*time.Second {
		t.Errorf("while closed the next slot is in %s, want 2s", wait)
	}
	clock.add(time.Second)
	w.Throttle(time.Second) // another answer to the same fault
	clock.add(time.Second)
	check("when it opens", 20)
	clock.add(time.Second)
	check("a window later", 22)
	clock.add(4 * time.Second)
	check("five windows later", 30)
	w.Throttle(time.Second)
	clock.add(time.Second)
	check("after another throttle", 15)
	clock.add(12500 * time.Millisecond)
	check("when it has grown back", 40)
	clock.add(time.Hour)
	check("an hour later", 40)

	one := Limit{Requests: 1, Per: time.Second}
	for range 10 {
		w.Throttle(time.Millisecond)
		clock.add(time.Millisecond)
	}
	if got := w.Rate(one, clock.now()); got != 1 {
		t.Errorf("a cap of one is throttled to %g", got)
	}
	if _, wait := take(t, w, one, clock.now()); wait != 0 {
		t.Errorf("a cap of one waits %s", wait)
	}
}

func TestMemoryWindowRefuses(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	good := Limit{Requests: 1, Per: time.Second}
	tests := map[string]struct {
		ctx  context.Context
		l    Limit
		want error
	}{
		"no requests":    {t.Context(), Limit{Per: time.Second}, ErrLimit},
		"no window":      {t.Context(), Limit{Requests: 1}, ErrLimit},
		"negative guard": {t.Context(), Limit{Requests: 1, Per: 1, Guard: -1}, ErrLimit},
		"caller gone":    {gone, good, context.Canceled},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := NewMemoryWindow(time.Now)
			if _, err := w.Reserve(test.ctx, test.l); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if w.ring.count != 0 {
				t.Error("a refused reservation has taken a slot")
			}
		})
	}
}

func TestMemoryWindowAllocatesNothing(t *testing.T) {
	w := NewMemoryWindow(time.Now)
	l := Limit{Requests: 50, Per: time.Second}
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() {
		s, _ := w.Reserve(ctx, l)
		w.Return(s)
		_, _ = w.Reserve(ctx, l)
	}); n != 0 {
		t.Errorf("a reservation allocates %g times", n)
	}
}

func BenchmarkMemoryWindow(b *testing.B) {
	w := NewMemoryWindow(time.Now)
	l := Limit{Requests: 50, Per: time.Second, Guard: 10 * time.Millisecond}
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		_, _ = w.Reserve(ctx, l)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reservations/s")
}
