package alipayai_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/budget"
	"github.com/caddy-alipayai/gateway/alipayai/price"
)

// What a budget does not permit at one provider is asked of the first after it that should cost less than that
// one and fits, and of none that should cost as much.
func TestTheNextCheaperProviderThatFits(t *testing.T) {
	const answer = `{"model":"m","choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}],` +
		`"usage":{"prompt_tokens":10,"completion_tokens":10,"total_tokens":20}}`
	// What a call should cost is a hundred tokens and the amount of a request; most bounds it by the answer.
	priced := func(request price.Amount, most int64) *price.Price {
		return &price.Price{Currency: "CNY", Rates: price.Rates{Output: 1e9}, Request: request, MaxTokens: most}
	}
	for name, test := range map[string]struct {
		prices [3]*price.Price
		rate   price.Amount // of USD
		status int
		want   []int
	}{
		"the first fits":                {[3]*price.Price{priced(1e6, 10), priced(1e5, 10), priced(1e4, 10)}, 0, 200, []int{1, 0, 0}},
		"the second is dearer":          {[3]*price.Price{priced(2e6, 10), priced(5e5+2e6, 10), priced(5e5, 10)}, 0, 200, []int{0, 0, 1}},
		"the second is dearer and fits": {[3]*price.Price{priced(2e5, 1e6), priced(5e5, 10), priced(1e5, 10)}, 0, 200, []int{0, 0, 1}},
		"as dear":                       {[3]*price.Price{priced(2e5, 1e6), priced(2e5, 10), priced(2e5, 10)}, 0, 429, []int{0, 0, 0}},
		"the cheaper does not fit":      {[3]*price.Price{priced(5e5, 1e6), priced(1e5, 1e6), priced(2e5, 10)}, 0, 200, []int{0, 0, 1}},
		"none is cheaper":               {[3]*price.Price{priced(2e5, 1e6), priced(3e5, 10), priced(4e5, 10)}, 0, 429, []int{0, 0, 0}},
		"dearer in its own currency": {[3]*price.Price{priced(4e5, 1e6), {Currency: "USD", Request: 1e5, MaxTokens: 10}, priced(1e5, 10)},
			7 * price.Unit, 200, []int{0, 0, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			turns := [][]turn{{says(200, answer)}, {says(200, answer)}, {says(200, answer)}}
			s := perform(t, turns, func(g *alipayai.Gateway) {
				exchange := new(price.Exchange)
				exchange.Set("USD", "CNY", test.rate)
				g.Spending = &alipayai.Spending{
					Ledger: new(lines), Exchange: exchange, Providers: make(map[string]*alipayai.Priced),
					Budgets: budget.New(budget.Memory{}, time.Now), DefaultLimits: []budget.Limit{daily(1e6 + 1e5)},
				}
				for i, p := range g.Providers {
					g.Spending.Providers[p.Name] = &alipayai.Priced{Book: price.Book{Any: test.prices[i]}, Estimate: new(price.Estimate)}
				}
			})
			got := s.call(chatBody("hello"))
			s.wantCalls(test.want...)
			if got.status != test.status {
				t.Errorf("%d %s", got.status, got.body)
			}
			for _, reason := range s.seen.rejections() {
				if reason != "tenant_budget" {
					t.Errorf("a provider is not asked for %s", reason)
				}
			}
			if test.status == http.StatusTooManyRequests {
				wantError(t, got, test.status, "tenant_budget")
			}
		})
	}
}

// A model that thinks beyond the maximum that a call names costs no more than was reserved where its price says how long.
func TestThinkingIsReserved(t *testing.T) {
	const answer = `{"model":"m","choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}],` +
		`"usage":{"prompt_tokens":5,"completion_tokens":510,"total_tokens":515}}` // ten of them are the answer
	for name, test := range map[string]struct {
		thinking int64
		served   int
		exceeds  bool
	}{
		"known":     {500, 3, false},
		"not known": {0, 4, true},
	} {
		t.Run(name, func(t *testing.T) {
			const budgetOf = 4*510*1e3 - 1
			s := perform(t, [][]turn{{says(200, answer)}}, spends(new(lines), &price.Price{
				Currency: "CNY", Rates: price.Rates{Output: 1e9}, MaxTokens: 100, ThinkingTokens: test.thinking,
			}, daily(budgetOf)))
			served := 0
			for range 6 {
				if s.call(`{"model":"m","max_tokens":10,"messages":[{"role":"user","content":"hello"}]}`).status == http.StatusOK {
					served++
				}
			}
			if used := s.gateway.Spending.Budgets.States()[0].Used; served != test.served || used > budgetOf != test.exceeds {
				t.Errorf("%d calls are served and cost %s of %s", served, used, price.Amount(budgetOf))
			}
		})
	}
}
