package limiter

import (
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// A new window does not know the permits of the one before: until it opens, no
// call is admitted, by any of the ways to a permit.
func TestNothingIsAdmittedBeforeTheNewWindowOpens(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		const pause = 5 * time.Second
		h := newHarness(t)
		h.call(t.Context(), "admitted", patient("a"))
		h.call(t.Context(), "waits", patient("a"))
		admitted := h.outcomes()
		h.window = newSpy(t)
		h.SetWindow(h.window, time.Now().Add(pause))
		if h.Window() != h.window {
			t.Error("the queue does not know its window")
		}
		r := patient("b")
		if got := h.Predict(r); got != pause+time.Second {
			t.Errorf("prediction %v, want the pause and the one that waits", got)
		}
		r.MaxWait = 2 * time.Second
		h.call(t.Context(), "impatient", r)
		if out := h.outcomes(); len(out) != 1 || out[0].reason() != QueueDeadline {
			t.Errorf("%v, want the impatient one rejected", out)
		}
		renewed := make(chan time.Time, 1)
		go func() {
			s, err := h.Renew(t.Context(), admitted[0].slot, one, time.Now().Add(time.Hour))
			if err != nil {
				t.Error(err)
			}
			renewed <- s.At
		}()
		time.Sleep(pause - 1)
		out := h.outcomes()
		h.window.mu.Lock()
		if len(out) != 0 || h.window.reserved != 0 {
			t.Errorf("%v are admitted and %d are reserved before the window opens", out, h.window.reserved)
		}
		h.window.mu.Unlock()
		time.Sleep(2 * time.Second)
		if out := h.outcomes(); len(out) != 1 || out[0].err != nil || out[0].at < pause {
			t.Errorf("%v, want the one that waited", out)
		}
		if at := <-renewed; at.Before(h.began.Add(pause)) {
			t.Errorf("renewed for %v after the beginning", at.Sub(h.began))
		}
		h.Drain()
	})
}

// A call that waits before the window opens is rejected at once by Drain, and leaves no goroutine running.
func TestLeavingBeforeTheNewWindowOpens(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.SetWindow(h.window, time.Now().Add(time.Hour))
		h.call(t.Context(), "waits", patient("a"))
		h.Drain()
		if out := h.outcomes(); len(out) != 1 || out[0].reason() != Draining {
			t.Errorf("%v, want it rejected", out)
		}
		if time.Since(h.began) != 0 {
			t.Error("it took time")
		}
	})
}
