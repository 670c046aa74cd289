package alipaycaddy

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/caddy/command"
)

// pricedProvider is oneProvider with a price, and a ledger in ${dir}.
const pricedProvider = `
alipayai {
	ledger ${dir}/ledger.db
	provider alipay {
		profile sandbox
		base_url http://${api}
		price alipay-fin-1 {
			currency CNY
			input 24
			output 72
			minimum 5000 characters
			max_tokens 1000
		}
	}
}`

// usage asks the admin API.
func (g *rig) usage(query string) answer {
	g.t.Helper()
	return g.read(g.send("admin", "GET", command.UsagePath+"?"+query, "", "Origin: http://"+g.vars["admin"]))
}

// A running gateway reports what calls cost by its admin API, after a reload as before.
func TestUsageOfARunningGateway(t *testing.T) {
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	g.load(pricedProvider, proxySite)
	got := g.chat("yes")
	cost := got.header.Get("X-Alipayai-Cost")
	if !strings.HasSuffix(cost, " CNY") {
		t.Fatalf("cost %q", cost)
	}
	if logged := g.outcome(got)["cost"]; logged != cost {
		t.Errorf("the log has cost %v", logged)
	}
	var rows []ledger.Row
	reports := func(want int64) {
		g.eventually("the report", func() bool {
			a := g.usage("by=model")
			if a.status != http.StatusOK {
				t.Fatalf("status %d: %s", a.status, a.body)
			}
			if err := json.Unmarshal([]byte(a.body), &rows); err != nil {
				t.Fatalf("%v: %s", err, a.body)
			}
			return len(rows) == 1 && rows[0].Attempts == want
		})
	}
	reports(1)
	if rows[0].Amount+" CNY" != cost || rows[0].Model != "alipay-fin-1" || rows[0].Provider != "alipay" || rows[0].Floor != "0.029976" {
		t.Errorf("%+v, want the cost %s", rows[0], cost)
	}
	g.load(pricedProvider, proxySite+"\n# changed")
	g.chat("yes")
	reports(2)
	var metrics string
	g.eventually("the metric of written lines", func() bool {
		metrics = g.read(g.send("admin", "GET", "/metrics", "", "Origin: http://"+g.vars["admin"])).body
		return strings.Contains(metrics, `caddy_alipayai_ledger_lines_total{result="written"} 2`)
	})
	for _, want := range []string{
		`caddy_alipayai_cost_total{currency="CNY",model="alipay-fin-1",outcome="known",provider="alipay"} 0.06`,
		`caddy_alipayai_floor_waste_total{currency="CNY",model="alipay-fin-1",provider="alipay"} 0.059`,
		`caddy_alipayai_tokens_total{model="alipay-fin-1",provider="alipay",type="input"} 2`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}
