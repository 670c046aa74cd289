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

// A metric is one figure of a round.
type metric int

const (
	callRate metric = iota
	cpuPerCall
	latencyP50
	latencyP99
	sentLate
	allocsPerCall
	bytesPerCall
	residentPerStream
	livePerStream
	metricCount
)

// metrics say how the report shows each.
var metrics = [metricCount]struct {
	title string
	unit  unit
}{
	callRate:          {"calls per second", whole},
	cpuPerCall:        {"CPU per call", micros},
	latencyP50:        {"latency p50", millis},
	latencyP99:        {"latency p99", millis},
	sentLate:          {"sent after it was due, p50", millis},
	allocsPerCall:     {"allocations per call", whole},
	bytesPerCall:      {"bytes allocated per call", whole},
	residentPerStream: {"resident memory per stream", kilobytes},
	livePerStream:     {"live memory per stream", kilobytes},
}

// A sample holds the figures of one proxy's round.
type sample [metricCount]float64

// A result is all rounds of a comparison.
type result struct {
	comparison
	rounds [][2]sample
}

// newSample divides what was consumed between two readings by the calls made.
func newSample(d done, before, after usage) sample {
	calls := float64(len(d.latencies))
	return sample{
		callRate:      calls / d.elapsed.Seconds(),
		cpuPerCall:    (after.CPU - before.CPU).Seconds() / calls,
		latencyP50:    percentile(d.latencies, 0.50).Seconds(),
		latencyP99:    percentile(d.latencies, 0.99).Seconds(),
		sentLate:      percentile(d.lateness, 0.50).Seconds(),
		allocsPerCall: float64(after.Mallocs-before.Mallocs) / calls,
		bytesPerCall:  float64(after.Bytes-before.Bytes) / calls,
	}
}

// report is two Markdown tables: the gateway beside the stock proxy, and gateways
// beside each other. A ratio is the median of the single rounds' own, so that it
// compares what ran one right after the other.
func report(s settings, cpus division, results []result) string {
	if len(results) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Caddy %s, %s %s/%s, %d CPUs: %v.\nMedians of %d alternating rounds of %v each, with the smallest and the largest.\n",
		caddyVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), cpus, s.rounds, s.duration)
	heading := ""
	for _, r := range results {
		if h := r.heading(); h != heading {
			heading = h
			fmt.Fprintf(&b, "\n| | %s | ratio |\n|---|---:|---:|---:|\n", heading)
		}
		for _, m := range r.metrics {
			yardstick, other, ratios := r.column(m)
			unit := metrics[m].unit
			fmt.Fprintf(&b, "| %v: %s | %s | %s | %s |\n", r.workloadAt(1), metrics[m].title,
				unit.spread(yardstick), unit.spread(other), times.spread(ratios))
		}
	}
	return b.String()
}

// heading names what a comparison compares.
func (c comparison) heading() string {
	if c.roles[0] == roleStock {
		return "`reverse_proxy` | `alipayai_proxy`"
	}
	if c.second != nil {
		return "chat completions | the other API"
	}
	return "gateway without | with"
}

// column is one figure over all rounds: the yardstick's, the other's, and each
// round's ratio of them.
func (r result) column(m metric) (yardstick, other, ratios []float64) {
	for _, pair := range r.rounds {
		yardstick = append(yardstick, pair[0][m])
		other = append(other, pair[1][m])
		ratios = append(ratios, pair[1][m]/pair[0][m])
	}
	return yardstick, other, ratios
}

// A unit is how the report shows a value.
type unit struct {
	size     float64 // the value that is shown as 1
	decimals int
	name     string
}

var (
	whole     = unit{1, 0, ""}
	times     = unit{1, 2, ""}
	percent   = unit{.01, 2, " %"}
	micros    = unit{1e-6, 1, " µs"} // of seconds
	millis    = unit{1e-3, 2, " ms"} // of seconds
	kilobytes = unit{1e3, 1, " KB"}  // of bytes
	mebibytes = unit{1 << 20, 1, " MiB"}
)

// number shows a value without its unit, with a comma between thousands.
func (u unit) number(v float64) string {
	digits := strconv.FormatFloat(v/u.size, 'f', u.decimals, 64)
	end, _, _ := strings.Cut(digits, ".")
	for i := len(end) - 3; i > 0 && end[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// spread shows the values' median, and between which two they lie.
func (u unit) spread(values []float64) string {
	return fmt.Sprintf("%s%s (%s–%s)", u.number(median(values)), u.name,
		u.number(slices.Min(values)), u.number(slices.Max(values)))
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

// percentile is the smallest of the ascending values that p of them, a fraction,
// do not exceed.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

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
