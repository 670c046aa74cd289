package limiter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// burst is what became of calls that came at once.
type burst struct {
	mu      sync.Mutex
	waits   []time.Duration // of those that departed, by the time of their slot
	refused []*Rejection
	at      []time.Duration // when each of those was refused
}

// newRedisQueue is the queue of one replica, which counts how often it was on its own.
func newRedisQueue(t *testing.T, addr string, limit Limit, replicas int, degraded *atomic.Int32) *Queue {
	t.Helper()
	w, err := NewRedisWindow(newTestClient(t, RedisOptions{Addresses: []string{addr}}), RedisWindowOptions{
		Key: t.Name(), Replicas: replicas, Limit: limit,
		OnState: func(s State, _ error) {
			if s == Degraded {
				degraded.Add(1)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	_, _, _ = w.exchange(opLook, limit, "")
	return NewQueue(w, time.Now)
}

// send lets n calls come at once at a queue.
func (b *burst) send(ctx context.Context, q *Queue, r Request, n int) (wait func()) {
	began := time.Now()
	var calls sync.WaitGroup
	for range n {
		calls.Go(func() {
			s, err := q.Wait(ctx, r)
			b.mu.Lock()
			defer b.mu.Unlock()
			if rejection, ok := errors.AsType[*Rejection](err); ok {
				b.refused = append(b.refused, rejection)
				b.at = append(b.at, time.Since(began))
				return
			}
			b.waits = append(b.waits, s.At.Sub(began))
		})
	}
	return calls.Wait
}

// A burst after a pause is served whole over Redis where it fits into the longest
// wait: idle time says nothing of the rate.
func TestBurstAfterAPauseIsServedOverRedis(t *testing.T) {
	for _, replicas := range []int{1, 3} {
		t.Run(fmt.Sprint(replicas), func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			limit := Limit{Requests: 50, Per: 300 * time.Millisecond, Guard: 10 * time.Millisecond}
			r := patient("a")
			r.Limit, r.MaxWait, r.Pace = limit, 4*limit.Span(), 500*time.Microsecond
			var degraded atomic.Int32
			queues := make([]*Queue, replicas)
			openHistory(t, newTestClient(t, RedisOptions{Addresses: []string{server.Addr}}), t.Name())
			for i := range queues {
				queues[i] = newRedisQueue(t, server.Addr, limit, replicas, &degraded)
			}
			rng := rand.New(rand.NewPCG(uint64(replicas), 4))
			judged := 0
			for range 6 {
				// A call now and then, and pauses, before all come.
				for range rng.IntN(3) {
					var b burst
					b.send(t.Context(), queues[rng.IntN(replicas)], r, 1+rng.IntN(2))()
					<-time.After(time.Duration(rng.Int64N(int64(2 * limit.Span()))))
				}
				var b burst
				n := 100 + rng.IntN(60) // at most four windows with those before
				waits := make([]func(), replicas)
				for i, q := range queues {
					waits[i] = b.send(t.Context(), q, r, n/replicas)
				}
				for _, wait := range waits {
					wait()
				}
				if degraded.Swap(0) > 0 {
					continue // the machine kept Redis from answering within 50 ms
				}
				judged++
				for i, refused := range b.refused {
					t.Errorf("of %d that fit into %v one is refused after %v: %v", n, r.MaxWait, b.at[i], refused)
				}
				<-time.After(limit.Span())
			}
			if judged == 0 {
				t.Error("Redis never answered in time")
			}
		})
	}
}
