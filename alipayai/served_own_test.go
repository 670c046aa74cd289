package alipayai_test

import (
	"net/http"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// A budget reserves what a call may cost as it is sent: with the answers, the tier and the models that the option request says.
func TestReservedIsWhatIsSent(t *testing.T) {
	priced := func() *price.Price {
		p := alipayPrice()
		p.MinCharacters, p.MaxTokens = 0, 0
		p.ByTier = map[string]*price.Price{"priority": {Currency: "CNY", Rates: price.Rates{Input: 48e9, Output: 144e9}}}
		return p
	}
	const body = `{"model":"m","messages":[{"role":"user","content":"q"}],"max_tokens":100,"n":2}`
	bound := func(p *price.Price, n int64, more int) price.Amount {
		return p.Bound(price.Asked{Bytes: int64(len(body) + more), MaxTokens: 100, N: n})
	}
	plain := bound(priced(), 2, 0)
	fields := func(f upstream.RequestFields) *upstream.RequestFields { return &f }
	for name, c := range map[string]struct {
		fields *upstream.RequestFields
		most   price.Amount
	}{
		"as it came":           {nil, plain},
		"another n":            {fields(upstream.RequestFields{Values: map[string]string{"n": "5"}}), bound(priced(), 5, 1)},
		"an n in a string":     {fields(upstream.RequestFields{Fields: map[string]string{"n": "5"}}), bound(priced(), 5, 1)},
		"another n, in Pascal": {fields(upstream.RequestFields{Names: "pascal", Values: map[string]string{"N": "5"}}), bound(priced(), 5, 1)},
		"an n beside the call": {fields(upstream.RequestFields{Inside: "call", Values: map[string]string{"n": "5"}}), bound(priced(), 2, 1)},
		"n elsewhere":          {fields(upstream.RequestFields{Members: map[string]string{"n": "count"}}), plain},
		"n left out":           {fields(upstream.RequestFields{Drop: []string{"n"}}), plain},
		"a tier":               {fields(upstream.RequestFields{Fields: map[string]string{"service_tier": "priority"}}), bound(priced().ByTier["priority"], 2, 8)},
		"a tier as a value":    {fields(upstream.RequestFields{Values: map[string]string{"service_tier": `"priority"`}}), bound(priced().ByTier["priority"], 2, 10)},
		"more to read":         {fields(upstream.RequestFields{Fields: map[string]string{"system": "be brief"}}), bound(priced(), 2, 8)},
	} {
		for short, left := range map[price.Amount]price.Amount{0: c.most, 1: c.most - 1} {
			t.Run(name+map[price.Amount]string{0: ", enough", 1: ", a unit less"}[short], func(t *testing.T) {
				t.Parallel()
				theirs := &heardClaude{status: http.StatusOK, kind: "application/json", answer: wholeAnswer}
				r := startRig(t, theirs, plainProvider, first(anyModel), first(func(p *upstream.Provider) { p.RequestFields = c.fields }),
					spends(new(lines), priced(), daily(left)))
				got := r.post(chatPath, body)
				if want := map[price.Amount]int{0: http.StatusOK, 1: http.StatusTooManyRequests}[short]; got.status != want {
					t.Errorf("%d %s, with %s of %s", got.status, got.body, left, c.most)
				}
			})
		}
	}
}

// A tier that the option request says, and whose price is not known, is one that no budget can be kept for.
func TestOwnTierWithoutAPrice(t *testing.T) {
	theirs := &heardClaude{status: http.StatusOK, kind: "application/json", answer: wholeAnswer}
	r := startRig(t, theirs, plainProvider, first(anyModel), first(func(p *upstream.Provider) {
		p.RequestFields = &upstream.RequestFields{Fields: map[string]string{"service_tier": "priority"}}
	}), spends(new(lines), alipayPrice(), daily(1e15)))
	if got := r.chat("q"); got.status != http.StatusServiceUnavailable || len(theirs.bodies) > 0 {
		t.Errorf("%d %s", got.status, got.body)
	}
}
