package limiter

import (
	"math"
	"time"
)

// maxDebt is how many times its size a bucket may owe. With the fill that the
// next call may need, the longest wait is ten times what the bucket takes to fill.
const maxDebt = 9

// bucket is a token bucket whose level may be negative (debt). Charging takes
// constant time for any number, because the numbers come from upstreams.
type bucket struct {
	perSecond, size float64
	level           float64 // at the time at; below zero it owes
	at              time.Time
}

// newBucket returns a full bucket; nil where there is no limit.
func newBucket(now time.Time, perSecond float64, size int) *bucket {
	if !(perSecond > 0) {
		return nil
	}
	return &bucket{perSecond: perSecond, size: float64(size), level: float64(size), at: now}
}

// levelAt is what the bucket holds at a time. Time that runs backwards counts as
// none.
func (b *bucket) levelAt(now time.Time) float64 {
	return min(b.size, b.level+max(0, now.Sub(b.at).Seconds())*b.perSecond)
}

func (b *bucket) fill(now time.Time) {
	b.level = b.levelAt(now)
	if now.After(b.at) {
		b.at = now
	}
}

func (b *bucket) bound() { b.level = max(min(b.level, b.size), -maxDebt*b.size) }

// shortage is how long it takes until b holds n, or all that it can.
func shortage(b *bucket, now time.Time, n int) time.Duration {
	if b == nil {
		return 0
	}
	const rounding = 1e-6
	missing := min(float64(n), b.size) - b.levelAt(now)
	if missing <= rounding {
		return 0
	}
	return seconds(math.Ceil(missing/b.perSecond*1e9) / 1e9)
}

// charge takes n out of b. What b does not hold is debt, up to maxDebt.
func charge(b *bucket, now time.Time, n int) {
	if b == nil || n <= 0 {
		return
	}
	b.fill(now)
	b.level -= float64(n)
	b.bound()
}

func full(b *bucket, now time.Time) bool { return b == nil || b.levelAt(now) >= b.size }
