package limiter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

func TestWaitAdmitsAtOnceWhileSlotsAreFree(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		h := newHarness(t)
		r := patient("a")
		r.Limit.Requests = 50
		r.MaxWait, r.MaxCount = 0, 0
		for range 50 {
			h.call(t.Context(), "a", r)
		}
		for _, o := range h.outcomes() {
			if o.err != nil || o.at != 0 {
				t.Fatalf("after %v: %v, want a slot at once", o.at, o.err)
			}
		}
		h.call(t.Context(), "a", r)
		if o := h.outcomes()[0]; o.reason() != QueueDeadline || o.retryAfter() != time.Second {
			t.Errorf("the 51st gets %v, want %s after a second", o.err, QueueDeadline)
		}
	})
}

func TestWaitIsFirstComeFirstServedWithinATenant(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		h := newHarness(t)
		var want []string
		for i := range 5 {
			want = append(want, fmt.Sprint(i))
			h.call(t.Context(), want[i], patient("a"))
		}
		if count, bytes := h.Depth(); count != 4 || bytes != 4 {
			t.Errorf("depth is %d calls and %d bytes, want 4 and 4", count, bytes)
		}
		time.Sleep(4 * time.Second)
		for i, o := range h.outcomes() {
			if o.name != want[i] || o.err != nil || o.at != time.Duration(i)*time.Second {
				t.Errorf("call %s is admitted after %v (%v), want call %d after %d s", o.name, o.at, o.err, i, i)
			}
		}
		if count, bytes := h.Depth(); count != 0 || bytes != 0 {
			t.Errorf("depth is %d calls and %d bytes, want none", count, bytes)
		}
	})
}

func TestReservedSlotPassesOn(t *testing.T) {
	high := patient("c")
	high.Priority = High
	tests := map[string]struct {
		then func(h *harness, leave context.CancelFunc)
		want []string // the call that is admitted after a second, and all that ended before
	}{
		"head leaves": {
			then: func(h *harness, leave context.CancelFunc) { leave() },
			want: []string{"head", "second"},
		},
		"better head comes": {
			then: func(h *harness, _ context.CancelFunc) { h.call(h.t.Context(), "better", high) },
			want: []string{"better"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				h := newHarness(t)
				h.call(t.Context(), "first", patient("a"))
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				h.call(ctx, "head", patient("a"))
				h.call(t.Context(), "second", patient("b"))
				h.outcomes()

				time.Sleep(time.Second / 2)
				tt.then(h, leave)
				time.Sleep(time.Second / 2)
				if got := h.names(); !slices.Equal(got, tt.want) {
					t.Errorf("%v end within a second, want %v", got, tt.want)
				}
				if h.window.returned != 0 {
					t.Errorf("%d slots are returned, want the one to pass on", h.window.returned)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

func TestLastToLeaveReturnsTheSlotAtOnce(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.call(t.Context(), "first", patient("a"))
		ctx, leave := context.WithCancel(t.Context())
		h.call(ctx, "second", patient("a"))
		if got := h.window.future(); got != 1 {
			t.Fatalf("%d slots are reserved for the head, want 1", got)
		}
		time.Sleep(time.Millisecond)
		leave()
		o := h.outcomes()[1]
		if o.reason() != ClientGone || o.at != time.Millisecond {
			t.Errorf("after %v: %v, want %s at once", o.at, o.err, ClientGone)
		}
		if got := h.window.future(); got != 0 {
			t.Errorf("%d slots are still reserved, want none", got)
		}
	})
}

// The client leaves in the very moment in which its slot comes.
func TestSlotOfOneThatHasLeftIsNotLost(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		h := newHarness(t)
		s, err := h.window.Reserve(t.Context(), one)
		if err != nil {
			t.Fatal(err)
		}
		s.window = h.window
		h.call(t.Context(), "next", patient("a")) // has a slot in a second
		w := &waiter{Request: patient("a"), ready: make(chan struct{}, 1)}
		w.deliver(booking{slot: s, limit: one}, nil)
		ctx, leave := context.WithCancel(t.Context())
		leave()
		if _, err := h.await(ctx, w); (outcome{err: err}).reason() != ClientGone {
			t.Errorf("error %v, want %s", err, ClientGone)
		}
		out := h.outcomes()
		if len(out) != 1 || out[0].err != nil || out[0].at != 0 {
			t.Errorf("%v are admitted, want the next at once", out)
		}
		if h.window.returned != 1 || h.window.future() != 0 {
			t.Errorf("%d slots are returned, want the later one", h.window.returned)
		}
	})
}

func TestDeadlineIsDecidedAtOnce(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		h := newHarness(t)
		for range 11 {
			h.call(t.Context(), "", patient("a"))
		}
		h.outcomes()
		r := patient("a")
		r.MaxWait = 10 * time.Second
		h.call(t.Context(), "late", r)
		if o := h.outcomes()[0]; o.reason() != QueueDeadline || o.retryAfter() != 11*time.Second || o.at != 0 {
			t.Errorf("after %v: %v, want %s of 11 s at once", o.at, o.err, QueueDeadline)
		}
		// Another tenant has its turn earlier, so that it may wait.
		r.Tenant = "b"
		if got := h.Predict(r); got != 2*time.Second {
			t.Errorf("the prediction for another tenant is %v, want 2 s", got)
		}
		h.call(t.Context(), "b", r)
		time.Sleep(2 * time.Second)
		if got := h.names(); !slices.Equal(got, []string{"", "b"}) {
			t.Errorf("%q are admitted, want b with the second slot", got)
		}
		// A context that ends earlier is a shorter wait.
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		h.call(ctx, "short", patient("a"))
		if o := h.outcomes()[0]; o.name != "short" || o.reason() != QueueDeadline {
			t.Errorf("%s: %v, want %s", o.name, o.err, QueueDeadline)
		}
		time.Sleep(time.Minute)
	})
}

// What was predicted does not hold: others overtake.
func TestDeadlineHoldsWhenOvertaken(t *testing.T) {
	for name, limit := range map[string]func(*testing.T, *Request) context.Context{
		"longest wait": func(t *testing.T, r *Request) context.Context {
			r.MaxWait = 3 * time.Second
			return t.Context()
		},
		"deadline": func(t *testing.T, _ *Request) context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			t.Cleanup(cancel)
			return ctx
		},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				h := newHarness(t)
				h.call(t.Context(), "", patient("a"))
				r := patient("a")
				ctx := limit(t, &r)
				h.call(ctx, "late", r)
				high := patient("b")
				high.Priority = High
				for range 8 {
					h.call(t.Context(), "", high)
				}
				time.Sleep(4 * time.Second)
				out := h.outcomes()
				i := slices.IndexFunc(out, func(o outcome) bool { return o.name == "late" })
				if i < 0 {
					t.Fatal("it still waits")
				}
				o := out[i]
				if o.reason() != QueueDeadline || o.at.Round(time.Second/100) != 3*time.Second {
					t.Errorf("after %v: %v, want %s after 3 s", o.at, o.err, QueueDeadline)
				}
				if o.retryAfter() < time.Second {
					t.Errorf("RetryAfter is %v, want the wait", o.retryAfter())
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

func TestFullQueueGivesWayToWhoHoldsLess(t *testing.T) {
	tests := map[string]struct {
		bounds func(*Request)
		full   int // waiting calls of a that fill it
	}{
		"count": {func(r *Request) { r.MaxCount = 11 }, 11},
		"bytes": {func(r *Request) { r.Bytes = 100; r.MaxBytes = 1199 }, 11},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				h := newHarness(t)
				call := func(tenant string, i int) {
					r := patient(tenant)
					tt.bounds(&r)
					h.call(t.Context(), fmt.Sprint(tenant, i), r)
				}
				for i := range tt.full + 1 {
					call("a", i)
				}
				if n := len(h.outcomes()); n != 1 {
					t.Fatalf("%d calls end, want only the first", n)
				}
				call("a", 12)
				o := h.outcomes()[0]
				if o.name != "a12" || o.reason() != QueueFull || o.retryAfter() != 12*time.Second {
					t.Fatalf("%s: %v, want a12: %s of 12 s", o.name, o.err, QueueFull)
				}
				// b pushes a out, the latest first, until it would hold more.
				for i := range 6 {
					call("b", i)
				}
				for i, o := range h.outcomes() {
					want := []string{"a11", "a10", "a9", "a8", "a7", "b5"}[i]
					if o.name != want || o.reason() != QueueFull {
						t.Errorf("%s: %v, want %s: %s", o.name, o.err, want, QueueFull)
					}
				}
				h.Drain()
			})
		})
	}
}

func TestBoundsOfOneCall(t *testing.T) {
	tests := map[string]func(*Request){
		"no call may wait":  func(r *Request) { r.MaxCount = 0 },
		"larger than bound": func(r *Request) { r.Bytes = r.MaxBytes + 1 },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				h := newHarness(t)
				h.call(t.Context(), "", patient("a"))
				h.call(t.Context(), "", patient("a"))
				h.outcomes()
				r := patient("b")
				change(&r)
				h.call(t.Context(), "", r)
				if o := h.outcomes()[0]; o.reason() != QueueFull {
					t.Errorf("error %v, want %s", o.err, QueueFull)
				}
				h.Drain()
			})
		})
	}
}

func TestDrain(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		h := newHarness(t)
		for range 3 {
			h.call(t.Context(), "", patient("a"))
		}
		h.outcomes()
		h.Drain()
		h.call(t.Context(), "", patient("a"))
		out := h.outcomes()
		if len(out) != 3 {
			t.Fatalf("%d calls end, want all 3", len(out))
		}
		for _, o := range out {
			if o.reason() != Draining || o.at != 0 {
				t.Errorf("after %v: %v, want %s", o.at, o.err, Draining)
			}
		}
		if n := h.window.future(); n != 0 {
			t.Errorf("%d slots are still reserved", n)
		}
		time.Sleep(time.Second)
		h.call(t.Context(), "", patient("a"))
		if o := h.outcomes()[0]; o.err != nil {
			t.Errorf("one that need not wait gets %v", o.err)
		}
	})
}

func TestErrorOfTheWindowEndsOneCallEach(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		broken := errors.New("broken")
		h := newHarness(t)
		for _, name := range []string{"first", "head", "second", "third"} {
			h.call(t.Context(), name, patient("a"))
		}
		h.window.mu.Lock()
		h.window.fail = broken
		h.window.mu.Unlock()
		time.Sleep(time.Second)
		out := h.outcomes()
		if len(out) != 4 {
			t.Fatalf("%v end, want all", out)
		}
		for _, o := range out {
			var want error
			if o.name == "second" || o.name == "third" {
				want = broken // the head had its slot before
			}
			if !errors.Is(o.err, want) {
				t.Errorf("%s: %v, want %v", o.name, o.err, want)
			}
		}
		time.Sleep(time.Second)
		h.call(t.Context(), "direct", patient("a"))
		if o := h.outcomes()[0]; !errors.Is(o.err, broken) {
			t.Errorf("without waiting: %v, want the window's error", o.err)
		}
		bad := patient("a")
		bad.Limit.Requests = 0
		h.call(t.Context(), "", bad)
		if o := h.outcomes()[0]; !errors.Is(o.err, ErrLimit) {
			t.Errorf("without a limit: %v, want %v", o.err, ErrLimit)
		}
	})
}

func TestContextThatHasEnded(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		h := newHarness(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		h.call(ctx, "", patient("a"))
		if o := h.outcomes()[0]; o.reason() != ClientGone || h.window.reserved != 0 {
			t.Errorf("%v with %d slots, want %s without any", o.err, h.window.reserved, ClientGone)
		}
	})
}
