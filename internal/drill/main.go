// Command drill is Double 11: ten times the calls that three equal apps take come at three
// replicas, one app throttles early, and Redis is killed once:
//
//	go run ./internal/drill
//
// It counts at the upstreams and at the clients, and fails unless
//
//   - no call is refused, since the fallback lives,
//   - no sliding second holds more than 50 arrivals at an app,
//   - and of the calls that the apps serve 99 in 100 had their permit within max_wait.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// settings are what the command line chooses.
type settings struct {
	duration time.Duration
	rate     int // calls a second
	maxWait  time.Duration
	guard    time.Duration // lengthens the windows, for all that shares this machine's cores
}

func main() {
	s := settings{guard: 50 * time.Millisecond}
	flag.DurationVar(&s.duration, "duration", 10*time.Minute, "how long the calls come")
	flag.IntVar(&s.rate, "rate", 10*apps*perSecond, "calls a second")
	flag.DurationVar(&s.maxWait, "max_wait", 2*time.Second, "the longest wait for an app")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r, err := run(ctx, s)
	if err != nil {
		fmt.Fprintf(os.Stderr, "drill: %v\n", err)
		os.Exit(1)
	}
	fmt.Print(r)
	if !r.holds() {
		os.Exit(1)
	}
}
