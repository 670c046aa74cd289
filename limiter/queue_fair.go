package limiter

import (
	"container/heap"
	"math"
	"sync/atomic"
)

// waiter is one call in line.
type waiter struct {
	Request

	seq        uint64  // order of arrival
	line       *line   // nil once it has left
	prev, next *waiter // in its line

	// ready receives when booked or err is set. It has room for one of each queue in
	// which its call waits.
	ready  chan struct{}
	booked booking
	err    error

	// served is set by the queue that has a permit for a call which waits in several; nil
	// for a call that waits in one.
	served *atomic.Bool
	// others is in how many others it waits.
	others int
}

// claim reports whether the call may have a permit of this queue: no other has served it.
func (w *waiter) claim() bool { return w.served == nil || w.served.CompareAndSwap(false, true) }

// part is what w is of the calls that wait: a queue serves one in n of those that wait in n queues.
func (w *waiter) part() float64 { return 1 / float64(1+w.others) }

// deliver ends the wait of w, which has left its line, with a permit or an error.
func (w *waiter) deliver(b booking, err error) {
	w.booked, w.err = b, err
	w.ready <- struct{}{}
}

// share is how much virtual time a permit for the call takes.
func (r Request) share() float64 { return 1 / float64(r.Weight) }

// line holds the calls of one tenant, first come first served.
type line struct {
	tenant string
	// start is the virtual time at which the first call of the line may start;
	// of an empty line, the next call that comes.
	start       float64
	share       float64 // of all in line together
	first, last *waiter
	count       int
	bytes       int64
	in          *lines // nil, or where it stands
	index       int    // there
}

// insert puts w behind prev; in front where that is nil.
func (l *line) insert(w, prev *waiter) {
	w.line, w.prev = l, prev
	if prev == nil {
		w.next, l.first = l.first, w
	} else {
		w.next, prev.next = prev.next, w
	}
	if w.next == nil {
		l.last = w
	} else {
		w.next.prev = w
	}
	l.count++
	l.bytes += w.Bytes
	l.share += w.share()
}

func (l *line) remove(w *waiter) {
	if w.prev == nil {
		l.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.line, w.prev, w.next = nil, nil, nil
	l.count--
	l.bytes -= w.Bytes
	l.share -= w.share()
}

// fair serves tenants by start-time fair queueing (P. Goyal, H. M. Vin and
// H. Cheng, "Start-time Fair Queueing: A Scheduling Algorithm for Integrated
// Services Packet Switching Networks", SIGCOMM 1996): a permit takes
// 1/weight of virtual time from its tenant, the tenant whose next one starts
// earliest goes first, and the clock is the start of the last one served. A
// tenant that was away starts at the clock, so that it neither saves up turns
// nor pays for what others have queued.
//
// Only the first call of a line has a start: a call that leaves before its turn
// costs its tenant nothing. A line that has run empty is kept until the clock
// passes its start, or its tenant would gain by coming back at once. Every
// operation takes O(log tenants), except ahead, which is linear.
type fair struct {
	clock float64
	lines map[string]*line
	busy  lines // with waiting calls
	idle  lines // without, whose start is yet to come
	count int   // of waiters
}

// push puts w at the end of its tenant's line.
func (f *fair) push(w *waiter) {
	l := f.open(w.Tenant)
	l.insert(w, l.last)
	f.count++
	f.settle(l)
}

// restore undoes the pop of w, which did not use its permit.
func (f *fair) restore(w *waiter) {
	l := f.open(w.Tenant)
	l.start -= w.share()
	l.insert(w, nil)
	f.count++
	f.settle(l)
}

// head is the call that goes next; at least one must wait.
func (f *fair) head() *waiter { return f.busy[0].first }

// pop takes the head out and charges its tenant for a permit.
func (f *fair) pop() *waiter {
	w := f.head()
	l := w.line
	f.clock = max(f.clock, l.start)
	l.start += w.share()
	f.remove(w)
	for len(f.idle) > 0 && f.idle[0].start <= f.clock {
		delete(f.lines, heap.Pop(&f.idle).(*line).tenant)
	}
	return w
}

// remove takes w out.
func (f *fair) remove(w *waiter) {
	l := w.line
	l.remove(w)
	f.count--
	if f.count == 0 {
		*f = fair{} // all are served: start anew
		return
	}
	f.settle(l)
}

// open returns the line of a tenant, to be joined and settled.
func (f *fair) open(tenant string) *line {
	l := f.lines[tenant]
	if l == nil {
		l = &line{tenant: tenant}
		if f.lines == nil {
			f.lines = make(map[string]*line)
		}
		f.lines[tenant] = l
	}
	if l.count == 0 {
		l.start = max(l.start, f.clock)
		l.share = 0 // clears rounding errors
	}
	return l
}

// settle puts a line that has changed into its place.
func (f *fair) settle(l *line) {
	want := &f.busy
	if l.count == 0 {
		want = &f.idle
	}
	if l.in == want {
		heap.Fix(want, l.index)
		return
	}
	if l.in != nil {
		heap.Remove(l.in, l.index)
	}
	if l.count == 0 && l.start <= f.clock {
		delete(f.lines, l.tenant)
		return
	}
	l.in = want
	heap.Push(want, l)
}

// ahead counts the calls that go before a call of the tenant that comes now, as
// long as no other comes or leaves.
func (f *fair) ahead(tenant string) int {
	start, n := f.clock, 0
	own := f.lines[tenant]
	switch {
	case own == nil:
	case own.count == 0:
		start = max(own.start, f.clock)
	default:
		start, n = own.start+own.share, own.count
	}
	for _, l := range f.busy {
		if l == own || l.start > start {
			continue
		}
		each := l.share / float64(l.count)
		const rounding = 1e-9
		n += min(l.count, 1+int(math.Floor((start-l.start)/each+rounding)))
	}
	return n
}

// lines is a heap with the line on top that starts earliest; where several do,
// the one that has waited longest.
type lines []*line

func (h lines) Len() int { return len(h) }

func (h lines) Less(i, j int) bool {
	a, b := h[i], h[j]
	if a.start != b.start {
		return a.start < b.start
	}
	return a.first != nil && a.first.seq < b.first.seq
}

func (h lines) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *lines) Push(l any) {
	l.(*line).index = len(*h)
	*h = append(*h, l.(*line))
}

func (h *lines) Pop() any {
	old := *h
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return l
}
