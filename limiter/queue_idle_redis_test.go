package limiter

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// Over a real network and in real time too, idle time says nothing of the rate: a
// burst after a pause is served whole, where its longest wait leaves a busy machine
// time for it.
func TestBurstAfterAPauseIsServedOverRedis(t *testing.T) {
	for _, replicas := range []int{1, 3} {
		t.Run(fmt.Sprint(replicas), func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			limit := Limit{Requests: 50, Per: 300 * time.Millisecond, Guard: 10 * time.Millisecond}
			r := patient("a")
			r.Limit, r.MaxWait, r.Pace = limit, 10*time.Second, 500*time.Microsecond
			queues := make([]*Queue, replicas)
			openHistory(t, newTestClient(t, RedisOptions{Addresses: []string{server.Addr}}), t.Name())
			for i := range queues {
				w, err := NewRedisWindow(newTestClient(t, RedisOptions{Addresses: []string{server.Addr}}), RedisWindowOptions{
					Key: t.Name(), Replicas: replicas, Limit: limit,
				})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = w.Close() })
				queues[i] = NewQueue(w, time.Now)
			}
			rng := rand.New(rand.NewPCG(uint64(replicas), 4))
			for range 3 {
				var calls sync.WaitGroup
				for i := range 1 + 150 {
					q := queues[rng.IntN(replicas)]
					calls.Go(func() {
						if _, err := q.Wait(t.Context(), r); err != nil {
							t.Errorf("one of 150 that fit into %v: %v", r.MaxWait, err)
						}
					})
					apart := 200 * time.Microsecond // so that some come after the first have left
					if i == 0 {
						apart = time.Duration(2+rng.IntN(3)) * limit.Span()
					}
					<-time.After(apart)
				}
				calls.Wait()
			}
		})
	}
}
