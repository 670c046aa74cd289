package limiter

import (
	"math"
	"time"
)

// clock makes nanoseconds that never run backwards out of the readings of a clock
// that may. Where the readings carry a monotonic part, as those of time.Now do,
// nothing is left to correct. It is guarded by the lock of its owner, which has
// to take the readings under that lock too, lest they arrive out of order.
type clock struct {
	base   time.Time // the first reading
	offset int64     // by how much the readings have jumped back so far
	last   int64
}

// read turns a new reading into clock time: a jump backwards counts as no time
// at all.
func (c *clock) read(t time.Time) int64 {
	n := int64(t.Sub(c.base)) + c.offset
	if n < c.last {
		c.offset += c.last - n
		n = c.last
	}
	c.last = n
	return n
}

// at turns a time near the last reading into clock time.
func (c *clock) at(t time.Time) int64 { return int64(t.Sub(c.base)) + c.offset }

// time turns clock time into a time as the readings show it now.
func (c *clock) time(n int64) time.Time { return c.base.Add(time.Duration(n - c.offset)) }

// seconds is so many as a duration, the longest there is where they do not fit.
func seconds(n float64) time.Duration {
	if n >= math.MaxInt64/float64(time.Second) {
		return math.MaxInt64
	}
	return time.Duration(n * float64(time.Second))
}
