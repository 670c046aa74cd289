package limiter

import (
	"context"
	"fmt"
	"time"
)

// booking is a slot, the limit it was reserved under, and when that was.
type booking struct {
	slot  Slot
	limit Limit
	asked time.Time // when it was reserved
}

// giveBack returns the slot, if there is one. The lock is released meanwhile: the
// window may ask a store.
func (q *Queue) giveBack(b booking) {
	if b.slot.window == nil {
		return
	}
	q.returning++
	q.mu.Unlock()
	b.slot.window.Return(b.slot)
	q.mu.Lock()
	q.returning--
}

// fits reports whether a call under l may use b: it comes from the window and
// the limit that hold for the call, the window has not revoked it, and it is not
// too late for it. A slot is valid for the guard, at least for a millisecond,
// because with less a busy machine would miss every slot.
func (q *Queue) fits(b booking, l Limit, now time.Time) bool {
	return b.slot.window == q.window && b.limit == l && !b.slot.Void(now) &&
		now.Sub(b.slot.At) <= max(l.Guard, time.Millisecond)
}

// reserve books the next permit under l, which is asked for now. The lock is released meanwhile.
func (q *Queue) reserve(ctx context.Context, l Limit, asked time.Time) (booking, error) {
	w := q.window
	q.mu.Unlock()
	slot, err := w.Reserve(ctx, l)
	q.mu.Lock()
	if err != nil {
		return booking{}, err
	}
	slot.window = w
	return booking{slot, l, asked}, nil
}

// offer books b if a call waits. It returns what is left over, to be given back.
func (q *Queue) offer(b booking) booking {
	if q.count == 0 {
		return b
	}
	return q.book(b)
}

// book makes b the next permit if it is the earliest at hand. It returns what is
// left over, to be given back.
func (q *Queue) book(b booking) booking {
	if b.slot.window != nil && (q.next.slot.window == nil || b.slot.At.Before(q.next.slot.At)) {
		b, q.next = q.next, b
		q.look()
	}
	return b
}

// takeNext takes the booked permit out, if there is one.
func (q *Queue) takeNext() booking {
	b := q.next
	q.next = booking{}
	return b
}

// look makes dispatch look again at what is to be done.
func (q *Queue) look() {
	select {
	case q.wake <- struct{}{}:
	default: // it will look already
	}
}

// dispatch gives permits to one waiter after the other, and ends when no call
// waits.
//
// The permit it books belongs to no call until its time has come: then the head of
// the queue gets it. So a call of a higher class that came meanwhile overtakes, and
// one that left wastes no permit.
func (q *Queue) dispatch() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	q.mu.Lock()
	for q.count > 0 {
		now, limit := q.now(), q.head().Limit
		if wait := q.last.Add(q.head().Pace).Sub(now); wait > 0 && !q.next.slot.At.After(now) {
			// A slot that is booked for now would be too old by then.
			q.giveBack(q.takeNext())
			q.pause(timer, wait, nil)
			continue
		}
		if wait := q.opens.Sub(now); wait > 0 {
			q.giveBack(q.takeNext()) // of the window before
			q.pause(timer, wait, nil)
			continue
		}
		if !q.fits(q.next, limit, now) {
			q.bookAnew(limit)
			continue
		}
		if wait := q.next.slot.At.Sub(now); wait > 0 {
			q.pause(timer, wait, q.next.slot.Revoked())
			continue
		}
		w := q.head()
		if !w.claim() { // it has the permit of another queue, and is about to leave
			q.remove(w)
			continue
		}
		held := max(0, q.next.asked.Sub(q.last)-w.Pace)
		q.got.add(q.next.slot.At, held, limit.Span())
		q.take(w) // clears q.got if no call is left waiting
		q.last = now
		w.deliver(q.takeNext(), nil)
	}
	q.running = false
	q.giveBack(q.takeNext())
	q.mu.Unlock()
}

// pause waits that long, or until the permit is revoked or dispatch is to look again, as where the last call has
// left. The lock is released meanwhile.
func (q *Queue) pause(timer *time.Timer, wait time.Duration, revoked <-chan struct{}) {
	q.mu.Unlock()
	timer.Reset(wait)
	select {
	case <-timer.C:
	case <-q.wake:
	case <-revoked:
	}
	q.mu.Lock()
}

// bookAnew gives back the booked permit, if there is one, and reserves another for the head. The lock is released
// meanwhile.
func (q *Queue) bookAnew(limit Limit) {
	old := q.takeNext()
	if old.slot.window != nil {
		q.got = throughput{} // a missed or changed slot: measure anew
	}
	q.giveBack(old)
	b, err := q.reserve(context.Background(), limit, q.now())
	if err != nil {
		q.fail(err)
		return
	}
	q.giveBack(q.offer(b))
}

// fail ends the wait of the head with the error of a reservation, as for a call
// that did not wait. The next call makes a reservation of its own.
func (q *Queue) fail(err error) {
	if q.count == 0 {
		return
	}
	w := q.head()
	q.remove(w)
	w.deliver(booking{}, failed(err))
}

func failed(err error) error { return fmt.Errorf("reserve a slot: %w", err) }

// turn is the class whose head goes next: the highest with waiting calls, unless
// a lower one, other than Background's, has been skipped maxSkips times. At least one call must wait.
func (q *Queue) turn() int {
	first := -1
	for c := range q.class {
		switch {
		case q.class[c].count == 0:
		case q.passed[c] >= maxSkips && c != background:
			return c
		case first < 0:
			first = c
		}
	}
	return first
}

func (q *Queue) head() *waiter { return q.class[q.turn()].head() }

// again puts a call that woke up too late for its slot first in line again. The dispatcher
// gives the slot back before it reserves another, which may be the same; what is left over is
// to be given back.
func (q *Queue) again(w *waiter, late booking) booking {
	q.class[w.Priority.class()].restore(w)
	if q.next.slot.window == nil {
		q.next, late = late, booking{}
	}
	q.add(w)
	return late
}

// take takes the head out, which gets a permit.
func (q *Queue) take(head *waiter) {
	turn := head.Priority.class()
	for c := range q.class {
		if c == turn || q.class[c].count == 0 {
			q.passed[c] = 0
		} else {
			q.passed[c]++
		}
	}
	q.class[turn].pop()
	q.drop(head)
}

// remove takes out a waiter that leaves before its turn.
func (q *Queue) remove(w *waiter) {
	q.class[w.Priority.class()].remove(w)
	q.drop(w)
}

// add counts a waiter in, and starts dispatch if it is not running.
func (q *Queue) add(w *waiter) {
	q.count++
	q.part += w.part()
	q.bytes += w.Bytes
	if !q.running {
		q.running = true
		go q.dispatch()
	}
}

// drop counts a waiter out, and ends dispatch after the last one.
func (q *Queue) drop(w *waiter) {
	q.count--
	q.part -= w.part()
	q.bytes -= w.Bytes
	if q.count == 0 {
		q.part = 0 // clears rounding errors
		q.got = throughput{}
		q.look()
	}
}
