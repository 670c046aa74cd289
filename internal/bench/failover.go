package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai"
)

// The roles that show what failing over costs.
const (
	rolePlain    = "plain"    // a gateway without any of it
	roleFailover = "failover" // one with all of it, and nothing fails
	roleDirect   = "direct"   // the provider that answers, alone
	roleOpen     = "open"     // the same, behind one whose breaker is open
)

// clientKey is what the load's clients authenticate with: anonymous calls have no
// cached answers.
const clientKey = "bench-client"

// failoverSite is what a role's configuration differs in.
type failoverSite struct{ global, directive string }

var failoverSites = map[string]failoverSite{
	rolePlain: {"", `alipay {
		breaker     off
		idempotency off
	}`},
	roleFailover: {"\n\t\talert webhook http://127.0.0.1:9/alerts", `alipay broken {
		breaker       3 5m 60s
		cached_answer 24h
		idempotency   24h
	}`},
	roleDirect: {"", "alipay"},
	roleOpen: {"", `broken alipay {
		breaker 3 5m 1h
	}`},
}

func (f failoverSite) caddyfile(addr, upstream string) string {
	provider := func(name, base string) string {
		return fmt.Sprintf(`
		provider %s {
			profile alipay
			base_url http://%s
			client_id %s
			key 1 bench-hmac-key-0001
			token http://%s%s bench-secret
			limit 100000 1s
		}`, name, base, strings.ToUpper(name), upstream, tokenPath)
	}
	return fmt.Sprintf(`{
	admin off
	persist_config off
	metrics
	log {
		level FATAL
	}
	alipayai {
		insecure_literals%s%s%s
	}
}
http://%s {
	bind 127.0.0.1
	alipayai_auth {
		key bench %s
	}
	alipayai_proxy %s
}
`, f.global, provider("alipay", upstream), provider("broken", upstream+brokenPath), addr, alipayai.HashKey(clientKey), f.directive)
}

// benchFailover measures what failing over costs when nothing fails, and what it
// adds when something does, and returns its part of the report.
func benchFailover(ctx context.Context, s settings) (string, error) {
	dir, err := os.MkdirTemp("", "gateway-bench-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	upstream, err := start(ctx, roleUpstream, "XDG_DATA_HOME="+dir)
	if err != nil {
		return "", err
	}
	defer upstream.stop()

	json := workloads()[0]
	alone := json
	alone.clients = 1
	var results [2]result
	for i, c := range [...]struct {
		roles [2]string
		w     workload
	}{
		{[2]string{rolePlain, roleFailover}, json},
		{[2]string{roleDirect, roleOpen}, alone},
	} {
		proxies, stop, err := startPair(ctx, s, dir, upstream.addr, c.roles)
		if err != nil {
			return "", err
		}
		results[i], err = interleave(ctx, s, proxies, c.w)
		stop()
		if err != nil {
			return "", err
		}
	}
	return failoverReport(s, results), nil
}

// Places in metrics.
const cpuPerCall, latencyP50 = 1, 2

func failoverReport(s settings, results [2]result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nFailing over; medians of %d interleaved rounds of %v each.\n\n", s.rounds, s.duration)
	b.WriteString("| | without | with | in the same round | half of the rounds |\n|---|---:|---:|---:|---:|\n")
	without, with, ratios := results[0].column(cpuPerCall)
	fmt.Fprintf(&b, "| CPU per call, JSON (%d at once), all configured and nothing failing | %s | %s | × %.2f | %.2f–%.2f |\n",
		results[0].workload.clients, micros(median(without)), micros(median(with)),
		median(ratios), quantile(ratios, .25), quantile(ratios, .75))
	without, with, _ = results[1].column(latencyP50)
	added := make([]float64, len(without))
	for i := range added {
		added[i] = with[i] - without[i]
	}
	fmt.Fprintf(&b, "| latency p50, one call at a time, the first provider's breaker open | %s | %s | + %s | %s–%s |\n",
		micros(median(without)), micros(median(with)),
		micros(median(added)), micros(quantile(added, .25)), micros(quantile(added, .75)))
	return b.String()
}
