package alipayai_test

import (
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/budget"
	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/price"
)

// What a provider says that a call has cost is what it costs, where that is a provider which knows; but for a model whose price
// the operator has written down. Users of other gateways have reported what becomes of it there.
func TestPublicReportsOfSaidCosts(t *testing.T) {
	const (
		flat    = `"input_cost_per_token":1e-6,"output_cost_per_token":10e-6`
		varies  = `"input_cost_per_token":-1,"output_cost_per_token":-1`
		counted = `"prompt_tokens":100,"completion_tokens":10,"total_tokens":110`
		stream  = `{"stream":true,"model":"m","messages":[{"role":"user","content":"hello"}]}`
	)
	used := func(more string) turn {
		return says(200, completionOf(`"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"`, `,"usage":{`+counted+more+`}`))
	}
	known, own := `,"is_byok":false,"cost_details":{"upstream_inference_cost":0.0005}`, `,"is_byok":true,"cost_details":{"upstream_inference_cost":0.036079}`
	usd := price.Price{Currency: "USD", Rates: price.Rates{Input: 2e9, Output: 2e9}}
	for source, test := range map[string]struct {
		spentCase
		charges price.Currency
		own     *price.Price // of the model
		any     *price.Price // of all
	}{
		"https://github.com/earendil-works/pi/pull/6881":       {spentCase{prices: varies, answers: used(`,"cost":0.000812` + known), costs: 812}, "USD", nil, nil},
		"https://github.com/anomalyco/opencode/issues/454":     {spentCase{prices: flat, answers: used(`,"cost":0.000812` + known), costs: 812}, "USD", nil, nil},
		"https://github.com/tailcallhq/forgecode/issues/1641":  {spentCase{prices: flat, answers: used(`,"cost":0` + own), costs: 36079}, "USD", nil, nil},
		"https://github.com/Kilo-Org/kilocode/pull/13841":      {spentCase{prices: flat, answers: used(`,"cost":0.0018` + own), costs: 37879}, "USD", nil, nil},
		"https://github.com/AutomatosAI/automatos-ai/pull/745": {spentCase{prices: flat, answers: used(`,"cost":0.0005` + known), costs: 500}, "USD", nil, nil},
		"https://github.com/mastra-ai/mastra/pull/20336":       {spentCase{prices: flat, body: stream, answers: streams(nil, deltaEvent, finishEvent, `{"choices":[],"usage":{`+counted+`,"cost":0.000812}}`, "[DONE]"), costs: 812}, "USD", nil, nil},
		"https://github.com/anomalyco/opencode/issues/43818":   {spentCase{prices: flat, answers: used(`,"cost":0.000812,"cost_details":null`), costs: 812}, "USD", nil, nil},
		"nothing is free": {spentCase{prices: flat, answers: used(`,"cost":0,"is_byok":false`), costs: 0}, "USD", nil, nil},
		"https://github.com/NousResearch/hermes-agent/pull/85690": {spentCase{prices: flat, answers: used(`,"cost":0.000812`), costs: 200}, "", nil, nil},
		"the operator's own price":                                {spentCase{prices: flat, answers: used(`,"cost":0.000812`), costs: 220}, "USD", &usd, nil},
		"a price of all":                                          {spentCase{prices: varies, answers: used(`,"cost":0.000812`), costs: 812}, "USD", nil, &usd},
		"https://github.com/ruvnet/agentic-flow/issues/234":       {spentCase{prices: flat, answers: used(``), costs: 200}, "USD", nil, nil},
		"null":                   {spentCase{prices: flat, answers: used(`,"cost":null`), costs: 200}, "USD", nil, nil},
		"below nothing":          {spentCase{prices: flat, answers: used(`,"cost":-0.5`), costs: 200}, "USD", nil, nil},
		"beyond money":           {spentCase{prices: flat, answers: used(`,"cost":1e99`), costs: 200}, "USD", nil, nil},
		"an object":              {spentCase{prices: flat, answers: used(`,"cost":{"total_cost":0.006}`), costs: 200}, "USD", nil, nil},
		"a usage that cannot be": {spentCase{prices: flat, answers: says(200, completionOf(`"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"`, `,"usage":{"prompt_tokens":-1,"cost":0.000812}`)), costs: 17, outcome: ledger.Estimated}, "USD", nil, nil},
		"https://github.com/civitai/civitai/issues/3815": {spentCase{prices: flat, answers: says(200, completionOf(`"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"`, `,"usage":{"prompt_tokens":100,"completion_tokens":0,"total_tokens":100,"cost":0.000812}`)), costs: 812}, "USD", nil, nil},
	} {
		t.Run(source, func(t *testing.T) {
			test.run(t, func(g *alipayai.Gateway) {
				p := g.Spending.Providers["first"]
				p.Charges, p.Any = test.charges, test.any
				if test.own != nil {
					p.ByModel = map[string]*price.Price{"m": test.own}
				}
			})
		})
	}
}

// A budget counts what the provider says in its own currency, by the operator's rate.
func TestSaidCostsWithinBudgets(t *testing.T) {
	l := new(lines)
	limit := budget.Limit{Amount: price.Unit, Currency: "CNY", Window: budget.Day(time.UTC)}
	answer := says(200, completionOf(`"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"`, `,"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6,"cost":0.01}`))
	s := perform(t, [][]turn{{answer}}, first(anyModel), filePrices(t, l, `"input_cost_per_token":1e-6,"output_cost_per_token":10e-6,"max_output_tokens":1000`, limit), func(g *alipayai.Gateway) {
		g.Spending.Providers["first"].Charges = "USD"
		g.Spending.Exchange.Set("USD", "CNY", 7*price.Unit)
	})
	if got := s.call(helloOfCosts); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	state := s.gateway.Spending.Budgets.States()[0]
	if all := l.taken(); len(all) != 1 || all[0].Amount != price.Unit/100 || all[0].Currency != "USD" || state.Used != 7*price.Unit/100 || state.Open != 0 {
		t.Errorf("%+v, and the budget has %+v", all, state)
	}
}

// What costs nothing needs no budget, used up or not (https://github.com/BerriAI/litellm/issues/14004); what may cost something does.
func TestFreeModelsNeedNoBudget(t *testing.T) {
	const free = `"input_cost_per_token":0,"output_cost_per_token":0.0`
	limit := budget.Limit{Amount: price.Unit, Currency: "USD", Window: budget.Day(time.UTC)}
	for name, test := range map[string]struct {
		prices  string
		charges price.Currency
		status  int
	}{
		"free":               {free, "", 200},
		"searches cost":      {free + `,"search_context_cost_per_query":{"search_context_size_low":0.01}`, "", 429},
		"the provider says":  {free, "USD", 429},
		"not free":           {`"input_cost_per_token":1e-15,"output_cost_per_token":0`, "", 429},
		"free at any length": {free + `,"input_cost_per_token_above_1k_tokens":0,"input_cost_per_token_above_2k_tokens":0`, "", 200},
	} {
		t.Run(name, func(t *testing.T) {
			l := new(lines)
			s := perform(t, [][]turn{{good}}, first(anyModel), filePrices(t, l, test.prices, limit), func(g *alipayai.Gateway) { g.Spending.Providers["first"].Charges = test.charges })
			r, err := s.gateway.Spending.Budgets.Reserve(t.Context(), "acme", []budget.Limit{limit}, []price.Amount{price.Unit})
			if err != nil {
				t.Fatal(err)
			}
			r.Settle([]price.Amount{2 * price.Unit}) // more than it could
			if got := s.call(helloOfCosts); got.status != test.status {
				t.Errorf("%d %s", got.status, got.body)
			}
			if all := l.taken(); len(all) == 1 != (test.status == 200) || len(all) > 0 && all[0].Amount != 0 {
				t.Errorf("%+v", all)
			}
		})
	}
}
