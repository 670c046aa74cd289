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
func (w *pooledWindow) open() {
	if shared, ok := w.window.(sharedWindow); ok {
		shared.Start()
	}
}

// Destruct ends the background work, when no configuration uses the window.
func (w *pooledWindow) Destruct() error {
	if shared, ok := w.window.(sharedWindow); ok {
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

// use makes the queue take its permits from w, until leave, with windows of span. w
// does not know the permits of another window, so none are given for a span: after
// that the old ones no longer count.
func (q *pooledQueue) use(w *pooledWindow, span time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.used = append(q.used, w)
	q.change(span)
}

// leave undoes one use. If the configuration was replaced, the new one has changed
// the window already; if it was rejected, the window before is used again.
func (q *pooledQueue) leave(w *pooledWindow, span time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.used, w); i >= 0 {
		q.used = slices.Delete(q.used, i, i+1)
	}
	if len(q.used) > 0 {
		q.change(span)
	}
}

func (q *pooledQueue) change(span time.Duration) {
	if w := q.used[len(q.used)-1]; w.window != q.queue.Window() {
		q.queue.SetWindow(w.window, time.Now().Add(max(span, q.span)))
	}
	q.span = span
}

// lookAgain is the poll interval while calls wait, or Caddy may exit.
const lookAgain = 100 * time.Millisecond

// release gives back what a configuration held of w, once no other uses it and no
// call waits for it: calls that wait keep the window and its store.
func (q *pooledQueue) release(w *pooledWindow, giveBack func()) {
	q.mu.Lock()
	used := slices.Contains(q.used, w)
	q.mu.Unlock()
	if count, _ := q.queue.Depth(); !used && count > 0 && q.queue.Window() == w.window {
		time.AfterFunc(lookAgain, func() { q.release(w, giveBack) })
		return
	}
	giveBack()
}

// drain rejects all calls that wait once the process is exiting and its servers, which serve on for a time then, wait for
// those that are left. It polls, because a reload, which calls must survive, looks the same to an app, and because Caddy
// stops its apps in any order when it exits. It returns when ctx ends, as it does after that.
func (q *pooledQueue) drain(ctx context.Context, exiting func() bool, servesOn time.Duration) {
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
	q.queue.Drain()
}
