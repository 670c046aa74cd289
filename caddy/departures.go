package alipaycaddy

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/limiter"
)

// departures is the pooled window of one account at an upstream, in one store:
// what has departed survives a reload.
type departures struct {
	once   sync.Once
	window limiter.Window
	// open connects a shared window to its store; it may be called at any time.
	open func()
	// close ends the window's background work.
	close func() error
}

// Destruct ends the background work, when no configuration uses the window.
func (d *departures) Destruct() error { return d.close() }

// init makes the window: in memory, or shared through the store.
func (d *departures) init(store *storeState, account string, limit limiter.Limit, provider string) {
	d.open, d.close = func() {}, func() error { return nil }
	if store.client == nil {
		d.window = limiter.NewMemoryWindow(time.Now)
		return
	}
	shared := &lateWindow{make: func() (*limiter.RedisWindow, error) {
		return limiter.NewRedisWindow(store.client, limiter.RedisWindowOptions{
			Key: account, Replicas: store.replicas, Limit: limit, OnState: tellState(provider),
		})
	}}
	d.window, d.open, d.close = shared, func() { _, _ = shared.get() }, shared.Close
}

// waiting is the pooled queue of one account at an upstream, whatever store its
// departures are in: who waits survives a reload that changes the store.
type waiting struct {
	once  sync.Once
	queue *limiter.Queue

	mu   sync.Mutex
	used []*departures // of the configurations that run, the latest last
	span time.Duration // of what was used last
}

// use lets the queue depart through d, until leave, with windows of span. What
// has departed through another window is not known to d: a span of silence lets
// it go out of all windows.
func (w *waiting) use(d *departures, span time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.used = append(w.used, d)
	w.change(span)
}

// leave undoes one use. Where the configuration that began it was replaced, that
// has changed the window already; where it was rejected, the one before returns.
func (w *waiting) leave(d *departures, span time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.used, d); i >= 0 {
		w.used = slices.Delete(w.used, i, i+1)
	}
	if len(w.used) > 0 {
		w.change(span)
	}
}

func (w *waiting) change(span time.Duration) {
	if d := w.used[len(w.used)-1]; d.window != w.queue.Window() {
		w.queue.SetWindow(d.window, time.Now().Add(max(span, w.span)))
	}
	w.span = span
}

// lookAgain is the poll interval while calls wait, or Caddy may exit.
const lookAgain = 100 * time.Millisecond

// release gives back what a configuration held of d, once no other uses it and
// nobody waits for it: who does keeps the window and its store.
func (w *waiting) release(d *departures, giveBack func()) {
	w.mu.Lock()
	used := slices.Contains(w.used, d)
	w.mu.Unlock()
	if count, _ := w.queue.Depth(); !used && count > 0 && w.queue.Window() == d.window {
		time.AfterFunc(lookAgain, func() { w.release(d, giveBack) })
		return
	}
	giveBack()
}

// drain turns away all that wait as soon as the process is exiting, until ctx
// ends. A reload looks the same to an app, and those who wait outlive it; and
// when Caddy exits it stops its apps in any order, so that the servers may be
// waiting already for the calls that wait here.
func (w *waiting) drain(ctx context.Context, exiting func() bool) {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for !exiting() {
		select {
		case <-ctx.Done():
			if !exiting() {
				return
			}
		case <-tick.C:
		}
	}
	w.queue.Drain()
}

// tellState tells of the store's state through the process's log: the window
// outlives the configuration that made it.
func tellState(provider string) func(limiter.State, error) {
	return func(state limiter.State, err error) {
		logger := live.Log(caddy.Log()).Named("alipayai").With(zap.String("provider", provider))
		if state == limiter.Degraded {
			logger.Error("redis is away: each replica keeps to its part of the rate limit", zap.Error(err))
			return
		}
		logger.Info("redis decides the rate limit of all replicas")
	}
}

// lateWindow makes its window when it is first needed: a configuration that is
// only validated must not connect to anything.
type lateWindow struct {
	make func() (*limiter.RedisWindow, error)

	mu     sync.Mutex
	window *limiter.RedisWindow
	err    error
}

func (l *lateWindow) get() (*limiter.RedisWindow, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.window == nil && l.err == nil {
		l.window, l.err = l.make()
	}
	return l.window, l.err
}

// Close ends the window, if there is one.
func (l *lateWindow) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.window == nil {
		return nil
	}
	return l.window.Close()
}

// Reserve implements limiter.Window.
func (l *lateWindow) Reserve(ctx context.Context, limit limiter.Limit) (limiter.Slot, error) {
	w, err := l.get()
	if err != nil {
		return limiter.Slot{}, err
	}
	return w.Reserve(ctx, limit)
}

// Return implements limiter.Window.
func (l *lateWindow) Return(s limiter.Slot) {
	if w, err := l.get(); err == nil {
		w.Return(s)
	}
}

// Next implements limiter.Window.
func (l *lateWindow) Next(limit limiter.Limit, now time.Time) time.Time {
	w, err := l.get()
	if err != nil {
		return now
	}
	return w.Next(limit, now)
}

// NextAfter implements limiter.Window.
func (l *lateWindow) NextAfter(limit limiter.Limit, from time.Time, pace time.Duration, ahead int) time.Time {
	w, err := l.get()
	if err != nil {
		return from
	}
	return w.NextAfter(limit, from, pace, ahead)
}

// Throttle implements limiter.Window.
func (l *lateWindow) Throttle(d time.Duration) {
	if w, err := l.get(); err == nil {
		w.Throttle(d)
	}
}

// Rate implements limiter.Window.
func (l *lateWindow) Rate(limit limiter.Limit, now time.Time) float64 {
	w, err := l.get()
	if err != nil {
		return 0
	}
	return w.Rate(limit, now)
}

// State says who decides about departures.
func (l *lateWindow) State() limiter.State {
	w, err := l.get()
	if err != nil {
		return limiter.Degraded
	}
	return w.State()
}

// Interface guards
var _ limiter.Window = (*lateWindow)(nil)
