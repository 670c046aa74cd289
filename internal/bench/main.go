// Command bench measures what a call costs in CPU through alipayai_proxy,
// beside Caddy's own reverse_proxy:
//
//	go run ./internal/bench
//
// Both run as child processes of the same binary, with the same server options
// and with metrics on, in front of the same upstream, which is a third child.
// The gateway besides reads and checks each body, holds an OAuth 2.0 token and
// signs with HMAC-SHA256. The rounds of the two are interleaved, so that whatever
// slows the machine down for a while slows both, and the medians are compared.
//
// The load is a closed loop: each connection sends its next call when it has read
// the answer to the one before. Load, upstream and proxy share the machine, so
// calls per second say how much of it the proxy leaves to the others; CPU per
// call is the proxy's alone.
//
// Then it measures what failing over costs: a gateway with all of it configured
// but unused, beside one with none; and a call that finds its first provider's
// breaker open, beside one that has the second provider alone. Last comes the
// rate cap by itself, beside a Redis that it starts.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"time"
)

// settings are what the command line chooses.
type settings struct {
	rounds     int           // measured rounds for each proxy and workload
	duration   time.Duration // how long a round lasts
	only       string        // name of the one part to run, or empty
	idle       int           // idle connections that the stock proxy keeps, 0 for its own default
	cpuprofile string        // folder for CPU profiles of the proxies, or empty
}

func main() {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(runChild(role))
	}

	var s settings
	var seconds float64
	flag.IntVar(&s.rounds, "rounds", 7, "measured rounds for each proxy and workload")
	flag.Float64Var(&seconds, "seconds", 3, "length of a round in seconds")
	flag.StringVar(&s.only, "only", "", "run one part: json, stream, failover or limiter (default all)")
	flag.IntVar(&s.idle, "idle", 0, "idle upstream connections that reverse_proxy keeps (default its own 32, which is fewer\n"+
		"than are under way here, so that it opens new ones all the time)")
	flag.StringVar(&s.cpuprofile, "cpuprofile", "", "folder to write CPU profiles of the proxies to, each named by its role;\n"+
		"profiling costs CPU itself, so such a run's figures are not for publishing")
	flag.Parse()
	s.duration = time.Duration(seconds * float64(time.Second))

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	report, err := run(ctx, s)
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
	fmt.Print(report)
}

// run measures what is chosen and returns the report.
func run(ctx context.Context, s settings) (string, error) {
	chosen, err := s.workloads()
	if err != nil {
		return "", err
	}
	var calls, failing, limiter string
	if len(chosen) > 0 {
		if calls, err = benchCalls(ctx, s, chosen); err != nil {
			return "", err
		}
	}
	if s.only == "" || s.only == onlyFailover {
		if failing, err = benchFailover(ctx, s); err != nil {
			return "", err
		}
	}
	if s.only == "" || s.only == onlyLimiter {
		if limiter, err = benchLimiter(ctx, s); err != nil {
			return "", err
		}
	}
	return calls + failing + limiter, nil
}

// benchCalls measures what calls cost, and returns its part of the report.
func benchCalls(ctx context.Context, s settings, chosen []workload) (string, error) {
	dir, err := os.MkdirTemp("", "gateway-bench-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)

	upstream, err := start(ctx, roleUpstream, "XDG_DATA_HOME="+dir)
	if err != nil {
		return "", err
	}
	defer upstream.stop()

	proxies, stop, err := startPair(ctx, s, dir, upstream.addr, [2]string{roleStock, roleGateway})
	if err != nil {
		return "", err
	}
	defer stop()

	var results []result
	for _, w := range chosen {
		r, err := interleave(ctx, s, proxies, w)
		if err != nil {
			return "", err
		}
		results = append(results, r)
	}
	return report(s, results), nil
}

// startPair starts two proxies before the upstream.
func startPair(ctx context.Context, s settings, dir, upstream string, roles [2]string) (pair [2]*child, stop func(), err error) {
	stop = func() {
		for _, c := range pair {
			if c != nil {
				c.stop()
			}
		}
	}
	for i, role := range roles {
		env := []string{
			upstreamVariable + "=" + upstream,
			"XDG_DATA_HOME=" + filepath.Join(dir, role),
			"XDG_CONFIG_HOME=" + filepath.Join(dir, role),
		}
		if role == roleStock && s.idle > 0 {
			env = append(env, idleVariable+"="+strconv.Itoa(s.idle))
		}
		if s.cpuprofile != "" {
			env = append(env, profileVariable+"="+filepath.Join(s.cpuprofile, role+".pprof"))
		}
		if pair[i], err = start(ctx, role, env...); err != nil {
			stop()
			return pair, nil, err
		}
	}
	return pair, stop, nil
}

// interleave measures a workload at both proxies, in rounds that alternate.
func interleave(ctx context.Context, s settings, proxies [2]*child, w workload) (result, error) {
	r := result{workload: w}
	// The round before the first warms up pools, tokens and the collector.
	for round := -1; round < s.rounds; round++ {
		var pair [2]sample
		for turn := range pair {
			i := (turn + round + 1) % 2 // who goes first alternates
			var err error
			if pair[i], err = measure(ctx, proxies[i], w, s.duration); err != nil {
				return r, fmt.Errorf("%s: %s: %w", proxies[i].role, w.name, err)
			}
		}
		if round >= 0 {
			r.rounds = append(r.rounds, pair)
		}
	}
	return r, nil
}

// These choose figures that are no workload: the rate cap's, and those of failing
// over.
const (
	onlyLimiter  = "limiter"
	onlyFailover = "failover"
)

// workloads picks those that -only names, and checks the other settings.
func (s settings) workloads() ([]workload, error) {
	if s.rounds < 1 {
		return nil, errors.New("-rounds must be at least 1")
	}
	if s.duration <= 0 {
		return nil, errors.New("-seconds must be positive")
	}
	if s.idle < 0 {
		return nil, errors.New("-idle must not be negative")
	}
	switch s.only {
	case "":
		return workloads(), nil
	case onlyLimiter, onlyFailover:
		return nil, nil
	}
	for _, w := range workloads() {
		if w.name == s.only {
			return []workload{w}, nil
		}
	}
	return nil, fmt.Errorf("-only must be json, stream, failover or limiter, not %q", s.only)
}

// measure loads one proxy for a while and says what a call took of it.
func measure(ctx context.Context, proxy *child, w workload, d time.Duration) (sample, error) {
	clients, err := dial(ctx, proxy.addr, w)
	if err != nil {
		return sample{}, err
	}
	defer clients.close()
	before, err := proxy.usage()
	if err != nil {
		return sample{}, err
	}
	done, err := clients.load(ctx, w, d)
	if err != nil {
		return sample{}, err
	}
	after, err := proxy.usage()
	if err != nil {
		return sample{}, err
	}
	return newSample(done, before, after), nil
}
