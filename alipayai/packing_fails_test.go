package alipayai_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/failover"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// The failures of a pack are those of each of its calls: what never left is sent again, what
// may have executed goes on to the next provider, and what is about the form alone is
// asked alone. The breaker sees one call.
func TestAPackThatFails(t *testing.T) {
	fails := func(turn turn, times int) func(int, *http.Request) (*http.Response, error) {
		return func(n int, req *http.Request) (*http.Response, error) {
			if n <= times {
				return turn(req)
			}
			return nil, nil
		}
	}
	for name, test := range map[string]struct {
		turn          turn
		times         int
		first, second int // requests at each provider
		reason        string
		packed        string
	}{
		"unreachable once":      {refuses, 1, 2, 0, "", "3"},
		"unreachable":           {refuses, 9, 3, 1, "upstream_unreachable", "3"},
		"broken off":            {breaks, 9, 1, 1, "upstream_truncated_response", "3"},
		"a timeout":             {hangs, 9, 1, 1, "upstream_timeout", "3"},
		"a system error":        {sysError, 9, 1, 1, "system_error", "3"},
		"busy":                  {busy, 9, 3, 1, "server_error", "3"},
		"no JSON":               {says(200, "<html>"), 9, 1, 1, "upstream_malformed_response", "3"},
		"refused":               {says(400, `{"error":{"message":"no response_format"}}`), 1, 1 + 3, 0, "", ""},
		"blocked":               {says(403, `{"code":"COMPLIANCE_BLOCKED"}`), 1, 1 + 3, 0, "", ""},
		"a demand for payment":  {says(402, `{}`, "Payment-Needed", "x"), 1, 1 + 3, 0, "", ""},
		"the account is empty":  {says(402, `{"error":{"code":"insufficient_quota"}}`), 9, 1, 1, "account_exhausted", "3"},
		"credentials":           {says(401, `{"code":"INVALID_SIGNATURE"}`), 9, 1, 1, "credentials", "3"},
		"throttled":             {says(429, `{}`), 9, 1, 1, "throttled", "3"},
		"several choices":       {says(200, `{"choices":[{"message":{"content":"{}"}},{"message":{"content":"{}"}}]}`), 1, 1 + 3, 0, "", ""},
		"a call of a tool":      {says(200, `{"choices":[{"message":{"content":null,"tool_calls":[{"id":"a"}]},"finish_reason":"tool_calls"}]}`), 1, 1 + 3, 0, "", ""},
		"a refusal of a model":  {says(200, `{"choices":[{"message":{"content":"{}","refusal":"no"},"finish_reason":"stop"}]}`), 1, 1 + 3, 0, "", ""},
		"filtered, its content": {says(200, `{"choices":[{"message":{"content":"{}"},"finish_reason":"content_filter"}]}`), 1, 1 + 3, 0, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				models := []*model{{before: fails(test.turn, test.times)}, {}}
				p := newPacking(t, models, func(g *alipayai.Gateway) { g.Packs.MaxCalls = 3 })
				var got []*reply
				for i := range 3 {
					got = append(got, p.ask(t.Context(), 0, strconv.Itoa(i)))
				}
				testwait.Pass(time.Minute)
				for i, one := range got {
					wantText(t, one, "re: "+strconv.Itoa(i))
					wantHeader(t, *one, "X-Alipayai-Packed", test.packed, "X-Alipayai-Reason", test.reason)
				}
				if first, second := len(models[0].sightings()), len(models[1].sightings()); first != test.first || second != test.second {
					t.Errorf("%d and %d requests, want %d and %d", first, second, test.first, test.second)
				}
			})
		})
	}
}

// Four system errors in a row open a breaker, and a pack is one.
func TestThreePacksThatFailOpenNoBreaker(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		models := []*model{{before: func(_ int, req *http.Request) (*http.Response, error) { return sysError(req) }}, {}}
		p := newPacking(t, models, func(g *alipayai.Gateway) {
			g.Packs.MaxCalls = 5
			g.Breakers, g.Breaker = new(failover.Breakers), failover.Rule{Failures: 3, Within: time.Minute, OpenFor: time.Minute}
		})
		for pack := range 5 {
			var last *reply
			for range 5 {
				last = p.ask(t.Context(), 0, "text")
			}
			testwait.Pass(time.Second)
			reason := "system_error"
			if pack == 4 {
				reason = "breaker_open"
			}
			wantHeader(t, *last, "X-Alipayai-Reason", reason)
		}
		if n := len(models[0].sightings()); n != 4 {
			t.Errorf("%d requests, want 4", n)
		}
	})
}

// A provider that refuses the form of packs, and takes the calls alone, gets less of it.
func TestRefusedFormsAreLearnt(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		m := new(model)
		m.before = func(n int, req *http.Request) (*http.Response, error) {
			if m.sightings()[n-1].packed {
				return says(400, `{"error":{"message":"no"}}`)(req)
			}
			return nil, nil
		}
		p := newPacking(t, []*model{m}, func(g *alipayai.Gateway) { g.Packs.MaxCalls = 2 })
		for range 3 {
			a, b := p.ask(t.Context(), 0, "a"), p.ask(t.Context(), 0, "b")
			testwait.Pass(time.Second)
			wantText(t, a, "re: a")
			wantText(t, b, "re: b")
		}
		var packs []bool
		for _, s := range m.sightings() {
			if s.packed {
				packs = append(packs, strings.Contains(s.body, `"response_format":{"type":"json_object"}`))
			}
		}
		if !slices.Equal(packs, []bool{true, false}) || len(m.sightings()) != 2*3+2 {
			t.Errorf("packs with response_format: %v; %d requests", packs, len(m.sightings()))
		}
	})
}

// A stream of a call that was not packed is the upstream's own, and ends with its client.
func TestTheClientOfALoneStreamLeaves(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		var upstreamEnded time.Time
		m := &model{before: func(_ int, req *http.Request) (*http.Response, error) {
			return streams(func(ctx context.Context) error {
				<-ctx.Done()
				upstreamEnded = time.Now()
				return ctx.Err()
			}, deltaEvent)(req)
		}}
		p := newPacking(t, []*model{m})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		got := p.callWith(ctx, userBody("u1", "text", `"stream":true`))
		if got.status != 200 || !strings.Contains(got.body, "hel") {
			t.Errorf("%+v", got)
		}
		synctest.Wait()
		if after := upstreamEnded.Sub(began); after != time.Second {
			t.Errorf("the upstream was cancelled after %v", after)
		}
		if o := p.outcome(); o.Status != 499 && !o.Aborted {
			t.Errorf("%+v", o)
		}
	})
}

// A group that panics answers each of its calls with 502, charges what may have been sent, and ends nothing else.
func TestAPanicIsTheCalls(t *testing.T) {
	for name, edit := range map[string]func(*model, *alipayai.Gateway){
		"in the request": func(m *model, _ *alipayai.Gateway) {
			m.before = func(int, *http.Request) (*http.Response, error) { panic(io.ErrNoProgress) }
		},
		"before it": func(_ *model, g *alipayai.Gateway) { g.Packs.Observer = &panics{} },
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				m, l := new(model), new(lines)
				p := newPacking(t, []*model{m}, func(g *alipayai.Gateway) { g.Packs.MaxCalls = 2; edit(m, g) },
					spends(l, alipayPrice(), daily(price.Unit)))
				a, b := p.ask(t.Context(), 0, "a"), p.ask(t.Context(), 0, "b")
				testwait.Pass(time.Second)
				for _, got := range []*reply{a, b} {
					wantError(t, *got, http.StatusBadGateway, "gateway_error")
				}
				state := p.gateway.Spending.Budgets.States()[0]
				if all := l.taken(); state.Open != 0 || len(all) != 1 || all[0].Outcome != ledger.Unknown || state.Used != all[0].Amount {
					t.Errorf("the budget has %+v, the ledger %+v", state, all)
				}
			})
		})
	}
}

// panics is a PackObserver that panics when a pack leaves.
type panics struct{ comparisons }

func (*panics) Packed(string, int) { panic("observer") }
