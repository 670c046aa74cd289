package canary

import (
	"math"
	"slices"
)

// Tally is of one arm: how many calls a guard could judge, and how many of them were bad.
type Tally struct {
	Trials int64 `json:"n"`
	Bad    int64 `json:"bad"`
}

func (t *Tally) add(o Tally) { t.Trials, t.Bad = t.Trials+o.Trials, t.Bad+o.Bad }

// rate is the proportion of bad ones, kept away from 0 and 1 by half a call of each kind.
func (t Tally) rate() float64 { return (float64(t.Bad) + 0.5) / (float64(t.Trials) + 1) }

// table is what one look has of both arms.
type table struct{ stable, candidate Tally }

// odds are the alternatives of the test for a worse candidate: how many times the stable
// arm's odds of a bad call its own may be.
var odds = [...]float64{2, 4, 10, 30}

// Evidence is what is known of one guard, in logarithms of e-processes.
type Evidence struct {
	// Looks are those that the candidate had calls in.
	Looks int64 `json:"looks"`
	// Worse is, for each of odds, the weight that looks until now have given to a candidate
	// that became so much worse at one of them.
	Worse [len(odds)]float64 `json:"worse"`
	// Well is of the test that the candidate is not worse by the margin, in this step.
	Well float64 `json:"well"`
	// Passed says that this test has come to its end in this step.
	Passed bool `json:"passed"`
	// Stable and Candidate are all calls that were judged; the step's are Step.
	Stable    Tally `json:"stable"`
	Candidate Tally `json:"candidate"`
	Step      Tally `json:"step"`
	// BadCalls are the last of the candidate's bad calls.
	BadCalls []string `json:"bad_calls,omitempty"`
}

// maxCalls bounds the bad calls that are named, of each guard.
const maxCalls = 10

// lastCalls gives the last of calls and more, in a list of its own.
func lastCalls(calls []string, more ...string) []string {
	all := slices.Concat(calls, more)
	return all[max(0, len(all)-maxCalls):]
}

// add takes one look into account.
func (e *Evidence) add(t table, margin float64) {
	if t.candidate.Trials > 0 {
		e.Looks++
		for i, ratio := range odds {
			before := e.begins()
			if e.Looks > 1 {
				before = logAdd(e.Worse[i], before)
			}
			e.Worse[i] = before + t.logWorse(ratio)
		}
		if e.Stable.Trials >= MinSample { // or there is nothing to go by
			e.Well += t.logWell(e.Stable.rate(), margin)
		}
	}
	e.Stable.add(t.stable)
	e.Candidate.add(t.candidate)
	e.Step.add(t.candidate)
	e.Passed = e.Passed || e.Step.Trials >= MinSample && e.Well >= -math.Log(falsePass)
}

// begins is the logarithm of the prior weight of this look as the one from which on the
// candidate is worse.
func (e *Evidence) begins() float64 {
	t := float64(e.Looks)
	w := 0.5 / (t * (t + 1))
	if e.Looks == 1 {
		w += 0.5
	}
	return math.Log(w)
}

// logWorseAll is the logarithm of the e-process against a candidate that is not worse. What
// no look has taken yet of the prior weight, 1/2(t+1), is as it was.
func (e *Evidence) logWorseAll() float64 {
	if e.Looks == 0 {
		return 0 // all of the weight
	}
	sum := math.Inf(-1)
	for _, w := range e.Worse {
		sum = logAdd(sum, w-math.Log(float64(len(odds))))
	}
	return logAdd(sum, math.Log(0.5/float64(e.Looks+1)))
}

// threshold is the evidence by which one of so many guards fails.
func threshold(of int) float64 { return float64(of) / falseAlarm }

// failed reports whether the candidate is worse, by one of so many guards.
func (e *Evidence) failed(of int) bool {
	return e.Candidate.Trials >= MinSample && e.logWorseAll() >= math.Log(threshold(of))
}

// logWorse is the logarithm of the likelihood of odds ratio times the stable arm's over that of
// equal odds, given how many calls of both arms were bad: Fisher's noncentral hypergeometric
// distribution over the central one.
func (t table) logWorse(ratio float64) float64 {
	bad := t.stable.Bad + t.candidate.Bad
	least := max(0, bad-t.stable.Trials)
	if bad == 0 || least == min(t.candidate.Trials, bad) {
		return 0 // it could not have come otherwise
	}
	return float64(t.candidate.Bad-least)*math.Log(ratio) + t.logSum(1, bad, least) - t.logSum(ratio, bad, least)
}

// logSum is the logarithm of the sum over k of C(n,k)·C(m,bad-k)·ratio^(k-least), of which the
// first is set to 1, for n calls of the candidate and m of the stable arm.
func (t table) logSum(ratio float64, bad, least int64) float64 {
	const big = 1e200
	term, sum, scale := 1.0, 1.0, 0.0
	for k := least; k < min(t.candidate.Trials, bad); k++ {
		term *= ratio * float64(t.candidate.Trials-k) * float64(bad-k) / (float64(k+1) * float64(t.stable.Trials-bad+k+1))
		if sum += term; sum > big {
			term, sum, scale = term/big, sum/big, scale+math.Log(big)
		}
	}
	return math.Log(sum) + scale
}

// logWell is the logarithm of the likelihood of p at both arms over that of the nearest two
// proportions of which the candidate's is higher by margin.
func (t table) logWell(p, margin float64) float64 {
	p = min(max(p, 1e-6), 1-margin-1e-6)
	n, m := float64(t.candidate.Trials), float64(t.stable.Trials)
	// Nearest is what makes n·KL(p, x+margin) + m·KL(p, x) least: where its derivative,
	// which grows with x, is 0.
	low, high := max(p-margin, 0), p
	for range 40 {
		x := (low + high) / 2
		if n*(x+margin-p)/((x+margin)*(1-x-margin))+m*(x-p)/(x*(1-x)) < 0 {
			low = x
		} else {
			high = x
		}
	}
	x := (low + high) / 2
	return t.candidate.logLikelihood(p) - t.candidate.logLikelihood(x+margin) + t.stable.logLikelihood(p) - t.stable.logLikelihood(x)
}

func (t Tally) logLikelihood(p float64) float64 {
	return float64(t.Bad)*math.Log(p) + float64(t.Trials-t.Bad)*math.Log1p(-p)
}

// logAdd is log(exp(a)+exp(b)).
func logAdd(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	if math.IsInf(b, -1) {
		return a
	}
	return a + math.Log1p(math.Exp(b-a))
}
