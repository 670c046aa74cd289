package limiter

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// fleetLimit is the cap of Alipay's production tier.
var fleetLimit = Limit{Requests: 50, Per: time.Second, Guard: 10 * time.Millisecond}

// change is a change of state of one replica.
type change struct {
	at    time.Time
	state State
	err   error
}

// replica is one gateway that always has a call at the head of its queue.
type replica struct {
	window *RedisWindow
	limit  Limit
	pauses time.Duration // at most, between a permit and the next reservation; of a bubble

	mu       sync.Mutex
	permits  []time.Time
	changes  []change
	slowest  time.Duration // reservation
	failures int
	degraded int // permits on its own
}

// fleet is several replicas with one cap.
type fleet struct {
	t        *testing.T
	exact    bool // its time is that of a bubble, of which no load of the machine takes any
	limit    Limit
	replicas []*replica
	began    time.Time
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// newFleet starts three replicas at full load, each with a client of its own.
func newFleet(t *testing.T, limit Limit, pauses time.Duration, client func() redis.UniversalClient) *fleet {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &fleet{t: t, limit: limit, began: time.Now(), stop: cancel}
	for range 3 {
		r := &replica{limit: limit, pauses: pauses}
		window, err := NewRedisWindow(client(), RedisWindowOptions{
			Key: t.Name(), Replicas: 3, Limit: limit,
			OnState: func(s State, err error) {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.changes = append(r.changes, change{time.Now(), s, err})
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		r.window = window
		f.replicas = append(f.replicas, r)
		f.running.Go(func() { r.saturate(ctx) })
	}
	t.Cleanup(f.end)
	return f
}

// newRunningFleet is a fleet that is past its first silence.
func newRunningFleet(t *testing.T, client func() redis.UniversalClient) *fleet {
	t.Helper()
	openHistory(t, client(), t.Name())
	return newFleet(t, fleetLimit, 0, client)
}

// newExactFleet is a fleet in a bubble.
func newExactFleet(t *testing.T, b bubbleRedis) *fleet {
	t.Helper()
	const near = 200 * time.Microsecond
	return newFarFleet(t, b, fleetLimit, 0, near, near, near)
}

// newFarFleet is a fleet in a bubble whose replicas are that far from Redis, each way.
func newFarFleet(t *testing.T, b bubbleRedis, limit Limit, pauses time.Duration, oneWay ...time.Duration) *fleet {
	t.Helper()
	f := newFleet(t, limit, pauses, func() redis.UniversalClient {
		b.OneWay, oneWay = oneWay[0], oneWay[1:]
		return b.newClient(t)
	})
	f.exact = true
	return f
}

// end stops the load and the windows.
func (f *fleet) end() {
	f.stop()
	f.running.Wait()
	for _, r := range f.replicas {
		_ = r.window.Close()
	}
}

// saturate reserves the next slot as soon as one is used, as a queue does
// that is never empty.
func (r *replica) saturate(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		if r.pauses > 0 {
			time.Sleep(rand.N(r.pauses))
		}
		began := time.Now()
		slot, err := r.window.Reserve(ctx, r.limit)
		took := time.Since(began)
		r.mu.Lock()
		r.slowest = max(r.slowest, took)
		if err != nil && ctx.Err() == nil {
			r.failures++
		}
		r.mu.Unlock()
		if err != nil {
			continue
		}
		timer.Reset(time.Until(slot.At))
		select {
		case <-ctx.Done():
		case <-slot.Revoked():
		case <-timer.C:
			if now := time.Now(); !slot.Void(now) && now.Sub(slot.At) <= r.limit.Guard {
				r.mu.Lock()
				r.permits = append(r.permits, now)
				if slot.seq == 0 {
					r.degraded++
				}
				r.mu.Unlock()
				continue
			}
		}
		r.window.Return(slot)
	}
}

// permits are those of all replicas since a time, in nanoseconds.
func (f *fleet) permits(since time.Time) []int64 {
	var all []int64
	for _, r := range f.replicas {
		r.mu.Lock()
		for _, d := range r.permits {
			if !d.Before(since) {
				all = append(all, int64(d.Sub(since)))
			}
		}
		r.mu.Unlock()
	}
	return all
}

// outlast breaks Redis for a time in which every replica sends on its own, and
// judges what must hold.
func (f *fleet) outlast(breaks, heals func()) {
	f.t.Helper()
	f.pass(500 * time.Millisecond)
	breaks()
	f.callInTheMiddle()
	f.reach(Degraded, degradedWithin)
	f.await(firstSilence, "every replica sends on its own", f.onTheirOwn)
	f.pass(1200 * time.Millisecond)
	heals()
	began := time.Now()
	f.reach(Shared, recoveredWithin)
	f.pass(200 * time.Millisecond)
	f.resume(recoveredWithin - time.Since(began))
	f.pass(1200 * time.Millisecond)
	f.check()
}

// reach waits until all replicas are in a state, and fails if one is late.
func (f *fleet) reach(s State, within time.Duration) {
	f.t.Helper()
	began := time.Now()
	f.await(within, fmt.Sprintf("all replicas are %s", s), func() bool {
		for _, r := range f.replicas {
			if r.window.State() != s {
				return false
			}
		}
		return true
	})
	f.t.Logf("%s after %s", s, time.Since(began).Round(time.Millisecond))
}

// resume waits until permits happen again.
func (f *fleet) resume(within time.Duration) {
	f.t.Helper()
	began := time.Now()
	f.await(within, "permits", func() bool { return len(f.permits(began)) > 0 })
	f.t.Logf("permits after %s", time.Since(began).Round(time.Millisecond))
}

// await waits until something holds, and fails if that is not within the time that
// is promised: time of a bubble, since a machine keeps no promises.
func (f *fleet) await(within time.Duration, what string, holds func() bool) {
	f.t.Helper()
	if !f.exact {
		within = patience
	}
	testwait.For(f.t, within, what, holds)
}

// callInTheMiddle lets every replica reserve several slots at once, whoever waits
// already, and give them back.
func (f *fleet) callInTheMiddle() {
	var calls sync.WaitGroup
	for _, r := range f.replicas {
		for range 10 {
			calls.Go(func() {
				began := time.Now()
				slot, err := r.window.Reserve(context.Background(), r.limit)
				took := time.Since(began)
				r.window.Return(slot)
				r.mu.Lock()
				defer r.mu.Unlock()
				r.slowest = max(r.slowest, took)
				if err != nil {
					r.failures++
				}
			})
		}
	}
	calls.Wait()
}

// onTheirOwn says whether every replica has sent without Redis.
func (f *fleet) onTheirOwn() bool {
	for _, r := range f.replicas {
		r.mu.Lock()
		n := r.degraded
		r.mu.Unlock()
		if n == 0 {
			return false
		}
	}
	return true
}

// opened is when the history in use began.
func (f *fleet) opened() int64 {
	w := f.replicas[0].window
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.opened
}

// pass lets time pass under load.
func (f *fleet) pass(d time.Duration) { <-time.After(d) }

// check ends the fleet and judges what must hold whatever has happened.
func (f *fleet) check() {
	f.t.Helper()
	f.end()
	all := f.permits(f.began)
	for _, r := range f.replicas {
		f.t.Logf("%d permits, %d of them on its own; slowest reservation %s; %d changes of state",
			len(r.permits), r.degraded, r.slowest, len(r.changes))
		if f.exact && r.slowest > blocksFor {
			f.t.Errorf("a reservation took %s, more than %s", r.slowest, blocksFor)
		}
		if r.failures > 0 {
			f.t.Errorf("%d reservations failed", r.failures)
		}
	}
	overfull(f.t, all, f.limit.Requests, int64(f.limit.Per))
}
