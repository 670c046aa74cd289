package limiter

import (
	"context"
	"time"
)

// Return gives back a slot whose departure does not happen. Whoever waits may
// then depart earlier than booked.
func (q *Queue) Return(s Slot) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.unbook(s)
	q.look()
}

// Renew takes the next departure in place of s, which its call came too late
// for. The call has had its turn already: it goes before all that wait. The
// error is that of the window, and s is given back all the same.
func (q *Queue) Renew(ctx context.Context, s Slot, l Limit) (Slot, error) {
	q.mu.Lock()
	q.unbook(s)
	for wait := q.opens.Sub(q.now()); wait > 0; wait = q.opens.Sub(q.now()) {
		q.mu.Unlock()
		select {
		case <-ctx.Done():
			return Slot{}, ctx.Err()
		case <-time.After(wait):
		}
		q.mu.Lock()
	}
	b, err := q.reserve(ctx, l)
	q.mu.Unlock()
	q.look()
	return b.slot, err
}

// Correct makes the departure of s count from now on, because its call took so
// long to depart: those that are a window later keep their distance from what
// has happened. A window that is shared would take longer to be told than what
// it is about; its departures count from when they were to be.
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

// unbook gives back s and the departure that is booked for the head: as windows
// give departures in order, none could be had before it.
func (q *Queue) unbook(s Slot) {
	next := q.takeNext()
	q.giveBack(booking{slot: s})
	q.giveBack(next)
}
