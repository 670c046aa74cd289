// Command soak saturates several gateways that share a rate cap through Redis,
// and counts at a simulated upstream what arrives:
//
//	go run ./internal/soak
//
// Each gateway is a Caddy of its own, in a process of its own, with the default
// cap of profile alipay; the upstream is another. Two tenants call all gateways,
// with more calls at once than the cap admits. It fails unless
//
//   - no sliding second holds more than 50 arrivals,
//   - at least 49 a second arrive on average,
//   - and both tenants have their half, give or take a tenth of it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/internal/redisserver"
)

// settings are what the command line chooses.
type settings struct {
	duration time.Duration // of saturation
	gateways int
	callers  int           // of each tenant at each gateway
	guard    time.Duration // 0 for the default
}

func main() {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(runChild(role))
	}
	var s settings
	flag.DurationVar(&s.duration, "duration", 30*time.Second, "how long the gateways are saturated")
	flag.IntVar(&s.gateways, "gateways", 3, "gateways that share the cap")
	flag.IntVar(&s.callers, "callers", 20, "callers of each of the two tenants at each gateway")
	flag.DurationVar(&s.guard, "guard", 0, "what the window is lengthened by (default that of the gateway)")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	seen, err := run(ctx, s)
	if err != nil {
		fmt.Fprintf(os.Stderr, "soak: %v\n", err)
		os.Exit(1)
	}
	report, ok := seen.judge()
	fmt.Print(report)
	if !ok {
		os.Exit(1)
	}
}

// check refuses settings that measure nothing.
func (s settings) check() error {
	switch {
	case s.duration < 3*time.Second:
		return errors.New("-duration must be at least 3s")
	case s.gateways < 1 || s.callers < 1:
		return errors.New("-gateways and -callers must be at least 1")
	case s.guard < 0:
		return errors.New("-guard must not be negative")
	}
	return nil
}

// run starts everything, saturates it and says what was seen.
func run(ctx context.Context, s settings) (observed, error) {
	if err := s.check(); err != nil {
		return observed{}, err
	}
	redis, stopRedis, err := redisserver.Start(ctx)
	if err != nil {
		return observed{}, err
	}
	defer stopRedis()
	dir, err := os.MkdirTemp("", "gateway-soak-")
	if err != nil {
		return observed{}, err
	}
	defer os.RemoveAll(dir)

	upstream, err := start(ctx, roleUpstream, "")
	if err != nil {
		return observed{}, err
	}
	defer upstream.stop()
	tenants := newTenants()
	var gateways []string
	for range s.gateways {
		g, err := start(ctx, roleGateway, caddyfile(s, tenants, redis, upstream.addr), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
		if err != nil {
			return observed{}, err
		}
		defer g.stop()
		gateways = append(gateways, g.addr)
	}
	served, err := saturate(ctx, s, gateways, tenants)
	if err != nil {
		return observed{}, err
	}
	arrived, err := upstream.arrivals()
	return observed{arrivals: arrived, served: served}, err
}

// What is asked for.
const (
	perSecond   = 50
	leastMean   = 49.0
	shareMargin = 0.10
)

// observed is what was seen of a run.
type observed struct {
	arrivals arrivals
	served   [2]int64 // answers by tenant
}

// judge says line by line what was seen, what it had to be, and whether all of
// it holds.
func (o observed) judge() (report string, ok bool) {
	var b strings.Builder
	ok = true
	line := func(holds bool, format string, values ...any) {
		verdict := "ok  "
		if !holds {
			verdict, ok = "FAIL", false
		}
		fmt.Fprintf(&b, verdict+" "+format+"\n", values...)
	}
	a := o.arrivals
	line(a.Most > 0 && a.Most <= perSecond, "most arrivals in a sliding second: %d (at most %d); %d in a row never took less than %.1f ms",
		a.Most, perSecond, perSecond+1, a.Tightest.Seconds()*1e3)
	line(a.Mean >= leastMean, "arrivals a second on average: %.2f of %d in all (at least %.0f)", a.Mean, a.Count, leastMean)
	total := float64(o.served[0] + o.served[1])
	share := float64(o.served[0]) / max(total, 1)
	line(total > 0 && share >= 0.5*(1-shareMargin) && share <= 0.5*(1+shareMargin),
		"answers by tenant: %d and %d (each within %.0f %% of its half)", o.served[0], o.served[1], shareMargin*100)
	return b.String(), ok
}
