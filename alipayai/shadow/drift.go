package shadow

import "math"

// MinSample is how many pairs have to be compared before any alert says that too many differ.
const MinSample = 30

// How much evidence changes an alert: it is raised without a reason once in raiseAfter batches
// of pairs at most, and resolved without one once in resolveAfter.
const (
	raiseAfter   = 1e6
	resolveAfter = 1e3
)

// above and below are the alternatives, in times the part of the pairs that may differ.
var (
	above = [...]float64{1.5, 2, 4, 10}
	below = [...]float64{0.5, 0.25}
)

// Drift says whether more of the pairs differ in one aspect than may.
//
// A pair differs with probability p, which is tested against p0, for alternatives p1: the factor
// of a pair is p1/p0 or (1-p1)/(1-p0), whose expectation is at most 1 as long as p is on p0's
// side. Evidence that is against the alternative is forgotten, so that a change is seen whenever
// it comes: the product is an e-detector, whose run length to a false alarm is at least the
// threshold on average, however often and for however long it is looked at. (Shin, Ramdas and
// Rinaldo: E-detectors: a nonparametric framework for sequential change detection, New England
// Journal of Statistics in Data Science 2(2), 2024.)
type Drift struct {
	// Trials are the pairs that were compared, and Differ those of them that differ.
	Trials int64 `json:"n"`
	Differ int64 `json:"differ"`
	// More and Fewer are the logarithms of the evidence for each of above and of below.
	More  [len(above)]float64 `json:"more"`
	Fewer [len(below)]float64 `json:"fewer"`
	// Firing says that more differ than may.
	Firing bool `json:"firing"`
}

// add takes a batch of pairs into account, of which the part p0 may differ.
func (d *Drift) add(trials, differ int64, p0 float64) {
	d.Trials, d.Differ = d.Trials+trials, d.Differ+differ
	step := func(e *float64, times float64) {
		p1 := min(p0*times, (1+p0)/2)
		*e = max(*e, 0) + float64(differ)*math.Log(p1/p0) + float64(trials-differ)*math.Log((1-p1)/(1-p0))
	}
	for i, times := range above {
		step(&d.More[i], times)
	}
	for i, times := range below {
		step(&d.Fewer[i], times)
	}
	switch {
	case !d.Firing && d.Trials >= MinSample && logMean(d.More[:]) >= math.Log(raiseAfter):
		d.Firing, d.Fewer = true, [len(below)]float64{}
	case d.Firing && logMean(d.Fewer[:]) >= math.Log(resolveAfter):
		d.Firing, d.More = false, [len(above)]float64{}
	}
}

// logMean is the logarithm of the mean of what these are the logarithms of.
func logMean(logs []float64) float64 {
	largest, sum := math.Inf(-1), 0.0
	for _, l := range logs {
		largest = max(largest, l)
	}
	for _, l := range logs {
		sum += math.Exp(l - largest)
	}
	return largest + math.Log(sum/float64(len(logs)))
}
