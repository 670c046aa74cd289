package alipaycaddy

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

var (
	metricPattern = regexp.MustCompile(`(?m)^(caddy_alipayai_\w+)\{(.*)\} (\S+)$`)
	labelPattern  = regexp.MustCompile(`(\w+)="([^"]*)"`)
)

// scrape gives each series of the plugin with its value, and checks that no
// metric has other labels than these.
func (g *rig) scrape() map[string]string {
	g.t.Helper()
	labels := map[string]string{
		"caddy_alipayai_requests_total":                   "code endpoint provider status",
		"caddy_alipayai_attempts_total":                   "code provider",
		"caddy_alipayai_token_refreshes_total":            "provider result",
		"caddy_alipayai_signing_failures_total":           "provider",
		"caddy_alipayai_time_to_first_byte_seconds":       "endpoint provider",
		"caddy_alipayai_request_duration_seconds":         "endpoint provider",
		"caddy_alipayai_queue_wait_seconds":               "provider",
		"caddy_alipayai_queue_depth":                      "provider",
		"caddy_alipayai_queue_bytes":                      "provider",
		"caddy_alipayai_rate_limit_requests":              "provider",
		"caddy_alipayai_rejections_total":                 "provider reason",
		"caddy_alipayai_store_degraded":                   "provider",
		"caddy_alipayai_breakers":                         "provider state",
		"caddy_alipayai_fallbacks_total":                  "provider reason",
		"caddy_alipayai_stored_answers_total":             "provider store",
		"caddy_alipayai_pack_calls":                       "provider",
		"caddy_alipayai_packed_asked_alone_total":         "provider reason",
		"caddy_alipayai_pack_comparisons_total":           "provider result",
		"caddy_alipayai_canary_share":                     "canary",
		"caddy_alipayai_shadow_total":                     "outcome provider",
		"caddy_alipayai_shadow_dropped_total":             "provider reason",
		"caddy_alipayai_shadow_differences_total":         "aspect provider worse",
		"caddy_alipayai_shadow_first_content_seconds":     "provider side",
		"caddy_alipayai_canary_calls_total":               "arm canary guard result",
		"caddy_alipayai_pool_connections":                 "provider state",
		"caddy_alipayai_pool_waiting":                     "provider",
		"caddy_alipayai_pool_idle_limit_seconds":          "provider",
		"caddy_alipayai_pool_dials_total":                 "provider result",
		"caddy_alipayai_pool_waits_total":                 "provider",
		"caddy_alipayai_pool_closed_total":                "provider reason",
		"caddy_alipayai_evidence_total":                   "result",
		"caddy_alipayai_alerts_total":                     "kind result sink",
		"caddy_alipayai_suite_prompts":                    "provider result suite",
		"caddy_alipayai_suite_changed_prompts":            "provider suite",
		"caddy_alipayai_suite_last_run_timestamp_seconds": "provider suite",
		"caddy_alipayai_cost_total":                       "currency model outcome provider",
		"caddy_alipayai_tokens_total":                     "model provider type",
		"caddy_alipayai_ledger_lines_total":               "result",
	}
	series := make(map[string]string)
	for _, found := range metricPattern.FindAllStringSubmatch(g.do("GET", "/metrics", "").body, -1) {
		name, _, _ := strings.Cut(found[1], "_bucket")
		name = strings.TrimSuffix(strings.TrimSuffix(name, "_sum"), "_count")
		values := make(map[string]string)
		for _, label := range labelPattern.FindAllStringSubmatch(found[2], -1) {
			values[label[1]] = label[2]
		}
		delete(values, "le")
		if got := strings.Join(slices.Sorted(maps.Keys(values)), " "); got != labels[name] {
			g.t.Errorf("%s has labels %q, want %q", name, got, labels[name])
		}
		series[found[1]+"{"+found[2]+"}"] = found[3]
	}
	return series
}

// metricsSite is proxySite with the metrics, behind which nothing else serves.
const metricsSite = `
http://${gateway} {
	metrics /metrics
	alipayai_proxy alipay
}`

func TestMetrics(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.load(oneProvider, metricsSite)
	g.chat("hello")
	resp, err := g.send("gateway", "POST", chatPath, chatBody("hello", true))
	g.read(resp, err)
	g.do("POST", chatPath, chatBody("[[fault:system_error_200]]", false))
	g.do("POST", chatPath, chatBody("[[fault:http_status=500,code=CHOSEN-BY-UPSTREAM]]", false))
	g.do("POST", chatPath, "{")
	g.do("POST", "/chosen/by/client", "{}")
	g.do("POST", chatPath, strings.Replace(chatBody("x", false), "alipay-fin-1", "chosen-by-client", 1),
		"Idempotency-Key: chosen-by-client", "X-Tenant: chosen-by-client", "User-Agent: chosen-by-client")
	g.do("CHOSEN", chatPath, "")

	var series map[string]string
	g.eventually("all calls to be counted", func() bool {
		series = g.scrape()
		return series[`caddy_alipayai_requests_total{code="method_not_allowed",endpoint="",provider="",status="405"}`] == "1"
	})
	for name, want := range map[string]string{
		`caddy_alipayai_requests_total{code="",endpoint="chat",provider="alipay",status="200"}`:             "2",
		`caddy_alipayai_requests_total{code="SYSTEM_ERROR",endpoint="chat",provider="alipay",status="502"}`: "1",
		`caddy_alipayai_requests_total{code="other",endpoint="chat",provider="alipay",status="500"}`:        "1",
		`caddy_alipayai_requests_total{code="invalid_json",endpoint="chat",provider="",status="400"}`:       "1",
		`caddy_alipayai_requests_total{code="unknown_url",endpoint="",provider="",status="404"}`:            "1",
		`caddy_alipayai_attempts_total{code="",provider="alipay"}`:                                          "2",
		`caddy_alipayai_attempts_total{code="SYSTEM_ERROR",provider="alipay"}`:                              "1",
		`caddy_alipayai_token_refreshes_total{provider="alipay",result="ok"}`:                               "1",
		`caddy_alipayai_time_to_first_byte_seconds_count{endpoint="chat",provider="alipay"}`:                "2",
		`caddy_alipayai_queue_wait_seconds_count{provider="alipay"}`:                                        "7",
		`caddy_alipayai_queue_depth{provider="alipay"}`:                                                     "0",
		`caddy_alipayai_queue_bytes{provider="alipay"}`:                                                     "0",
		`caddy_alipayai_rate_limit_requests{provider="alipay"}`:                                             "50",
		`caddy_alipayai_store_degraded{provider="alipay"}`:                                                  "",
	} {
		if series[name] != want {
			t.Errorf("%s is %q, want %q", name, series[name], want)
		}
	}
	for name := range series {
		if strings.Contains(strings.ToLower(name), "chosen") || strings.Contains(name, "anonymous") {
			t.Errorf("%s has a label that a client or an upstream chose", name)
		}
	}
	if t.Failed() {
		for _, name := range slices.Sorted(maps.Keys(series)) {
			t.Log(name, series[name])
		}
	}
}

// TestMetricsOfTheTransport counts what stock reverse_proxy sends signed.
func TestMetricsOfTheTransport(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.load(oneProvider, `
http://${gateway} {
	metrics /metrics
	reverse_proxy http://${api} {
		transport alipayai alipay {
			paths /v1/*
			allow_anonymous
		}
	}
}`)
	if a := g.do("POST", chatPath, chatBody("hello", false)); a.status != 200 {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	g.eventually("the attempt to be counted", func() bool {
		return g.scrape()[`caddy_alipayai_attempts_total{code="",provider="alipay"}`] == "1"
	})
}
