package main

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	tests := map[string]struct {
		values []float64
		want   float64
	}{
		"one":             {[]float64{3}, 3},
		"odd, unsorted":   {[]float64{9, 1, 5}, 5},
		"even":            {[]float64{4, 1, 3, 2}, 2.5},
		"an outlier more": {[]float64{1, 1, 1, 1000}, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := median(tt.values); got != tt.want {
				t.Errorf("median(%v) = %v, want %v", tt.values, got, tt.want)
			}
		})
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("the median of nothing is %v, want NaN", got)
	}
}

func TestPercentile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	tests := map[string]struct {
		sorted []time.Duration
		p      float64
		want   time.Duration
	}{
		"none":         {nil, 0.5, 0},
		"one":          {hundred[:1], 0.99, 1},
		"the middle":   {hundred, 0.50, 50},
		"nearly all":   {hundred, 0.99, 99},
		"all":          {hundred, 1, 100},
		"the smallest": {hundred, 0, 1},
		"of three":     {hundred[:3], 0.5, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := percentile(tt.sorted, tt.p); got != tt.want {
				t.Errorf("percentile(%v) = %d, want %d", tt.p, got, tt.want)
			}
		})
	}
}

func TestWhole(t *testing.T) {
	tests := map[string]struct {
		v    float64
		want string
	}{
		"nothing":   {0, "0"},
		"hundreds":  {999.4, "999"},
		"thousands": {999.6, "1,000"},
		"millions":  {1234567, "1,234,567"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := whole(tt.v); got != tt.want {
				t.Errorf("whole(%v) = %q, want %q", tt.v, got, tt.want)
			}
		})
	}
}

func TestNewSample(t *testing.T) {
	d := done{elapsed: 2 * time.Second, latencies: []time.Duration{time.Millisecond, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond}}
	before := usage{CPU: time.Second, Mallocs: 1000, Bytes: 5000}
	after := usage{CPU: time.Second + 400*time.Microsecond, Mallocs: 1400, Bytes: 9000}
	if got, want := newSample(d, before, after), (sample{2, 100e-6, 1e-3, 5e-3, 100, 1000}); got != want {
		t.Errorf("newSample: got %v, want %v", got, want)
	}
}

func TestReport(t *testing.T) {
	stock, gateway := sample{1000, 100e-6, 1e-3, 9e-3, 240, 20000}, sample{1300, 75e-6, 1e-3, 6e-3, 120, 9000}
	faster, slower := stock, gateway
	faster[1], slower[1] = 60e-6, 90e-6
	got := report(settings{rounds: 3, duration: 2 * time.Second}, []result{{
		workload: workload{title: "JSON", clients: 64},
		rounds:   [][2]sample{{stock, gateway}, {faster, slower}, {stock, gateway}},
	}})
	_, table, _ := strings.Cut(got, "\n\n")
	const want = `| | ` + "`reverse_proxy` | `alipayai_proxy`" + ` | ratio | range |
|---|---:|---:|---:|---:|
| JSON (64 at once): calls per second | 1,000 | 1,300 | 1.30 | 1.30–1.30 |
| JSON (64 at once): CPU per call | 100.0 µs | 75.0 µs | 0.75 | 0.75–1.50 |
| JSON (64 at once): latency p50 | 1.00 ms | 1.00 ms | 1.00 | 1.00–1.00 |
| JSON (64 at once): latency p99 | 9.00 ms | 6.00 ms | 0.67 | 0.67–0.67 |
| JSON (64 at once): allocations per call | 240 | 120 | 0.50 | 0.50–0.50 |
| JSON (64 at once): bytes allocated per call | 20,000 | 9,000 | 0.45 | 0.45–0.45 |
`
	if table != want {
		t.Errorf("report:\n got %s\nwant %s", table, want)
	}
	if !strings.Contains(got, "medians of 3 interleaved rounds of 2s each") {
		t.Errorf("the report does not say how it was made:\n%s", got)
	}
}

func TestQuantile(t *testing.T) {
	for name, tt := range map[string]struct {
		values []float64
		p      float64
		want   float64
	}{
		"one value":     {[]float64{7}, .25, 7},
		"the middle":    {[]float64{3, 1, 2}, .5, 2},
		"a quarter":     {[]float64{5, 4, 3, 2, 1}, .25, 2},
		"three of four": {[]float64{5, 4, 3, 2, 1}, .75, 4},
		"all":           {[]float64{2, 1}, 1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			if got := quantile(tt.values, tt.p); got != tt.want {
				t.Errorf("got %g, want %g", got, tt.want)
			}
		})
	}
	if got := quantile(nil, .5); !math.IsNaN(got) {
		t.Errorf("of nothing %g", got)
	}
}
