package alipayai_test

import (
	"cmp"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// A pack leaves one line, a stream that found no other call its own, and they sum to the vendor's bill.
func TestPacksInTheLedger(t *testing.T) {
	inBubble(t, func(t *testing.T) {
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
	})
}

// Calls of a tenant with a budget are packed, each within what it has reserved: the vendor's bill never exceeds the
// budget, whatever becomes of a pack, and nothing stays reserved.
func TestPacksKeepBudgets(t *testing.T) {
	for name, fault := range map[string]sandbox.Fault{
		"answered":        {},
		"outcome unknown": {Kind: sandbox.ResetAfter},
		"a server error":  {Kind: sandbox.HTTPStatus, Status: http.StatusServiceUnavailable},
		"one is missing":  {Kind: sandbox.PackMissing},
	} {
		t.Run(name, func(t *testing.T) {
			l := new(lines)
			limit := daily(price.Unit)
			r := newRig(t, sandbox.Config{}, packed(of(4), func(k *alipayai.Packs) { k.MaxWait = 50 * time.Millisecond }), spends(l, alipayPrice(), limit))
			if fault.Kind != "" {
				r.set(fault)
			}
			var bodies []string
			for range 60 {
				bodies = append(bodies, userBody("u1", "hello"))
			}
			refused := 0
			for _, got := range r.together(bodies) {
				r.outcome()
				if got.status == http.StatusTooManyRequests {
					refused++
				}
			}
			var sum price.Amount
			with := 0
			for _, line := range l.taken() {
				sum, with = sum.Plus(line.Amount), with+line.PackedWith
			}
			state := r.gateway.Spending.Budgets.States()[0]
			if bill, _ := charged(r.sim, alipayPrice()); bill > limit.Amount || state.Used < bill {
				t.Errorf("the vendor charges %s of a budget of %s, which has %+v", bill, limit.Amount, state)
			}
			if state.Open != 0 || state.Used > limit.Amount || state.Used < sum {
				t.Errorf("the budget has %+v, the lines %s", state, sum)
			}
			if with == 0 {
				t.Error("nothing was packed")
			}
			if name == "outcome unknown" && refused == 0 {
				t.Error("a budget is not used up by packs that may have executed")
			}
		})
	}
}

// Each call of a pack has its share of what the pack cost: in its header, in its trailer, and in its outcome. The
// shares sum to the pack's line exactly.
func TestSharesOfAPack(t *testing.T) {
	for name, fault := range map[string]sandbox.Fault{"answered": {}, "one is missing": {Kind: sandbox.PackMissing}, "unknown": {Kind: sandbox.ResetAfter}} {
		t.Run(name, func(t *testing.T) {
			l := new(lines)
			r := newRig(t, sandbox.Config{}, packed(of(3)), spends(l, alipayPrice()))
			if fault.Kind != "" {
				r.set(fault)
			}
			headers := make(map[string]string)
			for _, got := range r.together([]string{userBody("u1", "one"), userBody("u1", "two two", `"stream":true`), userBody("u1", "three three three")}) {
				headers[got.header.Get("X-Request-Id")] = cmp.Or(got.header.Get("X-Alipayai-Cost"), got.trailer.Get("X-Alipayai-Cost"))
			}
			var shares, sum price.Amount
			for range 3 {
				o := r.outcome()
				for _, cost := range o.Costs {
					shares += cost.Amount
				}
				if len(o.Costs) == 0 || o.Cost == "" || headers[o.RequestID] != o.Cost {
					t.Errorf("header %q, outcome %q, %+v", headers[o.RequestID], o.Cost, o.Costs)
				}
			}
			for _, line := range l.taken() {
				sum += line.Amount
			}
			if shares != sum || sum == 0 {
				t.Errorf("the calls' shares sum to %d, the ledger's lines to %d", shares, sum)
			}
		})
	}
}

// A call that found no other for its pack has the cost of its attempt, also of one that failed.
func TestCostOfAPackOfOne(t *testing.T) {
	for name, fault := range map[string]sandbox.Fault{"answered": {}, "unknown": {Kind: sandbox.ResetAfter}, "a system error": {Kind: sandbox.SystemError200}} {
		t.Run(name, func(t *testing.T) {
			l := new(lines)
			r := newRig(t, sandbox.Config{}, packed(of(3), func(k *alipayai.Packs) { k.MaxWait = 50 * time.Millisecond }), spends(l, alipayPrice()))
			if fault.Kind != "" {
				r.set(fault)
			}
			got := r.post(chats, userBody("u1", "alone"))
			o, all := r.outcome(), l.taken()
			if len(all) != 1 || len(o.Costs) != 1 || o.Costs[0].Amount != all[0].Amount || o.Cost == "" || got.header.Get("X-Alipayai-Cost") != o.Cost {
				t.Errorf("header %q, outcome %q, %+v; lines %+v", got.header.Get("X-Alipayai-Cost"), o.Cost, o.Costs, all)
			}
		})
	}
}

// Each line of a pack is under an id that its calls are logged with, also where the first provider failed the pack and the
// next one answered another.
func TestEveryPackOfACallIsLogged(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		l := new(lines)
		fails := &model{before: func(_ int, req *http.Request) (*http.Response, error) { return breaks(req) }}
		p := newPacking(t, []*model{fails, {}}, spends(l, alipayPrice()), func(g *alipayai.Gateway) { g.Packs.MaxCalls = 3 })
		for i := range 3 {
			p.ask(t.Context(), 0, strconv.Itoa(i))
		}
		testwait.Pass(time.Minute)
		all := l.taken()
		if len(all) != 2 || all[0].RequestID == all[1].RequestID {
			t.Fatalf("lines %+v, want one of each pack", all)
		}
		for range 3 {
			if o := <-p.seen.settled; o.Pack != all[0].RequestID+", "+all[1].RequestID {
				t.Errorf("packs %q, want %q and %q", o.Pack, all[0].RequestID, all[1].RequestID)
			}
		}
	})
}

// What is asked to compare answers of packs is the operator's: no tenant's budget and no line of a tenant has it.
func TestComparisonsAreTheOperators(t *testing.T) {
	l := new(lines)
	r := newRig(t, sandbox.Config{}, packed(of(2), func(k *alipayai.Packs) { k.Verify = 1 }), spends(l, alipayPrice(), daily(price.Unit)))
	r.together([]string{userBody("u1", "one", `"temperature":0`), userBody("u1", "two", `"temperature":0`)})
	waitFor(t, "three lines", func() bool { return l.len() == 3 })
	var own, operators price.Amount
	for _, line := range l.taken() {
		switch line.Tenant {
		case "acme":
			own += line.Amount
		case alipayai.ComparisonTenant:
			operators += line.Amount
		default:
			t.Errorf("%+v", line)
		}
	}
	used := r.gateway.Spending.Budgets.States()[0].Used
	if bill, requests := charged(r.sim, alipayPrice()); used != own || own+operators != bill || operators == 0 || requests != 3 {
		t.Errorf("the budget has %s, the tenant's lines %s, the operator's %s; the vendor charges %s for %d requests", used, own, operators, bill, requests)
	}
}
