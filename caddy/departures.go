package alipaycaddy

import (
	"context"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/limiter"
)

// departures is the pooled window and queue of one account at an upstream:
// what has departed and who waits survives a reload.
type departures struct {
	once   sync.Once
	window limiter.Window
	queue  *limiter.Queue
	// open connects a shared window to its store; it may be called at any time.
	open func()
	// close ends the window's background work.
	close func() error
}

// Destruct ends the background work, when no configuration uses the window.
func (d *departures) Destruct() error { return d.close() }

// init makes the window and the queue: in memory, or shared through the store.
func (d *departures) init(store *storeState, account string, limit limiter.Limit, provider string) {
	d.open, d.close = func() {}, func() error { return nil }
	if store.client == nil {
		d.window = limiter.NewMemoryWindow(time.Now)
	} else {
		shared := &lateWindow{make: func() (*limiter.RedisWindow, error) {
			return limiter.NewRedisWindow(store.client, limiter.RedisWindowOptions{
				Key: account, Replicas: store.replicas, Limit: limit, OnState: tellState(provider),
			})
		}}
		d.window, d.open, d.close = shared, func() { _, _ = shared.get() }, shared.Close
	}
	d.queue = limiter.NewQueue(d.window, time.Now)
}

// tellState tells of the store's state through the process's log: the window
// outlives the configuration that made it.
func tellState(provider string) func(limiter.State, error) {
	return func(state limiter.State, err error) {
		logger := caddy.Log().Named("alipayai").With(zap.String("provider", provider))
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
