package canary

import (
	"math"
	"time"
)

// Latencies are counted by powers of the fourth root of 2 from a millisecond on, to 75
// seconds: a quantile is known to within a fifth.
const (
	latencyBuckets = 66
	perOctave      = 4
)

// histogram counts latencies of the stable arm.
type histogram [latencyBuckets]int64

// bucketOf is where d is counted.
func bucketOf(d time.Duration) int {
	return min(max(int(perOctave*math.Log2(float64(d)/float64(time.Millisecond))), 0), latencyBuckets-1)
}

func (h *histogram) add(o *histogram) {
	for i, n := range o {
		h[i] += n
	}
}

// minLatencies is how many latencies of the stable arm there must be before any are compared.
const minLatencies = 200

// p95 is what 95 of 100 latencies do not exceed, interpolated; 0 where there are too few.
func (h *histogram) p95() time.Duration {
	var all int64
	for _, n := range h {
		all += n
	}
	if all < minLatencies {
		return 0
	}
	left := 0.95 * float64(all)
	for i, n := range h {
		if n > 0 && left <= float64(n) {
			at := (float64(i) + left/float64(n)) / perOctave
			return time.Duration(math.Exp2(at) * float64(time.Millisecond))
		}
		left -= float64(n)
	}
	return 0
}

// fade halves the counts as soon as there are many, so that the quantile follows the day.
func (h *histogram) fade() {
	const many = 20_000
	var all int64
	for _, n := range h {
		all += n
	}
	if all < many {
		return
	}
	for i := range h {
		h[i] /= 2
	}
}
