package main

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A schedule says when the calls of an open loop are due: the n-th, counted from
// 0, n intervals after it began.
type schedule struct {
	began    time.Time
	interval time.Duration
	calls    int
}

func (s schedule) due(n int) time.Time { return s.began.Add(time.Duration(n) * s.interval) }

// follow makes the calls of a schedule with a number of workers, of which one at a
// time sleeps until the next call is due and then makes it.
//
// A call's latency begins when the call is due, also when it is sent later because
// all workers still wait for answers. A load that began to count at the sending
// would leave out what a stall does to the calls behind it (coordinated omission,
// as Gil Tene calls it).
func follow(ctx context.Context, s schedule, workers int, sleep func(until time.Time), call func(worker int) error) (done, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int, 1) // the number of the next call; who receives it sees to it
	next <- 0
	latencies, lateness := make([][]time.Duration, workers), make([][]time.Duration, workers)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			for {
				n := <-next
				if n == s.calls || ctx.Err() != nil {
					next <- n // so that the other workers end as well
					return
				}
				due := s.due(n)
				sleep(due)
				next <- n + 1
				lateness[i] = append(lateness[i], time.Since(due))
				if err := call(i); err != nil {
					cancel(err)
					return
				}
				latencies[i] = append(latencies[i], time.Since(due))
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return done{}, err
	}
	return newDone(time.Since(s.began), latencies, lateness), nil
}

// openLoop makes calls at the workload's rate for d.
func (cs clients) openLoop(ctx context.Context, w workload, d time.Duration) (done, error) {
	interval := time.Second / time.Duration(w.rate)
	s := schedule{began: time.Now(), interval: interval, calls: max(1, int(d/interval))}
	return follow(ctx, s, len(cs), sleepUntil, func(worker int) error { return cs[worker].checked(w) })
}

// newDone puts together what each worker saw.
func newDone(elapsed time.Duration, latencies, lateness [][]time.Duration) done {
	d := done{elapsed: elapsed, latencies: slices.Concat(latencies...), lateness: slices.Concat(lateness...)}
	slices.Sort(d.latencies)
	slices.Sort(d.lateness)
	return d
}
