package limiter

import "math"

// never is long before all times of a clock, and far enough from the least
// integer that a span can be added or subtracted.
const never = math.MinInt64 / 4

// smallestRing is the number of permits that a ring has room for at first.
const smallestRing = 64

// permit is one entry of a ring: the time of a reserved slot.
type permit struct {
	at int64
	id uint64
}

// ring holds the latest permits. The order of times and that of ids are the same.
type ring struct {
	buf   []permit // its length is a power of two
	first int
	count int
	// forgotten is the time of the latest permit that the ring had no room for.
	// It stands for all of those: each was then or earlier.
	forgotten int64
	nextID    uint64
}

func newRing() ring { return ring{buf: make([]permit, smallestRing), forgotten: never} }

func (r *ring) entry(i int) *permit { return &r.buf[(r.first+i)&(len(r.buf)-1)] }

// latest is the time of the n-th latest permit, counted from 1; never if there
// were not that many. For a forgotten one it is the latest that it can have been.
func (r *ring) latest(n int) int64 {
	if n > r.count {
		return r.forgotten
	}
	return r.entry(r.count - n).at
}

// nextAfter is when the slot begins, not before from, that is free after ahead
// others have taken theirs, each as early as possible but pace after the one
// before. Each is reserved when the pace allows, by the share of the cap at that
// time: while the rate recovers they are computed one by one, which ends after
// regrowth windows.
func (r *ring) nextAfter(e recovery, l Limit, from, pace int64, ahead int) int64 {
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
		n := permits(l.Requests, share)
		if share >= ppm { // from here on, the n-th slot after another is a span later
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

// add appends a permit, not earlier than the latest, and returns its id. The ring
// grows until it holds keep permits, and then forgets the oldest.
func (r *ring) add(at int64, keep int) uint64 {
	if r.count == len(r.buf) {
		if r.count < keep {
			grown := make([]permit, 2*len(r.buf))
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
	*r.entry(r.count - 1) = permit{at, r.nextID}
	return r.nextID
}

// remove takes a permit out again, at any place. A forgotten one cannot be taken
// out, but it is too old to free a slot.
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
