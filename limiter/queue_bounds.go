package limiter

import "time"

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

// predict is how long it takes until ahead departures have gone and one more
// may go.
func (q *Queue) predict(l Limit, ahead int, now time.Time) time.Duration {
	next := q.next.slot.At
	if q.next.slot.window == nil {
		next = q.nextFree(l, now)
	}
	wait := max(next.Sub(now), 0)
	if ahead == 0 {
		return wait
	}
	// While the window is closed the rate is none: what counts is the rate
	// when it opens.
	rate := max(q.window.Rate(l, now.Add(wait)), 1) / l.Span().Seconds()
	// A window of this process alone gives all that it has; what was got of it
	// is less only where the process was held up.
	if _, own := q.window.(*MemoryWindow); !own && q.got.rate > 0 {
		rate = min(rate, q.got.rate)
	}
	return wait + time.Duration(float64(ahead)/rate*float64(time.Second))
}

// nextFree predicts when the window gives the next departure.
func (q *Queue) nextFree(l Limit, now time.Time) time.Time {
	next := q.window.Next(l, now)
	if next.Before(q.opens) {
		return q.opens
	}
	return next
}

// throughput measures how many departures a second the queue gets while it is
// never empty. Behind a window that several replicas share that is less than
// the window's rate.
//
// Departures repeat from one window to the next, so that a whole window, from
// one departure to another, holds what every window does. What a process that
// was held up did not ask for counts neither as a departure nor as time: a
// stall says nothing of what the window gives.
type throughput struct {
	rate  float64 // of the last whole window; zero until there is one
	since time.Time
	count int // departures from since on
	held  time.Duration
}

// depart records a departure; held is how much later than possible it was asked
// for.
func (t *throughput) depart(at time.Time, held, span time.Duration) {
	elapsed := at.Sub(t.since)
	t.held += held
	switch {
	case t.count == 0:
		t.since, t.held = at, 0
	case elapsed >= span:
		*t = throughput{rate: float64(t.count) / max(elapsed-t.held, 1).Seconds(), since: at}
	}
	t.count++
}

// makeRoom evicts the newest calls of the tenant that holds most of what is short,
// if it still holds no less than r's tenant then. It reports whether r fits.
func (q *Queue) makeRoom(r Request, now time.Time) bool {
	count := q.count + 1 - r.MaxCount
	bytes := q.bytes + r.Bytes - r.MaxBytes
	if count <= 0 && bytes <= 0 {
		return true
	}
	if r.MaxCount < 1 || r.Bytes > r.MaxBytes {
		return false
	}
	// Bounds that a reload has narrowed throw nobody out: what comes in takes
	// the place of no more than itself.
	count, bytes = min(count, 1), min(bytes, r.Bytes)
	holds := func(l *line) int64 {
		if count > 0 {
			return int64(l.count)
		}
		return l.bytes
	}
	var most *line
	for c := range q.class {
		for _, l := range q.class[c].busy {
			if most == nil || holds(l) >= holds(most) {
				most = l
			}
		}
	}
	own := q.class[r.Priority.class()].lines[r.Tenant]
	if own == nil {
		own = &line{}
	}
	if most == nil || most == own ||
		count > 0 && most.count-count < own.count+1 ||
		bytes > 0 && most.bytes-bytes < own.bytes+r.Bytes {
		return false
	}
	for count > 0 || bytes > 0 {
		w := most.last
		count--
		bytes -= w.Bytes
		q.remove(w)
		w.deliver(booking{}, q.full(w.Request, now))
	}
	return true
}

func (q *Queue) full(r Request, now time.Time) *Rejection {
	return &Rejection{Reason: QueueFull, RetryAfter: q.predict(r.Limit, q.ahead(r), now)}
}
