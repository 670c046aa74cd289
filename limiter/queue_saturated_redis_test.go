package limiter

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// Queues that are never empty use the cap that they share, and no more.
func TestQueuesOverRedisUseTheWholeCap(t *testing.T) {
	const windows = 20
	redis := newBubbleRedis(t)
	for _, replicas := range []int{1, 3} {
		for _, oneWay := range []time.Duration{0, time.Millisecond} {
			for _, pace := range []time.Duration{0, 500 * time.Microsecond} {
				name := fmt.Sprintf("%d replicas, %v one way, pace %v", replicas, oneWay, pace)
				t.Run(name, func(t *testing.T) {
					redis.OneWay = oneWay
					testwait.Bubble(t, func(t *testing.T) {
						var mu sync.Mutex
						var permits []int64
						began := time.Now()
						queues := redis.newQueues(t, name, alipay, replicas)
						r := patient("a")
						r.Limit, r.Pace = alipay, pace
						for _, q := range queues {
							h := &harness{Queue: q, t: t}
							h.backlog(100, r, func() {
								mu.Lock()
								defer mu.Unlock()
								permits = append(permits, int64(time.Since(began)))
							})
						}
						time.Sleep(alipay.Span())
						mu.Lock()
						permits = permits[:0]
						mu.Unlock()
						time.Sleep((windows + 2) * alipay.Span())
						for _, q := range queues {
							q.Drain()
						}
						time.Sleep(time.Second) // what runs ends
						mu.Lock()
						defer mu.Unlock()
						overfull(t, permits, alipay.Requests, int64(alipay.Per))
						// They come in bursts: only whole windows, from one
						// permit to another, have a mean.
						n := windows * alipay.Requests
						if len(permits) <= n {
							t.Fatalf("only %d permits in %d windows", len(permits), windows+2)
						}
						slices.Sort(permits)
						mean := float64(n) / time.Duration(permits[n]-permits[0]).Seconds()
						if mean < 49 {
							t.Errorf("%.2f permits a second, want at least 49", mean)
						}
					})
				})
			}
		}
	}
}
