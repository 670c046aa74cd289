package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// conversations is how many the calls are of.
const conversations = 500

// run has the calls come for the duration. An app throttles after a fifth of it, and Redis is
// killed in the middle.
func run(ctx context.Context, s settings) (report, error) {
	if s.duration < 5*time.Second || s.rate < 1 || s.maxWait <= 0 {
		return report{}, fmt.Errorf("-duration must be at least 5s, and -rate and -max_wait positive")
	}
	rig, err := newRig(ctx, s)
	if err != nil {
		return report{}, err
	}
	defer rig.end()
	r := rig.load(ctx, s)
	var waits []time.Duration
	for _, o := range rig.seen {
		waits = append(waits, o.waits...)
	}
	if slices.Sort(waits); len(waits) > 0 {
		r.p99 = waits[len(waits)*99/100]
	}
	for i, a := range rig.apps[:apps] {
		r.most = max(r.most, a.most())
		r.lines = append(r.lines, fmt.Sprintf("app %d: %d requests, %.1f a second\n", i, len(a.arrived), float64(len(a.arrived))/s.duration.Seconds()))
	}
	return r, ctx.Err()
}

// load has the calls come, and counts what became of them.
func (g *rig) load(ctx context.Context, s settings) report {
	r := report{maxWait: s.maxWait}
	var mu sync.Mutex
	var running sync.WaitGroup
	began := time.Now()
	throttle := sync.OnceFunc(g.apps[0].throttle)
	const tick = 10 * time.Millisecond
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	for elapsed := time.Duration(0); elapsed < s.duration && ctx.Err() == nil; elapsed = time.Since(began) {
		if elapsed > s.duration/5 {
			throttle()
		}
		if elapsed > s.duration/2 {
			g.killRedis()
		}
		for due := int(elapsed.Seconds() * float64(s.rate)); r.calls < due; r.calls++ {
			n := r.calls
			running.Go(func() {
				byFallback, err := ask(ctx, g.replicas[n%replicas], n%conversations)
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
	return r
}
