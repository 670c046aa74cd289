package limiter

import (
	"context"
	"sync"
	"time"
)

// MemoryWindow is the Window of a gateway that shares its cap with no other. It
// is exact: a slot begins at the first time that is neither in the past, nor
// before the slot reserved last, nor less than a span after the n-th latest one,
// where n is the cap or what throttling leaves of it. So no span holds more than n
// permits, even if some are returned later: a slot taken out only widens the
// distances between the others, and one from the middle is not reserved again.
//
// It holds history only, for as many permits as the largest limit it has seen. If
// a limit grows beyond that, the forgotten permits count as if they had the time
// of the oldest that is known: new slots may be too late, never too early.
type MemoryWindow struct {
	now func() time.Time

	mu       sync.Mutex
	clock    clock
	ring     ring
	recovery recovery
	span     time.Duration // of the last limit seen
	keep     int           // the most requests seen in a limit
	revoked  chan struct{} // of all slots since the last throttle
}

// NewMemoryWindow starts with no history. The readings of now should carry a
// monotonic part, as those of time.Now do; if they do not, a jump backwards
// delays permits by no more than itself and a jump forwards counts as time passed.
func NewMemoryWindow(now func() time.Time) *MemoryWindow {
	return &MemoryWindow{
		now:      now,
		clock:    clock{base: now()},
		ring:     newRing(),
		recovery: newRecovery(),
		revoked:  make(chan struct{}),
	}
}

// Reserve takes the next free slot. It never blocks, and fails only for a
// limit that cannot be kept and a context that has ended.
func (w *MemoryWindow) Reserve(ctx context.Context, l Limit) (Slot, error) {
	if err := l.Check(); err != nil {
		return Slot{}, err
	}
	if err := ctx.Err(); err != nil {
		return Slot{}, err
	}
	return w.reserve(l, time.Time{}), nil
}

// reserve takes the next free slot that is not before from.
func (w *MemoryWindow) reserve(l Limit, from time.Time) Slot {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.next(l, w.clock.read(w.now()))
	if !from.IsZero() {
		at = max(at, w.clock.at(from))
	}
	return Slot{At: w.clock.time(at), id: w.add(l, at), revoked: w.revoked}
}

// record adds a permit that another authority has given, and returns its id. It
// counts as not earlier than the one before it.
func (w *MemoryWindow) record(l Limit, t time.Time) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock.read(w.now())
	return w.add(l, max(w.clock.at(t), w.ring.latest(1)))
}

func (w *MemoryWindow) add(l Limit, at int64) uint64 {
	w.span, w.keep = l.Span(), max(w.keep, l.Requests)
	return w.ring.add(at, w.keep)
}

// next is when the first free slot at or after now begins.
func (w *MemoryWindow) next(l Limit, now int64) int64 {
	n := permits(l.Requests, w.recovery.share(now, l.Span()))
	return max(now, w.recovery.closed, w.ring.latest(1), w.ring.latest(n)+int64(l.Span()))
}

// Return gives back a slot that no request was sent in.
func (w *MemoryWindow) Return(s Slot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ring.remove(s.id)
}

// move makes a slot begin now.
func (w *MemoryWindow) move(s Slot, l Limit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.clock.read(w.now())
	w.ring.remove(s.id)
	w.add(l, max(now, w.ring.latest(1)))
}

// Next predicts when the next free slot begins.
func (w *MemoryWindow) Next(l Limit, now time.Time) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock.time(w.next(l, w.clock.at(now)))
}

// Sharers is one: what is in memory has no others.
func (*MemoryWindow) Sharers() int { return 1 }

// NextAfter predicts the slot of a call that goes after ahead others; see Window.
func (w *MemoryWindow) NextAfter(l Limit, from time.Time, pace time.Duration, ahead int) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock.time(w.ring.nextAfter(w.recovery, l, w.clock.at(from), int64(pace), ahead))
}

// nextAfter is NextAfter by the permits here and by a throttle that a shared
// window knows of: the window is closed until closed, and then opens with the
// share left of the cap, in ppm.
func (w *MemoryWindow) nextAfter(l Limit, from, closed time.Time, left int64, pace time.Duration, ahead int) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := recovery{closed: w.clock.at(closed), left: left}
	return w.clock.time(w.ring.nextAfter(r, l, w.clock.at(from), int64(pace), ahead))
}

// Throttle closes the window for d and revokes the slots reserved before. The
// rate then starts again at half of what it was, at least one permit in a
// window, and grows by a twentieth of the cap with every window.
func (w *MemoryWindow) Throttle(d time.Duration) {
	if d <= 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.recovery.throttle(w.clock.read(w.now()), d, w.span)
	close(w.revoked)
	w.revoked = make(chan struct{})
}

// closedFor is how long a throttle still keeps the window closed.
func (w *MemoryWindow) closedFor() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Duration(max(0, w.recovery.closed-w.clock.read(w.now())))
}

// Rate is the effective number of permits in a window: zero while a throttle keeps
// the window closed.
func (w *MemoryWindow) Rate(l Limit, now time.Time) float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.clock.at(now)
	if n < w.recovery.closed {
		return 0
	}
	return max(1, float64(l.Requests)*float64(w.recovery.share(n, l.Span()))/ppm)
}
