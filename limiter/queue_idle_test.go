package limiter

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// forecast is when the model would admit a call that comes now, as long as no
// other comes or leaves.
func (m *model) forecast(a *arrival) time.Duration {
	future := &model{limit: m.limit, pace: m.pace, permits: append([]time.Duration(nil), m.permits...), ends: make(map[uint64]ending)}
	for c := range m.classes {
		future.classes[c] = m.classes[c].clone()
	}
	future.passed = m.passed
	future.classes[a.Priority.class()].push(&a.waiter)
	for now := a.at; ; {
		now = future.next(now)
		future.serve(now)
		if future.ended(&a.waiter) {
			return now
		}
	}
}

// newModel is a model without any calls yet.
func newModel(limit Limit, pace time.Duration) *model {
	m := &model{limit: limit, pace: pace, ends: make(map[uint64]ending)}
	for c := range m.classes {
		m.classes[c] = &naive{starts: make(map[string]float64)}
	}
	return m
}

// pass admits all calls whose time is before until.
func (m *model) pass(until time.Duration) {
	for n, _ := m.waiting(); n > 0 && m.next(0) < until; n, _ = m.waiting() {
		m.serve(m.next(0))
	}
}

// bursty makes up pauses, bursts and trickles of calls that are in a hurry.
func bursty(rng *rand.Rand, limit Limit, pace time.Duration) []*arrival {
	var arrivals []*arrival
	at := time.Duration(0)
	for len(arrivals) < 600 {
		at += time.Duration(rng.Int64N(int64(1+rng.IntN(20)) * int64(limit.Span())))
		apart := time.Duration(rng.Int64N(int64(limit.Span())/int64(limit.Requests)) * int64(rng.IntN(3)))
		for range 1 + rng.IntN(4*limit.Requests+2) {
			at += apart + time.Microsecond
			// Redis keeps microseconds.
			at = at.Truncate(time.Microsecond)
			a := &arrival{at: at, leaves: never64}
			a.seq = uint64(len(arrivals))
			a.Request = Request{
				Tenant: "a", Bytes: 1, MaxBytes: 1 << 40, MaxCount: 1 << 20, Limit: limit, Pace: pace,
				MaxWait: time.Duration(rng.Int64N(4 * int64(limit.Span()))),
			}
			arrivals = append(arrivals, a)
		}
	}
	return arrivals
}

// idleLimits are those of the tests with pauses and bursts.
var idleLimits = []Limit{
	{Requests: 1, Per: 100 * time.Millisecond},
	{Requests: 5, Per: time.Second, Guard: 10 * time.Millisecond},
	alipay,
}

// A call that could be admitted within its longest wait is not rejected, and
// predictions are exact, for any pause before a burst. Behind a shared window that
// holds too, as long as no other replica takes permits.
func TestPausesAndBurstsAreServedLikeTheReference(t *testing.T) {
	redis := newBubbleRedis(t)
	windows := map[string]func(t *testing.T, key string, limit Limit) *Queue{
		"memory": func(*testing.T, string, Limit) *Queue {
			return NewQueue(NewMemoryWindow(time.Now), time.Now)
		},
		"of an unknown kind": func(t *testing.T, _ string, _ Limit) *Queue {
			return NewQueue(newSpy(t), time.Now)
		},
		"redis": func(t *testing.T, key string, limit Limit) *Queue {
			return redis.newQueues(t, key, limit, 1)[0]
		},
	}
	for name, newQueue := range windows {
		t.Run(name, func(t *testing.T) {
			refused, waited := 0, 0
			for seed := range seeds(12) {
				limit := idleLimits[seed%3]
				pace := time.Duration(seed/3%2) * (limit.Span() / time.Duration(8*limit.Requests)).Truncate(time.Microsecond)
				arrivals := bursty(rand.New(rand.NewPCG(seed, 9)), limit, pace)
				testwait.Bubble(t, func(t *testing.T) {
					q := newQueue(t, fmt.Sprint(name, seed), limit)
					h := &harness{Queue: q, t: t, began: time.Now()}
					m := newModel(limit, pace)
					for _, a := range arrivals {
						m.pass(a.at)
						time.Sleep(a.at - time.Since(h.began))
						synctest.Wait()
						wait := m.forecast(a) - a.at
						if got := h.Predict(a.Request); got != wait {
							t.Fatalf("seed %d: call %d at %v is predicted to wait %v, want %v", seed, a.seq, a.at, got, wait)
						}
						if wait > a.MaxWait {
							m.ends[a.seq] = ending{a.at, QueueDeadline, wait}
						} else {
							m.arrive(a)
						}
						h.call(t.Context(), fmt.Sprint(a.seq), a.Request)
					}
					m.pass(never64)
					time.Sleep(time.Minute)
					for _, o := range h.outcomes() {
						got := ending{at: o.at, reason: o.reason()}
						if o.err != nil {
							refused++
							got.retryAfter = o.retryAfter()
						} else if o.at > arrivals[o.number()].at {
							waited++
						}
						if got != m.ends[o.number()] {
							t.Fatalf("seed %d: call %s ends %+v, want %+v", seed, o.name, got, m.ends[o.number()])
						}
					}
				})
			}
			if refused < 100 || waited < 100 {
				t.Errorf("%d are refused and %d wait: the model shows little", refused, waited)
			}
		})
	}
}

// number is the call's place among the arrivals.
func (o outcome) number() (n uint64) {
	_, _ = fmt.Sscan(o.name, &n)
	return n
}
