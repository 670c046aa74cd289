package canary

import (
	"math"
	"testing"
	"time"
)

// logChoose is the logarithm of C(n, k).
func logChoose(n, k int64) float64 {
	lg := func(x int64) float64 { v, _ := math.Lgamma(float64(x) + 1); return v }
	return lg(n) - lg(k) - lg(n-k)
}

// logBinomial is the logarithm of the probability of k of n, each with probability p.
func logBinomial(n, k int64, p float64) float64 {
	return logChoose(n, k) + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p)
}

// The factor of a look is expected to be 1 where the arms are equal, and at most 1 where the
// candidate is better: summed over all that can come, for a given number of bad calls.
func TestWorseIsAnEVariable(t *testing.T) {
	for _, size := range []struct{ stable, candidate, bad int64 }{
		{99, 1, 3}, {50, 50, 20}, {5, 40, 30}, {1000, 10, 12}, {0, 5, 2}, {5, 0, 2}, {3, 3, 6}, {4000, 2000, 900},
	} {
		for _, ratio := range odds {
			for _, true := range []float64{1, 0.5} { // the candidate's odds
				expected, total := 0.0, math.Inf(-1)
				lo, hi := max(0, size.bad-size.stable), min(size.candidate, size.bad)
				for k := lo; k <= hi; k++ {
					total = logAdd(total, logChoose(size.candidate, k)+logChoose(size.stable, size.bad-k)+float64(k)*math.Log(true))
				}
				for k := lo; k <= hi; k++ {
					p := logChoose(size.candidate, k) + logChoose(size.stable, size.bad-k) + float64(k)*math.Log(true) - total
					expected += math.Exp(p + table{Tally{size.stable, size.bad - k}, Tally{size.candidate, k}}.logWorse(ratio))
				}
				if true == 1 && math.Abs(expected-1) > 1e-6 || expected > 1+1e-6 {
					t.Errorf("%+v, ratio %v, the candidate's odds %v: %v is expected", size, ratio, true, expected)
				}
			}
		}
	}
}

// The factor of the other test is expected to be at most 1 for every candidate that is worse
// by the margin or more.
func TestWellIsAnEVariable(t *testing.T) {
	const margin = 0.02
	for _, size := range []struct{ stable, candidate int64 }{{60, 3}, {20, 20}, {5, 40}, {0, 10}} {
		for _, p := range []float64{0, 0.001, 0.01, 0.2, 0.9, 1} {
			for _, stable := range []float64{0.0001, 0.001, 0.01, 0.05, 0.3, 0.9} {
				for _, more := range []float64{margin, 0.05, 0.09} {
					expected := 0.0
					for a := range size.stable + 1 {
						for b := range size.candidate + 1 {
							look := table{Tally{size.stable, a}, Tally{size.candidate, b}}
							expected += math.Exp(logBinomial(size.stable, a, stable) + logBinomial(size.candidate, b, stable+more) + look.logWell(p, margin))
						}
					}
					if expected > 1+1e-6 {
						t.Errorf("%+v, taken for %v, in truth %v and %v more: %v is expected", size, p, stable, more, expected)
					}
				}
			}
		}
	}
}

// A candidate that becomes worse after an hour and a half of being well is rolled back soon.
func TestBreaksLate(t *testing.T) {
	const runs = 50
	bad := simulatedBad
	bad[ToolCalls] = 0.2
	late := 90 * time.Minute
	slow := make([]time.Duration, runs+1)
	simulateAll(runs, func(seed uint64) {
		s, _, ended := simulate(seed, twoHours, 2*time.Hour, always(simulatedBad), func(at time.Duration) [guards]float64 {
			if at < late {
				return simulatedBad
			}
			return bad
		})
		if slow[seed] = ended - late; s.Phase != RolledBack || s.Reason != ToolCalls.String() {
			slow[seed] = time.Hour
		}
	})
	over := 0
	for _, took := range slow[1:] {
		if took > 15*time.Minute {
			over++
		}
	}
	if over > 1 {
		t.Errorf("%d of %d took longer than 15 minutes", over, runs)
	}
}

// An outage of both arms rolls nothing back, and what breaks afterwards is still found.
func TestOutageOfBoth(t *testing.T) {
	const runs = 50
	outage := simulatedBad
	outage[Errors] = 0.7
	during := func(p [guards]float64) func(time.Duration) [guards]float64 {
		return func(at time.Duration) [guards]float64 {
			if at > 30*time.Minute && at < 35*time.Minute {
				return outage
			}
			return p
		}
	}
	bad := simulatedBad
	bad[Errors] = 0.1
	after := func(at time.Duration) [guards]float64 {
		if at > 40*time.Minute {
			return bad
		}
		return during(simulatedBad)(at)
	}
	results := make([][2]Phase, runs+1)
	simulateAll(runs, func(seed uint64) {
		equal, _, _ := simulate(seed, twoHours, time.Hour, during(simulatedBad), during(simulatedBad))
		worse, _, _ := simulate(seed, twoHours, 70*time.Minute, during(simulatedBad), after)
		results[seed] = [2]Phase{equal.Phase, worse.Phase}
	})
	rolled, missed := 0, 0
	for _, r := range results[1:] {
		if r[0] == RolledBack {
			rolled++
		}
		if r[1] != RolledBack {
			missed++
		}
	}
	if rolled > 2 || missed > 1 {
		t.Errorf("of %d, %d were rolled back for an outage of both, and %d were not that had ten times the errors afterwards", runs, rolled, missed)
	}
}
