package limiter

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// unlimited is a cap that a benchmark does not reach.
func unlimited() Request {
	r := patient("a")
	r.Limit = Limit{Requests: 1 << 16, Per: time.Nanosecond}
	return r
}

// BenchmarkWaitFree is a call that need not wait.
func BenchmarkWaitFree(b *testing.B) {
	q, r := NewQueue(NewMemoryWindow(time.Now), time.Now), unlimited()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := q.Wait(ctx, r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDrain10000 empties a queue of 10,000 calls of 100 tenants at 50 a
// second, and says what that takes of a core. Run it with -benchtime 1x to 40x:
// each time is five seconds of the 200 that all take.
func BenchmarkDrain10000(b *testing.B) {
	q := NewQueue(NewMemoryWindow(time.Now), time.Now)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i := range 10_050 {
		r := patient(fmt.Sprint(i % 100))
		r.Limit = alipay
		wg.Go(func() { _, _ = q.Wait(ctx, r) })
	}
	for n := 0; n < 10_000; n, _ = q.Depth() {
		runtime.Gosched()
	}
	const window = 5 * time.Second
	before, used := q.count, cpu()
	b.ResetTimer()
	for range b.N {
		<-time.After(window)
	}
	b.StopTimer()
	used = cpu() - used
	after, _ := q.Depth()
	span := time.Duration(b.N) * window
	b.ReportMetric(100*used.Seconds()/span.Seconds(), "%core")
	b.ReportMetric(float64(before-after)/span.Seconds(), "permits/s")
	b.ReportMetric(float64(used.Nanoseconds())/float64(before-after), "cpu-ns/permit")
	cancel()
	wg.Wait()
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkEnterAndLeave10000 is a call that comes and leaves while 10,000
// others of as many tenants wait.
func BenchmarkEnterAndLeave10000(b *testing.B) {
	q := NewQueue(NewMemoryWindow(time.Now), time.Now)
	r := patient("")
	r.Limit.Per, r.Weight, r.MaxWait = time.Hour, 1, 1<<62
	q.running = true // no permits
	now := time.Now()
	for i := range 10_000 {
		r.Tenant = fmt.Sprint(i)
		if err := q.enter(b.Context(), &waiter{Request: r}, now); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		w := &waiter{Request: r, ready: make(chan struct{}, 1)}
		if err := q.enter(b.Context(), w, now); err != nil {
			b.Fatal(err)
		}
		q.remove(w)
	}
}

// BenchmarkReject10000 is a call that is rejected at once as it would wait too
// long, while 10,000 others of as many tenants wait.
func BenchmarkReject10000(b *testing.B) {
	q := NewQueue(NewMemoryWindow(time.Now), time.Now)
	r := patient("")
	r.Limit, r.Weight, r.MaxWait = alipay, 1, 1<<62
	q.running = true
	now := time.Now()
	for i := range 10_000 {
		r.Tenant = fmt.Sprint(i)
		if err := q.enter(b.Context(), &waiter{Request: r}, now); err != nil {
			b.Fatal(err)
		}
	}
	r.MaxWait = time.Second
	b.ReportAllocs()
	for b.Loop() {
		if _, err := q.Wait(b.Context(), r); err == nil {
			b.Fatal("the call was admitted")
		}
	}
}

// BenchmarkAllow is a call of one of 1000 tenants with all limits set.
func BenchmarkAllow(b *testing.B) {
	var l TenantLimits
	limit := TenantLimit{RequestsPerSecond: 1e9, TokensPerMinute: 1e9, Concurrent: 10}
	tenants := make([]string, 1000)
	for i := range tenants {
		tenants[i] = fmt.Sprint("tenant-", i)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		now := time.Now()
		admitted, err := l.Allow(now, tenants[i%1000], limit, 10)
		if err != nil {
			b.Fatal(err)
		}
		admitted.Done(now, 1)
		i++
	}
}

// BenchmarkIdleTenants is the memory of 100,000 tenants that were just served,
// and after they have been idle for long enough.
func BenchmarkIdleTenants(b *testing.B) {
	const n = 100_000
	limit := TenantLimit{RequestsPerSecond: 1, TokensPerMinute: 60, Concurrent: 1}
	var held, left float64
	for b.Loop() {
		before := inUse()
		l := new(TenantLimits)
		for i := range n {
			admitted, err := l.Allow(epoch, fmt.Sprintf("tenant-%06d", i), limit, 1)
			if err != nil {
				b.Fatal(err)
			}
			admitted.Done(epoch, 0)
		}
		held = inUse() - before
		later := epoch.Add(time.Hour)
		for range n {
			if admitted, err := l.Allow(later, "tenant", TenantLimit{}, 0); err == nil {
				admitted.Done(later, 0)
			}
		}
		left = inUse() - before
		runtime.KeepAlive(l)
	}
	b.ReportMetric(held/(1<<20), "MiB/100k-served")
	b.ReportMetric(left/(1<<20), "MiB/100k-idle")
}

func inUse() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
