package alipayai_test

import (
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// A pack leaves one line, a stream that found no other call its own, and they sum to the vendor's bill.
func TestPacksInTheLedger(t *testing.T) {
	l := new(lines)
	r := newRig(t, sandbox.Config{}, packed(of(3), func(k *alipayai.Packs) { k.MaxWait = 200 * time.Millisecond }), spends(l, alipayPrice()))
	r.together([]string{userBody("u1", "one"), userBody("u1", "two"), userBody("u1", "three")})
	r.do(t.Context(), "POST", chats, userBody("u1", "alone", `"stream":true`))
	for range 4 {
		r.outcome()
	}
	var sum price.Amount
	with := 0
	all := l.taken()
	for _, line := range all {
		sum, with = sum+line.Amount, with+line.PackedWith
	}
	if bill, requests := charged(r.sim, alipayPrice()); sum != bill || requests != 2 || len(all) != 2 || with != 2 {
		t.Errorf("the ledger has %s, packed with %d, in %+v; the vendor charges %s for %d requests", sum, with, all, bill, requests)
	}
}

// Calls of a tenant with a budget go alone: each reserves the most that it may cost.
func TestPacksKeepBudgets(t *testing.T) {
	l := new(lines)
	limit := daily(price.Unit / 2)
	r := newRig(t, sandbox.Config{}, packed(of(2)), spends(l, alipayPrice(), limit))
	var wait sync.WaitGroup
	for range 12 {
		wait.Go(func() { r.do(t.Context(), "POST", chats, userBody("u1", "hello")) })
	}
	wait.Wait()
	for range 12 {
		r.outcome()
	}
	for _, line := range l.taken() {
		if line.PackedWith != 0 {
			t.Errorf("packed: %+v", line)
		}
	}
	if bill, _ := charged(r.sim, alipayPrice()); bill > limit.Amount || r.gateway.Spending.Budgets.States()[0].Used < bill {
		t.Errorf("the vendor charges %s of a budget of %s", bill, limit.Amount)
	}
}
