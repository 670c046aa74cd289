package alipaycaddy

import (
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/alert"
	"github.com/caddy-alipayai/gateway/alipayai/evidence"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/token"
)

// metrics are the plugin's Prometheus metrics. They count on over reloads: each
// configuration has a registry of its own, and [runningMetrics] shows the same
// collectors in every one. No label's value is chosen by a client.
type metrics struct {
	once sync.Once // see openMetrics
	// all are the collectors below.
	all []prometheus.Collector

	requests        *prometheus.CounterVec
	attempts        *prometheus.CounterVec
	tokenFetches    *prometheus.CounterVec
	signingFailures *prometheus.CounterVec
	firstByte       *prometheus.HistogramVec
	duration        *prometheus.HistogramVec
	queueWait       *prometheus.HistogramVec
	rejections      *prometheus.CounterVec
	fallbacks       *prometheus.CounterVec
	stored          *prometheus.CounterVec
	evidence        *prometheus.CounterVec
	alerts          *prometheus.CounterVec
	packed          *prometheus.HistogramVec
	askedAlone      *prometheus.CounterVec
	compared        *prometheus.CounterVec
	moderation      *prometheus.CounterVec
	moderationTime  *prometheus.HistogramVec
	cost            *prometheus.CounterVec
	floorWaste      *prometheus.CounterVec
	tokens          *prometheus.CounterVec
	ledgerLines     *prometheus.CounterVec
	shadow          *prometheus.CounterVec
	shadowDropped   *prometheus.CounterVec
	shadowDiffers   *prometheus.CounterVec
	shadowFirst     *prometheus.HistogramVec

	// What most calls count by: looking for a collector by its labels takes longer than counting.
	waits     memo[string, prometheus.Observer] // of queueWait, by provider
	succeeded memo[string, prometheus.Counter]  // of attempts, by provider
	answered  memo[[2]string, *answered]        // by provider and endpoint
}

// answered are the collectors of calls with an answer of their own under 200.
type answered struct {
	requests            prometheus.Counter
	duration, firstByte prometheus.Observer
}

// openMetrics gives the metrics of the process, made where they are new, and has the configuration's registry show them.
func openMetrics(ctx caddy.Context, by *acquired) (*metrics, error) {
	m := acquireFor[metrics](by, "metrics")
	m.once.Do(m.init)
	return m, runningMetrics{}.register(ctx)
}

// newMetrics makes metrics that count from zero.
func newMetrics() *metrics {
	m := new(metrics)
	m.once.Do(m.init)
	return m
}

// counter makes a counter that is one of all.
func (m *metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.all = append(m.all, c)
	return c
}

// histogram makes a histogram that is one of all.
func (m *metrics) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	m.all = append(m.all, h)
	return h
}

// callSeconds are buckets for what takes as long as a call does.
var callSeconds = []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15, 30}

// init makes the collectors. Names stand here, and in gauges.go, as they are shown.
func (m *metrics) init() {
	m.requests = m.counter("caddy_alipayai_requests_total",
		"Calls served, by provider, endpoint, the HTTP status the client saw, and the failure's code (empty for a success).",
		"provider", "endpoint", "status", "code")
	m.attempts = m.counter("caddy_alipayai_attempts_total",
		"Attempts at a provider, also those that were rejected before anything was sent, by the code of their failure (empty for a success).", "provider", "code")
	m.tokenFetches = m.counter("caddy_alipayai_token_refreshes_total",
		"Access tokens asked of a token endpoint, by result: ok, refused or unavailable.", "provider", "result")
	m.signingFailures = m.counter("caddy_alipayai_signing_failures_total",
		"Requests that could not be signed.", "provider")
	m.firstByte = m.histogram("caddy_alipayai_time_to_first_byte_seconds",
		"Time from a call's start until the first byte of content went to the client.", callSeconds, "provider", "endpoint")
	m.queueWait = m.histogram("caddy_alipayai_queue_wait_seconds",
		"Time that calls waited for the provider's rate cap.", []float64{.001, .01, .05, .1, .25, .5, 1, 2.5, 5, 10}, "provider")
	m.rejections = m.counter("caddy_alipayai_rejections_total",
		"Calls that were rejected, by reason.", "provider", "reason")
	m.fallbacks = m.counter("caddy_alipayai_fallbacks_total",
		"Calls that went on from a provider to the next one or to a cached answer, by reason.", "provider", "reason")
	m.stored = m.counter("caddy_alipayai_stored_answers_total",
		"Answers that had been given before, by where they were kept: cache or idempotency.", "provider", "store")
	m.evidence = m.counter("caddy_alipayai_evidence_total",
		"Records of system errors, by what became of them: logged, suppressed, sealed, seal_failed or dropped.", "result")
	m.alerts = m.counter("caddy_alipayai_alerts_total",
		"Alerts, by sink and kind, and by result: sent, failed or dropped.", "sink", "kind", "result")
	m.packed = m.histogram("caddy_alipayai_pack_calls",
		"Calls that left together in one request.", []float64{2, 3, 5, 10, 15, 20, 50, 100}, "provider")
	m.askedAlone = m.counter("caddy_alipayai_packed_asked_alone_total",
		"Calls that were packed and then asked alone, by reason.", "provider", "reason")
	m.compared = m.counter("caddy_alipayai_pack_comparisons_total",
		"Answers of packed calls that were compared with those to the calls alone, by result: same or different.", "provider", "result")
	m.moderation = m.counter("caddy_alipayai_moderation_total",
		"Verdicts on requests and answers, by moderator, by what has decided (rules, model, cache, error, output) and by result: allowed or blocked.",
		"moderator", "by", "result")
	m.moderationTime = m.histogram("caddy_alipayai_moderation_seconds",
		"Time that the verdicts of a moderator's model on one request took, those of its cache included.", []float64{.001, .01, .05, .1, .2, .4, .8, 1.6, 3.2}, "moderator")
	m.cost = m.counter("caddy_alipayai_cost_total",
		"What attempts have cost, in units of the currency, by how well that is known: known, estimated or unknown (at most).",
		"provider", "model", "currency", "outcome")
	m.floorWaste = m.counter("caddy_alipayai_floor_waste_total",
		"The part of cost_total that is due to minimum charges alone.", "provider", "model", "currency")
	m.tokens = m.counter("caddy_alipayai_tokens_total",
		"Tokens that were charged, by type: input, cached_input (which are not in input) or output.", "provider", "model", "type")
	m.ledgerLines = m.counter("caddy_alipayai_ledger_lines_total",
		"Lines of the ledger, by what became of them: written or dropped.", "result")
	m.shadow = m.counter("caddy_alipayai_shadow_total",
		"Copies of calls for a shadow, by outcome: same or different, as the calls that were compared did, or dropped.", "provider", "outcome")
	m.shadowDropped = m.counter("caddy_alipayai_shadow_dropped_total",
		"Copies that a shadow was not asked, by reason.", "provider", "reason")
	m.shadowDiffers = m.counter("caddy_alipayai_shadow_differences_total",
		"What differs in pairs, by aspect (blocked, failure, finish, tool_calls, length, latency) and by which one is worse: real, shadow or neither.",
		"provider", "aspect", "worse")
	m.shadowFirst = m.histogram("caddy_alipayai_shadow_first_content_seconds",
		"Time to the first content of the calls that were compared, by side: real or shadow.", callSeconds, "provider", "side")
	m.duration = m.histogram("caddy_alipayai_request_duration_seconds",
		"Time from a call's start to its end.", callSeconds, "provider", "endpoint")
}

// permitted counts how long a request has waited for the provider's rate cap.
func (m *metrics) permitted(provider string, waited time.Duration) {
	m.waits.of(provider, func() prometheus.Observer { return m.queueWait.WithLabelValues(provider) }).Observe(waited.Seconds())
}

func (m *metrics) attempted(provider, code string) {
	if code == "" {
		m.succeeded.of(provider, func() prometheus.Counter { return m.attempts.WithLabelValues(provider, "") }).Inc()
		return
	}
	m.attempts.WithLabelValues(provider, failure.Known(code)).Inc()
}

func (m *metrics) fellOver(provider, reason string) {
	m.fallbacks.WithLabelValues(provider, reason).Inc()
}

func (m *metrics) evidenced(result evidence.Result) {
	m.evidence.WithLabelValues(string(result)).Inc()
}

func (m *metrics) alerted(sink string, kind alert.Kind, result alert.Result) {
	m.alerts.WithLabelValues(sink, string(kind), string(result)).Inc()
}

func (m *metrics) moderated(moderator, by, result string) {
	m.moderation.WithLabelValues(moderator, by, result).Inc()
}

func (m *metrics) tokenFetched(provider string, err error) {
	result := "ok"
	switch {
	case errors.Is(err, token.ErrRefused):
		result = "refused"
	case err != nil:
		result = "unavailable"
	}
	m.tokenFetches.WithLabelValues(provider, result).Inc()
}

func (m *metrics) settled(o *alipayai.Outcome) {
	endpoint, provider := string(o.Endpoint), o.Provider
	if o.Status == http.StatusOK && o.Code == "" && o.Stored == "" && o.FirstByte > 0 {
		a := m.answered.of([2]string{provider, endpoint}, func() *answered {
			return &answered{m.requests.WithLabelValues(provider, endpoint, "200", ""), m.duration.WithLabelValues(provider, endpoint), m.firstByte.WithLabelValues(provider, endpoint)}
		})
		a.requests.Inc()
		a.duration.Observe(o.Duration.Seconds())
		a.firstByte.Observe(o.FirstByte.Seconds())
		return
	}
	if o.Stored != "" {
		m.stored.WithLabelValues(provider, string(o.Stored)).Inc()
		provider = string(o.Stored) // which was asked, and fast
	}
	m.requests.WithLabelValues(provider, endpoint, strconv.Itoa(o.Status), failure.Known(o.Code)).Inc()
	m.duration.WithLabelValues(provider, endpoint).Observe(o.Duration.Seconds())
	if o.FirstByte > 0 {
		m.firstByte.WithLabelValues(provider, endpoint).Observe(o.FirstByte.Seconds())
	}
}

// spent counts what an attempt has cost. Floats are good enough for a graph; the ledger
// has the exact amounts.
func (m *metrics) spent(c *alipayai.Cost) {
	if c.Currency != "" {
		m.cost.WithLabelValues(c.Provider, c.Label, string(c.Currency), string(c.Outcome)).Add(units(c.Amount))
		if c.Floor > 0 {
			m.floorWaste.WithLabelValues(c.Provider, c.Label, string(c.Currency)).Add(units(c.Floor))
		}
	}
	for kind, n := range map[string]int64{"input": c.Prompt - c.Cached, "cached_input": c.Cached, "output": c.Completion} {
		if n > 0 {
			m.tokens.WithLabelValues(c.Provider, c.Label, kind).Add(float64(n))
		}
	}
}

func units(a price.Amount) float64 { return float64(a) / float64(price.Unit) }

func (m *metrics) ledgerWrote(written, dropped int) {
	m.ledgerLines.WithLabelValues("written").Add(float64(written))
	m.ledgerLines.WithLabelValues("dropped").Add(float64(dropped))
}
