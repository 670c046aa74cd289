package alipayai

import (
	"context"
	"sync/atomic"
	"time"
)

// watchdog cancels an attempt that keeps the gateway waiting. One timer serves
// all the attempt's phases, each with its own limit and cause. Only waiting
// for the upstream counts: a slow client may take its time.
//
// Its methods belong to the attempt's goroutine. resume and pause are a store
// each, since a stream calls them for every event.
type watchdog struct {
	cancel context.CancelCauseFunc
	timer  *time.Timer
	start  time.Time
	limit  atomic.Int64 // nanoseconds
	cause  atomic.Pointer[error]
	// since is when the waiting began, in nanoseconds after start.
	since atomic.Int64
}

// Values of since that are no time.
const (
	notWaiting = -1
	ended      = -2
)

func newWatchdog(cancel context.CancelCauseFunc) *watchdog {
	return &watchdog{cancel: cancel, start: time.Now()}
}

// arm begins to wait, for at most d before the attempt is cancelled with *cause.
func (w *watchdog) arm(d time.Duration, cause *error) {
	w.cause.Store(cause)
	w.limit.Store(int64(d))
	w.resume()
	if w.timer == nil {
		w.timer = time.AfterFunc(d, w.check)
		return
	}
	w.timer.Reset(d)
}

// pause ends a time of waiting, resume begins the next with the same limit.
func (w *watchdog) pause()  { w.since.Store(notWaiting) }
func (w *watchdog) resume() { w.since.Store(int64(time.Since(w.start))) }

// disarm ends the watch for good.
func (w *watchdog) disarm() {
	w.since.Store(ended)
	w.timer.Stop()
}

// check runs when the timer fires, which is never later than the limit of the
// waiting under way, but may be earlier.
func (w *watchdog) check() {
	since, limit := w.since.Load(), time.Duration(w.limit.Load())
	switch since {
	case ended:
	case notWaiting:
		w.timer.Reset(limit)
	default:
		if waited := time.Since(w.start) - time.Duration(since); waited < limit {
			w.timer.Reset(limit - waited)
			return
		}
		w.cancel(*w.cause.Load())
	}
}
