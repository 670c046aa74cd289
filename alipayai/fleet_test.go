package alipayai_test

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/limiter"
)

// Three gateways that share a cap through Redis, all of them with more calls than it lets through, never exceed it
// together, nearly use it up, and serve both tenants alike.
func TestFleetKeepsTheCap(t *testing.T) {
	const replicas, callers, saturated = 3, 20, 8 * time.Second
	network := redistest.NewNetwork(t)
	network.OneWay = 200 * time.Microsecond
	inBubble(t, func(t *testing.T) {
		arrived := &arrivals{}
		sim, err := sandbox.New(sandbox.Config{RequestsPerSecond: -1, OnRequest: arrived.note})
		if err != nil {
			t.Fatal(err)
		}
		upstream, _ := startServer(t, sim)

		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		t.Cleanup(running.Wait)
		t.Cleanup(stop)
		var served [2]atomic.Int64
		for range replicas {
			client := newRedis(t, limiter.RedisOptions{Addresses: []string{redistest.Anywhere}})
			network.Connect(client)
			k := newCap(50, time.Second)
			window, err := limiter.NewRedisWindow(client, limiter.RedisWindowOptions{Key: t.Name(), Replicas: replicas, Limit: k.Limit})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = window.Close() })
			k.Window, k.Queue, k.MaxWait = window, limiter.NewQueue(window, time.Now), 25*time.Second
			r := startGateway(t, simProvider(t, upstream), capped(k))
			running.Go(func() { // nothing else reads what is settled
				for {
					select {
					case <-r.seen.settled:
					case <-ctx.Done():
						return
					}
				}
			})
			for i := range 2 * callers {
				running.Go(func() {
					tenant := i % 2
					for ctx.Err() == nil {
						got := r.do(ctx, http.MethodPost, chatPath, chatBody("hello"), tenantHeader, []string{"acme", "zeta"}[tenant])
						if got.status == http.StatusOK {
							served[tenant].Add(1)
						} else if ctx.Err() == nil {
							t.Errorf("%d %s (%v)", got.status, got.body, got.err)
						}
					}
				})
			}
		}
		waitFor(t, "the first arrival", func() bool { return len(arrived.at(chatPath)) > 0 })
		time.AfterFunc(saturated, stop)
		running.Wait()

		calls := arrived.at(chatPath)
		if n := arrived.most(chatPath, time.Second); n > 50 {
			t.Errorf("%d arrivals in a second, want at most 50", n)
		}
		lasted := calls[len(calls)-1].when.Sub(calls[0].when).Seconds()
		if mean := float64(len(calls)) / lasted; mean < 48 {
			t.Errorf("%.1f arrivals a second on average, want at least 48", mean)
		}
		acme, zeta := served[0].Load(), served[1].Load()
		if total := acme + zeta; acme*100 < total*45 || acme*100 > total*55 {
			t.Errorf("acme was served %d calls and zeta %d, want as many", acme, zeta)
		}
	})
}
