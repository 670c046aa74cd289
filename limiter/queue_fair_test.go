package limiter

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// naive is fair without its data structures: every question is answered by
// looking at every call.
type naive struct {
	clock  float64
	starts map[string]float64
	calls  []*waiter // in order of arrival
}

func (n *naive) clone() *naive {
	return &naive{clock: n.clock, starts: maps.Clone(n.starts), calls: slices.Clone(n.calls)}
}

func (n *naive) waits(tenant string) bool {
	return slices.ContainsFunc(n.calls, func(w *waiter) bool { return w.Tenant == tenant })
}

func (n *naive) push(w *waiter) {
	if !n.waits(w.Tenant) {
		n.starts[w.Tenant] = max(n.starts[w.Tenant], n.clock)
	}
	n.calls = append(n.calls, w)
}

func (n *naive) restore(w *waiter) {
	if !n.waits(w.Tenant) {
		n.starts[w.Tenant] = max(n.starts[w.Tenant], n.clock)
	}
	n.starts[w.Tenant] -= w.share()
	n.calls = slices.Insert(n.calls, 0, w)
}

func (n *naive) head() *waiter {
	var head *waiter
	seen := make(map[string]bool)
	for _, w := range n.calls {
		if seen[w.Tenant] {
			continue
		}
		seen[w.Tenant] = true
		if head == nil || n.starts[w.Tenant] < n.starts[head.Tenant] ||
			n.starts[w.Tenant] == n.starts[head.Tenant] && w.seq < head.seq {
			head = w
		}
	}
	return head
}

func (n *naive) pop() *waiter {
	w := n.head()
	n.clock = max(n.clock, n.starts[w.Tenant])
	n.starts[w.Tenant] += w.share()
	n.remove(w)
	return w
}

func (n *naive) remove(w *waiter) {
	n.calls = slices.DeleteFunc(n.calls, func(o *waiter) bool { return o == w })
	if len(n.calls) == 0 {
		*n = naive{starts: make(map[string]float64)}
	}
}

// ahead serves a copy until it is the turn of a call that would come now.
func (n *naive) ahead(r Request, seq uint64) int {
	c := n.clone()
	w := &waiter{Request: r, seq: seq}
	c.push(w)
	for i := 0; ; i++ {
		if c.pop() == w {
			return i
		}
	}
}

func TestFairDecidesLikeANaiveReference(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var f fair
		ref := &naive{starts: make(map[string]float64)}
		var last *waiter // the one popped last, while it can be restored
		seq := uint64(0)
		for step := range 3000 {
			switch n := len(ref.calls); {
			case n == 0 || n < 60 && rng.IntN(100) < 52:
				tenant := rng.IntN(8)
				// Powers of two make virtual time exact, so that ties are.
				r := Request{Tenant: fmt.Sprint(tenant), Weight: 1 << (tenant % 4)}
				if got, want := f.ahead(r.Tenant), ref.ahead(r, seq); got != want {
					t.Fatalf("seed %d, step %d: %d are ahead, want %d", seed, step, got, want)
				}
				w := &waiter{Request: r, seq: seq}
				seq++
				f.push(w)
				ref.push(w)
			case rng.IntN(100) < 30:
				w := ref.calls[rng.IntN(n)]
				f.remove(w)
				ref.remove(w)
			case last != nil && rng.IntN(100) < 10:
				f.restore(last)
				ref.restore(last)
				last = nil
			default:
				got, want := f.pop(), ref.pop()
				if got != want {
					t.Fatalf("seed %d, step %d: call %d of %s goes, want %d of %s",
						seed, step, got.seq, got.Tenant, want.seq, want.Tenant)
				}
				last = got
			}
			if f.count > 0 && f.head() != ref.head() {
				t.Fatalf("seed %d, step %d: call %d is next, want %d", seed, step, f.head().seq, ref.head().seq)
			}
			if f.count != len(ref.calls) {
				t.Fatalf("seed %d, step %d: %d wait, want %d", seed, step, f.count, len(ref.calls))
			}
		}
	}
}

// A tenant that sends one at a time gains nothing by its queue being empty in
// between.
func TestFairRemembersWhoWasJustServed(t *testing.T) {
	var f fair
	seq := uint64(0)
	push := func(tenant string) {
		seq++
		f.push(&waiter{Request: Request{Tenant: tenant, Weight: 1}, seq: seq})
	}
	for range 100 {
		push("backlog")
	}
	served := make(map[string]int)
	for range 50 {
		if f.lines["single"] == nil || f.lines["single"].count == 0 {
			push("single")
		}
		served[f.pop().Tenant]++
	}
	if d := served["single"] - served["backlog"]; d < -1 || d > 1 {
		t.Errorf("of 50 permits %v, want half each", served)
	}
}

func TestFairForgetsTenantsThatOweNothing(t *testing.T) {
	var f fair
	for i := range 10 {
		f.push(&waiter{Request: Request{Tenant: "backlog", Weight: 1}, seq: uint64(i)})
	}
	for i := range 1000 {
		w := &waiter{Request: Request{Tenant: fmt.Sprint(i), Weight: 1}, seq: uint64(100 + i)}
		f.push(w)
		if i%2 == 0 {
			f.remove(w)
		}
	}
	for f.count > 1 {
		f.pop()
	}
	if len(f.lines) > 2 || len(f.busy)+len(f.idle) != len(f.lines) {
		t.Errorf("%d lines are kept, want those of who waits and who was just served", len(f.lines))
	}
	f.pop()
	if f.lines != nil || f.idle != nil {
		t.Errorf("%d lines are kept when no call waits", len(f.lines))
	}
}
