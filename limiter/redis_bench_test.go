package limiter

import (
	"slices"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// BenchmarkRedisWindow compares a reservation over loopback with a bare PING by
// the same client, taken in turns.
func BenchmarkRedisWindow(b *testing.B) {
	server := redistest.Start(b)
	client := newTestClient(b, RedisOptions{Addresses: []string{server.Addr}})
	w, err := NewRedisWindow(client, RedisWindowOptions{Key: "k", Replicas: 1, Limit: fleetLimit})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	ctx := b.Context()
	reservations := make([]time.Duration, 0, b.N)
	pings := make([]time.Duration, 0, b.N)
	b.ReportAllocs()
	for b.Loop() {
		began := time.Now()
		if s, err := w.Reserve(ctx, fleetLimit); err != nil || s.seq == 0 {
			b.Fatalf("reserved without Redis: %v", err)
		}
		between := time.Now()
		if err := client.Ping(ctx).Err(); err != nil {
			b.Fatal(err)
		}
		reservations = append(reservations, between.Sub(began))
		pings = append(pings, time.Since(between))
	}
	slices.Sort(reservations)
	slices.Sort(pings)
	at := func(d []time.Duration, percent int) float64 {
		return float64(d[len(d)*percent/100]) / float64(time.Microsecond)
	}
	b.ReportMetric(at(reservations, 50), "p50-µs")
	b.ReportMetric(at(reservations, 99), "p99-µs")
	b.ReportMetric(at(pings, 50), "ping-p50-µs")
	b.ReportMetric(at(pings, 99), "ping-p99-µs")
	b.ReportMetric(at(reservations, 50)/at(pings, 50), "x-ping")
}

// BenchmarkRedisWindowThroughput is how many reservations a second one replica
// gets from one server with as many callers as it has connections.
func BenchmarkRedisWindowThroughput(b *testing.B) {
	server := redistest.Start(b)
	client := newTestClient(b, RedisOptions{Addresses: []string{server.Addr}})
	w, err := NewRedisWindow(client, RedisWindowOptions{Key: "k", Replicas: 1, Limit: fleetLimit})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	b.SetParallelism(16)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			_, _ = w.Reserve(b.Context(), fleetLimit)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reservations/s")
}
