package limiter

import (
	"context"
	"math"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

func TestThrottleHoldsBackTheReservedSlot(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.call(t.Context(), "", patient("a"))
		h.call(t.Context(), "", patient("a"))
		h.outcomes()
		h.window.Throttle(5 * time.Second)
		synctest.Wait()
		if got := h.Predict(patient("b")); got < 5*time.Second || got > 10*time.Second {
			t.Errorf("prediction while closed is %v, want a little more than 5 s", got)
		}
		time.Sleep(time.Minute)
		if o := h.outcomes()[0]; o.err != nil || o.at < 5*time.Second || o.at > 6*time.Second {
			t.Errorf("after %v: %v, want a permit when the window opens", o.at, o.err)
		}
	})
}

// A reload changes the limit while a slot is reserved under the old one.
func TestEveryCallPassesItsOwnLimit(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		h := newHarness(t)
		r := patient("a")
		h.call(t.Context(), "", r)
		h.call(t.Context(), "", r)
		r.Limit = Limit{Requests: 1, Per: 3 * time.Second}
		r.Priority = High
		h.call(t.Context(), "new", r)
		h.outcomes()
		time.Sleep(time.Minute)
		out := h.outcomes()
		if out[0].name != "new" || out[0].at != 3*time.Second {
			t.Errorf("%q is admitted after %v, want the one with the new limit after 3 s", out[0].name, out[0].at)
		}
	})
}

func TestSetWindowMovesAllThatWait(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		h := newHarness(t)
		for range 3 {
			h.call(t.Context(), "", patient("a"))
		}
		old := h.window
		h.window = newSpy(t)
		h.outcomes()
		h.SetWindow(h.window, time.Time{})
		if out := h.outcomes(); len(out) != 1 || out[0].err != nil {
			t.Errorf("%v end at once, want one, with the slot that the new window has", out)
		}
		time.Sleep(time.Second)
		if out := h.outcomes(); len(out) != 1 || out[0].err != nil {
			t.Errorf("%v end after a second, want the last", out)
		}
		if old.future() != 0 || old.returned != 1 || h.window.reserved != 2 {
			t.Errorf("the old window got %d slots back, the new gave %d; want 1 and 2", old.returned, h.window.reserved)
		}
	})
}

// A waiter that wakes up too late for its slot is the first in line again.
func TestSlotThatIsTooOldIsTakenAnew(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.call(t.Context(), "", patient("a"))
		var seen atomic.Int32
		h.now = func() time.Time {
			now := time.Now()
			// The dispatcher looks at the clock first, then the waiter, and then the dispatcher gives the slot back.
			if now.Sub(h.began) == time.Second {
				if n := seen.Add(1); n == 2 || n == 3 {
					return now.Add(50 * time.Millisecond)
				}
			}
			return now
		}
		h.call(t.Context(), "late", patient("a"))
		h.outcomes()
		time.Sleep(time.Second)
		if got := h.names(); !slices.Equal(got, []string{"late"}) || h.window.returned != 1 {
			t.Errorf("%v are admitted and %d slots are given back, want late with the second that it got", got, h.window.returned)
		}
	})
}

// The queue behind a window that two others use as much learns that it gets a
// third.
func TestPredictionKnowsItsShareOfTheWindow(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.window.others = 2
		r := patient("a")
		r.Limit.Requests = 50
		for range 1000 {
			h.call(t.Context(), "", r)
		}
		h.outcomes()
		time.Sleep(5 * time.Second)
		h.outcomes()
		count, _ := h.Depth()
		got, want := h.Predict(r), float64(count)/(50./3)
		if math.Abs(got.Seconds()/want-1) > 0.1 {
			t.Errorf("prediction behind %d is %v, want about %.1f s", count, got, want)
		}
		h.Drain()
	})
}

// If no other call comes, predictions are exact.
func TestPredictionIsExactWhenNothingChanges(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.call(t.Context(), "", patient("a"))
		for i := range 60 {
			r := patient(string(rune('a' + i%7)))
			r.Weight = 1 + i%7
			h.call(t.Context(), "", r)
		}
		for _, tenant := range []string{"a", "g", "new"} {
			r := patient(tenant)
			r.Weight = 7
			h.outcomes()
			want := h.Predict(r)
			before := time.Now()
			h.call(t.Context(), "this", r)
			for !slices.Contains(h.names(), "this") {
				time.Sleep(time.Second / 2)
			}
			if got := time.Since(before); got.Truncate(time.Second) != want.Truncate(time.Second) {
				t.Errorf("%s waits %v, predicted were %v", tenant, got, want)
			}
		}
		h.Drain()
	})
}

func TestPredictionAcrossClasses(t *testing.T) {
	tests := map[string]struct {
		waiting map[Priority]int
		class   Priority
		want    int // seconds
	}{
		"behind the higher":        {map[Priority]int{High: 5}, Low, 6},
		"one in ten":               {map[Priority]int{High: 100}, Low, 10},
		"second of one in ten":     {map[Priority]int{High: 100, Low: 1}, Low, 20},
		"before the lower":         {map[Priority]int{Low: 100}, High, 1},
		"but for one in ten":       {map[Priority]int{High: 20, Low: 100}, High, 23},
		"in the middle":            {map[Priority]int{High: 3, Normal: 4, Low: 100}, Normal, 8},
		"in the middle, late":      {map[Priority]int{High: 100, Low: 100}, Normal, 10},
		"with the classes reduced": {map[Priority]int{High: 1, Normal: 1, Low: 1}, Low, 4},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				h := newHarness(t)
				h.call(t.Context(), "", patient("a"))
				r := patient("a")
				for _, p := range []Priority{High, Normal, Low} {
					r.Priority = p
					for range tt.waiting[p] {
						h.call(t.Context(), "", r)
					}
				}
				r.Priority = tt.class
				predicted := h.Predict(r).Seconds()
				h.call(t.Context(), "this", r)
				time.Sleep(time.Hour)
				out := h.outcomes()
				at := out[slices.IndexFunc(out, func(o outcome) bool { return o.name == "this" })].at.Seconds()
				if math.Abs(predicted-at) > 1 || math.Abs(at-float64(tt.want)) > 1 {
					t.Errorf("it waits %v s, predicted were %v, want %d", at, predicted, tt.want)
				}
			})
		})
	}
}

// When the last call leaves, the queue has nothing left to do: it waits for no pace.
func TestQueueEndsWithItsLastCall(t *testing.T) {
	for name, pace := range map[string]time.Duration{"without a pace": 0, "with a pace": 100 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) { // which fails while a goroutine of the queue is left
				q := NewQueue(NewMemoryWindow(time.Now), time.Now)
				r := Request{Limit: Limit{Requests: 5, Per: time.Second}, Pace: pace, MaxWait: time.Minute, MaxCount: 10, MaxBytes: 1 << 20}
				for range 5 {
					if _, err := q.Wait(t.Context(), r); err != nil {
						t.Fatal(err)
					}
				}
				ctx, cancel := context.WithCancel(t.Context())
				left := make(chan error)
				go func() { _, err := q.Wait(ctx, r); left <- err }()
				synctest.Wait()
				cancel()
				if err := <-left; err == nil {
					t.Error("a call that left has a slot")
				}
			})
		})
	}
}
