package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/outgoing"
	"github.com/caddy-alipayai/gateway/internal/redisserver"
)

// conversations is how many the calls are of.
const conversations = 500

// run has the calls come for the duration. An app throttles after a fifth of it, and Redis is
// killed in the middle.
func run(ctx context.Context, s settings) (report, error) {
	if s.duration < 5*time.Second || s.rate < 1 || s.maxWait <= 0 {
		return report{}, fmt.Errorf("-duration must be at least 5s, and -rate and -max_wait positive")
	}
	redis, kill, err := redisserver.Start(ctx)
	if err != nil {
		return report{}, err
	}
	killed := sync.OnceFunc(kill)
	defer killed()
	all := make([]*app, apps+1) // the last is the fallback
	known := make(arrivals)
	for i := range all {
		all[i] = newApp()
		defer all[i].Close()
		known[all[i].Listener.Addr().String()] = all[i]
	}
	transport := outgoing.NewTransport(&http.Transport{DialContext: known.DialContext, DisableCompression: true, MaxIdleConnsPerHost: 256})
	defer transport.CloseIdleConnections()
	var gateways []*alipayai.Gateway
	var seen []*observed
	for range replicas {
		g, o, end, err := newReplica(s, redis, all, transport)
		if err != nil {
			return report{}, err
		}
		defer end()
		gateways, seen = append(gateways, g), append(seen, o)
	}

	r := report{maxWait: s.maxWait}
	var mu sync.Mutex
	var running sync.WaitGroup
	began := time.Now()
	throttled := false
	const tick = 10 * time.Millisecond
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	for elapsed := time.Duration(0); elapsed < s.duration && ctx.Err() == nil; elapsed = time.Since(began) {
		if !throttled && elapsed > s.duration/5 {
			throttled = true
			all[0].mu.Lock()
			all[0].throttles = true
			all[0].mu.Unlock()
		}
		if elapsed > s.duration/2 {
			killed()
		}
		for due := int(elapsed.Seconds() * float64(s.rate)); r.calls < due; r.calls++ {
			n := r.calls
			running.Go(func() {
				byFallback, err := ask(ctx, gateways[n%replicas], n%conversations)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil:
					r.refused++
				case byFallback:
					r.byFallback++
				default:
					r.byApps++
				}
			})
		}
		<-ticks.C
	}
	running.Wait()
	var waits []time.Duration
	for _, o := range seen {
		waits = append(waits, o.waits...)
	}
	if slices.Sort(waits); len(waits) > 0 {
		r.p99 = waits[len(waits)*99/100]
	}
	for i, a := range all[:apps] {
		r.most = max(r.most, a.most())
		r.lines = append(r.lines, fmt.Sprintf("app %d: %d requests, %.1f a second\n", i, len(a.arrived), float64(len(a.arrived))/s.duration.Seconds()))
	}
	return r, ctx.Err()
}
