package alipaycaddy

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-alipayai/gateway/alipayai"
)

// metrics are the plugin's Prometheus metrics. They count on over reloads:
// each configuration has a registry of its own, and the same collectors are
// registered with every one. No label's value is chosen by a client.
type metrics struct {
	once            sync.Once
	requests        *prometheus.CounterVec
	attempts        *prometheus.CounterVec
	tokenFetches    *prometheus.CounterVec
	signingFailures *prometheus.CounterVec
	firstByte       *prometheus.HistogramVec
	duration        *prometheus.HistogramVec
	queueWait       *prometheus.HistogramVec
	rejections      *prometheus.CounterVec
}

const metricsNamespace, metricsSubsystem = "caddy", "alipayai"

func (m *metrics) init() {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: name, Help: help,
		}, labels)
	}
	seconds := func(name, help string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: name, Help: help,
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15, 30},
		}, []string{"provider", "endpoint"})
	}
	m.requests = counter("requests_total",
		"Calls served, by provider, endpoint, the HTTP status the client saw, and the failure's code (empty for a success).",
		"provider", "endpoint", "status", "code")
	m.attempts = counter("attempts_total",
		"Requests sent to a provider, by the code of their failure (empty for a success).", "provider", "code")
	m.tokenFetches = counter("token_refreshes_total",
		"Access tokens asked of a token endpoint, by result: ok, refused or unavailable.", "provider", "result")
	m.signingFailures = counter("signing_failures_total",
		"Requests that could not be signed.", "provider")
	m.firstByte = seconds("time_to_first_byte_seconds",
		"Time from a call's start until the first byte of content went to the client.")
	m.queueWait = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "queue_wait_seconds",
		Help:    "Time that calls waited for the provider's rate cap.",
		Buckets: []float64{.001, .01, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"provider"})
	m.rejections = counter("rejections_total",
		"Calls that were not let through, by reason.", "provider", "reason")
	m.duration = seconds("request_duration_seconds",
		"Time from a call's start to its end.")
}

// capCollector reads the providers' caps when it is asked. It belongs to one
// configuration.
type capCollector struct{ providers map[string]*alipayai.Provider }

var (
	queueDepth = prometheus.NewDesc("caddy_alipayai_queue_depth",
		"Calls that wait for the provider's rate cap.", []string{"provider"}, nil)
	queueBytes = prometheus.NewDesc("caddy_alipayai_queue_bytes",
		"Bytes of request bodies that wait for the provider's rate cap.", []string{"provider"}, nil)
	effectiveRate = prometheus.NewDesc("caddy_alipayai_rate_limit_requests",
		"Requests that may depart in a window just now: the cap, less after the upstream has throttled.", []string{"provider"}, nil)
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
		if shared, ok := p.Cap.Window.(*lateWindow); ok {
			gauge(storeDegraded, float64(shared.State()), name)
		}
	}
}

// register makes the metrics visible in a configuration's registry.
func (m *metrics) register(registry *prometheus.Registry) error {
	m.once.Do(m.init)
	for _, c := range []prometheus.Collector{
		m.requests, m.attempts, m.tokenFetches, m.signingFailures, m.firstByte, m.duration,
		m.queueWait, m.rejections,
	} {
		if err := registry.Register(c); err != nil && !errors.As(err, new(prometheus.AlreadyRegisteredError)) {
			return err
		}
	}
	return nil
}

func (m *metrics) attempted(provider, code string) {
	m.attempts.WithLabelValues(provider, alipayai.KnownCode(code)).Inc()
}

func (m *metrics) tokenFetched(provider string, err error) {
	result := "ok"
	switch {
	case errors.Is(err, alipayai.ErrTokenRefused):
		result = "refused"
	case err != nil:
		result = "unavailable"
	}
	m.tokenFetches.WithLabelValues(provider, result).Inc()
}

func (m *metrics) settled(o *alipayai.Outcome) {
	endpoint := string(o.Endpoint)
	m.requests.WithLabelValues(o.Provider, endpoint, strconv.Itoa(o.Status), alipayai.KnownCode(o.Code)).Inc()
	m.duration.WithLabelValues(o.Provider, endpoint).Observe(o.Duration.Seconds())
	if o.FirstByte > 0 {
		m.firstByte.WithLabelValues(o.Provider, endpoint).Observe(o.FirstByte.Seconds())
	}
}
