package failover

import (
	"math/rand/v2"
	"time"
)

// The defaults of a Backoff.
const (
	DefaultBase = 100 * time.Millisecond
	DefaultMax  = 2 * time.Second
)

// Backoff is exponential with full jitter: callers that failed together do not
// come back together. The zero value is ready.
type Backoff struct {
	// Base is the longest wait before the first retry; DefaultBase if it is zero.
	Base time.Duration
	// Max is the longest wait before any retry; DefaultMax if it is zero.
	Max time.Duration
	// Int64N draws evenly from [0, n); math/rand/v2's if it is nil.
	Int64N func(n int64) int64
}

// Delay is how long to wait before a retry: a random time between zero and Base,
// doubled for each retry before, but at most Max. The first retry has number 0.
func (b Backoff) Delay(retry int) time.Duration {
	if b.Base <= 0 {
		b.Base = DefaultBase
	}
	if b.Max <= 0 {
		b.Max = DefaultMax
	}
	if b.Int64N == nil {
		b.Int64N = rand.Int64N
	}
	longest := min(b.Base, b.Max)
	for ; retry > 0 && longest < b.Max; retry-- {
		// What is left to Max bounds the doubling, which cannot overflow then.
		longest += min(longest, b.Max-longest)
	}
	return time.Duration(b.Int64N(int64(longest) + 1))
}
