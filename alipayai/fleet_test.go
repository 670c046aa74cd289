package alipayai_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
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
	redis := redistest.Start(t)
	arrived := &arrivals{}
	sim, err := sandbox.New(sandbox.Config{RequestsPerSecond: -1, OnRequest: arrived.note})
	if err != nil {
		t.Fatal(err)
	}
	upstream := httptest.NewServer(sim)
	t.Cleanup(upstream.Close)

	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	t.Cleanup(stop)
	var served [2]atomic.Int64
	for range replicas {
		client, err := limiter.NewRedisClient(limiter.RedisOptions{Addresses: []string{redis.Addr}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		// The guard is for all that shares this machine's cores.
		limit := limiter.Limit{Requests: 50, Per: time.Second, Guard: 100 * time.Millisecond}
		window, err := limiter.NewRedisWindow(client, limiter.RedisWindowOptions{Key: t.Name(), Replicas: replicas, Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = window.Close() })
		k := newCap(50, time.Second)
		k.Limit, k.Window, k.Queue = limit, window, limiter.NewQueue(window, time.Now)
		k.MaxWait = 25 * time.Second
		r := startGateway(t, simProvider(t, upstream.URL), capped(k))
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			serve(r.gateway, w, req, req.Header.Get("X-Tenant"))
		}))
		t.Cleanup(front.Close)
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
					req, _ := http.NewRequestWithContext(ctx, http.MethodPost, front.URL+chatPath, strings.NewReader(chatBody("hello")))
					req.Header.Set("Content-Type", "application/json")
					req.Header.Set("X-Tenant", []string{"acme", "zeta"}[tenant])
					resp, err := front.Client().Do(req)
					if err != nil {
						continue // the end
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
					if resp.StatusCode == http.StatusOK {
						served[tenant].Add(1)
					} else if ctx.Err() == nil {
						t.Errorf("status %d", resp.StatusCode)
					}
				}
			})
		}
	}
	waitFor(t, "the first arrival", func() bool { return len(arrived.at(chatPath)) > 0 })
	<-time.After(saturated)
	stop()
	running.Wait()

	calls := arrived.at(chatPath)
	if n := arrived.most(chatPath, time.Second); n > 50 {
		t.Errorf("%d arrivals in a second, want at most 50", n)
	}
	lasted := calls[len(calls)-1].when.Sub(calls[0].when).Seconds()
	if mean := float64(len(calls)) / lasted; mean < 43 {
		t.Errorf("%.1f arrivals a second on average, want at least 43", mean)
	}
	acme, zeta := served[0].Load(), served[1].Load()
	if total := acme + zeta; acme*100 < total*45 || acme*100 > total*55 {
		t.Errorf("acme was served %d calls and zeta %d, want as many", acme, zeta)
	}
}
