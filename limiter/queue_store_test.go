package limiter

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// slowWindow answers as late as a store does.
type slowWindow struct {
	*MemoryWindow
	ask, answer time.Duration // time before and after it reserves
	failing     bool          // ends as its context does
	reserved    map[uint64]time.Time
}

func newSlow(ask, answer time.Duration) *slowWindow {
	return &slowWindow{NewMemoryWindow(time.Now), ask, answer, false, make(map[uint64]time.Time)}
}

func (w *slowWindow) Reserve(ctx context.Context, l Limit) (Slot, error) {
	time.Sleep(w.ask)
	if w.failing {
		<-ctx.Done()
		return Slot{}, ctx.Err()
	}
	s, err := w.MemoryWindow.Reserve(context.WithoutCancel(ctx), l)
	w.mu.Lock()
	w.reserved[s.id] = s.At
	w.mu.Unlock()
	time.Sleep(w.answer)
	return s, err
}

func (w *slowWindow) Return(s Slot) {
	w.mu.Lock()
	delete(w.reserved, s.id)
	w.mu.Unlock()
	w.MemoryWindow.Return(s)
}

func (w *slowWindow) out() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.reserved)
}

func TestManyAtOnceOverASlowStore(t *testing.T) {
	limit := Limit{Requests: 10, Per: time.Second, Guard: 10 * time.Millisecond}
	testwait.Bubble(t, func(t *testing.T) {
		w := newSlow(2*time.Millisecond, 3*time.Millisecond)
		h := &harness{Queue: NewQueue(w, time.Now), t: t, began: time.Now()}
		r := patient("a")
		r.Limit = limit
		const calls = 100
		for i := range calls {
			go func() {
				s, err := h.Wait(t.Context(), r)
				h.mu.Lock()
				defer h.mu.Unlock()
				h.done = append(h.done, outcome{fmt.Sprint(i), s, err, time.Since(h.began)})
			}()
		}
		time.Sleep(time.Minute)
		var permits []time.Duration
		for _, o := range h.outcomes() {
			if o.err != nil || o.at-o.slot.At.Sub(h.began) > limit.Guard {
				t.Errorf("admitted %v after its slot begins, error %v", o.at-o.slot.At.Sub(h.began), o.err)
			}
			permits = append(permits, o.slot.At.Sub(h.began))
		}
		slices.SortFunc(permits, cmp.Compare)
		checkWindow(t, limit, permits)
		if len(permits) != calls || w.out() != calls {
			t.Errorf("%d of %d are admitted, with %d slots", len(permits), calls, w.out())
		}
		// Asking takes time, and what comes back is good for others only later.
		if last := permits[len(permits)-1]; last > 12*time.Second {
			t.Errorf("the last is admitted after %v, want about 9.1 s", last)
		}
	})
}

// oneOfThree is a slowWindow as one of three replicas sees it.
type oneOfThree struct{ *slowWindow }

func (oneOfThree) Sharers() int { return 3 }

// Many calls come at once to replicas that have been idle. Each knows of the others' permits only what the store has said
// before. If each reserved all that is free, the slots beyond it would be returned, and a window of them be unused.
func TestManyAtOnceAtThreeReplicas(t *testing.T) {
	limit := Limit{Requests: 12, Per: time.Second, Guard: 10 * time.Millisecond}
	testwait.Bubble(t, func(t *testing.T) {
		w := newSlow(2*time.Millisecond, 3*time.Millisecond)
		r := patient("a")
		r.Limit = limit
		const replicas, calls = 3, 40
		began := time.Now()
		last := make(chan time.Duration, replicas*calls)
		for range replicas {
			q := NewQueue(oneOfThree{w}, time.Now)
			for range calls {
				go func() {
					if _, err := q.Wait(t.Context(), r); err != nil {
						t.Error(err)
					}
					last <- time.Since(began)
				}()
			}
		}
		time.Sleep(2*time.Millisecond + 1)
		// What is free, and the next one for each queue.
		if n := w.out(); n > limit.Requests+replicas {
			t.Errorf("%d slots were reserved at once, of %d", n, limit.Requests)
		}
		time.Sleep(time.Hour)
		var ended time.Duration
		for range replicas * calls {
			ended = max(ended, <-last)
		}
		if want := (replicas*calls/time.Duration(limit.Requests)-1)*limit.Span() + 200*time.Millisecond; ended > want {
			t.Errorf("the last permit came after %v, want at most %v", ended, want)
		}
	})
}

func TestClientLeavesWhileTheStoreIsAsked(t *testing.T) {
	for name, failing := range map[string]bool{"slot comes": false, "store gives up": true} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				w := newSlow(time.Millisecond, time.Millisecond)
				w.failing = failing
				h := &harness{Queue: NewQueue(w, time.Now), t: t, began: time.Now()}
				ctx, leave := context.WithCancel(t.Context())
				h.call(ctx, "", patient("a"))
				leave()
				time.Sleep(time.Second)
				if o := h.outcomes()[0]; o.reason() != ClientGone || w.out() != 0 {
					t.Errorf("%v, and %d slots are kept; want %s and none", o.err, w.out(), ClientGone)
				}
			})
		})
	}
}

// An answer that comes later than the guard brings a slot that is too old.
func TestSlotThatComesTooLateIsNotUsed(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		w := newSlow(0, 30*time.Millisecond)
		h := &harness{Queue: NewQueue(w, time.Now), t: t, began: time.Now()}
		r := patient("a")
		r.Limit = alipay
		r.MaxWait = time.Second
		h.call(t.Context(), "", r)
		time.Sleep(2 * time.Second)
		if o := h.outcomes()[0]; o.reason() != QueueDeadline || w.out() != 0 {
			t.Errorf("%v, and %d slots are kept; want %s and none", o.err, w.out(), QueueDeadline)
		}
		time.Sleep(time.Minute)
		w.mu.Lock()
		w.answer = 0
		w.mu.Unlock()
		h.call(t.Context(), "", r)
		if o := h.outcomes()[0]; o.err != nil {
			t.Errorf("with a store that answers in time: %v", o.err)
		}
	})
}

// A call that is too late for its slot is rejected if the queue drains or its own
// longest wait is over.
func TestTooLateForAnotherSlot(t *testing.T) {
	tests := map[string]struct {
		wait  time.Duration
		drain bool
		want  Reason
	}{
		"draining":     {time.Hour, true, Draining},
		"longest wait": {time.Second, false, QueueDeadline},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				h := newHarness(t)
				h.call(t.Context(), "", patient("a"))
				h.outcomes()
				w := &waiter{Request: patient("a"), ready: make(chan struct{}, 1)}
				w.MaxWait = tt.wait
				s, err := h.window.Reserve(t.Context(), w.Limit)
				if err != nil {
					t.Fatal(err)
				}
				s.window = h.window
				var late time.Duration
				began := true
				h.now = func() time.Time { // await looks when it begins and when it is woken
					if began {
						began = false
						return time.Now()
					}
					return time.Now().Add(late)
				}
				late = 3 * time.Second
				h.draining = tt.drain
				w.deliver(booking{slot: s, limit: w.Limit}, nil)
				_, err = h.await(t.Context(), w)
				if o := (outcome{err: err}); o.reason() != tt.want {
					t.Errorf("error %v, want %s", err, tt.want)
				}
				if h.window.returned != 1 {
					t.Errorf("%d slots are returned, want the one that was too old", h.window.returned)
				}
			})
		})
	}
}
