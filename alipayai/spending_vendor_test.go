package alipayai_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// vendorFaults are what becomes of calls, as marks of their prompts.
var vendorFaults = []string{
	"", "", "", "", "[[fault:system_error_200]] ", "[[fault:system_error_500]] ", "[[fault:http_status=429]] ", "[[fault:http_status=400]] ",
	"[[fault:reset_before]] ", "[[fault:reset_after]] ", "[[fault:cut=1]] ", "[[fault:malformed_json]] ", "[[fault:truncated_body]] ",
	"[[fault:system_error_midstream=2]] ", "[[fault:no_end]] ", "[[fault:finish_reason=length]] ",
}

// another adds a provider at the same upstream.
func another(t *testing.T, name string) func(*alipayai.Gateway) {
	return func(g *alipayai.Gateway) {
		second := simProvider(t, g.Providers[0].BaseURL.String())
		second.Name = name
		g.Providers = append(g.Providers, second)
	}
}

// charged is what the simulator charges as the vendor.
func charged(sim *sandbox.Server, p *price.Price) (sum price.Amount, requests int64) {
	for _, c := range sim.Stats().Charged {
		sum += price.Amount(c.InputTokens)*price.Amount(p.Input)/1e6 + price.Amount(c.OutputTokens)*price.Amount(p.Output)/1e6
		requests += c.Requests
	}
	return sum, requests
}

// The sum of the ledger is the vendor's bill, to the unit, and every request that it
// charges has a line, whichever way calls are made.
func TestLedgerIsTheVendorsBill(t *testing.T) {
	l := new(lines)
	r := newRig(t, sandbox.Config{}, spends(l, alipayPrice()))
	random := rand.New(rand.NewPCG(1, 1))
	for i := range 120 {
		prompt := fmt.Sprintf("%d: %s", i, strings.Repeat("some words 和一些汉字 ", random.IntN(400)))
		switch random.IntN(3) {
		case 0:
			r.post("/v1/embeddings", `{"model":"alipay-embed-1","input":"`+prompt+`"}`)
		case 1:
			r.stream(prompt)
		default:
			r.chat(prompt)
		}
		r.outcome()
	}
	all := l.taken()
	var sum price.Amount
	for _, line := range all {
		if line.Outcome != ledger.Known {
			t.Errorf("%+v", line)
		}
		sum += line.Amount
	}
	bill, requests := charged(r.sim, alipayPrice())
	if sum != bill || int64(len(all)) != requests || requests != 120 {
		t.Errorf("the ledger has %s in %d lines; the vendor charges %s for %d requests", sum, len(all), bill, requests)
	}
}

// Whatever fails: no request that the vendor charges lacks a line, and the amounts that
// are known, estimated or unknown are no less than its bill; a budget bounds that.
func TestVendorsBillIsWithinTheBudget(t *testing.T) {
	l := new(lines)
	limit := daily(3 * price.Unit / 2)
	r := newRig(t, sandbox.Config{}, another(t, "second"), spends(l, alipayPrice(), limit))
	for _, p := range r.gateway.Providers {
		p.Timeout = 5 * time.Second
	}
	var wait sync.WaitGroup
	for worker := range uint64(6) {
		wait.Go(func() {
			random := rand.New(rand.NewPCG(worker, 2))
			for i := range 40 {
				prompt := vendorFaults[random.IntN(len(vendorFaults))] + fmt.Sprintf("%d of %d: %s", i, worker, strings.Repeat("words ", random.IntN(100)))
				body := chatBody(prompt)
				if random.IntN(2) == 0 {
					body = streamBody(prompt)
				}
				ctx, cancel := context.WithCancel(t.Context())
				if random.IntN(8) == 0 {
					time.AfterFunc(time.Duration(random.IntN(3))*time.Millisecond, cancel)
				}
				r.do(ctx, http.MethodPost, chatPath, body)
				cancel()
			}
		})
	}
	wait.Wait()
	// A client may have left before its call has begun, or while it is settled.
	testwait.For(t, patience, "the end of all calls", func() bool {
		_, requests := charged(r.sim, alipayPrice())
		return r.sim.Stats().InFlight == 0 && r.gateway.Spending.Budgets.States()[0].Open == 0 && l.len() >= requests
	})
	var sum price.Amount
	all := l.taken()
	refused := 0
	for _, line := range all {
		sum += line.Amount
	}
	for _, reason := range r.seen.rejections() {
		if reason == "tenant_budget" {
			refused++
		}
	}
	bill, requests := charged(r.sim, alipayPrice())
	if sum < bill || int64(len(all)) < requests {
		t.Errorf("the ledger has %s in %d lines; the vendor charges %s for %d requests", sum, len(all), bill, requests)
	}
	if bill > limit.Amount || refused == 0 {
		t.Errorf("the vendor charges %s, with a budget of %s; %d attempts were refused", bill, limit.Amount, refused)
	}
	if n := len(l.inFlight()); n > 0 {
		t.Errorf("%d attempts have not ended in the ledger", n)
	}
	state := r.gateway.Spending.Budgets.States()[0]
	if state.Open != 0 || state.Used > limit.Amount || state.Used < bill {
		t.Errorf("the budget's state is %+v, and the bill %s", state, bill)
	}
}

// A stream whose client has left costs what was delivered of it, by an estimate.
func TestClientsThatLeaveAreCharged(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := new(lines)
		r := newRig(t, sandbox.Config{}, spends(l, alipayPrice(), daily(price.Unit)))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		resp := r.open(ctx, chatPath, streamBody("[[events:200]] [[interval:20ms]] go on"))
		if _, err := resp.Body.Read(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		cancel()
		r.outcome()
		all := l.taken()
		if len(all) != 1 || all[0].Outcome != ledger.Estimated || all[0].Completion < 1 || all[0].Completion > 50 || all[0].Floor == 0 {
			t.Fatalf("lines %+v", all)
		}
		state := r.gateway.Spending.Budgets.States()[0]
		if state.Open != 0 || state.Used < all[0].Amount || state.Used > all[0].Amount+100*72e3 {
			t.Errorf("the budget has %+v, and the line %d", state, all[0].Amount)
		}
	})
}

// Over the budget at one provider, the next one for which it suffices is asked; answers
// that are given again cost nothing.
func TestTheNextCheaperProvider(t *testing.T) {
	l := new(lines)
	r := newRig(t, sandbox.Config{}, another(t, "cheap"), spends(l, alipayPrice(), daily(40e6)), func(g *alipayai.Gateway) {
		g.Spending.Providers["cheap"].Any = &price.Price{Currency: "USD", Rates: price.Rates{Input: 1e9, Output: 1e9}, MaxTokens: 1000}
		g.Spending.Exchange.Set("USD", "CNY", 7*price.Unit)
	})
	got := r.chat("hello")
	if got.status != http.StatusOK || got.header.Get("X-Alipayai-Provider") != "cheap" || got.header.Get("X-Alipayai-Reason") != "tenant_budget" ||
		!strings.HasSuffix(got.header.Get("X-Alipayai-Cost"), " USD") {
		t.Errorf("%d %v: %s", got.status, got.header, got.body)
	}
	r.outcome()
	used := r.gateway.Spending.Budgets.States()[0].Used
	if all := l.taken(); len(all) != 1 || used != all[0].Amount*7 {
		t.Errorf("lines %+v, used %d", all, used)
	}
	// A model without a price is not asked where there is a budget.
	r.gateway.Spending.Providers["cheap"].Any = nil
	r.gateway.Spending.Providers["alipay"].Any = nil
	wantError(t, r.chat("hello"), http.StatusServiceUnavailable, "all_providers_failed")
	r.outcome()
	r.gateway.Spending.DefaultLimits = nil
	if got := r.chat("hello"); got.status != http.StatusOK || got.header.Get("X-Alipayai-Cost") != "" {
		t.Errorf("%d %v", got.status, got.header)
	}
	r.outcome()
	if all := l.taken(); len(all) != 1 || all[0].Currency != "" || all[0].Prompt == 0 || all[0].Characters != int64(len("hello")) || all[0].Model != "other" {
		t.Errorf("a line without a price: %+v", all)
	}
}

// A model that no configuration names has its own name in the ledger once it has answered; one that has not is no
// model's name yet, whatever a client calls it.
func TestModelsThatHaveAnswered(t *testing.T) {
	l := new(lines)
	r := newRig(t, sandbox.Config{}, spends(l, alipayPrice()), func(g *alipayai.Gateway) {
		g.Spending.Providers["alipay"].Models = nil
		g.Spending.Providers["alipay"].Others = new(price.Models)
	})
	ask := func(faults ...sandbox.Fault) string {
		t.Helper()
		if err := r.sim.SetFaults(faults...); err != nil {
			t.Fatal(err)
		}
		r.chat("hello")
		r.outcome()
		all := l.taken()
		if len(all) == 0 {
			t.Fatal("there is no line")
		}
		return all[0].Model
	}
	broken := sandbox.Fault{Kind: sandbox.ResetAfter}
	for _, step := range []struct {
		faults []sandbox.Fault
		want   string
	}{{[]sandbox.Fault{broken}, "other"}, {nil, "alipay-fin-1"}, {[]sandbox.Fault{broken}, "alipay-fin-1"}} {
		if got := ask(step.faults...); got != step.want {
			t.Errorf("with faults %v, the line has model %s, want %s", step.faults, got, step.want)
		}
	}
}
