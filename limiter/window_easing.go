package limiter

import "time"

const (
	// regrowth is in how many windows the rate grows from nothing to the cap;
	// from the half that a throttle leaves it takes half as many.
	regrowth = 20
	// ppm are the units that shares of the cap are kept in: whole numbers, so
	// that Redis and memory come to the same results.
	ppm = 1_000_000
)

// easing is what throttling leaves of the cap. After a throttle the window is
// closed; then it opens at half of the rate before, and each window adds one
// regrowth-th of the cap until the cap is reached. Throttles that arrive while
// the window is closed are answers to the same fault: they may hold it closed
// for longer but do not halve again.
type easing struct {
	closed int64 // until when nothing departs
	left   int64 // share of the cap at that time, in ppm
}

func newEasing() easing { return easing{closed: never, left: ppm} }

// share is the share of the cap at a time, in ppm; while the window is closed
// that with which it opens.
func (p easing) share(now int64, span time.Duration) int64 {
	if now <= p.closed || p.left >= ppm || span <= 0 {
		return p.left
	}
	windows := float64(now-p.closed) / float64(span)
	return int64(min(ppm, float64(p.left)+windows*ppm/regrowth))
}

// throttle closes the window for d from now.
func (p *easing) throttle(now int64, d, span time.Duration) {
	if now >= p.closed {
		p.left = p.share(now, span) / 2
	}
	p.closed = max(p.closed, now+int64(d))
}

// departures is how many departures a share of the cap makes, at least one.
func departures(requests int, share int64) int {
	return int(max(1, int64(requests)*share/ppm))
}
