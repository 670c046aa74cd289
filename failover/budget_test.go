package failover

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// withdrawAll is how many repeats there are left.
func withdrawAll(b *Budget) (n int) {
	for b.Withdraw() {
		n++
	}
	return n
}

func TestBudget(t *testing.T) {
	tests := map[string]struct {
		calls, left int // calls after all was spent
	}{
		"none":            {0, 0},
		"not quite one":   {4, 0},
		"one":             {5, 1},
		"not quite two":   {9, 1},
		"as many as fit":  {50, 10},
		"more than fit":   {1000, 10},
		"one less of all": {49, 9},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var b Budget
			if n := withdrawAll(&b); n != 10 {
				t.Fatalf("%d repeats to begin with, want 10", n)
			}
			for range tt.calls {
				b.Deposit()
			}
			if n := withdrawAll(&b); n != tt.left {
				t.Errorf("%d repeats after %d calls, want %d", n, tt.calls, tt.left)
			}
		})
	}
}

func TestBudgetIsNotFullerThanFull(t *testing.T) {
	var b Budget
	for range 1000 {
		b.Deposit()
	}
	if n := withdrawAll(&b); n != 10 {
		t.Errorf("%d repeats are saved, want 10", n)
	}
}

// For any calls, and any number of retries that each asks for, attempts are
// never more than 1.2 times the calls plus 10, at any time.
func TestBudgetHoldsItsBound(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		var b Budget
		calls, attempts, left := 0, 0, 50 // in fifths
		eagerness := random.IntN(5)
		for step := range 5000 {
			calls++
			attempts++
			b.Deposit()
			left = min(50, left+1)
			for range random.IntN(1 + eagerness) {
				granted := b.Withdraw()
				if want := left >= 5; granted != want {
					t.Fatalf("seed %d, step %d: repeat granted: %t, want %t", seed, step, granted, want)
				}
				if granted {
					left -= 5
					attempts++
				}
			}
			if 5*attempts > 6*calls+50 {
				t.Fatalf("seed %d: %d attempts of %d calls", seed, attempts, calls)
			}
		}
		if eagerness == 4 && 5*attempts < 6*calls+40 {
			t.Errorf("seed %d: %d attempts of %d calls, although all wanted to repeat", seed, attempts, calls)
		}
	}
}

func TestBudgetHoldsItsBoundConcurrently(t *testing.T) {
	var (
		b        Budget
		work     sync.WaitGroup
		attempts atomic.Int64
	)
	const callers, calls = 8, 5000
	for range callers {
		work.Go(func() {
			for range calls {
				b.Deposit()
				attempts.Add(1)
				for b.Withdraw() {
					attempts.Add(1)
				}
			}
		})
	}
	work.Wait()
	// All that is deposited is withdrawn, but for less than a repeat.
	if got, most := attempts.Load(), int64(callers*calls*6/5+10); got > most || got < most-1 {
		t.Errorf("%d attempts of %d calls, want %d", got, callers*calls, most)
	}
}
