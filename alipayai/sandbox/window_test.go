package sandbox

import (
	"math/rand/v2"
	"testing"
	"time"
)

// naive recounts everything for each arrival.
type naive struct {
	limit    int
	admitted []time.Time
	all      []time.Time
}

func within(times []time.Time, at time.Time) (n int) {
	for _, t := range times {
		if at.Sub(t) < time.Second {
			n++
		}
	}
	return n
}

func (n *naive) arrive(at time.Time) bool {
	n.all = append(n.all, at)
	if within(n.admitted, at) >= n.limit {
		return false
	}
	n.admitted = append(n.admitted, at)
	return true
}

func (n *naive) most() (most int) {
	for i, at := range n.all {
		most = max(most, within(n.all[:i+1], at))
	}
	return most
}

func TestWindowAgreesWithNaiveCount(t *testing.T) {
	for seed := range uint64(24) {
		random := rand.New(rand.NewPCG(seed, 1))
		limit := 1 + random.IntN(60)
		tr := traffic{cap: newWindow(limit)}
		ref := naive{limit: limit}
		at := newClock().now()
		for i := range 400 {
			switch random.IntN(4) {
			case 0: // a burst within one instant
			case 1:
				at = at.Add(time.Duration(random.IntN(40)) * time.Millisecond)
			case 2:
				at = at.Add(time.Duration(random.IntN(1000)))
			case 3: // edges: exactly one window later, or one nanosecond short of it
				if random.IntN(20) == 0 {
					at = at.Add(time.Second - time.Duration(random.IntN(2)))
				}
			}
			got, wait := tr.arrive(func() time.Time { return at })
			if want := ref.arrive(at); got != want {
				t.Fatalf("seed %d, limit %d, arrival %d: admitted %v, want %v", seed, limit, i, got, want)
			}
			if got {
				continue
			}
			if wait <= 0 || within(ref.admitted, at.Add(wait)) >= limit || within(ref.admitted, at.Add(wait-1)) < limit {
				t.Fatalf("seed %d, arrival %d: %v is not the wait until a place is free", seed, i, wait)
			}
		}
		if got, want := tr.most(), ref.most(); got != want {
			t.Fatalf("seed %d: peak %d, want %d", seed, got, want)
		}
	}
}

func TestWindowEdge(t *testing.T) {
	start := newClock().now()
	w := newWindow(50)
	for i := range 50 {
		if ok, _ := w.admit(start.Add(time.Duration(i) * time.Millisecond)); !ok {
			t.Fatalf("arrival %d refused", i+1)
		}
	}
	if ok, wait := w.admit(start.Add(time.Second - 1)); ok || wait != 1 {
		t.Errorf("51st within the second: admitted %v, wait %v", ok, wait)
	}
	if ok, _ := w.admit(start.Add(time.Second)); !ok {
		t.Error("51st after exactly one second was refused")
	}
	if ok, _ := w.admit(start.Add(time.Second)); ok {
		t.Error("52nd was admitted although the second arrival is 999 ms old")
	}
}

func TestWindowClockStepsBack(t *testing.T) {
	at := newClock().now()
	tr := traffic{cap: newWindow(1)}
	tr.arrive(func() time.Time { return at })
	if ok, wait := tr.arrive(func() time.Time { return at.Add(-time.Hour) }); ok || wait != time.Second {
		t.Errorf("admitted %v, wait %v after the clock stepped back", ok, wait)
	}
}

func TestNoCap(t *testing.T) {
	w := newWindow(-1)
	for range 1000 {
		if ok, _ := w.admit(time.Time{}); !ok {
			t.Fatal("refused without a cap")
		}
	}
}

func TestBoundedForgetsTheOldest(t *testing.T) {
	b := newBounded[int, string](3)
	for i := range 5 {
		b.put(i, "x")
	}
	b.put(3, "y") // known: nothing is forgotten
	for k, want := range []bool{false, false, true, true, true} {
		if _, ok := b.get(k); ok != want {
			t.Errorf("key %d kept: %v, want %v", k, ok, want)
		}
	}
	if v, _ := b.get(3); v != "y" || b.dropped != 2 || len(b.values) != 3 {
		t.Errorf("value %q, dropped %d, kept %d", v, b.dropped, len(b.values))
	}
}
