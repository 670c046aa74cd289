package alipaycaddy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-alipayai/gateway/alipayai/calendar"
	"github.com/caddy-alipayai/gateway/alipayai/suite"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/failover"
)

// runningMetrics are the metrics of the configuration that runs when they are asked for, in whichever configuration's registry:
// where one is rejected, Caddy's admin API goes on with the registry of that one, and perhaps with one that was rejected
// before its app was provisioned. See [running].
type runningMetrics struct{}

// register makes them visible in a configuration's registry; a second time changes nothing.
func (r runningMetrics) register(ctx caddy.Context) error {
	err := ctx.GetMetricsRegistry().Register(r)
	if err != nil && !errors.As(err, new(prometheus.AlreadyRegisteredError)) {
		return fmt.Errorf("registering metrics: %w", err)
	}
	return nil
}

// of are those of one configuration.
func (runningMetrics) of(a *App) []prometheus.Collector {
	return append(slices.Clip(a.metrics.all),
		capCollector{a.providers}, breakerCollector{a.breakers, a.providers}, keyCollector{a.keepers},
		suiteCollector{a.suites}, canaryCollector{a.canaries}, poolCollector{a.pools})
}

// Describe implements prometheus.Collector.
func (r runningMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, c := range r.of(&App{
		sharing: new(sharing), reports: &reports{metrics: newMetrics()}, upstreams: new(upstreams), served: new(served),
	}) {
		c.Describe(to)
	}
}

// Collect implements prometheus.Collector.
func (r runningMetrics) Collect(to chan<- prometheus.Metric) {
	app := running()
	if app == nil {
		return
	}
	for _, c := range r.of(app) {
		c.Collect(to)
	}
}

// capCollector reads the providers' caps.
type capCollector struct{ providers map[string]*upstream.Provider }

var (
	queueDepth = prometheus.NewDesc("caddy_alipayai_queue_depth",
		"Calls that wait for the provider's rate cap.", []string{"provider"}, nil)
	queueBytes = prometheus.NewDesc("caddy_alipayai_queue_bytes",
		"Bytes of request bodies that wait for the provider's rate cap.", []string{"provider"}, nil)
	effectiveRate = prometheus.NewDesc("caddy_alipayai_rate_limit_requests",
		"Permits in a window just now: the cap, or less after the upstream has throttled.", []string{"provider"}, nil)
	storeDegraded = prometheus.NewDesc("caddy_alipayai_store_degraded",
		"1 while Redis is away and this replica keeps to its part of the provider's rate cap; only with store redis.", []string{"provider"}, nil)
)

// Describe implements prometheus.Collector.
func (capCollector) Describe(to chan<- *prometheus.Desc) {
	to <- queueDepth
	to <- queueBytes
	to <- effectiveRate
	to <- storeDegraded
}

// Collect implements prometheus.Collector.
func (c capCollector) Collect(to chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, provider string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, provider)
	}
	for name, p := range c.providers {
		if p.Cap == nil {
			continue
		}
		count, bytes := p.Cap.Queue.Depth()
		gauge(queueDepth, float64(count), name)
		gauge(queueBytes, float64(bytes), name)
		gauge(effectiveRate, p.Cap.Window.Rate(p.Cap.Limit, time.Now()), name)
		if shared, ok := p.Cap.Window.(sharedWindow); ok {
			gauge(storeDegraded, float64(shared.State()), name)
		}
	}
}

// breakerCollector reads the breakers.
type breakerCollector struct {
	breakers  breakers
	providers map[string]*upstream.Provider
}

var breakersOpen = prometheus.NewDesc("caddy_alipayai_breakers",
	"Tenants whose breaker skips the provider (open), or tries it again (half_open).", []string{"provider", "state"}, nil)

// Describe implements prometheus.Collector.
func (breakerCollector) Describe(to chan<- *prometheus.Desc) { to <- breakersOpen }

// Collect implements prometheus.Collector.
func (c breakerCollector) Collect(to chan<- prometheus.Metric) {
	tallies := c.breakers.States()
	for name, p := range c.providers {
		tally := tallies[p.Account()]
		for state, n := range map[failover.State]int{failover.Open: tally.Open, failover.HalfOpen: tally.HalfOpen} {
			to <- prometheus.MustNewConstMetric(breakersOpen, prometheus.GaugeValue, float64(n), name, state.String())
		}
	}
}

// keyCollector reads the calendars of the providers' keys.
type keyCollector struct{ keepers map[string]*calendar.Keeper }

var (
	keyEnds = prometheus.NewDesc("caddy_alipayai_key_end_timestamp_seconds",
		"When the key that signs, or the certificate, has to be replaced, in Unix time; only where that is known.", []string{"provider"}, nil)
	keyTaken = prometheus.NewDesc("caddy_alipayai_key_taken",
		"1 if the provider took the version of its key when it was checked last, 0 if it did not.", []string{"provider", "version"}, nil)
	keySigns = prometheus.NewDesc("caddy_alipayai_key_signs",
		"1 for the version of the provider's key that signs, 0 for others.", []string{"provider", "version"}, nil)
)

// Describe implements prometheus.Collector.
func (keyCollector) Describe(to chan<- *prometheus.Desc) {
	to <- keyEnds
	to <- keyTaken
	to <- keySigns
}

// Collect implements prometheus.Collector.
func (c keyCollector) Collect(to chan<- prometheus.Metric) {
	flag := func(desc *prometheus.Desc, set bool, labels ...string) {
		value := 0.0
		if set {
			value = 1
		}
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	for name, k := range c.keepers {
		if end := k.Due().At; !end.IsZero() {
			to <- prometheus.MustNewConstMetric(keyEnds, prometheus.GaugeValue, float64(end.Unix()), name)
		}
		known, signing := k.Record(), k.Signing()
		for _, key := range k.Held() {
			version := strconv.Itoa(key.Version)
			flag(keySigns, key.Version == signing, name, version)
			if last := known.Keys[key.ID].Last; !last.At.IsZero() {
				flag(keyTaken, last.Taken, name, version)
			}
		}
	}
}

// suiteCollector reads the last run of each suite.
type suiteCollector struct{ suites map[string]*configuredSuite }

var (
	suitePrompts = prometheus.NewDesc("caddy_alipayai_suite_prompts",
		"Prompts of the suite's last run that have passed, failed, or are unknown since there was no answer (pass, fail, unknown).", []string{"suite", "provider", "result"}, nil)
	suiteChanged = prometheus.NewDesc("caddy_alipayai_suite_changed_prompts",
		"Prompts of the suite's last run that pass or fail and did not in the run before.", []string{"suite", "provider"}, nil)
	suiteEnded = prometheus.NewDesc("caddy_alipayai_suite_last_run_timestamp_seconds",
		"When the suite's last run has ended, in Unix time.", []string{"suite", "provider"}, nil)
)

// Describe implements prometheus.Collector.
func (suiteCollector) Describe(to chan<- *prometheus.Desc) {
	to <- suitePrompts
	to <- suiteChanged
	to <- suiteEnded
}

// Collect implements prometheus.Collector.
func (c suiteCollector) Collect(to chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	for name, s := range c.suites {
		last := s.Record().Last
		if last == nil {
			continue
		}
		for _, status := range []suite.Status{suite.Pass, suite.Fail, suite.Unknown} {
			gauge(suitePrompts, float64(last.Count(status)), name, s.provider, string(status))
		}
		gauge(suiteChanged, float64(len(last.Changes)), name, s.provider)
		gauge(suiteEnded, float64(last.Ended.Unix()), name, s.provider)
	}
}
