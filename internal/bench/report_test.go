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

func TestUnits(t *testing.T) {
	tests := map[string]struct {
		unit unit
		v    float64
		want string
	}{
		"nothing":             {whole, 0, "0"},
		"hundreds":            {whole, 999.4, "999"},
		"thousands":           {whole, 999.6, "1,000"},
		"millions":            {whole, 1234567, "1,234,567"},
		"less than nothing":   {whole, -123456, "-123,456"},
		"a ratio":             {times, 0.734, "0.73"},
		"microseconds":        {micros, 195.64e-6, "195.6"},
		"many microseconds":   {micros, 1.5, "1,500,000.0"},
		"milliseconds":        {millis, 12.345e-3, "12.35"},
		"per cent":            {percent, .003, "0.30"},
		"kilobytes":           {kilobytes, 80_040, "80.0"},
		"mebibytes":           {mebibytes, 3 << 19, "1.5"},
		"a negative fraction": {kilobytes, -1_234_567, "-1,234.6"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tt.unit.number(tt.v); got != tt.want {
				t.Errorf("number(%v) = %q, want %q", tt.v, got, tt.want)
			}
		})
	}
	if got, want := micros.spread([]float64{3e-6, 1e-6, 2e-6}), "2.0 µs (1.0–3.0)"; got != want {
		t.Errorf("spread: %q, want %q", got, want)
	}
}

func TestNewSample(t *testing.T) {
	d := newDone(2*time.Second, [][]time.Duration{ms(5, 1), ms(2, 1)}, [][]time.Duration{ms(3, 0), ms(0)})
	before := usage{CPU: time.Second, Mallocs: 1000, Bytes: 5000}
	after := usage{CPU: time.Second + 400*time.Microsecond, Mallocs: 1400, Bytes: 9000}
	want := sample{
		callRate: 2, cpuPerCall: 100e-6, latencyP50: 1e-3, latencyP99: 5e-3, sentLate: 0, allocsPerCall: 100, bytesPerCall: 1000,
	}
	if got := newSample(d, before, after); got != want {
		t.Errorf("newSample: got %v, want %v", got, want)
	}
}

func TestReport(t *testing.T) {
	with := func(cpu, allocs float64) sample { return sample{cpuPerCall: cpu, allocsPerCall: allocs} }
	// The machine is twice as slow in the second round, for both.
	rounds := [][2]sample{
		{with(100e-6, 240), with(80e-6, 120)},
		{with(200e-6, 240), with(160e-6, 120)},
		{with(110e-6, 240), with(99e-6, 120)},
	}
	figures := []metric{cpuPerCall, allocsPerCall}
	got := report(settings{rounds: 3, duration: 2 * time.Second}, division{[]int{0}, []int{1}}, []result{
		{comparison{"json", [2]string{roleStock, roleGateway}, jsonCalls(64), figures, nil}, rounds},
		{comparison{"rate500", [2]string{roleStock, roleGateway}, jsonCalls(64).at(500), figures[:1], nil}, rounds},
		{comparison{"failover", [2]string{roleGateway, roleProduction}, productionCalls(), figures[:1], nil}, rounds[:1]},
	})
	head, tables, _ := strings.Cut(got, "\n\n")
	const want = `| | ` + "`reverse_proxy` | `alipayai_proxy`" + ` | ratio |
|---|---:|---:|---:|
| JSON, 64 at once: CPU per call | 110.0 µs (100.0–200.0) | 99.0 µs (80.0–160.0) | 0.80 (0.80–0.90) |
| JSON, 64 at once: allocations per call | 240 (240–240) | 120 (120–120) | 0.50 (0.50–0.50) |
| JSON, 500 a second: CPU per call | 110.0 µs (100.0–200.0) | 99.0 µs (80.0–160.0) | 0.80 (0.80–0.90) |

| | gateway without | with | ratio |
|---|---:|---:|---:|
| JSON, a production site, 64 at once: CPU per call | 100.0 µs (100.0–100.0) | 80.0 µs (80.0–80.0) | 0.80 (0.80–0.80) |
`
	if tables != want {
		t.Errorf("report:\n got %s\nwant %s", tables, want)
	}
	for _, want := range []string{"each proxy alone on CPU 0, upstream and load on CPU 1", "Medians of 3 alternating rounds of 2s each"} {
		if !strings.Contains(head, want) {
			t.Errorf("the report does not say %q:\n%s", want, head)
		}
	}
}
