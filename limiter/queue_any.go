package limiter

import (
	"context"
	"sync/atomic"
	"time"
)

// Place is a queue, and the call as it waits there.
type Place struct {
	Queue   *Queue
	Request Request
}

// WaitAny is [Queue.Wait] for a call that the permit of any of several queues serves: it
// gives the first that comes, and the index of its place. The queues are different ones.
//
// The call waits in the first place alone for up to that long, if a permit is likely there
// by then, and then in all of them at once. So no window stands idle while such a call
// waits, and each queue has all of them in its own fair order: it is one queue with several
// windows for them, and for each window one that its other calls share. A permit that comes
// to a call which another queue has served goes to the next in line.
//
// MaxWait is the least of all places. The call is rejected when each of the queues rejects
// it; the error is that of the first place.
func WaitAny(ctx context.Context, places []Place, alone time.Duration) (from int, s Slot, err error) {
	if len(places) == 1 {
		s, err = places[0].Queue.Wait(ctx, places[0].Request)
		return 0, s, err
	}
	maxWait := places[0].Request.MaxWait
	for i := range places {
		r := &places[i].Request
		if err := r.Limit.Check(); err != nil {
			return 0, Slot{}, err
		}
		r.Weight, maxWait = max(r.Weight, 1), min(maxWait, r.MaxWait)
	}
	for i := range places {
		places[i].Request.MaxWait = maxWait
	}
	for i, p := range places {
		if i == 1 && alone > 0 {
			if places[0].Queue.Predict(places[0].Request) <= alone {
				break
			}
			alone = 0
		}
		if s, ok := p.Queue.takeFree(ctx, p.Request); ok {
			return i, s, nil
		}
	}
	c := contest{places: places, waiters: make([]*waiter, 0, len(places)), ready: make(chan struct{}, 2*len(places))}
	return c.await(ctx, maxWait, alone)
}

// takeFree gives the permit that r can have without waiting, if there is one.
func (q *Queue) takeFree(ctx context.Context, r Request) (Slot, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	b, _, free, _ := q.atOnce(ctx, r)
	if free {
		return b.slot, true
	}
	q.giveBack(q.offer(b))
	return Slot{}, false
}

// contest is one call that waits in several queues. The queues agree by served on who serves
// it; each waiter is locked by its queue.
type contest struct {
	places  []Place
	waiters []*waiter // those of the first places
	ready   chan struct{}
	served  atomic.Bool
}

// enter puts the call in line at the places up to n, and reports whether any has taken it.
func (c *contest) enter(ctx context.Context, n int) (taken bool) {
	for _, p := range c.places[len(c.waiters):n] {
		w := &waiter{Request: p.Request, ready: c.ready, served: &c.served}
		c.waiters = append(c.waiters, w)
		q := p.Queue
		q.mu.Lock()
		w.err = q.enter(ctx, w, q.now())
		q.mu.Unlock()
	}
	in := 0
	for i, w := range c.waiters {
		q := c.places[i].Queue
		q.mu.Lock()
		if w.err == nil {
			in++
		}
		q.mu.Unlock()
	}
	for i, w := range c.waiters {
		c.places[i].Queue.shareWith(w, in-1)
	}
	return in > 0
}

// shareWith notes in how many other queues w's call waits.
func (q *Queue) shareWith(w *waiter, others int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := w.part()
	w.others = max(others, 0)
	if w.line != nil {
		q.part += w.part() - before
	}
}

// await waits for the first permit, the context or the longest wait.
func (c *contest) await(ctx context.Context, maxWait, alone time.Duration) (int, Slot, error) {
	last := c.places[0].Queue.now().Add(maxWait)
	timer := time.NewTimer(maxWait + Handover)
	defer timer.Stop()
	var lonely <-chan time.Time
	switch first := c.first(alone); {
	case !c.enter(ctx, first) && !c.enter(ctx, len(c.places)):
		return 0, Slot{}, c.rejection()
	case len(c.waiters) < len(c.places):
		until := time.NewTimer(alone)
		defer until.Stop()
		lonely = until.C
	}
	for over := false; ; {
		select {
		case <-c.ready:
		case <-ctx.Done():
		case <-timer.C:
			over = true
		case <-lonely:
			lonely = nil
			c.enter(ctx, len(c.places))
			continue
		}
		i, s, ok := c.winner(ctx, last)
		switch {
		case ok:
			c.leave()
			return i, s, nil
		case ctx.Err() != nil || over || !c.places[0].Queue.now().Before(last):
			if !c.served.CompareAndSwap(false, true) {
				continue // it was served at the same time
			}
			q := c.places[0].Queue
			q.mu.Lock()
			err := q.gone(ctx, c.places[0].Request, q.now())
			q.mu.Unlock()
			c.leave()
			return 0, Slot{}, err
		case !c.waits():
			// Where it was alone it was rejected, and the others may take it.
			if lonely = nil; len(c.waiters) == len(c.places) || !c.enter(ctx, len(c.places)) {
				return 0, Slot{}, c.rejection()
			}
		}
	}
}

// first is how many places the call waits at first.
func (c *contest) first(alone time.Duration) int {
	if alone > 0 {
		return 1
	}
	return len(c.places)
}

// winner gives the permit that a queue has for the call. One that came too late, for the call
// or for its slot, is given back; if there is time the call is the first in line there.
func (c *contest) winner(ctx context.Context, last time.Time) (int, Slot, bool) {
	for i, w := range c.waiters {
		q := c.places[i].Queue
		q.mu.Lock()
		b := w.booked
		if b.slot.window == nil {
			q.mu.Unlock()
			continue
		}
		w.booked = booking{}
		now := q.now()
		if ctx.Err() == nil && q.fits(b, w.Limit, now) {
			q.mu.Unlock()
			return i, b.slot, true
		}
		c.served.Store(false)
		switch {
		case ctx.Err() != nil:
			b = q.offer(b)
		case !q.draining && now.Before(last):
			b = q.again(w, b)
		}
		q.giveBack(b)
		q.mu.Unlock()
		break
	}
	return 0, Slot{}, false
}

// waits reports whether the call is in line anywhere, or has a permit.
func (c *contest) waits() bool {
	for i, w := range c.waiters {
		q := c.places[i].Queue
		q.mu.Lock()
		waits := w.line != nil || w.booked.slot.window != nil
		q.mu.Unlock()
		if waits {
			return true
		}
	}
	return false
}

// leave takes the call out of all lines; served is set.
func (c *contest) leave() {
	for i, w := range c.waiters {
		q := c.places[i].Queue
		q.mu.Lock()
		if w.line != nil {
			q.remove(w)
		}
		q.mu.Unlock()
	}
}

// rejection is why no queue has taken the call: that of the first that says it.
func (c *contest) rejection() error {
	for i, w := range c.waiters {
		q := c.places[i].Queue
		q.mu.Lock()
		err := w.err
		q.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return &Rejection{Reason: QueueDeadline}
}
