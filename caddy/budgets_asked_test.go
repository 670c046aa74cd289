package alipaycaddy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/price"
)

// What a moderator's model costs: each request 0.10, and nothing for tokens. The API's own calls are free.
const pricedGuard = `
alipayai {
	ledger ${dir}/ledger.db
	provider alipay {
		profile sandbox
		base_url http://${api}
		limit off
		price * {
			currency CNY
		}
	}
	provider guard {
		profile ollama
		base_url http://${guard}/v1
		model llama-guard
		price * {
			currency CNY
			request 0.10
		}
	}
	moderator law {
		model guard form llama_guard
		timeout 5s
		cache off
		on_error %s
	}
}`

// bill gives what the ledger has of a tenant's attempts.
func (g *rig) bill(tenant string) (sum price.Amount, attempts int64) {
	g.t.Helper()
	a := g.usage("by=provider&tenant=" + tenant)
	var rows []ledger.Row
	if err := json.Unmarshal([]byte(a.body), &rows); err != nil {
		g.t.Fatalf("%v: %s", err, a.body)
	}
	for _, row := range rows {
		amount, err := price.ParseAmount(row.Amount)
		if err != nil {
			g.t.Fatal(err)
		}
		sum, attempts = sum+amount, attempts+row.Attempts
	}
	return sum, attempts
}

// A moderator's model is asked within the tenant's budget, counted where it arrives: when that is used up, on_error
// decides, and a request that is refused for it says so. Of two budgets for the same time the smaller holds.
func TestModeratorsModelsKeepBudgets(t *testing.T) {
	for name, tt := range map[string]struct {
		onError, site string
		// asked of ten calls reach the model, and served the API; the others are refused with code.
		asked, served int64
		code          string
	}{
		"closed": {"closed", "alipayai_moderate law\nalipayai_proxy alipay {\nbudget * 0.35 CNY month\n}", 3, 3, "tenant_budget"},
		"open":   {"open", "alipayai_moderate law\nalipayai_proxy alipay {\nbudget * 0.35 CNY month\n}", 3, 10, ""},
		"before any handler": {
			"closed", "alipayai_moderate law\nheader /never X-A b\n@never path /never\nreverse_proxy @never ${plain}\nalipayai_proxy alipay {\nbudget * 0.35 CNY month\n}", 3, 3, "tenant_budget",
		},
		"of two the smaller": {
			"closed", "alipayai_moderate law\n@other header X-Other yes\nalipayai_proxy @other alipay {\nbudget * 0.25 CNY month\n}\nalipayai_proxy alipay {\nbudget acme 0.35 CNY month\n}", 2, 2, "tenant_budget",
		},
		"no budget": {"closed", "alipayai_moderate law\nalipayai_proxy alipay", 10, 10, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := newJudge(t)
			g.load(fmt.Sprintf(pricedGuard, tt.onError), moderatedSite(tt.site))
			for i := range 10 {
				a := g.do("POST", chatPath, chatBody(fmt.Sprint("prompt ", i), false), g.acme)
				if a.status == http.StatusOK {
					continue
				}
				if a.status != http.StatusTooManyRequests || a.code() != tt.code || a.header.Get("Retry-After") == "" {
					t.Errorf("call %d: status %d: %s", i, a.status, a.body)
				}
			}
			if asked, served := g.asked.Load(), g.chats(); asked != tt.asked || served != tt.served {
				t.Errorf("the model was asked %d times, and %d calls were served; want %d and %d", asked, served, tt.asked, tt.served)
			}
			g.eventually("the lines", func() bool {
				sum, attempts := g.bill("acme")
				return sum == price.Amount(tt.asked)*price.Unit/10 && attempts == tt.asked+tt.served
			})
			if a := g.do("POST", chatPath, chatBody("another tenant", false), g.zeta); a.status != http.StatusOK {
				t.Errorf("another tenant gets %d: %s", a.status, a.body)
			}
		})
	}
}

// What recognises intents is paid by the tenant whose text it is, within its budget: when that is used up, characters and
// words decide. The examples are the operator's.
func TestIntentsKeepBudgets(t *testing.T) {
	g := newVectors(t)
	priced := strings.Replace(embedding("limit off\nprice * {\ncurrency CNY\nrequest 0.10\n}", strings.Replace(byVectors, "timeout 5s", "timeout 5s\ncache off", 1)),
		"provider alipay {", "ledger ${dir}/ledger.db\nprovider alipay {\nprice * {\ncurrency CNY\n}", 1)
	g.load(priced, moderatedSite("@metal alipayai intent metal\nrespond @metal metal\nalipayai_proxy alipay {\nbudget * 0.25 CNY month\n}"))
	g.ready()
	examples := g.embedded.Load()
	for i := range 6 {
		g.wantIntent(fmt.Sprint("steel wires ", i), "metal", g.acme)
	}
	if n := g.embedded.Load() - examples; n != 2 {
		t.Errorf("the provider was asked %d times, want 2", n)
	}
	g.eventually("the lines", func() bool {
		sum, attempts := g.bill("acme")
		operators, learnt := g.bill(strings.NewReplacer("(", "%28", ")", "%29").Replace(alipayai.ExamplesTenant))
		anonymous, _ := g.bill(alipayai.AnonymousTenant)
		return sum == price.Unit/5 && attempts == 2 && learnt == examples && operators == price.Amount(examples)*price.Unit/10 && anonymous == 0
	})
}

// A budget that a moderator, intents or a canary could not keep is refused when it is loaded.
func TestBudgetsThatAskedModelsCannotKeep(t *testing.T) {
	unpriced := strings.Replace(fmt.Sprintf(pricedGuard, "closed"), "currency CNY\n\t\t\trequest 0.10", "currency USD", 1)
	for name, tt := range map[string]struct{ global, site, want string }{
		"another currency": {unpriced, budgetSite, "provider guard, which moderator law asks, has prices in USD; write rate USD CNY <number>"},
		"no price": {
			strings.Replace(unpriced, "price * {\n\t\t\tcurrency USD\n\t\t}", "", 1), budgetSite,
			"provider guard, which moderator law asks, has no price",
		},
		"a canary's": {
			unpriced[:strings.Index(unpriced, "moderator law")] + "}",
			"http://${gateway} {\nalipayai_proxy alipay {\nbudget * 1 CNY month\ncanary alipay guard {\nshare 10% 1h\n}\n}\n}",
			"provider guard has prices in USD; write rate USD CNY <number>",
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newJudge(t)
			g.vars["budget"] = "1"
			if err := g.provision(tt.global, tt.site); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}
