package limiter

import (
	"math"
	"time"
)

// ahead counts who goes before r if it comes now, as long as nobody else comes
// or leaves. Between classes it may be wrong by the few departures that the
// rule of one in ten moves.
func (q *Queue) ahead(r Request) int {
	class := r.Priority.class()
	n := q.class[class].ahead(r.Tenant)
	higher := 0
	for c := range class {
		higher += q.class[c].count
	}
	// The call has its turn after all of the higher classes, or as one in ten.
	n = min(n+higher, n*(patience+1)+patience-q.passed[class])
	passed := n
	for c := class + 1; c < classes; c++ {
		n += min(q.class[c].count, (passed+q.passed[c])/patience)
	}
	return n
}

// earliest is the shortest wait of a call behind so many others: the window
// gives every departure to this queue, and each of the others takes one. What is
// later than that cannot be in time.
//
// Of the others some may leave at their own deadlines, where replicas take so many
// departures that not all are in time. Those count all the same: who they are
// hangs on what the replicas will take, and the queue, never empty meanwhile, loses
// no departure by it. A call behind them is refused although it had been served if
// the others stopped just then.
func (q *Queue) earliest(r Request, ahead int, now time.Time) time.Duration {
	from := now
	if from.Before(q.opens) {
		from = q.opens
	}
	if paced := q.last.Add(r.Pace); from.Before(paced) {
		from = paced
	}
	if q.next.slot.window != nil { // the first of them has its departure
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

// predict is how long a call behind so many others is likely to wait: no less
// than the earliest, and where other replicas take their part of the window, what
// a window would make it wait that has the part of this queue alone.
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
	whole := math.Ceil(part) // in as much more time
	r.Limit = Limit{Requests: int(whole), Per: seconds(r.Limit.Span().Seconds() * whole / part)}
	return max(wait, q.earliest(r, ahead, now))
}

// throughput measures how many departures a second the queue gets while it is
// never empty. Behind a window that several replicas share that is less than
// the window's rate. It says how long a wait is likely to be, and refuses
// nothing: others may stop at any time.
//
// Departures repeat from one window to the next, so that a whole window, from
// one departure to another, holds what every window does. The first one in
// which somebody waits does not count: part of its departures went to calls
// that did not have to, or to nobody. What a process that was held up did not
// ask for counts neither as a departure nor as time: a stall says nothing of
// what the window gives.
type throughput struct {
	rate  float64   // of the last whole window; zero until there is one
	busy  time.Time // the first departure since somebody has waited all the time
	since time.Time
	count int // departures from since on
	held  time.Duration
}

// depart records a departure that leaves others waiting; held is how much later
// than possible it was asked for.
func (t *throughput) depart(at time.Time, held, span time.Duration) {
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
