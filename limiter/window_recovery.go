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

// recovery is how the rate recovers after throttling, as in AIMD (additive
// increase, multiplicative decrease). After a throttle the window is closed; then
// it opens at half of the rate before, and each window adds one regrowth-th of the
// cap until the cap is reached. Throttles that arrive while the window is closed
// are answers to the same fault: they may keep it closed for longer but do not
// halve again.
type recovery struct {
	closed int64 // no permits before this time
	left   int64 // share of the cap at that time, in ppm
}

func newRecovery() recovery { return recovery{closed: never, left: ppm} }

// share is the share of the cap at a time, in ppm; while the window is closed
// that with which it opens.
func (r recovery) share(now int64, span time.Duration) int64 {
	if now <= r.closed || r.left >= ppm || span <= 0 {
		return r.left
	}
	windows := float64(now-r.closed) / float64(span)
	return int64(min(ppm, float64(r.left)+windows*ppm/regrowth))
}

// throttle closes the window for d from now.
func (r *recovery) throttle(now int64, d, span time.Duration) {
	if now >= r.closed {
		r.left = r.share(now, span) / 2
	}
	r.closed = max(r.closed, now+int64(d))
}

// permits is how many permits a window has with a share of the cap, at least one.
func permits(requests int, share int64) int {
	return int(max(1, int64(requests)*share/ppm))
}
