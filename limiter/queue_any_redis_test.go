package limiter

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// Three apps of 50 a second at three replicas: each app stays below its cap whatever Redis does, and in sum there
// are at least 147 permits a second with Redis and 140 without, but for one window at each change of authority.
func TestEqualQueuesOfAFleetGiveTheirSum(t *testing.T) {
	const apps, replicas, callers = 3, 3, 60
	faults := redistest.Faults()
	for _, name := range []string{"no connection", "black hole", "replies are lost with their connections"} {
		t.Run(name, func(t *testing.T) {
			b := newBubbleRedis(t)
			testwait.Bubble(t, func(t *testing.T) {
				fleet := make([]*equals, replicas)
				for r := range fleet {
					fleet[r] = &equals{t: t, permits: make([][]time.Duration, apps), tenants: make(map[string]int)}
				}
				for app := range apps {
					for r := range fleet {
						w, err := NewRedisWindow(b.newClient(t), RedisWindowOptions{Key: fmt.Sprint(app), Replicas: replicas, Limit: alipay})
						if err != nil {
							t.Fatal(err)
						}
						t.Cleanup(func() { _ = w.Close() })
						fleet[r].queues = append(fleet[r].queues, NewQueue(w, time.Now))
					}
				}
				time.Sleep(3 * quiet(alipay))
				began := time.Now()
				ctx, cancel := context.WithCancel(t.Context())
				for _, e := range fleet {
					e.began = began
					for k := range callers {
						e.left.Go(func() {
							for e.wait(ctx, endless("acme"), k%apps, time.Duration(k%2)*100*time.Millisecond) == nil {
							}
						})
					}
				}
				const phase = 10 * time.Second
				time.Sleep(phase)
				b.Break(faults[name])
				time.Sleep(phase)
				b.Heal()
				time.Sleep(phase)
				cancel()
				for _, e := range fleet {
					e.left.Wait()
				}
				var all []time.Duration
				for app := range apps {
					var permits []time.Duration
					for _, e := range fleet {
						permits = append(permits, e.permits[app]...)
					}
					slices.Sort(permits)
					cap := alipay
					cap.Guard = 0 // what the upstream counts
					checkWindow(t, cap, permits)
					all = append(all, permits...)
				}
				// The change itself: it is noticed, and a window is silent.
				const noticed = time.Second
				change := noticed + quiet(alipay)
				for what, want := range map[string]struct {
					from, to time.Duration
					least    float64
				}{
					"with Redis":       {0, phase, 147},
					"without":          {phase + change, 2 * phase, 140},
					"with Redis again": {2*phase + noticed + change, 3 * phase, 147},
				} {
					n := 0
					for _, at := range all {
						if at >= want.from && at < want.to {
							n++
						}
					}
					if rate := float64(n) / (want.to - want.from).Seconds(); rate < want.least {
						t.Errorf("%s: %.1f permits a second, want at least %v", what, rate, want.least)
					}
				}
			})
		})
	}
}
