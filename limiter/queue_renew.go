package limiter

import (
	"context"
	"time"
)

// Return gives back a slot that no request was sent in. A waiting call may then
// get an earlier slot than the booked one.
func (q *Queue) Return(s Slot) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.unbook(s)
	q.look()
}

// Renew takes the next permit in place of s, which its call was too late for. The
// call has had its turn already: it goes before all that wait. A permit whose time
// would come after latest is not taken: the error is a *Rejection then, or else that of
// the window, and s is given back in any case. Who has waited for the new slot's time
// asks Moved before using it.
func (q *Queue) Renew(ctx context.Context, s Slot, l Limit, latest time.Time) (Slot, error) {
	q.mu.Lock()
	q.unbook(s)
	for wait := q.opens.Sub(q.now()); wait > 0; wait = q.opens.Sub(q.now()) {
		if q.opens.After(latest) {
			q.mu.Unlock()
			return Slot{}, &Rejection{Reason: QueueDeadline, RetryAfter: wait}
		}
		q.mu.Unlock()
		select {
		case <-ctx.Done():
			return Slot{}, ctx.Err()
		case <-time.After(wait):
		}
		q.mu.Lock()
	}
	b, err := q.reserve(ctx, l, q.now())
	if err == nil && b.slot.At.After(latest) {
		err = &Rejection{Reason: QueueDeadline, RetryAfter: b.slot.At.Sub(q.now())}
		q.giveBack(b)
		b.slot = Slot{}
	}
	q.mu.Unlock()
	q.look()
	return b.slot, err
}

// Moved reports whether the queue has moved to another window than that of s. A slot whose time was yet to come then must not
// be used: the window that the queue is in front of does not know it.
func (q *Queue) Moved(s Slot) bool { return s.window != q.Window() }

// Correct makes s count from now on, because its request was sent late: the
// permits of the next window then keep their distance from the real time of
// sending. A shared window is not corrected, since the exchange with the store
// takes longer than such delays; its permits count from their own times.
func (q *Queue) Correct(s Slot, l Limit) {
	w, ok := s.window.(*MemoryWindow)
	if !ok {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.unbook(Slot{})
	w.move(s, l)
	q.look()
}

// unbook gives back s and the booked permit: windows give slots in order, so
// while it is booked no earlier one can be reserved.
func (q *Queue) unbook(s Slot) {
	next := q.takeNext()
	q.giveBack(booking{slot: s})
	q.giveBack(next)
}
