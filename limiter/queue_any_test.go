package limiter

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// equals are queues that calls wait in at once, in a synctest bubble.
type equals struct {
	t       *testing.T
	queues  []*Queue
	windows []*spyWindow // nil where the queues have others
	began   time.Time
	mu      sync.Mutex
	permits [][]time.Duration // by queue, since the harness began
	tenants map[string]int
	failed  []time.Duration // when calls were rejected
	left    sync.WaitGroup
}

func newEquals(t *testing.T, n int) *equals {
	e := &equals{t: t, began: time.Now(), permits: make([][]time.Duration, n), tenants: make(map[string]int)}
	for range n {
		w := newSpy(t)
		e.windows, e.queues = append(e.windows, w), append(e.queues, NewQueue(w, time.Now))
	}
	return e
}

// places are those of a call, beginning with that of queue first.
func (e *equals) places(r Request, first int) (places []Place) {
	for i := range e.queues {
		places = append(places, Place{e.queues[(first+i)%len(e.queues)], r})
	}
	return places
}

// wait makes a call of r that begins at queue first.
func (e *equals) wait(ctx context.Context, r Request, first int, alone time.Duration) error {
	places := e.places(r, first)
	from, s, err := WaitAny(ctx, places, alone)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		e.failed = append(e.failed, time.Since(e.began))
		return err
	}
	queue := (first + from) % len(e.queues)
	if s.window != e.queues[queue].Window() {
		e.t.Errorf("the slot is of another window than that of its queue")
	}
	if late := time.Since(s.At); late < 0 || late > max(r.Limit.Guard, time.Millisecond) {
		e.t.Errorf("a call is admitted %v after its slot begins", late)
	}
	e.permits[queue] = append(e.permits[queue], time.Since(e.began))
	e.tenants[r.Tenant]++
	return nil
}

// saturate keeps n calls of r waiting for d, the k-th of which begins at queue first(k).
func (e *equals) saturate(n int, r Request, d, alone time.Duration, first func(k int) int) {
	ctx, cancel := context.WithTimeout(e.t.Context(), d)
	for k := range n {
		e.left.Go(func() {
			for e.wait(ctx, r, first(k), alone) == nil {
			}
		})
	}
	e.t.Cleanup(cancel)
}

// check fails if a window was exceeded, or a slot was wasted: each that was reserved, and not given
// back, is a permit of a call.
func (e *equals) check(l Limit) (sum int) {
	e.t.Helper()
	time.Sleep(time.Second) // until what gives permits has ended
	for i, permits := range e.permits {
		checkWindow(e.t, l, permits)
		sum += len(permits)
		if e.windows == nil {
			continue
		}
		if used := e.windows[i].used(); used != len(permits) {
			e.t.Errorf("queue %d: %d slots were used for %d permits", i, used, len(permits))
		}
		if n, bytes := e.queues[i].Depth(); n != 0 || bytes != 0 || e.queues[i].part != 0 {
			e.t.Errorf("queue %d: %d calls of %d bytes are left", i, n, bytes)
		}
	}
	return sum
}

func endless(tenant string) Request {
	r := patient(tenant)
	r.Limit, r.Pace = alipay, 2*time.Millisecond
	return r
}

// Three windows of 50 a second give 147 a second in sum, whichever queues the calls begin at.
func TestEqualQueuesGiveTheirSum(t *testing.T) {
	const lasts = time.Minute
	for name, tt := range map[string]struct {
		callers int
		alone   time.Duration
		first   func(k int) int
	}{
		"spread":                    {60, 0, func(k int) int { return k % 3 }},
		"all begin at one":          {60, 0, func(int) int { return 0 }},
		"all would rather have one": {60, 100 * time.Millisecond, func(int) int { return 1 }},
		"two of three would":        {400, 100 * time.Millisecond, func(k int) int { return min(k%3, 1) }},
		"hardly enough":             {12, 0, func(k int) int { return k % 3 }},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				e := newEquals(t, 3)
				e.saturate(tt.callers, endless("acme"), lasts, tt.alone, tt.first)
				e.left.Wait()
				if sum := e.check(alipay); sum < 147*int(lasts/time.Second) {
					t.Errorf("%d permits in %v, want 147 a second", sum, lasts)
				}
			})
		})
	}
}

// What waits for a window that the upstream closes is served by the others, at once.
func TestEqualQueuesServeForOneThatIsThrottled(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		e := newEquals(t, 3)
		e.saturate(90, endless("acme"), 40*time.Second, 100*time.Millisecond, func(k int) int { return k % 3 })
		time.Sleep(10 * time.Second)
		e.queues[0].Window().Throttle(20 * time.Second)
		e.left.Wait()
		e.check(alipay)
		during := func(queue int) (n int) {
			for _, at := range e.permits[queue] {
				if at > 11*time.Second && at < 29*time.Second {
					n++
				}
			}
			return n
		}
		if closed, others := during(0), during(1)+during(2); closed != 0 || others < 2*49*18 {
			t.Errorf("%d permits of the throttled window, and %d of the others, want none and 98 a second", closed, others)
		}
	})
}

// Each queue serves tenants by weight, and so do all together; a call of a queue alone has its share there.
func TestEqualQueuesAreFair(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		e := newEquals(t, 2)
		for tenant, weight := range map[string]int{"one": 1, "three": 3} {
			r := endless(tenant)
			r.Weight = weight
			e.saturate(100, r, time.Minute, 0, func(k int) int { return k % 2 })
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		alone := 0
		r := endless("alone")
		r.Weight = 4
		for range 20 {
			e.left.Go(func() {
				for {
					s, err := e.queues[0].Wait(ctx, r)
					e.mu.Lock()
					if err == nil {
						alone++
						e.permits[0] = append(e.permits[0], s.At.Sub(e.began))
					}
					e.mu.Unlock()
					if err != nil {
						return
					}
				}
			})
		}
		e.left.Wait()
		sum := e.check(alipay)
		one, three := e.tenants["one"], e.tenants["three"]
		if one*29 > three*10 || one*31 < three*10 {
			t.Errorf("tenants of weight 1 and 3 have %d and %d permits", one, three)
		}
		if alone*21 < sum*5 || alone*19 > sum*5 { // half of the first queue
			t.Errorf("a call of one queue has %d of %d permits, want a quarter", alone, sum)
		}
	})
}

// What cannot be served in time by all windows together is rejected at once, and what can be is not.
func TestEqualQueuesRejectAtOnce(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		e := newEquals(t, 3)
		r := endless("acme")
		r.MaxWait = 2 * time.Second
		for range 1000 {
			e.left.Go(func() { _ = e.wait(t.Context(), r, 0, 0) })
			synctest.Wait()
		}
		e.left.Wait()
		sum := e.check(alipay)
		// At 0, 1.01 s and, for the first of a third window, at 2.02 s, which is too late.
		if sum < 300 || sum > 303 {
			t.Errorf("%d calls are served, want 300", sum)
		}
		if late := slices.Max(e.failed); late != 0 {
			t.Errorf("a call is rejected after %v", late)
		}
	})
}

// A call waits for the queue that it would rather have, but no longer than it was told to.
func TestEqualQueuesBeginAlone(t *testing.T) {
	const alone = 100 * time.Millisecond
	for name, tt := range map[string]struct {
		free time.Duration // when the first queue has a permit
		from int
		at   time.Duration
	}{
		"free":      {0, 0, 0},
		"soon free": {alone - 10*time.Millisecond, 0, alone - 10*time.Millisecond},
		"too late":  {alone + 10*time.Millisecond, 1, 0},
		"throttled": {time.Hour, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				e := newEquals(t, 2)
				if tt.free > 0 {
					e.queues[0].Window().Throttle(tt.free)
				}
				from, _, err := WaitAny(t.Context(), e.places(endless("acme"), 0), alone)
				if at := time.Since(e.began); err != nil || from != tt.from || at != tt.at {
					t.Errorf("queue %d at %v (%v), want %d at %v", from, at, err, tt.from, tt.at)
				}
			})
		})
	}
	// A window that is throttled meanwhile keeps the call no longer than that.
	testwait.Bubble(t, func(t *testing.T) {
		e := newEquals(t, 2)
		e.queues[0].Window().Throttle(alone / 2)
		time.AfterFunc(alone/4, func() { e.queues[0].Window().Throttle(time.Minute) })
		from, _, err := WaitAny(t.Context(), e.places(endless("acme"), 0), alone)
		if at := time.Since(e.began); err != nil || from != 1 || at != alone {
			t.Errorf("queue %d at %v: %v", from, at, err)
		}
	})
}

// However a call ends, it is in no line and holds no slot any more.
func TestEqualQueuesAreLeft(t *testing.T) {
	for name, tt := range map[string]struct {
		end    func(e *equals, cancel func())
		reason Reason
		at     time.Duration
	}{
		"the client leaves": {func(_ *equals, cancel func()) { cancel() }, ClientGone, time.Second},
		"its time is over":  {func(*equals, func()) {}, QueueDeadline, 5*time.Second + time.Millisecond},
		"all are drained": {func(e *equals, _ func()) {
			for _, q := range e.queues {
				q.Drain()
			}
		}, Draining, time.Second},
		"one is drained": {func(e *equals, _ func()) { e.queues[0].Drain() }, QueueDeadline, 5*time.Second + time.Millisecond},
	} {
		for _, alone := range []time.Duration{0, time.Hour} {
			t.Run(name, func(t *testing.T) {
				testwait.Bubble(t, func(t *testing.T) {
					e := newEquals(t, 3)
					r := endless("acme")
					r.MaxWait = 5 * time.Second
					for _, q := range e.queues {
						q.Window().Throttle(4 * time.Second)
						time.AfterFunc(3*time.Second, func() { q.Window().Throttle(time.Hour) })
					}
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					var err error
					e.left.Go(func() { err = e.wait(ctx, r, 0, alone) })
					time.Sleep(time.Second)
					tt.end(e, cancel)
					e.left.Wait()
					synctest.Wait()
					if o := (outcome{err: err}); o.reason() != tt.reason || !slices.Equal(e.failed, []time.Duration{tt.at}) {
						t.Errorf("%v at %v, want %s at %v", err, e.failed, tt.reason, tt.at)
					}
					if sum := e.check(alipay); sum != 0 {
						t.Errorf("%d permits", sum)
					}
				})
			})
		}
	}
}

// A queue that is full of others takes no call, and the next one does.
func TestEqualQueuesThatAreFull(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		e := newEquals(t, 2)
		r := endless("acme")
		r.MaxCount = 1
		e.queues[0].Window().Throttle(time.Second)
		e.queues[1].Window().Throttle(2 * time.Second)
		e.left.Go(func() { _, _ = e.queues[0].Wait(t.Context(), r) })
		synctest.Wait()
		if err := e.wait(t.Context(), r, 0, 0); err != nil || len(e.permits[1]) != 1 {
			t.Errorf("%v, permits %v", err, e.permits)
		}
		e.left.Wait()
	})
}
