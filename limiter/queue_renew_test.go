package limiter

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// A slot that is given back is there for the head at once, though a later one was booked for it.
func TestReturnedSlotServesTheHead(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		h := newHarness(t)
		s, err := h.Wait(t.Context(), patient("a"))
		if err != nil {
			t.Fatal(err)
		}
		h.call(t.Context(), "head", patient("a"))
		h.Return(s)
		if out := h.outcomes(); len(out) != 1 || out[0].err != nil || out[0].at != 0 {
			t.Errorf("%v are admitted, want the head at once", out)
		}
	})
}

// A call that is late goes before all that wait, and the window stays whole.
func TestRenewGoesBeforeAllThatWait(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		h := newHarness(t)
		s, err := h.Wait(t.Context(), patient("a"))
		if err != nil {
			t.Fatal(err)
		}
		h.call(t.Context(), "head", patient("a"))
		h.call(t.Context(), "next", patient("a"))
		time.Sleep(300 * time.Millisecond)
		late, err := h.Renew(t.Context(), s, one, s.At.Add(time.Hour))
		if err != nil || !late.At.Equal(time.Now()) {
			t.Errorf("the slot is %v from now, %v; want at once", time.Until(late.At), err)
		}
		time.Sleep(time.Minute)
		out := h.outcomes()
		if len(out) != 2 || out[0].at != 1300*time.Millisecond || out[1].at != 2300*time.Millisecond {
			t.Errorf("%v are admitted, want both a second apart", out)
		}
		if n := h.window.reserved - h.window.returned; n != 3 {
			t.Errorf("%d slots are taken, want 3", n)
		}
	})
}

// Where the window fails there is no slot, and the old one is given back.
func TestRenewAtAWindowThatFails(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		h := newHarness(t)
		s, err := h.Wait(t.Context(), patient("a"))
		if err != nil {
			t.Fatal(err)
		}
		h.window.fail = errors.New("out of order")
		if _, err := h.Renew(t.Context(), s, one, s.At.Add(time.Hour)); !errors.Is(err, h.window.fail) {
			t.Errorf("error %v, want the window's", err)
		}
		if h.window.returned != 1 {
			t.Errorf("%d slots are returned, want 1", h.window.returned)
		}
	})
}

// A permit that would come too late is not taken, whether its slot is late or the window opens late.
func TestRenewInTime(t *testing.T) {
	for name, opens := range map[string]time.Duration{"the slot": 0, "the window": time.Second} {
		for wait, latest := range map[string]time.Duration{"in time": time.Second, "too late": time.Second - 1} {
			t.Run(name+" is "+wait, func(t *testing.T) {
				testwait.Bubble(t, func(t *testing.T) {
					q := NewQueue(NewMemoryWindow(time.Now), time.Now)
					s, err := q.Wait(t.Context(), patient("a"))
					if err != nil {
						t.Fatal(err)
					}
					if opens > 0 {
						q.SetWindow(NewMemoryWindow(time.Now), time.Now().Add(opens))
					} else {
						q.Window().Throttle(time.Second)
					}
					began := time.Now()
					next, err := q.Renew(t.Context(), s, one, began.Add(latest))
					r, _ := errors.AsType[*Rejection](err)
					switch {
					case wait == "in time" && (err != nil || !next.At.Equal(began.Add(time.Second))):
						t.Errorf("the slot is %v from then, %v; want 1s", next.At.Sub(began), err)
					case wait == "too late" && (r == nil || r.Reason != QueueDeadline || r.RetryAfter != time.Second || time.Now() != began):
						t.Errorf("error %v after %v, want a rejection at once", err, time.Since(began))
					}
					if free := q.Window().Next(one, time.Now()); wait == "too late" && (next != Slot{} || free.After(began.Add(time.Second))) {
						t.Errorf("the slot is %+v, and the next one %v away; want neither taken", next, time.Until(free))
					}
				})
			})
		}
	}
}

// A request that is sent late counts from when it was sent, also if the next slot was booked before.
func TestCorrectMovesTheSlot(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		q := NewQueue(NewMemoryWindow(time.Now), time.Now)
		s, err := q.Wait(t.Context(), patient("a"))
		if err != nil {
			t.Fatal(err)
		}
		admitted := make(chan time.Time, 1)
		go func() {
			if _, err := q.Wait(t.Context(), patient("a")); err != nil {
				t.Error(err)
			}
			admitted <- time.Now()
		}()
		synctest.Wait()
		time.Sleep(300 * time.Millisecond)
		corrected := time.Now()
		q.Correct(s, one)
		if apart := (<-admitted).Sub(corrected); apart != time.Second {
			t.Errorf("the next is admitted %v later, want 1s", apart)
		}
	})
}

// With a pace no two calls are admitted at once, whether they have to wait or not.
func TestPace(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		h := newHarness(t)
		r := patient("a")
		r.Limit, r.Pace = Limit{Requests: 10, Per: time.Second}, 20*time.Millisecond
		for range 12 {
			h.call(t.Context(), "", r)
		}
		time.Sleep(time.Minute)
		h.call(t.Context(), "alone", r)
		var last time.Duration
		for i, o := range h.outcomes() {
			want := time.Duration(i) * r.Pace
			switch {
			case i >= 12:
				want = time.Minute
			case i >= 10:
				want = time.Second + time.Duration(i-10)*r.Pace
			}
			if o.err != nil || o.at != want {
				t.Errorf("call %d is admitted after %v (%v), want %v", i, o.at, o.err, want)
			}
			last = o.at
		}
		if last != time.Minute {
			t.Errorf("the last is admitted after %v", last)
		}
	})
}
