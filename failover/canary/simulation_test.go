package canary

import (
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	simulatedRate  = 50  // calls a second
	simulatedTools = 0.3 // of them have tool calls
	simulatedShare = 0.01
	lookEvery      = 5 * time.Second
)

// simulatedBad are the proportions of bad calls of a provider that is well.
var simulatedBad = [guards]float64{Errors: 0.005, ToolCalls: 0.01, Blocked: 0.005, LatencyP95: 0.05}

var twoHours = Plan{
	Steps:  []Step{{Share: simulatedShare, For: 2 * time.Hour}},
	Guards: []Guard{Errors, ToolCalls, Blocked, LatencyP95},
}

// binomial draws how many of n calls are, each with probability p, by the gaps between them.
func binomial(r *rand.Rand, n int64, p float64) (k int64) {
	if p <= 0 {
		return 0
	}
	for i := int64(math.Log(1-r.Float64()) / math.Log1p(-p)); i < n; i += 1 + int64(math.Log(1-r.Float64())/math.Log1p(-p)) {
		k++
	}
	return k
}

// simulate runs a canary of that plan until it ends or the time is over. bad gives the
// candidate's proportions at a time. It also gives how many tool calls the candidate has
// broken, and when it ended.
func simulate(seed uint64, p Plan, most time.Duration, stable func(at time.Duration) [guards]float64, candidate func(at time.Duration) [guards]float64) (s *State, broken int64, ended time.Duration) {
	r := rand.New(rand.NewPCG(seed, 13))
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s = newState(start)
	calls := int64(simulatedRate * lookEvery / time.Second)
	for at := lookEvery; at <= most; at += lookEvery {
		c := new(Counts)
		share := s.Share(p)
		arms := [2]int64{1: binomial(r, calls, share)}
		arms[0] = calls - arms[1]
		rates := [2][guards]float64{stable(at), candidate(at)}
		for arm, n := range arms {
			for g := range Guard(guards) {
				t := &c.Tallies[g][arm]
				if t.Trials = n; g == ToolCalls && arm == 1 {
					t.Trials = binomial(r, n, simulatedTools)
				} else if g == ToolCalls {
					t.Trials = int64(float64(n) * simulatedTools)
				}
				t.Bad = binomial(r, t.Trials, rates[arm][g])
			}
		}
		broken += c.Tallies[ToolCalls][1].Bad
		if s.Look(p, c, start.Add(at)); s.Phase != Running {
			return s, broken, at
		}
	}
	return s, broken, most
}

func always(p [guards]float64) func(time.Duration) [guards]float64 {
	return func(time.Duration) [guards]float64 { return p }
}

// simulateAll runs so many canaries.
func simulateAll(runs int, one func(seed uint64)) {
	var next atomic.Int64
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for i := next.Add(1); i <= int64(runs); i = next.Add(1) {
				one(uint64(i))
			}
		})
	}
	wait.Wait()
}

// Of 1,000 canaries with equal arms, looked at every five seconds over two hours by all
// guards, at most 10 are rolled back and at least 900 pass.
func TestEqualArms(t *testing.T) {
	var phases sync.Map
	count := func(key string) *atomic.Int64 {
		v, _ := phases.LoadOrStore(key, new(atomic.Int64))
		return v.(*atomic.Int64)
	}
	simulateAll(1000, func(seed uint64) {
		s, _, _ := simulate(seed, twoHours, 2*time.Hour, always(simulatedBad), always(simulatedBad))
		count(string(s.Phase)).Add(1)
		if s.Phase != Promoted {
			for _, g := range s.open(twoHours) {
				count("open " + g.String()).Add(1)
			}
			count("reason " + s.Reason).Add(1)
		}
	})
	if n := count(string(RolledBack)).Load(); n > 10 {
		t.Errorf("%d of 1000 were rolled back, want at most 10", n)
	}
	if n := count(string(Promoted)).Load(); n < 900 {
		t.Errorf("%d of 1000 have passed, want at least 900", n)
	}
	phases.Range(func(key, n any) bool { t.Logf("%s: %d", key, n.(*atomic.Int64).Load()); return true })
}

// A candidate that breaks one tool call in five is rolled back within ten minutes.
func TestBrokenToolCalls(t *testing.T) {
	const runs = 1000
	bad := simulatedBad
	bad[ToolCalls] = 0.2
	var late, many, other atomic.Int64
	var total, longest atomic.Int64
	simulateAll(runs, func(seed uint64) {
		s, broken, ended := simulate(seed, twoHours, 10*time.Minute, always(simulatedBad), always(bad))
		switch {
		case s.Phase != RolledBack:
			late.Add(1)
		case s.Reason != ToolCalls.String():
			other.Add(1)
		}
		if broken > 25 {
			many.Add(1)
		}
		total.Add(broken)
		longest.Store(max(longest.Load(), int64(ended)))
	})
	if late.Load()+other.Load() > runs/100 || many.Load() > 0 {
		t.Errorf("%d of %d were not rolled back in time, %d for another reason; %d served more than 25 broken calls", late.Load(), runs, other.Load(), many.Load())
	}
	t.Logf("broken calls served: %.1f on average; the longest took %v", float64(total.Load())/runs, time.Duration(longest.Load()))
}
