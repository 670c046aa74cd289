package upstream

import (
	"sync"
	"sync/atomic"
	"time"
)

// Watchdog cancels an attempt that keeps the gateway waiting. One timer serves
// all the attempt's phases, each with its own limit and cause. Only waiting
// for the upstream counts: a slow client may take its time.
//
// Its methods belong to the attempt's goroutine. resume and pause are a store
// each, since a stream calls them for every event.
type Watchdog struct {
	of    *ending // what it cancels
	wake  func()  // runs check
	start time.Time
	// since is when the waiting began, in nanoseconds after start.
	since atomic.Int64

	mu    sync.Mutex // arm against check
	timer *time.Timer
	armed bool          // once at least
	ran   bool          // wake may have run, or may run yet
	fires time.Duration // when the timer does, after start
	limit time.Duration
	cause error
}

// Values of since that are no time.
const (
	notWaiting = -1
	ended      = -2
)

// begin makes w the watchdog of a context. wake is what a timer runs, which runs check.
func (w *Watchdog) begin(of *ending, wake func()) { w.of, w.wake, w.start = of, wake, time.Now() }

// Arm begins to wait, for at most d before the attempt is cancelled with cause.
func (w *Watchdog) Arm(d time.Duration, cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limit, w.cause = d, cause
	w.Resume()
	now := time.Duration(w.since.Load())
	switch {
	case w.timer == nil:
		w.timer = time.AfterFunc(d, w.wake)
	case !w.armed:
		w.timer.Reset(d)
	case w.fires > now && w.fires <= now+d:
		return // early enough: it looks then what is due
	default:
		w.ran = !w.timer.Reset(d) || w.ran
	}
	w.armed, w.fires = true, now+d
}

// Pause ends a time of waiting.
func (w *Watchdog) Pause() { w.since.Store(notWaiting) }

// Resume begins the next time of waiting, with the same limit.
func (w *Watchdog) Resume() { w.since.Store(int64(time.Since(w.start))) }

// Disarm ends the watch for good.
func (w *Watchdog) Disarm() {
	w.since.Store(ended)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.armed {
		w.armed, w.ran = false, !w.timer.Stop() || w.ran
	}
}

// atRest reports whether wake has not run for w, which is disarmed, and will not.
func (w *Watchdog) atRest() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.armed && !w.ran
}

// clear makes a new one of it, which is at rest. It keeps its timer.
func (w *Watchdog) clear() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.of, w.start, w.fires, w.limit, w.cause = nil, time.Time{}, 0, 0, nil
	w.since.Store(0)
}

// check runs when the timer fires, which is never later than the limit of the
// waiting under way, but may be earlier.
func (w *Watchdog) check() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ran = true
	now := time.Since(w.start)
	left := w.limit
	switch since := w.since.Load(); since {
	case ended:
		return
	case notWaiting:
	default:
		left -= now - time.Duration(since)
	}
	if left <= 0 {
		w.of.end(w.cause)
		return
	}
	w.fires = now + left
	w.timer.Reset(left)
}
