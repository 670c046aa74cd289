package limiter

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"
)

// Priority is the class of a call. As long as calls of a higher class wait, a
// lower one gets one permit in ten, so that it is slow but never starved.
// Values beyond High and Low count as those, but for Background.
type Priority int

// The classes.
const (
	Low    Priority = -1
	Normal Priority = 0
	High   Priority = 1
	// Background is for what no client waits for. It has permits only while no call of another
	// class waits, and makes room for those in a full queue.
	Background Priority = math.MinInt
)

const (
	classes    = 4
	background = classes - 1
	// maxSkips is how often in a row a class with waiting calls is skipped at
	// most; once more if the third class is due at the same time. That of
	// Background is skipped as long as any other has calls.
	maxSkips = 9
)

// class is the index of a priority, the highest first.
func (p Priority) class() int {
	if p == Background {
		return background
	}
	return int(High - max(Low, min(p, High)))
}

// Request is a call that needs a permit, and what its configuration allows.
type Request struct {
	// Tenant shares the permits with the other tenants of its class.
	Tenant string
	// Weight is the tenant's share against those of others; less than 1
	// counts as 1.
	Weight int
	// Priority is the call's class.
	Priority Priority
	// Bytes is what the call holds in memory while it waits.
	Bytes int64
	// MaxWait is the longest wait, inside the deadline of the call's context.
	// A call that cannot get a permit within it, even with every permit that
	// the window has, is rejected at once; a call that might, but does not, is
	// rejected when it is over.
	MaxWait time.Duration
	// Limit is the rate cap.
	Limit Limit
	// Pace is the least time between two permits. It spreads a burst, because
	// sending takes time too: a request that is sent late arrives together with
	// those of the next window. With zero, all permits of a window may be used
	// at once.
	Pace time.Duration
	// MaxCount and MaxBytes are the most that may wait, this call included.
	MaxCount int
	MaxBytes int64
}

// Queue gives the permits of a Window to calls one by one, and makes the others
// wait: fairly among tenants, by weight and by Priority.
//
// A full queue rejects new calls, unless another tenant holds more of it than
// the new call's tenant would: then the latest calls of that tenant are rejected
// instead, so that no tenant can block the others by filling the queue.
//
// It is safe for concurrent use. While no call waits it has no goroutine.
type Queue struct {
	now  func() time.Time
	wake chan struct{} // makes dispatch look again; capacity 1

	mu       sync.Mutex
	window   Window
	draining bool
	// reserving is how many calls that need not queue are at the window.
	reserving int
	// returning is how many slots are on their way back: until they are there
	// the window seems fuller than it is.
	returning int
	// running reports whether dispatch is running.
	running bool
	// next is the reserved permit. The head of the queue at its time gets it.
	next  booking
	seq   uint64
	count int
	bytes int64
	// part is count, where a call that waits in n queues counts as 1/n of one.
	part   float64
	class  [classes]fair
	passed [classes]int // how often in a row a class was skipped
	got    throughput
	last   time.Time // when the latest call was admitted
	opens  time.Time // nothing is reserved before
}

// NewQueue returns a queue in front of w. Its clock must run with real time,
// as time.Now does.
func NewQueue(w Window, now func() time.Time) *Queue {
	return &Queue{window: w, now: now, wake: make(chan struct{}, 1)}
}

// Wait blocks until r has a permit whose time has come. The caller then sends at
// once, or gives the slot to Return. The error is a *Rejection, that of the window,
// or ErrLimit.
func (q *Queue) Wait(ctx context.Context, r Request) (Slot, error) {
	if err := r.Limit.Check(); err != nil {
		return Slot{}, err
	}
	r.Weight = max(r.Weight, 1)
	q.mu.Lock()
	b, now, free, err := q.atOnce(ctx, r)
	if free {
		q.mu.Unlock()
		return b.slot, nil
	}
	w := &waiter{Request: r, ready: make(chan struct{}, 1)}
	switch {
	case ctx.Err() != nil:
		err = q.gone(ctx, r, now)
	case err != nil:
		err = failed(err)
	default:
		// If others were faster the slot's time is yet to come. Then it is for
		// the head of the queue, which may be this call itself.
		b = q.book(b)
		err = q.enter(ctx, w, now)
		if q.count == 0 {
			q.giveBack(q.takeNext())
		}
	}
	q.giveBack(b)
	q.mu.Unlock()
	if err != nil {
		return Slot{}, err
	}
	return q.await(ctx, w)
}

// atOnce reserves the permit of a call that need not queue. Where it is not free after all,
// b is one that is not due, or none.
func (q *Queue) atOnce(ctx context.Context, r Request) (b booking, now time.Time, free bool, err error) {
	now = q.now()
	if ctx.Err() != nil || !q.isFree(r, now) {
		return booking{}, now, false, nil
	}
	q.reserving++
	b, err = q.reserve(ctx, r.Limit, now)
	q.reserving--
	now = q.now()
	free = err == nil && ctx.Err() == nil && q.fits(b, r.Limit, now) && !b.slot.At.After(now) && now.Sub(q.last) >= r.Pace
	if free {
		q.last = now
	}
	return b, now, free, err
}

// isFree reports whether r need not queue: no call waits, and there are permits
// now for the calls that are reserving one and for one more. With a pace only one
// can be due at a time, and the others would return slots that they cannot use.
// Where the window is shared the other replicas may be reserving as many: if all of
// them took what this one sees, the slots beyond it would be returned, but windows
// give slots in order, so that those before one that is kept stay unused.
func (q *Queue) isFree(r Request, now time.Time) bool {
	return q.count == 0 && (q.reserving == 0 || r.Pace == 0) && now.Sub(q.last) >= r.Pace &&
		!q.opens.After(now) && !q.window.NextAfter(r.Limit, now, r.Pace, q.reserving*q.window.Sharers()).After(now)
}

// Depth is how many calls wait, and what they hold in memory. One that waits in several
// queues counts in each.
func (q *Queue) Depth() (count int, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count, q.bytes
}

// Predict is how long r would have to wait if it came now, as long as no other
// call comes or leaves.
func (q *Queue) Predict(r Request) time.Duration {
	r.Weight = max(r.Weight, 1)
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	return q.predict(r, q.ahead(r), now)
}

// Drain rejects all calls that wait, and from now on all that would have to.
func (q *Queue) Drain() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.draining = true
	for q.count > 0 {
		w := q.head()
		q.remove(w)
		w.deliver(booking{}, &Rejection{Reason: Draining})
	}
}

// SetWindow moves the queue, with all calls that wait, to another window. Nothing
// is reserved there before opens: w does not know the permits of the window
// before, so opens must be late enough that they are all out of the span.
func (q *Queue) SetWindow(w Window, opens time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	booked := q.takeNext()
	q.window, q.opens = w, opens
	q.got = throughput{}
	q.look()
	q.giveBack(booked)
}

// Window is the one that the queue is in front of at present.
func (q *Queue) Window() Window {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.window
}

// enter puts w in line, or returns why it is rejected.
func (q *Queue) enter(ctx context.Context, w *waiter, now time.Time) error {
	if deadline, ok := ctx.Deadline(); ok {
		w.MaxWait = min(w.MaxWait, deadline.Sub(now))
	}
	r := w.Request
	if q.draining {
		return &Rejection{Reason: Draining}
	}
	// Counting the calls ahead takes time, so first assume that all go first.
	// Only if that is too late, count. While slots are being returned the window
	// seems fuller than it is, so no call is rejected.
	if q.returning == 0 && q.earliest(r, q.here(q.count), now) > r.MaxWait {
		if ahead := q.ahead(r); q.earliest(r, ahead, now) > r.MaxWait {
			return &Rejection{Reason: QueueDeadline, RetryAfter: q.predict(r, ahead, now)}
		}
	}
	if !q.makeRoom(r, now) {
		return q.full(r, now)
	}
	q.seq++
	w.seq = q.seq
	q.class[r.Priority.class()].push(w)
	q.add(w)
	return nil
}

// Handover is by how much longer than its MaxWait a call may have waited when it has its permit: one at the very end of the
// longest wait is still in time.
const Handover = time.Millisecond

// await waits for w's turn, its context or its longest wait.
func (q *Queue) await(ctx context.Context, w *waiter) (Slot, error) {
	last := q.now().Add(w.MaxWait)
	timer := time.NewTimer(w.MaxWait + Handover)
	defer timer.Stop()
	for {
		served := false
		select {
		case <-w.ready:
			served = true
		case <-ctx.Done():
		case <-timer.C:
		}
		q.mu.Lock()
		now := q.now()
		switch {
		case w.line != nil: // not served: it leaves
			q.remove(w)
			err := q.gone(ctx, w.Request, now)
			q.mu.Unlock()
			return Slot{}, err
		case !served: // it was served at the same time
			<-w.ready
		}
		b, err := w.booked, w.err
		switch {
		case err != nil:
			q.mu.Unlock()
			return Slot{}, err
		case ctx.Err() != nil:
			b, err = q.offer(b), q.gone(ctx, w.Request, now)
		case q.fits(b, w.Limit, now):
			q.mu.Unlock()
			return b.slot, nil
		case q.draining:
			err = &Rejection{Reason: Draining}
		case !now.Before(last):
			err = q.gone(ctx, w.Request, now)
		default:
			b = q.again(w, b)
		}
		q.giveBack(b)
		q.mu.Unlock()
		if err != nil {
			return Slot{}, err
		}
	}
}

// gone is the rejection of a call whose context or longest wait has ended. Only a
// cancelled context means that the client has gone; a deadline does not.
func (q *Queue) gone(ctx context.Context, r Request, now time.Time) *Rejection {
	if errors.Is(ctx.Err(), context.Canceled) {
		return &Rejection{Reason: ClientGone}
	}
	return &Rejection{Reason: QueueDeadline, RetryAfter: q.predict(r, q.ahead(r), now)}
}
