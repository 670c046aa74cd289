// Command chaos lets everything go wrong at once, and counts at the upstreams and
// at the clients what came of it:
//
//	go run ./internal/chaos
//
// Replicas of a gateway share a rate cap, breakers, cached answers, claims and an
// access token through a real Redis, which is stopped and killed meanwhile.
// Behind them stand two simulators, the Alipay AI API and one in Anthropic's
// format, whose faults change several times a second. The tenants' clients call
// with and without an Idempotency-Key, for JSON and for streams, twice at once,
// again later, and some leave in the middle. Besides, requests over HTTP/2 are
// broken off in all ways, and their connections go silent; and calls come in bursts
// after pauses, at replicas whose Redis stays. Further replicas, each a process with
// calls of class money, are killed and frozen, and another one is asked the same.
// Each prompt is unique and each answer repeats it, so that no answer can be lost,
// crossed, spliced or cut unseen.
//
// It prints a line for each invariant, and fails unless all hold. A seed draws the
// same faults and calls again; their order is the scheduler's.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// settings are what the command line chooses, and the guard.
type settings struct {
	duration time.Duration // of the faults
	seed     uint64
	tenants  int
	replicas int
	// guard lengthens the cap's window, for all that shares this machine's cores.
	guard time.Duration
	// dying is how many more replicas are killed or frozen at a time.
	dying int
}

func main() {
	if config := os.Getenv(childVariable); config != "" {
		os.Exit(childMain(config))
	}
	s := settings{guard: 100 * time.Millisecond}
	flag.DurationVar(&s.duration, "duration", time.Minute, "how long everything goes wrong")
	flag.Uint64Var(&s.seed, "seed", uint64(time.Now().UnixNano()), "what faults and calls are drawn from")
	flag.IntVar(&s.tenants, "tenants", 3, "tenants that call")
	flag.IntVar(&s.replicas, "replicas", 2, "replicas of the gateway")
	flag.IntVar(&s.dying, "dying", 2, "further replicas that are killed or frozen at a time, for as long as there is a Redis")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	fmt.Printf("%v with seed %d: %d tenants, %d replicas\n", s.duration, s.seed, s.tenants, s.replicas)
	r, err := run(ctx, s)
	if err != nil {
		fmt.Fprintf(os.Stderr, "chaos: %v\n", err)
		os.Exit(1)
	}
	fmt.Print(r)
	if !r.holds() {
		os.Exit(1)
	}
}

// check refuses settings that show nothing.
func (s settings) check() error {
	switch {
	case s.duration < 3*time.Second:
		return errors.New("-duration must be at least 3s")
	case s.tenants < 2:
		return errors.New("-tenants must be at least 2: nothing can cross between fewer")
	case s.dying < 0:
		return errors.New("-dying must not be negative")
	case s.replicas < 1 || s.replicas > perSecond:
		return fmt.Errorf("-replicas must be 1 to %d", perSecond)
	}
	return nil
}

// run lets everything go wrong for the duration, waits until all is over, and
// says what was seen.
func run(ctx context.Context, s settings) (report, error) {
	if err := s.check(); err != nil {
		return report{}, err
	}
	before := goroutines()
	r, err := newRig(ctx, s)
	if err != nil {
		return report{}, err
	}
	l := newLoad(s, r)
	w := newStorm(s, r)
	unserved := l.unserved() // a window that is new opens late
	w.begin()
	frames, bursts := beginHTTP2(ctx, s), beginBursts(ctx, s)
	var deaths *dying
	if r.redis != nil && s.dying > 0 {
		deaths, err = beginDying(ctx, s, r.redis.addr)
	}
	l.run(ctx)
	err = errors.Join(err, w.end(), frames.end(), bursts.end())
	if deaths != nil {
		err = errors.Join(err, deaths.end())
	}
	l.repeatLate()
	unserved += l.unserved()
	l.transport.CloseIdleConnections()
	behind := r.close()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return report{}, err
	}
	behind.goroutines = settled(0, func() int { return goroutines() - before })
	judged := judge(r, l.replies, w, unserved, behind)
	judged.lines = append(append(judged.lines, frames.lines()...), bursts.lines()...)
	if deaths != nil {
		judged.lines = append(judged.lines, deaths.lines()...)
	}
	return judged, nil
}
