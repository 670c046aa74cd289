package limiter

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// together are replicas whose calls are counted together, in a bubble.
type together struct {
	replicas []*harness
	asked    map[string]*arrival
	at       map[string]int // which replica was asked
	done     map[string]outcome
}

func (g *together) call(t *testing.T, a *arrival, replica int) {
	name := fmt.Sprint(a.seq)
	g.asked[name], g.at[name] = a, replica
	g.replicas[replica].call(t.Context(), name, a.Request)
	g.gather()
}

func (g *together) gather() {
	for _, h := range g.replicas {
		for _, o := range h.outcomes() {
			g.done[o.name] = o
		}
	}
}

// alone is a model of the most that a replica could admit: from all calls that were
// admitted, the slots that the others have booked, and the calls that wait here.
func (g *together) alone(limit Limit, replica int) *model {
	m := newModel(limit, 0)
	for _, o := range g.done {
		if o.err == nil {
			m.permits = append(m.permits, o.at)
		}
	}
	for i, h := range g.replicas {
		h.mu.Lock()
		h.Queue.mu.Lock()
		if s := h.next.slot; i != replica && s.window != nil {
			m.permits = append(m.permits, s.At.Sub(h.began))
		}
		h.Queue.mu.Unlock()
		h.mu.Unlock()
	}
	slices.Sort(m.permits)
	for n := range len(g.asked) {
		name := fmt.Sprint(n)
		if _, over := g.done[name]; !over && g.at[name] == replica {
			m.classes[Normal.class()].push(&g.asked[name].waiter)
		}
	}
	return m
}

// Replicas that share a window, and know of each other by it alone, serve as many
// calls of a burst as one queue would, however long the pause before: all, if they
// fit. Refused at once is only what the replica could not serve with all that the
// window has.
func TestReplicasServeBurstsLikeOneQueue(t *testing.T) {
	redis := newBubbleRedis(t)
	refused, late, whole := 0, 0, 0
	for seed := range uint64(9) {
		limit := idleLimits[seed%3]
		rng := rand.New(rand.NewPCG(seed, 11))
		testwait.Bubble(t, func(t *testing.T) {
			g := &together{asked: make(map[string]*arrival), at: make(map[string]int), done: make(map[string]outcome)}
			for _, q := range redis.newQueues(t, fmt.Sprint(seed), limit, 3) {
				g.replicas = append(g.replicas, &harness{Queue: q, t: t, began: time.Now()})
			}
			began := g.replicas[0].began
			one := newModel(limit, 0)
			maxWait := 3*limit.Span() + limit.Span()/2
			n := uint64(0)
			for episode := range 5 {
				time.Sleep(time.Duration(rng.Int64N(int64(10 * limit.Span()))).Truncate(time.Microsecond))
				first := n
				for range 1 + rng.IntN(9*limit.Requests) {
					at := time.Since(began)
					a := &arrival{at: at, leaves: never64}
					a.seq = n
					a.Request = patient("a")
					a.Limit, a.MaxWait = limit, maxWait
					n++
					one.pass(at)
					if one.forecast(a)-at > maxWait {
						one.end(&a.waiter, at, QueueDeadline)
					} else {
						one.arrive(a)
					}
					replica := rng.IntN(1 + rng.IntN(3)) // the first has most
					alone := g.replicas[replica].Predict(a.Request)
					if alone > maxWait {
						alone = g.alone(limit, replica).forecast(a) - at
					}
					g.call(t, a, replica)
					if o, over := g.done[fmt.Sprint(a.seq)]; over && o.err != nil {
						refused++
						if alone <= maxWait {
							t.Errorf("seed %d: call %d is refused, but could be served after %v: %v", seed, a.seq, alone, o.err)
						}
					}
					time.Sleep(time.Duration(rng.IntN(2)) * time.Microsecond)
				}
				time.Sleep(maxWait + time.Second)
				g.gather()
				one.pass(time.Since(began))
				served, could := 0, 0
				for i := first; i < n; i++ {
					o, over := g.done[fmt.Sprint(i)]
					switch {
					case !over:
						t.Fatalf("seed %d: call %d is neither served nor refused", seed, i)
					case o.err == nil:
						served++
					case o.at > g.asked[o.name].at:
						late++
					}
					if end, ended := one.ends[i]; ended && end.reason == "" { // served
						could++
					}
				}
				if served < could {
					t.Errorf("seed %d, burst %d: %d of %d are served, one queue would serve %d", seed, episode, served, n-first, could)
				}
				if could == int(n-first) {
					whole++
				}
			}
		})
	}
	if refused < 100 || late < 100 || whole < 10 {
		t.Errorf("%d are refused at once, %d later, and %d bursts are served whole: that shows little", refused, late, whole)
	}
}

// When all replicas have had their part of the window for a while, predictions are
// exact, except for calls at the edge of a part, which may come a window earlier or
// later: parts differ by a permit from window to window.
func TestReplicasPredictTheirPartOfTheWindow(t *testing.T) {
	redis := newBubbleRedis(t)
	redis.OneWay = 300 * time.Microsecond
	testwait.Bubble(t, func(t *testing.T) {
		queues := redis.newQueues(t, t.Name(), alipay, 3)
		r := patient("a")
		r.Limit, r.Pace = alipay, alipay.Span()/(8*50)
		for i, q := range queues {
			h := &harness{Queue: q, t: t}
			h.backlog(20+40*i, r, func() {})
		}
		time.Sleep(4 * alipay.Span())
		rng := rand.New(rand.NewPCG(12, 12))
		var calls sync.WaitGroup
		var edge atomic.Int32
		for range 60 {
			time.Sleep(time.Duration(rng.Int64N(int64(time.Second))))
			synctest.Wait()
			q := queues[rng.IntN(3)]
			want, came := q.Predict(r), time.Now()
			calls.Go(func() {
				if _, err := q.Wait(t.Context(), r); err != nil {
					t.Error(err)
				}
				got := time.Since(came)
				off := (got - want).Abs()
				if off > max(got/10, 50*time.Millisecond) {
					edge.Add(1)
				}
				if off > alipay.Span() {
					t.Errorf("predicted were %v, it waits %v", want, got)
				}
			})
		}
		calls.Wait()
		if n := edge.Load(); n > 6 {
			t.Errorf("%d of 60 predictions are wrong by more than 10 %% and 50 ms, want at most 6", n)
		}
		for _, q := range queues {
			q.Drain()
		}
		time.Sleep(time.Second)
	})
}
