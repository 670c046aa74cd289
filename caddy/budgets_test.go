package alipaycaddy

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/caddy/command"
	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// budgetSite bounds every tenant to ${budget} CNY.
const budgetSite = `
http://${gateway} {
	log
	alipayai_proxy alipay {
		budget * ${budget} CNY month
	}
}`

// untilRefused calls until the budget is used up, and gives what the calls cost. Where Redis has not answered in time nothing
// is known of the budget.
func (g *rig) untilRefused() (calls int, cost price.Amount) {
	g.t.Helper()
	for {
		var a answer
		g.eventually("the budget to be known", func() bool {
			a = g.do("POST", chatPath, chatBody("hello", false))
			return a.status != http.StatusServiceUnavailable || a.code() != "budget_unavailable"
		})
		if a.status == http.StatusTooManyRequests && a.code() == "tenant_budget" {
			if a.header.Get("Retry-After") == "" || calls > 1000 {
				g.t.Errorf("after %d calls, header %v", calls, a.header)
			}
			return calls, cost
		}
		if a.status != http.StatusOK {
			g.t.Fatalf("status %d: %s", a.status, a.body)
		}
		text, _, _ := strings.Cut(a.header.Get("X-Alipayai-Cost"), " ")
		amount, err := price.ParseAmount(text)
		if err != nil {
			g.t.Fatalf("cost %q: %v", text, err)
		}
		calls, cost = calls+1, cost+amount
	}
}

// Who has no budget left learns what the call may cost and what is left, and the operator whose budget it was as well.
func TestBudgetThatIsRefusedIsSeen(t *testing.T) {
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	g.vars["budget"] = "0.001"
	g.load(pricedProvider, budgetSite)
	if got := g.read(g.send("admin", "GET", command.BudgetsPath, "", "Origin: http://"+g.vars["admin"])); got.status != http.StatusOK || strings.TrimSpace(got.body) != "[]" {
		t.Errorf("before a call %d %s", got.status, got.body)
	}
	a := g.do("POST", chatPath, chatBody("hello", false))
	if a.code() != "tenant_budget" || !strings.Contains(a.body, "CNY, and 0.001 is left until ") || strings.Contains(a.body, "anonymous") {
		t.Errorf("the client gets %d %s", a.status, a.body)
	}
	if logs := g.logs(); !strings.Contains(logs, "tenant anonymous has 0.001 left of its budget of 0.001 CNY for window month UTC, which ends at ") {
		t.Error("the log does not say whose budget is used up")
	}
	var rows []struct{ Tenant, Limit, Left, Used string }
	got := g.read(g.send("admin", "GET", command.BudgetsPath, "", "Origin: http://"+g.vars["admin"]))
	if err := json.Unmarshal([]byte(got.body), &rows); err != nil || len(rows) != 1 || rows[0].Tenant != "anonymous" || rows[0].Limit != "0.001" || rows[0].Left != "0.001" || rows[0].Used != "0" {
		t.Errorf("%v: %s", err, got.body)
	}
	if post := g.read(g.send("admin", "POST", command.BudgetsPath, "", "Origin: http://"+g.vars["admin"])); post.status != http.StatusMethodNotAllowed {
		t.Errorf("POST gets %d", post.status)
	}
}

// A budget that is used up stays so over a reload and a restart; a larger one permits the
// difference.
func TestBudgetOverReloadAndRestart(t *testing.T) {
	for name, global := range map[string]string{
		"in a file": pricedProvider,
		"in Redis":  strings.Replace(pricedProvider, "alipayai {", "alipayai {\n\tinsecure_literals\n\tencryption_key "+strings.Repeat("ab", 32)+"\n\tstore redis ${redis}", 1),
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
			if name == "in Redis" {
				g.vars["redis"] = redistest.Start(t).Addr
			}
			g.vars["budget"] = "0.5"
			g.load(global, budgetSite)
			calls, cost := g.untilRefused()
			if calls == 0 || cost > price.Unit/2 {
				t.Fatalf("%d calls cost %s", calls, cost)
			}
			sent := g.chats()
			g.load(global, budgetSite+"\n# changed")
			if calls, _ := g.untilRefused(); calls != 0 {
				t.Errorf("%d calls after a reload", calls)
			}
			if err := caddy.Stop(); err != nil {
				t.Fatal(err)
			}
			g.load(global, budgetSite)
			if calls, _ := g.untilRefused(); calls != 0 {
				t.Errorf("%d calls after a restart", calls)
			}
			if n := g.chats(); n != sent {
				t.Errorf("%d calls reached the API without a budget", n-sent)
			}
			g.vars["budget"] = "1"
			g.load(global, budgetSite)
			_, more := g.untilRefused()
			if more == 0 || cost+more > price.Unit {
				t.Errorf("%s and %s were spent of 1 CNY", cost, more)
			}
		})
	}
}

// A gateway that is killed has spent what it has spent, and the lines of its last second
// alone are lost; the report of the file says so.
func TestBudgetAfterAKill(t *testing.T) {
	g := &failoverRig{rig: newRig(t, sandbox.Config{RequestsPerSecond: -1})}
	g.vars["budget"] = "0.5"
	g.load(oneProvider, proxySite)
	kill := g.startReplica(pricedProvider, budgetSite)
	first := g.vars["gateway"]
	g.vars["gateway"] = g.vars["second"]
	calls, cost := g.untilRefused()
	kill()
	kill = g.startReplica(pricedProvider, budgetSite)
	g.vars["gateway"] = g.vars["second"]
	again, more := g.untilRefused()
	if calls == 0 || again != 0 || cost+more > price.Unit/2 {
		t.Errorf("%d calls for %s, and %d more for %s after a kill", calls, cost, again, more)
	}
	kill()
	g.vars["gateway"] = first
	out, _, err := runCommandApart(t, "ledger", "report", "--by", "model", "--format", "json", "--file", filepath.Join(g.vars["dir"], "ledger.db"))
	var rows []ledger.Row
	if err != nil || json.Unmarshal([]byte(out), &rows) != nil || len(rows) > 1 {
		t.Fatalf("%v: %s", err, out)
	}
	if len(rows) == 1 && rows[0].Attempts > int64(calls) {
		t.Errorf("%+v of %d calls", rows, calls)
	}
}

// What cannot be kept is refused when the configuration is loaded.
func TestSpendingThatIsRefused(t *testing.T) {
	for name, tt := range map[string]struct{ global, site, want string }{
		"no price":     {oneProvider, budgetSite, "budget: no provider has a price"},
		"no file":      {strings.Replace(oneProvider, "alipayai {", "alipayai {\n\tprices file ${dir}/none.json", 1), proxySite, "prices file: open"},
		"no rate":      {strings.Replace(pricedProvider, "currency CNY", "currency USD", 1), budgetSite, "provider alipay has prices in USD; write rate USD CNY <number>"},
		"another file": {strings.Replace(oneProvider, "alipayai {", "alipayai {\n\tprices file ${other}", 1), proxySite, "prices file: is not LiteLLM's price file"},
		"one of two without a price": {
			strings.Replace(pricedProvider, "provider alipay {", "provider other {\n\t\tprofile sandbox\n\t\tbase_url http://${api}\n\t}\n\tprovider alipay {", 1),
			strings.Replace(budgetSite, "alipayai_proxy alipay", "alipayai_proxy alipay other", 1), "provider other has no price",
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{})
			g.vars["budget"] = "1"
			g.vars["other"] = g.file("other.json", "[]")
			if err := g.provision(tt.global, tt.site); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if _, err := os.Stat(filepath.Join(g.vars["dir"], "ledger.db")); err == nil {
				t.Error("a configuration that is only validated has made a file")
			}
		})
	}
}

// LiteLLM's prices are in USD; a rate makes them count for a budget in CNY.
func TestPricesFromAFile(t *testing.T) {
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	g.vars["budget"] = "100"
	g.vars["prices"] = g.file("prices.json", `{"alipay-fin-1":{"litellm_provider":"alipay","mode":"chat","input_cost_per_token":1e-06,"output_cost_per_token":2e-06,"max_output_tokens":100}}`)
	g.load(strings.Replace(oneProvider, "alipayai {", "alipayai {\n\tprices file ${prices}\n\trate USD CNY 7.2\n\tledger ${dir}/l.db", 1), budgetSite)
	a := g.chat("hello")
	if cost := a.header.Get("X-Alipayai-Cost"); !strings.HasSuffix(cost, " USD") {
		t.Errorf("cost %q", cost)
	}
	g.vars["budget"] = "0.0001"
	g.load(strings.Replace(oneProvider, "alipayai {", "alipayai {\n\tprices file ${prices}\n\trate USD CNY 7.2\n\tledger ${dir}/l.db", 1), budgetSite)
	if calls, _ := g.untilRefused(); calls != 0 {
		t.Errorf("%d calls", calls)
	}
}
