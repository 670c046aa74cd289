package limiter

import "math"

// never is long before all times of a clock, and far enough from the least
// integer that a span can be added or subtracted.
const never = math.MinInt64 / 4

// smallestRing is the number of departures that a ring holds room for at first.
const smallestRing = 64

// departure is one entry of a ring.
type departure struct {
	at int64
	id uint64
}

// ring holds the latest departures, in order of time and of id at once.
type ring struct {
	buf   []departure // its length is a power of two
	first int
	count int
	// forgotten is the latest departure that the ring has had no room for. It
	// stands in for all of them: each was then or earlier.
	forgotten int64
	nextID    uint64
}

func newRing() ring { return ring{buf: make([]departure, smallestRing), forgotten: never} }

func (r *ring) entry(i int) *departure { return &r.buf[(r.first+i)&(len(r.buf)-1)] }

// latest is the time of the n-th latest departure, counted from 1; never where
// there were not that many. Of departures forgotten it takes the worst.
func (r *ring) latest(n int) int64 {
	if n > r.count {
		return r.forgotten
	}
	return r.entry(r.count - n).at
}

// nextAfter is the departure, not before from, that is free when ahead others
// have taken theirs, each as early as it can but pace after the one before. Each is
// reserved when the pace allows, by the share of that time: while the rate grows
// they are walked through one by one, which ends after regrowth windows.
func (r *ring) nextAfter(e easing, l Limit, from, pace int64, ahead int) int64 {
	span := int64(l.Span())
	from = max(from, e.closed, r.latest(1))
	var taken []int64
	latest := func(n int) int64 {
		if n <= len(taken) {
			return taken[len(taken)-n]
		}
		return r.latest(n - len(taken))
	}
	for {
		share := e.share(from, l.Span())
		n := departures(l.Requests, share)
		if share >= ppm { // from here on, what is n after another is a span later
			i, windows := ahead%n, min(int64(ahead/n), math.MaxInt64/4/span)
			from = max(from, latest(n)+span)
			return max(from+int64(i)*pace, latest(n-i)+span) + windows*span
		}
		at := max(from, latest(n)+span)
		if ahead == 0 {
			return at
		}
		taken = append(taken, at)
		from = at + pace
		ahead--
	}
}

// add appends a departure, not earlier than the latest, and returns its id. The
// ring grows until it holds keep departures, and then forgets the oldest.
func (r *ring) add(at int64, keep int) uint64 {
	if r.count == len(r.buf) {
		if r.count < keep {
			grown := make([]departure, 2*len(r.buf))
			n := copy(grown, r.buf[r.first:])
			copy(grown[n:], r.buf[:r.first])
			r.buf, r.first = grown, 0
		} else {
			r.forgotten = r.entry(0).at
			r.first = (r.first + 1) & (len(r.buf) - 1)
			r.count--
		}
	}
	r.nextID++
	r.count++
	*r.entry(r.count - 1) = departure{at, r.nextID}
	return r.nextID
}

// remove takes a departure out again, wherever it stands. One that is forgotten
// stays so: it is too old to free anything.
func (r *ring) remove(id uint64) {
	for i := r.count - 1; i >= 0 && r.entry(i).id >= id; i-- {
		if r.entry(i).id != id {
			continue
		}
		for ; i < r.count-1; i++ {
			*r.entry(i) = *r.entry(i + 1)
		}
		r.count--
	}
}
