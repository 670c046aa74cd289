package limiter

import (
	"slices"
	"testing"
	"time"
)

// reference is the rule, spelled out over a list of all permits; times are
// numbers of any unit.
type reference struct {
	all    []int64 // in order
	closed int64
	left   int64 // share of the cap at closed, in whole millionths, as windows keep it
}

func newReference() *reference { return &reference{closed: never, left: 1_000_000} }

func (r *reference) share(now, span int64) int64 {
	if now <= r.closed {
		return r.left
	}
	return int64(min(1_000_000, float64(r.left)+float64(now-r.closed)/float64(span)*1_000_000/20))
}

// reserve tries every time at which something could change, in order.
func (r *reference) reserve(now int64, requests int, span int64) int64 {
	n := max(1, int(int64(requests)*r.share(now, span)/1_000_000))
	earliest := max(now, r.closed)
	if len(r.all) > 0 {
		earliest = max(earliest, r.all[len(r.all)-1])
	}
	times := []int64{earliest}
	for _, d := range r.all {
		times = append(times, max(earliest, d+span))
	}
	slices.Sort(times)
	for _, t := range times {
		inSpan := 0
		for _, d := range r.all {
			if d > t-span {
				inSpan++
			}
		}
		if inSpan < n {
			r.all = append(r.all, t)
			return t
		}
	}
	panic("not even after the last permit has left the span")
}

func (r *reference) giveBack(t int64) {
	if i := slices.Index(r.all, t); i >= 0 {
		r.all = slices.Delete(r.all, i, i+1)
	}
}

func (r *reference) throttle(now, d, span int64) {
	if now >= r.closed {
		r.left = r.share(now, span) / 2
	}
	r.closed = max(r.closed, now+d)
}

// overfull finds permits of which more than n are in one span.
func overfull(t *testing.T, permits []int64, n int, span int64) {
	t.Helper()
	permits = slices.Sorted(slices.Values(permits))
	for i := n; i < len(permits); i++ {
		if between := permits[i] - permits[i-n]; between < span {
			t.Fatalf("permits %d to %d, one more than %d, are within %d instead of %d",
				i-n, i, n, between, span)
		}
	}
}

// testClock is a clock to set; it has no monotonic part.
type testClock struct{ t time.Time }

func newTestClock() *testClock           { return &testClock{time.Unix(1_800_000_000, 0)} }
func (c *testClock) now() time.Time      { return c.t }
func (c *testClock) add(d time.Duration) { c.t = c.t.Add(d) }
