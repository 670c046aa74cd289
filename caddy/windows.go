package alipaycaddy

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/limiter"
)

// pooledWindow is the rate window of one account at an upstream, in one store. It
// is pooled, so that the permits that were given still count after a reload.
type pooledWindow struct {
	once   sync.Once
	window limiter.Window
}

// open connects a shared window to its store; it may be called at any time.
func (d *pooledWindow) open() {
	if shared, ok := d.window.(sharedWindow); ok {
		shared.Start()
	}
}

// Destruct ends the background work, when no configuration uses the window.
func (d *pooledWindow) Destruct() error {
	if shared, ok := d.window.(sharedWindow); ok {
		return shared.Close()
	}
	return nil
}

// pooledQueue is the queue of one account at an upstream, for windows in any store:
// calls keep waiting in it over a reload, also if that changes the store.
type pooledQueue struct {
	once  sync.Once
	queue *limiter.Queue

	mu   sync.Mutex
	used []*pooledWindow // by the configurations that run, the latest last
	span time.Duration   // of what was used last
}

// use makes the queue take its permits from d, until leave, with windows of span. d
// does not know the permits of another window, so none are given for a span: after
// that the old ones no longer count.
func (w *pooledQueue) use(d *pooledWindow, span time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.used = append(w.used, d)
	w.change(span)
}

// leave undoes one use. If the configuration was replaced, the new one has changed
// the window already; if it was rejected, the window before is used again.
func (w *pooledQueue) leave(d *pooledWindow, span time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.used, d); i >= 0 {
		w.used = slices.Delete(w.used, i, i+1)
	}
	if len(w.used) > 0 {
		w.change(span)
	}
}

func (w *pooledQueue) change(span time.Duration) {
	if d := w.used[len(w.used)-1]; d.window != w.queue.Window() {
		w.queue.SetWindow(d.window, time.Now().Add(max(span, w.span)))
	}
	w.span = span
}

// lookAgain is the poll interval while calls wait, or Caddy may exit.
const lookAgain = 100 * time.Millisecond

// release gives back what a configuration held of d, once no other uses it and no
// call waits for it: calls that wait keep the window and its store.
func (w *pooledQueue) release(d *pooledWindow, giveBack func()) {
	w.mu.Lock()
	used := slices.Contains(w.used, d)
	w.mu.Unlock()
	if count, _ := w.queue.Depth(); !used && count > 0 && w.queue.Window() == d.window {
		time.AfterFunc(lookAgain, func() { w.release(d, giveBack) })
		return
	}
	giveBack()
}

// drain rejects all calls that wait once the process is exiting and its servers, which serve on for a time then, wait for
// those that are left. It polls, because a reload, which calls must survive, looks the same to an app, and because Caddy
// stops its apps in any order when it exits. It returns when ctx ends, as it does after that.
func (w *pooledQueue) drain(ctx context.Context, exiting func() bool, servesOn time.Duration) {
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
	select {
	case <-ctx.Done():
	case <-time.After(servesOn):
	}
	w.queue.Drain()
}
