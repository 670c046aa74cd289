package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-alipayai/gateway/limiter"
)

// burstStorm lets calls come in bursts after pauses, at replicas that share a window
// through a Redis of their own, which stays. All of a burst fit into the longest
// wait, many times over.
type burstStorm struct {
	stop    context.CancelFunc
	running sync.WaitGroup

	bursts  int          // served or refused
	refused atomic.Int32 // calls
	err     error
}

// drawBursts is far from the streams of the others.
const drawBursts = 1 << 21

// beginBursts starts it.
func beginBursts(ctx context.Context, s settings) *burstStorm {
	going, stop := context.WithCancel(ctx)
	w := &burstStorm{stop: stop}
	w.running.Go(func() { w.err = w.run(ctx, going, s) })
	return w
}

// end stops it, and waits for the burst that has begun.
func (w *burstStorm) end() error {
	w.stop()
	w.running.Wait()
	return w.err
}

// run lets bursts come until going ends, two at least: only before the second one is
// there a pause.
func (w *burstStorm) run(ctx, going context.Context, s settings) error {
	server, err := startRedis(ctx)
	if errors.Is(err, errNoRedis) {
		return nil
	}
	if err != nil {
		return err
	}
	defer server.close()
	client, err := limiter.NewRedisClient(limiter.RedisOptions{Addresses: []string{server.addr}})
	if err != nil {
		return err
	}
	defer client.Close()
	r := limiter.Request{
		Tenant: "t", MaxWait: maxWait, MaxCount: 1000, MaxBytes: 1 << 20,
		Limit: limiter.Limit{Requests: perSecond, Per: 200 * time.Millisecond, Guard: s.guard},
		Pace:  time.Millisecond,
	}
	var queues []*limiter.Queue
	for range s.replicas {
		window, err := limiter.NewRedisWindow(client, limiter.RedisWindowOptions{Key: namespace, Replicas: s.replicas, Limit: r.Limit})
		if err != nil {
			return err
		}
		defer window.Close()
		queues = append(queues, limiter.NewQueue(window, time.Now))
	}
	draws := s.draws(drawBursts)
	for ctx.Err() == nil && (going.Err() == nil || w.bursts < 2) {
		w.burst(ctx, draws, r, queues)
		w.bursts++
		select {
		case <-time.After(time.Duration(draws.Int64N(int64(5 * r.Limit.Span())))):
		case <-ctx.Done():
		}
	}
	return nil
}

// burst lets three windows' calls come within a moment, and waits for them.
func (w *burstStorm) burst(ctx context.Context, draws *rand.Rand, r limiter.Request, queues []*limiter.Queue) {
	apart := time.NewTicker(200 * time.Microsecond) // some come when others have left
	defer apart.Stop()
	var calls sync.WaitGroup
	for range 3 * r.Limit.Requests {
		q := queues[draws.IntN(len(queues))]
		calls.Go(func() {
			_, err := q.Wait(ctx, r)
			if rejection, ok := errors.AsType[*limiter.Rejection](err); ok && rejection.Reason == limiter.QueueDeadline {
				w.refused.Add(1)
			}
		})
		<-apart.C
	}
	calls.Wait()
}

// lines are what may not happen, and what has to.
func (w *burstStorm) lines() []line {
	lines := []line{{what: "calls of bursts refused although they fit into their wait", count: int(w.refused.Load())}}
	if w.bursts > 0 {
		lines = append(lines, line{what: "bursts after pauses", count: w.bursts, least: 2})
	}
	return lines
}
