package alipayai_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/asked"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// spenders are the tenants of the sum test, each with a model of its own: by it the vendor's bill tells them apart.
var spenders = map[string]string{"acme": "alipay-fin-1", "zeta": "alipay-fin-mini"}

// form makes one call of a tenant, which its client may leave.
type form func(ctx context.Context, r *rig, tenant, prompt string)

// asIs posts a body for the tenant's model.
func asIs(path string, body func(prompt string) string) form {
	return func(ctx context.Context, r *rig, tenant, prompt string) {
		r.do(ctx, http.MethodPost, path, strings.Replace(body(prompt), "alipay-fin-1", spenders[tenant], 1), tenantHeader, tenant)
	}
}

// billOf is what the simulator charges, as the vendor, for a model.
func billOf(sim *sandbox.Server, model string) price.Amount {
	c := sim.Stats().Charged[model]
	return price.Amount(c.InputTokens)*24e3 + price.Amount(c.OutputTokens)*72e3
}

// spendForms are the forms of calls that spend: each alone, as a stream, from another door, in packs, behind a model that
// moderates it.
var spendForms = []form{
	asIs(chatPath, chatBody),
	asIs(chatPath, streamBody),
	asIs(messagesPath, func(prompt string) string { return fronts["messages"].body(prompt, true) }),
	asIs(chatPath, func(prompt string) string { return userBody("u1", prompt) }),
	asIs(chatPath, func(prompt string) string { return userBody("u1", prompt, `"stream":true`) }),
	func(ctx context.Context, r *rig, tenant, prompt string) {
		body := []byte(strings.Replace(chatBody(prompt), "alipay-fin-1", spenders[tenant], 1))
		request, err := wire.ParseChatRequest(body, wire.Limits{})
		if err != nil {
			r.t.Error(err)
			return
		}
		moderator := &alipayai.Gateway{Providers: r.gateway.Providers, Spending: r.gateway.Spending, Observer: r.seen}
		if err := moderator.Prepare(); err != nil {
			r.t.Error(err)
			return
		}
		a, err := r.gateway.Do(ctx, &alipayai.Call{
			Endpoint: upstream.EndpointChat, Tenant: tenant, Request: request, Format: openai.Format{},
			Verdict: alipayai.Pending(body, func() *failure.Failure {
				question := strings.Replace(chatBody("may this be sent? "+prompt), "alipay-fin-1", spenders[tenant], 1)
				if _, err := (asked.Models{Gateway: moderator}).Ask(ctx, tenant, []byte(question), false); err != nil {
					return alipayai.NoVerdict("law", err)
				}
				return nil
			}),
		})
		if err == nil {
			a.Close(true)
		} else if _, ok := errors.AsType[*alipayai.Error](err); !ok {
			r.t.Error(err)
		}
	},
}

// For random calls, ledger, budget and the vendor's bill have the same sum, for each tenant, to the unit: whole answers,
// streams, packs, other doors and moderated calls; answered at once, after a retry, by the next provider. Where the outcome
// is not known, or the client has left, ledger and budget have no less than the bill, and no more than the budget is spent.
func TestSumsOfAllForms(t *testing.T) {
	failing := []sandbox.Fault{ // each of the next request alone, which provably was not served
		{Kind: sandbox.HTTPStatus, Status: http.StatusTooManyRequests, Times: 1}, {Kind: sandbox.SystemError200, Code: "COMPLIANCE_BLOCKED", Times: 1},
	}
	unclear := append([]sandbox.Fault{
		{Kind: sandbox.SystemError200, Times: 1}, {Kind: sandbox.ResetAfter, Times: 1}, {Kind: sandbox.Cut, AfterEvents: 1, Times: 1},
		{Kind: sandbox.PackMissing, Times: 1}, {Kind: sandbox.HTTPStatus, Status: http.StatusServiceUnavailable, Times: 1},
	}, failing...)
	for name, tt := range map[string]struct {
		faults []sandbox.Fault
		leaves bool
		limit  price.Amount
		exact  bool
	}{
		"all known":       {nil, false, 100 * price.Unit, true},
		"refused, failed": {failing, false, 100 * price.Unit, true},
		"not known":       {unclear, false, 100 * price.Unit, false},
		"clients leave":   {unclear, true, 100 * price.Unit, false},
		"a small budget":  {unclear, true, price.Unit, false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubbleIf(t, name == "refused, failed", func(t *testing.T) {
				l := new(lines)
				r := newRig(t, sandbox.Config{}, another(t, "second"),
					packed(of(3), func(k *alipayai.Packs) { k.MaxWait = 50 * time.Millisecond }), spends(l, alipayPrice(), daily(tt.limit)))
				if tt.leaves { // whether another stream is left while it brings something is chance
					ctx, leave := context.WithCancel(t.Context())
					begun := r.open(ctx, chatPath, streamBody("[[events:50]] [[interval:2ms]] hello"), tenantHeader, "acme")
					if _, err := begun.Body.Read(make([]byte, 1)); err != nil {
						t.Error(err)
					}
					leave()
				}
				var workers sync.WaitGroup
				for worker := range uint64(6) {
					workers.Go(func() {
						random := rand.New(rand.NewPCG(worker, 11))
						for i := range 25 {
							tenant := []string{"acme", "zeta"}[random.IntN(2)]
							if len(tt.faults) > 0 && random.IntN(4) == 0 {
								if err := r.sim.SetFaults(tt.faults[random.IntN(len(tt.faults))]); err != nil {
									t.Error(err)
								}
							}
							ctx, leave := context.WithCancel(t.Context())
							prompt := fmt.Sprint(i, " of ", worker, strings.Repeat(" some words 和汉字", random.IntN(60)))
							if tt.leaves && random.IntN(4) == 0 {
								prompt = "[[events:50]] [[interval:2ms]] " + prompt
								time.AfterFunc(time.Duration(random.IntN(80))*time.Millisecond, leave)
							}
							spendForms[random.IntN(len(spendForms))](ctx, r, tenant, prompt)
							leave()
						}
					})
				}
				workers.Wait()
				states := func() map[string]price.Amount {
					used := make(map[string]price.Amount)
					for _, s := range r.gateway.Spending.Budgets.States() {
						if used[s.Tenant] = s.Used; s.Open != 0 {
							return nil
						}
					}
					return used
				}
				testwait.For(t, patience, "the end of all calls", func() bool {
					_, requests := charged(r.sim, alipayPrice())
					return r.sim.Stats().InFlight == 0 && states() != nil && l.len() >= requests
				})
				sums, known := make(map[string]price.Amount), make(map[string]price.Amount)
				estimated, outcomes, packs, second := make(map[string]bool), make(map[ledger.Outcome]int), 0, 0
				for _, line := range l.taken() {
					sums[line.Tenant] += line.Amount
					outcomes[line.Outcome]++
					packs += line.PackedWith
					if line.Provider == "second" {
						second++
					}
					switch line.Outcome {
					case ledger.Known:
						known[line.Tenant] += line.Amount
					case ledger.Estimated:
						estimated[line.Tenant] = true
					}
				}
				used := states()
				for tenant, model := range spenders {
					bill := billOf(r.sim, model)
					switch {
					case bill == 0:
						t.Errorf("%s was charged nothing", tenant)
					case bill > sums[tenant] || known[tenant] > bill:
						t.Errorf("%s: the vendor charges %s; the ledger has %s, %s of it known", tenant, bill, sums[tenant], known[tenant])
					case tt.exact && bill != sums[tenant]:
						t.Errorf("%s: the vendor charges %s, the ledger has %s", tenant, bill, sums[tenant])
					case used[tenant] < sums[tenant] || !estimated[tenant] && used[tenant] != sums[tenant]:
						t.Errorf("%s: the budget has %s, the ledger %s", tenant, used[tenant], sums[tenant])
					case used[tenant] > tt.limit:
						t.Errorf("%s: %s are spent of %s", tenant, used[tenant], tt.limit)
					}
				}
				if packs == 0 || len(tt.faults) > 0 && second == 0 ||
					!tt.exact && outcomes[ledger.Unknown] == 0 || tt.leaves && tt.limit > price.Unit && outcomes[ledger.Estimated] == 0 {
					t.Errorf("not all forms are there: packed with %d, %d at the second provider, outcomes %v", packs, second, outcomes)
				}
			})
		})
	}
}
