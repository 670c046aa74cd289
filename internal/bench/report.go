package main

import (
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A metric is one figure of a round, as the report shows it.
type metric struct {
	title  string
	format func(v float64) string
}

// The figures of a round, in the order of the report.
var metrics = [...]metric{
	{"calls per second", whole},
	{"CPU per call", micros},
	{"latency p50", millis},
	{"latency p99", millis},
	{"allocations per call", whole},
	{"bytes allocated per call", whole},
}

// A sample holds the figures of one proxy's round, in the order of metrics.
type sample [len(metrics)]float64

// A result is all rounds of a workload, as pairs of the stock proxy and the
// gateway that ran one after the other.
type result struct {
	workload workload
	rounds   [][2]sample
}

// newSample divides what was consumed between two readings by the calls made.
func newSample(d done, before, after usage) sample {
	calls := float64(len(d.latencies))
	return sample{
		calls / d.elapsed.Seconds(),
		(after.CPU - before.CPU).Seconds() / calls,
		percentile(d.latencies, 0.50).Seconds(),
		percentile(d.latencies, 0.99).Seconds(),
		float64(after.Mallocs-before.Mallocs) / calls,
		float64(after.Bytes-before.Bytes) / calls,
	}
}

// report is a Markdown table of the medians over the rounds, and of the
// gateway's in proportion to the stock proxy's. The range beside a ratio is that
// of the single rounds.
func report(s settings, results []result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Caddy %s, %s %s/%s, %d CPUs; medians of %d interleaved rounds of %v each.\n\n",
		caddyVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), s.rounds, s.duration)
	if s.idle > 0 {
		fmt.Fprintf(&b, "reverse_proxy keeps %d idle connections.\n\n", s.idle)
	}
	b.WriteString("| | `reverse_proxy` | `alipayai_proxy` | ratio | range |\n|---|---:|---:|---:|---:|\n")
	for _, r := range results {
		for i, m := range metrics {
			stock, gateway, ratios := r.column(i)
			fmt.Fprintf(&b, "| %s (%d at once): %s | %s | %s | %.2f | %.2f–%.2f |\n",
				r.workload.title, r.workload.clients, m.title,
				m.format(median(stock)), m.format(median(gateway)),
				median(gateway)/median(stock), slices.Min(ratios), slices.Max(ratios))
		}
	}
	return b.String()
}

// column is one figure over all rounds: the stock proxy's, the gateway's, and
// each round's ratio of them.
func (r result) column(metric int) (stock, gateway, ratios []float64) {
	for _, pair := range r.rounds {
		stock = append(stock, pair[0][metric])
		gateway = append(gateway, pair[1][metric])
		ratios = append(ratios, pair[1][metric]/pair[0][metric])
	}
	return stock, gateway, ratios
}

// median is the middle of the values, or the mean of the two in the middle.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}

// quantile is the value that p of them, a fraction, do not exceed.
func quantile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(p*float64(len(sorted)-1)+.5)]
}

// percentile is the smallest of the ascending values that p of them, a fraction,
// do not exceed.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// whole shows a count, with a comma between thousands.
func whole(v float64) string {
	digits := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// micros shows seconds as microseconds.
func micros(v float64) string { return strconv.FormatFloat(v*1e6, 'f', 1, 64) + " µs" }

// millis shows seconds as milliseconds.
func millis(v float64) string { return strconv.FormatFloat(v*1e3, 'f', 2, 64) + " ms" }

// caddyVersion is the version of Caddy that this binary was built with.
func caddyVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == "github.com/caddyserver/caddy/v2" {
				return dep.Version
			}
		}
	}
	return "of an unknown version"
}
