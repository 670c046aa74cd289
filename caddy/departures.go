package alipaycaddy

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/limiter"
)

// departures is the pooled window of one account at an upstream, in one store:
// what has departed survives a reload.
type departures struct {
	once   sync.Once
	window limiter.Window
}

// open connects a shared window to its store; it may be called at any time.
func (d *departures) open() {
	if shared, ok := d.window.(sharedWindow); ok {
		shared.Start()
	}
}

// Destruct ends the background work, when no configuration uses the window.
func (d *departures) Destruct() error {
	if shared, ok := d.window.(sharedWindow); ok {
		return shared.Close()
	}
	return nil
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
