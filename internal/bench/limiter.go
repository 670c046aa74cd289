package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redisserver"
	"github.com/caddy-alipayai/gateway/limiter"
)

// What the rate cap is measured with.
const (
	idleTenants, idleTenantsQuick = 100_000, 1_000
	waiters, waitersQuick         = 10_000, 1_000
	// connections is as many as the client keeps to one server.
	connections = 64
)

// alipayCap is the cap of Alipay's production tier.
var alipayCap = limiter.Limit{Requests: 50, Per: time.Second, Guard: 10 * time.Millisecond}

// A row is one figure, by round.
type row struct {
	title  string
	unit   unit
	values []float64
}

// rows are figures in the order in which they came first.
type rows []row

// add adds the figure of one round.
func (rs *rows) add(title string, u unit, value float64) {
	for i := range *rs {
		if (*rs)[i].title == title {
			(*rs)[i].values = append((*rs)[i].values, value)
			return
		}
	}
	*rs = append(*rs, row{title, u, []float64{value}})
}

// benchLimiter measures the rate cap by itself, without calls, and returns its
// part of the report.
func benchLimiter(ctx context.Context, s settings) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "\nThe rate cap; medians of %d rounds of %v each.\n\n", s.rounds, s.duration)
	redis, stop, err := redisserver.Start(ctx)
	switch {
	case errors.Is(err, redisserver.ErrNotInstalled):
		fmt.Fprintf(&b, "%s: the figures with Redis are left out.\n\n", err)
	case err != nil:
		return "", err
	default:
		defer stop()
	}
	var rs rows
	tenants, waiting := idleTenants, waiters
	if s.onlyRuns() {
		tenants, waiting = idleTenantsQuick, waitersQuick
	}
	for range s.rounds {
		rs.add("reservations per second, in memory", whole, reserveInMemory(s.duration))
		if redis != "" {
			if err := rs.addRedis(ctx, redis, s.duration); err != nil {
				return "", fmt.Errorf("with redis: %w", err)
			}
		}
		rs.add(whole.number(float64(tenants))+" tenants just served, memory", mebibytes, servedTenants(tenants))
		share, err := drain(ctx, waiting, s.duration)
		if err != nil {
			return "", err
		}
		rs.add(whole.number(float64(waiting))+" waiters, 50 leave a second: CPU of a core", percent, share)
	}
	b.WriteString("| | median (range) |\n|---|---:|\n")
	for _, r := range rs {
		fmt.Fprintf(&b, "| %s | %s |\n", r.title, r.unit.spread(r.values))
	}
	return b.String(), nil
}

// reserveInMemory is how many permits a second one caller reserves.
func reserveInMemory(d time.Duration) float64 {
	w := limiter.NewMemoryWindow(time.Now)
	n, began := 0, time.Now()
	for time.Since(began) < d {
		for range 1000 {
			_, _ = w.Reserve(context.Background(), alipayCap) // a memory window does not fail
		}
		n += 1000
	}
	return float64(n) / time.Since(began).Seconds()
}

// addRedis measures one round with Redis: one caller that reserves and pings in
// turns, then as many callers as there are connections.
func (rs *rows) addRedis(ctx context.Context, addr string, d time.Duration) error {
	client, err := limiter.NewRedisClient(limiter.RedisOptions{Addresses: []string{addr}})
	if err != nil {
		return err
	}
	defer client.Close()
	w, err := limiter.NewRedisWindow(client, limiter.RedisWindowOptions{Key: "bench", Replicas: 1, Limit: alipayCap})
	if err != nil {
		return err
	}
	defer w.Close()
	reservations, pings, err := inTurns(ctx, client, w, d)
	if err != nil {
		return err
	}
	p50 := percentile(reservations, 0.50).Seconds()
	rs.add("reservation over Redis: latency p50", micros, p50)
	rs.add("`PING` in between: latency p50", micros, percentile(pings, 0.50).Seconds())
	rs.add("reservation over Redis: latency p99", micros, percentile(reservations, 0.99).Seconds())
	rs.add("`PING` in between: latency p99", micros, percentile(pings, 0.99).Seconds())
	rs.add("p50 of a reservation by that of `PING`", times, p50/percentile(pings, 0.50).Seconds())

	began := time.Now()
	counts := make([]int, connections)
	var callers sync.WaitGroup
	for i := range counts {
		callers.Go(func() {
			for time.Since(began) < d {
				if _, err := w.Reserve(ctx, alipayCap); err == nil && w.State() == limiter.Shared {
					counts[i]++
				}
			}
		})
	}
	callers.Wait()
	n := 0
	for _, count := range counts {
		n += count
	}
	rs.add(fmt.Sprintf("reservations per second over Redis, %d callers", connections), whole, float64(n)/time.Since(began).Seconds())
	return nil
}

// inTurns makes a reservation and a PING again and again, and gives the sorted
// times that each took.
func inTurns(ctx context.Context, client redis.UniversalClient, w *limiter.RedisWindow, d time.Duration) (reservations, pings []time.Duration, err error) {
	for began := time.Now(); time.Since(began) < d; {
		start := time.Now()
		if _, err := w.Reserve(ctx, alipayCap); err != nil {
			return nil, nil, err
		}
		between := time.Now()
		if client.Ping(ctx).Err() != nil || w.State() != limiter.Shared {
			continue // the machine stood still for longer than either waits
		}
		reservations = append(reservations, between.Sub(start))
		pings = append(pings, time.Since(between))
	}
	if len(pings) == 0 {
		return nil, nil, errors.New("it did not answer in time")
	}
	slices.Sort(reservations)
	slices.Sort(pings)
	return reservations, pings, nil
}

// servedTenants is how many bytes the limits of tenants take that were served
// within the last minute; one that is idle for longer is forgotten.
func servedTenants(n int) float64 {
	before := heap()
	limits := new(limiter.TenantLimits)
	limit := limiter.TenantLimit{RequestsPerSecond: 1, TokensPerMinute: 60, Concurrent: 1}
	now := time.Now()
	for i := range n {
		if admitted, err := limits.Allow(now, fmt.Sprintf("tenant-%06d", i), limit, 1); err == nil {
			admitted.Done(now, 0)
		}
	}
	after := heap()
	runtime.KeepAlive(limits)
	return after - before
}

// heap is how many bytes are in use.
func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// drain is the share of a core that a queue of so many waiters takes which empties at
// the rate of the cap.
func drain(ctx context.Context, waiters int, d time.Duration) (share float64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	q := limiter.NewQueue(limiter.NewMemoryWindow(time.Now), time.Now)
	var calls sync.WaitGroup
	defer calls.Wait()
	defer cancel()
	for i := range waiters + alipayCap.Requests {
		calls.Go(func() {
			_, _ = q.Wait(ctx, limiter.Request{
				Tenant: fmt.Sprint(i % 100), MaxWait: time.Hour, Limit: alipayCap, MaxCount: waiters, MaxBytes: 1,
			})
		})
	}
	for n := 0; n < waiters-2*alipayCap.Requests; n, _ = q.Depth() {
		runtime.Gosched()
	}
	before, err := cpuTime()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	select {
	case <-time.After(d):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	after, err := cpuTime()
	return (after - before).Seconds() / time.Since(began).Seconds(), err
}
