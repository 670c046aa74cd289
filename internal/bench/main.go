// Command bench compares what a call costs through alipayai_proxy and through
// Caddy's own reverse_proxy:
//
//	go run ./internal/bench
//
// Both run as child processes of this same binary, on equal terms: the same
// server options, metrics on, no access log, as many idle upstream connections,
// and one CPU that they share with nothing else. The upstream, which is a third
// child, and the load run on the remaining CPUs. The gateway besides reads and
// checks each body, holds an OAuth 2.0 token and signs with HMAC-SHA256.
//
// Rounds of the two alternate, and so does which of them goes first. All figures
// are medians over the rounds, with the smallest and the largest. A whole run takes
// about twelve minutes; -quick shows within one that everything runs.
//
//   - json and stream are closed loops: each connection sends its next call when
//     it has read the answer to the one before, so the proxy's CPU is always busy.
//   - rate500 and rate2000 are open loops: calls are due at fixed times, whether
//     or not those before them have been answered, and a call's latency begins
//     when it is due. A proxy that stalls cannot delay the calls that would show it.
//   - production is json with a gateway that has everything a production site has,
//     once it keeps as many answers as its cache takes.
//   - memory holds slow streams open.
//   - failover compares gateways: one with all that serves falling back beside one
//     without, and a call whose first provider's breaker is open beside one that
//     has the second provider alone.
//   - doors compares calls of the Responses and Messages APIs with chat completions, at a
//     provider of OpenAI's form: as many calls a second of both, and as many as each carries.
//   - spend compares a gateway that looks at each call, to spend less, beside one
//     that does not.
//   - limiter measures the rate cap by itself, beside a Redis that it starts.
//   - moderation measures what rules add to a call, by themselves.
//   - pack measures what packed calls save and carry, and that none gets another's answer.
//   - pool measures what connections are worth that are ready, behind a long round trip.
//   - ledger measures how many lines of cost are written, and what a kill -9 loses.
//
// Naming spend runs moderation, pack and ledger as well.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

// settings are what the command line chooses.
type settings struct {
	rounds   int           // measured rounds for each proxy
	duration time.Duration // how long a round lasts
	streams  int           // slow streams that are open at once
	only     []string      // the parts to run, or none for all of them
	profile  string        // folder for profiles of the proxies, or empty
	unfilled bool          // measure at once, before the proxies keep what they are there to keep
}

// onlyRuns says that rounds are too short to measure: all has to run, and may be as little as shows that.
func (s settings) onlyRuns() bool { return s.duration < time.Second }

// quick only shows that every part runs.
var quick = settings{rounds: 1, duration: 200 * time.Millisecond, streams: 50, unfilled: true}

func main() {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(runChild(role))
	}
	s, err := parseFlags(flag.CommandLine, os.Args[1:])
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		began := time.Now()
		var report string
		report, err = run(ctx, s)
		fmt.Print(report)
		if err == nil {
			fmt.Fprintf(os.Stderr, "bench: it took %v\n", time.Since(began).Round(time.Second))
			return
		}
	}
	fmt.Fprintf(os.Stderr, "bench: %v\n", err)
	os.Exit(1)
}

// parseFlags reads the command line and checks it.
func parseFlags(flags *flag.FlagSet, args []string) (settings, error) {
	var s settings
	var seconds float64
	var only string
	var hurry bool
	flags.IntVar(&s.rounds, "rounds", 9, "measured rounds for each proxy")
	flags.Float64Var(&seconds, "seconds", 3, "length of a round in seconds; with less than 1, all runs and little is measured")
	flags.IntVar(&s.streams, "streams", 2000, "slow streams that are open at once in the part memory")
	flags.StringVar(&only, "only", "", "parts to run, separated by commas: "+strings.Join(parts(), ", ")+" (default all)")
	flags.BoolVar(&hurry, "quick", false, fmt.Sprintf("one round of %v and %d streams: shows that it runs, not what anything costs",
		quick.duration, quick.streams))
	flags.StringVar(&s.profile, "profile", "", "existing folder to write CPU and allocation profiles of each part's proxies to;\n"+
		"profiling costs CPU itself, so such a run's figures are not for publishing")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	s.duration = time.Duration(seconds * float64(time.Second))
	if hurry {
		s.rounds, s.duration, s.streams, s.unfilled = quick.rounds, quick.duration, quick.streams, quick.unfilled
	}
	if only != "" {
		s.only = strings.Split(only, ",")
	}
	return s, s.check()
}

// check refuses settings that measure nothing.
func (s settings) check() error {
	switch {
	case s.rounds < 1:
		return errors.New("-rounds must be at least 1")
	case s.duration <= 0:
		return errors.New("-seconds must be positive")
	case s.streams < 1:
		return errors.New("-streams must be at least 1")
	}
	for _, name := range s.only {
		if !slices.Contains(parts(), name) {
			return fmt.Errorf("-only must name parts of %s, not %q", strings.Join(parts(), ", "), name)
		}
	}
	return nil
}

// runs reports whether a part is chosen.
func (s settings) runs(part string) bool {
	return len(s.only) == 0 || slices.Contains(s.only, part)
}

// alone are the parts that are no comparison; those of spend run where that is named.
var alone = []struct {
	name  string
	spend bool
	bench func(context.Context, settings) (string, error)
}{
	{"limiter", false, benchLimiter},
	{"moderation", true, benchModeration},
	{"pack", true, benchPack},
	{"ledger", true, benchLedger},
	{"pool", false, benchPool},
}

// parts are what -only can name, in the order of the report.
func parts() []string {
	var names []string
	for _, c := range comparisons(0) {
		names = append(names, c.name)
	}
	names = slices.Compact(names)
	for _, part := range alone {
		names = append(names, part.name)
	}
	return names
}

// run measures what is chosen and returns the report. With an error, the report is
// of what had been measured before.
func run(ctx context.Context, s settings) (string, error) {
	report, err := compare(ctx, s)
	for _, part := range alone {
		if err != nil || !s.runs(part.name) && !(part.spend && s.runs("spend")) {
			continue
		}
		var more string
		more, err = part.bench(ctx, s)
		report += more
	}
	return report, err
}
