package limiter

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// Predictions are exact after throttles too, and no call is rejected that could
// have been admitted in time.
func TestPredictionsAfterAThrottle(t *testing.T) {
	redis := newBubbleRedis(t)
	windows := map[string]func(t *testing.T, key string, limit Limit) *Queue{
		"memory": func(*testing.T, string, Limit) *Queue {
			return NewQueue(NewMemoryWindow(time.Now), time.Now)
		},
		"redis": func(t *testing.T, key string, limit Limit) *Queue {
			return redis.newQueues(t, key, limit, 1)[0]
		},
	}
	for name, newQueue := range windows {
		t.Run(name, func(t *testing.T) {
			var judged atomic.Int32
			for seed := range uint64(12) {
				limit := idleLimits[seed%3]
				pace := time.Duration(seed/3%2) * limit.Span() / time.Duration(8*limit.Requests)
				rng := rand.New(rand.NewPCG(seed, 10))
				testwait.Bubble(t, func(t *testing.T) {
					q := newQueue(t, fmt.Sprint(name, seed), limit)
					r := patient("a")
					r.Limit, r.Pace = limit, pace
					for range 12 {
						time.Sleep(time.Duration(rng.Int64N(int64(8 * limit.Span()))))
						q.Window().Throttle(time.Duration(1 + rng.Int64N(int64(3*limit.Span()))))
						time.Sleep(time.Duration(rng.Int64N(int64(8 * limit.Span()))))
						var calls sync.WaitGroup
						for range 1 + rng.IntN(6*limit.Requests) {
							came := time.Now()
							want := q.Predict(r)
							q.mu.Lock()
							least := q.earliest(r, q.ahead(r), came)
							q.mu.Unlock()
							calls.Go(func() {
								if _, err := q.Wait(t.Context(), r); err != nil {
									t.Error(err)
								}
								got := time.Since(came)
								judged.Add(1)
								if least > got+time.Microsecond {
									t.Errorf("seed %d: with less than %v it would be refused, it waits %v", seed, least, got)
								}
								if off := (got - want).Abs(); off > max(got/10, 50*time.Millisecond) {
									t.Errorf("seed %d: predicted were %v, it waits %v", seed, want, got)
								}
							})
							synctest.Wait()
						}
						calls.Wait()
					}
				})
			}
			if n := judged.Load(); n < 5000 {
				t.Errorf("only %d calls are judged", n)
			}
		})
	}
}
