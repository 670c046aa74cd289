package limiter

import (
	"math"
	"time"
)

// ahead counts the calls that go before r if it comes now, as long as no other
// comes or leaves. Between classes it may be wrong by the few permits that
// maxSkips gives to lower classes.
func (q *Queue) ahead(r Request) int {
	class := r.Priority.class()
	n := q.class[class].ahead(r.Tenant)
	higher := 0
	for c := range class {
		higher += q.class[c].count
	}
	if class == background {
		return n + higher
	}
	// The call has its turn after all of the higher classes, or as one in ten.
	n = min(n+higher, n*(maxSkips+1)+maxSkips-q.passed[class])
	passed := n
	for c := class + 1; c < background; c++ {
		n += min(q.class[c].count, (passed+q.passed[c])/maxSkips)
	}
	return q.here(n)
}

// here is how many of n calls that wait this queue serves, if others serve their part of those
// that wait there as well.
func (q *Queue) here(n int) int {
	const rounding = 1e-9
	if q.count == 0 || q.part > float64(q.count)-rounding {
		return n
	}
	return int(float64(n)*q.part/float64(q.count) + rounding)
}

// earliest is the shortest possible wait of a call behind ahead others: the window
// gives every permit to this queue, and each of the others takes one.
//
// Where other replicas take many permits, some of the calls ahead may leave at their
// own deadlines. They count all the same: which ones leave depends on what the
// replicas will take. No permit is lost by this, because the queue is not empty
// meanwhile; but a call behind them is rejected that would have been served if the
// other replicas had stopped at that moment.
func (q *Queue) earliest(r Request, ahead int, now time.Time) time.Duration {
	from := now
	if from.Before(q.opens) {
		from = q.opens
	}
	if paced := q.last.Add(r.Pace); from.Before(paced) {
		from = paced
	}
	if q.next.slot.window != nil { // the first of them has its permit
		if from.Before(q.next.slot.At) {
			from = q.next.slot.At
		}
		if ahead == 0 {
			return from.Sub(now)
		}
		ahead--
		from = from.Add(r.Pace)
	}
	return q.window.NextAfter(r.Limit, from, r.Pace, ahead).Sub(now)
}

// predict is how long a call behind ahead others is likely to wait: no less than
// the earliest. Where other replicas take their part of the window, it is the wait
// at a window that has only the rate that this queue gets.
func (q *Queue) predict(r Request, ahead int, now time.Time) time.Duration {
	wait := q.earliest(r, ahead, now)
	if _, own := q.window.(*MemoryWindow); own || ahead == 0 || q.got.rate == 0 {
		return wait
	}
	next := q.earliest(r, 0, now)
	// While the window is closed the rate is none: what counts is the rate
	// when it opens.
	full := q.window.Rate(r.Limit, now.Add(next)) / r.Limit.Span().Seconds()
	// A rate that is a little less has been measured a little late.
	const noise = 0.9
	if q.got.rate > noise*full {
		return wait
	}
	part := float64(r.Limit.Requests) * q.got.rate / full
	whole := math.Ceil(part) // rounded up, in a span that is longer by as much
	r.Limit = Limit{Requests: int(whole), Per: seconds(r.Limit.Span().Seconds() * whole / part)}
	return max(wait, q.earliest(r, ahead, now))
}

// throughput measures how many permits a second the queue gets while it is never
// empty. Behind a window that several replicas share that is less than the
// window's rate. It predicts how long a wait is likely to be, but no call is
// rejected by it: other replicas may stop at any time.
//
// The times of permits repeat from one window to the next, so that a whole window,
// from one permit to another, is a fair sample. The first window in which calls
// wait does not count: some of its permits went to calls that did not wait, or were
// not used. The time in which a process was held up (held) does not count either: a
// stall says nothing about the rate of the window.
type throughput struct {
	rate  float64   // of the last whole window; zero until there is one
	busy  time.Time // the first permit since which calls have always waited
	since time.Time
	count int // permits from since on
	held  time.Duration
}

// add records a permit that leaves other calls waiting; held is how much later
// than possible it was reserved.
func (t *throughput) add(at time.Time, held, span time.Duration) {
	switch elapsed := at.Sub(t.since); {
	case t.busy.IsZero():
		t.busy = at
		return
	case at.Sub(t.busy) < span:
		return
	case t.count == 0:
		t.since, t.held = at, 0
	case elapsed >= span:
		t.held += held
		t.rate = float64(t.count) / max(elapsed-t.held, 1).Seconds()
		t.since, t.held, t.count = at, 0, 0
	default:
		t.held += held
	}
	t.count++
}
