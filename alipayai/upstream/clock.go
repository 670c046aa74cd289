package upstream

import (
	"net/http"
	"sync/atomic"
	"time"
)

// Bounds of what a Date header can teach. Its resolution is a second and the
// answer took time to travel, so smaller differences mean nothing; larger
// ones than a day are a broken server, not a clock.
const (
	MinSkew = 2 * time.Second
	maxSkew = 24 * time.Hour
	// An answer that took longer may have its date from either end of it.
	maxTravel = 4 * time.Second
)

// Clock is the time at one upstream host: the local time, corrected by what
// the host's Date headers show. It is safe for concurrent use; the zero
// Clock has no correction.
type Clock struct {
	skew atomic.Int64 // nanoseconds, upstream minus local
	date atomic.Pointer[string]
}

// At gives the upstream's time at the local time t.
func (c *Clock) At(t time.Time) time.Time {
	return t.Add(time.Duration(c.skew.Load()))
}

// Skew gives how far the upstream's clock is ahead of the local one.
func (c *Clock) Skew() time.Duration {
	return time.Duration(c.skew.Load())
}

// Learn reads the Date of an answer to a request sent at sent and answered at
// received (both local), and reports whether that changed the correction by
// more than the header's own uncertainty. Answers out of a cache (with Age)
// and unreadable dates teach nothing. RFC 9110, section 6.6.1.
func (c *Clock) Learn(h http.Header, sent, received time.Time) bool {
	values := h["Date"]
	if len(values) != 1 || len(h["Age"]) > 0 || received.Sub(sent) > maxTravel {
		return false
	}
	// The second has not changed since the last answer: nothing new in it.
	if last := c.date.Load(); last != nil && *last == values[0] {
		return false
	}
	last := values[0] // not a pointer into the header, which is its exchange's
	c.date.Store(&last)
	date, err := http.ParseTime(values[0])
	if err != nil {
		return false
	}
	local := sent.Add(received.Sub(sent) / 2)
	skew := date.Add(500 * time.Millisecond).Sub(local)
	if skew.Abs() > maxSkew {
		return false
	}
	if skew.Abs() <= MinSkew {
		skew = 0
	}
	old := time.Duration(c.skew.Swap(int64(skew)))
	return (skew - old).Abs() > MinSkew
}
