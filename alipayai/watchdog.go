package alipayai

import (
	"context"
	"sync/atomic"
	"time"
)

// watchdog cancels an attempt that makes no progress. One timer serves all of
// an attempt's phases, each with its own cause; it belongs to the attempt's
// goroutine.
type watchdog struct {
	cancel context.CancelCauseFunc
	timer  *time.Timer
	cause  atomic.Pointer[error]
}

func newWatchdog(cancel context.CancelCauseFunc) *watchdog {
	return &watchdog{cancel: cancel}
}

// arm gives the attempt d from now before it is cancelled with *cause.
func (w *watchdog) arm(d time.Duration, cause *error) {
	w.cause.Store(cause)
	if w.timer == nil {
		w.timer = time.AfterFunc(d, func() { w.cancel(*w.cause.Load()) })
		return
	}
	w.timer.Reset(d)
}

// disarm lets the attempt take its time.
func (w *watchdog) disarm() { w.timer.Stop() }
