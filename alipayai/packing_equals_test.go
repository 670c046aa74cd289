package alipayai_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/moderate"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/failover"
	"github.com/caddy-alipayai/gateway/failover/balance"
	"github.com/caddy-alipayai/gateway/failover/canary"
	"github.com/caddy-alipayai/gateway/internal/testwait"
	"github.com/caddy-alipayai/gateway/limiter"
)

// askFor makes a call of that end user; its reply is there when the bubble is idle.
func (p *packing) askFor(ctx context.Context, user, text string) *reply {
	got := new(reply)
	go func() { *got = p.callWith(ctx, userBody(user, text, `"temperature":0`)) }()
	return got
}

// usersOf gives n end users whose calls begin at that provider.
func (p *packing) usersOf(provider, n int) (users []string) {
	p.t.Helper()
	for i := 0; len(users) < n; i++ {
		user := fmt.Sprint("u", i)
		request, err := wire.ParseChatRequest([]byte(userBody(user, "hello", `"temperature":0`)), wire.Limits{})
		if err != nil {
			p.t.Fatal(err)
		}
		if alipayai.FirstProvider(p.gateway, "acme", request) == provider {
			users = append(users, user)
		}
	}
	return users
}

// Packs leave by whichever of the equals has a slot, also where all of their calls come at the same moment, when none of them
// has a place in a queue yet: each provider carries as many as the other, and each call leaves once.
func TestPacksOfEquals(t *testing.T) {
	const packs, size = 8, 5
	for name, test := range map[string]struct {
		policy balance.Policy
		runs   int // of which each comes in another order
		users  int // whose calls all begin at the first provider
	}{
		"of one user":               {balance.LeastWait, 100, 1},
		"of one user, weighted":     {balance.Weighted, 10, 1},
		"of many users":             {balance.LeastWait, 10, packs},
		"of many users, by latency": {balance.Fastest, 10, packs},
	} {
		t.Run(name, func(t *testing.T) {
			for range test.runs {
				testwait.Bubble(t, func(t *testing.T) {
					p := newPacking(t, []*model{{}, {}}, joined(2, 1, func(b *alipayai.Balance) { b.Policy = test.policy }), func(g *alipayai.Gateway) { g.Packs.MaxCalls = size })
					p.drain(t.Context())
					users := p.usersOf(0, test.users)
					var got []*reply
					var want []string
					began := time.Now()
					for i := range packs * size {
						want = append(want, fmt.Sprint("text ", i))
						got = append(got, p.askFor(t.Context(), users[i%len(users)], want[i]))
					}
					testwait.Pass(time.Minute)
					for i, one := range got {
						wantText(t, one, "re: "+want[i])
						wantHeader(t, *one, "X-Alipayai-Packed", fmt.Sprint(size))
					}
					p.wantEven(t, packs, want, began)
				})
			}
		})
	}
}

// wantEven checks that all texts left, in so many packs, of which each of two providers had one a second and half.
func (p *packing) wantEven(t *testing.T, packs int, texts []string, began time.Time) {
	t.Helper()
	var asked []string
	for n, m := range p.models {
		seen := m.sightings()
		for k, s := range seen {
			asked = append(asked, s.texts...)
			if k > 0 && s.when.Sub(seen[k-1].when) < time.Second {
				t.Errorf("two requests reached provider %d in %v", n+1, s.when.Sub(seen[k-1].when))
			}
		}
		if len(seen) != packs/2 {
			t.Fatalf("%d of %d packs left by provider %d", len(seen), packs, n+1)
		}
		last, most := seen[len(seen)-1].when.Sub(began), time.Duration(packs/2-1)*(time.Second+2*upstream.DefaultGuard)+alipayai.DefaultPackWait+balance.Patience
		if last > most {
			t.Errorf("the last pack left by provider %d after %v, want at most %v", n+1, last, most)
		}
	}
	slices.Sort(asked)
	slices.Sort(texts)
	if !slices.Equal(asked, texts) {
		t.Errorf("asked %q of %q", asked, texts)
	}
}

// take takes a slot of that provider's window.
func (p *packing) take(provider int) {
	p.t.Helper()
	k := p.gateway.Providers[provider].Cap
	if _, err := k.Queue.Wait(p.t.Context(), limiter.Request{Tenant: "other", Limit: k.Limit, MaxWait: time.Second, MaxCount: 9, MaxBytes: 1 << 20}); err != nil {
		p.t.Fatal(err)
	}
}

// instead is what comes before a model's answers: see [model].
type instead = func(n int, req *http.Request) (*http.Response, error)

var blocks = says(403, `{"code":"COMPLIANCE_BLOCKED"}`)

func never(int, *http.Request) (*http.Response, error) { return nil, nil }

func always(turn turn) func(*packing) instead {
	return func(*packing) instead {
		return func(_ int, req *http.Request) (*http.Response, error) { return turn(req) }
	}
}

func once(turn turn) func(*packing) instead {
	return func(*packing) instead {
		return func(n int, req *http.Request) (*http.Response, error) {
			if n > 1 {
				return nil, nil
			}
			return turn(req)
		}
	}
}

// opens has the second provider's breaker open.
func opens(p *packing) instead {
	p.models[1].before = always(sysError)(p)
	for range 2 {
		p.askFor(p.t.Context(), p.usersOf(1, 1)[0], "hello")
		testwait.Pass(time.Minute)
	}
	return never
}

// silentInPacks answers nothing to what is in a pack.
func silentInPacks(text string, packed bool) string {
	if packed {
		return ""
	}
	return "re: " + text
}

// A pack is planned for the first provider, whose only slot another takes while the pack gathers; the second has one before.
// Where any call of the pack may not go to the second, the pack waits for the first. What it meets at the second is that
// provider's, and each of its calls goes on from there.
func TestAPackThatMovesToAnEqual(t *testing.T) {
	l := new(lines)
	for name, test := range map[string]struct {
		edits []func(*alipayai.Gateway)
		// before happens long before, with another script of the second provider, and gives the one from then on.
		before func(p *packing) instead
		reply  func(text string, packed bool) string // of the second
		want   [2][][]string                         // what reaches each
		by     string
		reason string
	}{
		"it moves": {want: [2][][]string{nil, {{"a", "b"}}}, by: "second"},
		"the second has blocked its calls": {
			edits: []func(*alipayai.Gateway){func(g *alipayai.Gateway) {
				g.Blocked = &alipayai.BlockedCalls{Calls: new(moderate.Blocked), TTL: time.Hour}
			}},
			before: func(p *packing) instead {
				p.models[1].before = func(_ int, req *http.Request) (*http.Response, error) { return blocks(req) }
				for _, text := range []string{"a", "b"} {
					p.askFor(p.t.Context(), p.usersOf(1, 1)[0], text)
					testwait.Pass(time.Minute)
				}
				return never
			},
			want: [2][][]string{{{"a", "b"}}, nil}, by: "first",
		},
		"the second has blocked one of its calls": {
			edits: []func(*alipayai.Gateway){func(g *alipayai.Gateway) {
				g.Blocked = &alipayai.BlockedCalls{Calls: new(moderate.Blocked), TTL: time.Hour}
			}},
			before: func(p *packing) instead {
				p.models[1].before = func(_ int, req *http.Request) (*http.Response, error) { return blocks(req) }
				p.askFor(p.t.Context(), p.usersOf(1, 1)[0], "a")
				testwait.Pass(time.Minute)
				return never
			},
			want: [2][][]string{{{"a"}}, {{"b"}}},
		},
		"the second refuses packs": {
			before: func(p *packing) instead {
				p.models[1].before = func(n int, req *http.Request) (*http.Response, error) {
					if p.models[1].sightings()[n-1].packed {
						return says(400, `{"error":{"message":"no"}}`)(req)
					}
					return nil, nil
				}
				for range 2 {
					p.askFor(p.t.Context(), p.usersOf(1, 1)[0], "x")
					p.askFor(p.t.Context(), p.usersOf(1, 1)[0], "y")
					testwait.Pass(time.Minute)
				}
				return never
			},
			want: [2][][]string{{{"a", "b"}}, nil}, by: "first",
		},
		"a budget, and the second has no price": {
			edits: []func(*alipayai.Gateway){spends(l, alipayPrice(), daily(price.Unit)), func(g *alipayai.Gateway) {
				g.Spending.Providers["second"].Book = price.Book{ByModel: map[string]*price.Price{"another": alipayPrice()}}
			}},
			want: [2][][]string{{{"a", "b"}}, nil}, by: "first",
		},
		"a budget, and the second is dearer": {
			edits: []func(*alipayai.Gateway){spends(l, &price.Price{Currency: "CNY", Request: 3}, daily(price.Unit)), func(g *alipayai.Gateway) {
				g.Spending.Providers["second"] = priced(price.Unit / 4)
			}},
			want: [2][][]string{nil, {{"a", "b"}}}, by: "second",
		},
		"it is broken off there":  {before: always(breaks), want: [2][][]string{{{"a", "b"}}, {{"a", "b"}}}, by: "first", reason: "upstream_truncated_response"},
		"it times out there":      {before: always(hangs), want: [2][][]string{{{"a", "b"}}, {{"a", "b"}}}, by: "first", reason: "upstream_timeout"},
		"a system error there":    {before: always(sysError), want: [2][][]string{{{"a", "b"}}, {{"a", "b"}}}, by: "first", reason: "system_error"},
		"blocked together there":  {before: once(blocks), want: [2][][]string{nil, {{"a", "b"}, {"a"}, {"b"}}}, by: "second"},
		"an answer is missing":    {reply: silentInPacks, want: [2][][]string{nil, {{"a", "b"}, {"a"}, {"b"}}}, by: "second"},
		"the breaker there opens": {before: opens, want: [2][][]string{{{"a", "b"}}, nil}, by: "first", reason: "breaker_open"},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				p := newPacking(t, []*model{{}, {reply: test.reply}}, slices.Concat([]func(*alipayai.Gateway){joined(2, 1), func(g *alipayai.Gateway) {
					g.Breakers, g.Breaker = new(failover.Breakers), failover.Rule{Failures: 1, Within: time.Hour, OpenFor: time.Hour}
				}}, test.edits)...)
				p.drain(t.Context())
				if test.before != nil {
					p.models[1].before = test.before(p)
					testwait.Pass(time.Minute)
				}
				for _, m := range p.models {
					m.seen = nil
				}
				user := p.usersOf(1, 1)[0]
				p.take(1)
				testwait.Pass(10 * time.Millisecond)
				a, b := p.askFor(t.Context(), user, "a"), p.askFor(t.Context(), user, "b")
				testwait.Pass(10 * time.Millisecond)
				p.take(0)
				testwait.Pass(5 * time.Minute)
				for _, got := range []*reply{a, b} {
					if got.status != http.StatusOK {
						t.Errorf("%d %s", got.status, got.body)
					}
					if wantHeader(t, *got, alipayai.HeaderReason, test.reason); test.by != "" { // else of each another
						wantHeader(t, *got, alipayai.HeaderProvider, test.by)
					}
				}
				for i, m := range p.models {
					var texts [][]string
					for _, s := range m.sightings() {
						texts = append(texts, s.texts)
					}
					slices.SortStableFunc(texts, slices.Compare) // those asked alone come in either order
					want := slices.Clone(test.want[i])
					slices.SortStableFunc(want, slices.Compare)
					if !slices.EqualFunc(texts, want, slices.Equal) {
						t.Errorf("%q reached provider %d, want %q", texts, i+1, want)
					}
				}
				if s := p.gateway.Spending; s != nil {
					if state := s.Budgets.States(); len(state) > 0 && state[0].Open != 0 {
						t.Errorf("the budget has %+v", state[0])
					}
				}
				for i, provider := range p.gateway.Providers {
					if wait := provider.Cap.Predict("acme", upstream.Share{Weight: 1}); wait > 0 {
						t.Errorf("provider %d has no slot for %v", i+1, wait)
					}
				}
			})
		})
	}
}

// A pack leaves as soon as the second provider has a permit for it, and gives that back where the breaker there has opened.
func TestThePermitOfAPackThatMoves(t *testing.T) {
	for name, test := range map[string]struct {
		slots  int // of each provider, in a second
		before func(*packing) instead
	}{"it is sent": {2, nil}, "the breaker there opens": {1, opens}} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				p := newPacking(t, []*model{{}, {}}, joined(2, test.slots), func(g *alipayai.Gateway) {
					g.Breakers, g.Breaker = new(failover.Breakers), failover.Rule{Failures: 1, Within: time.Hour, OpenFor: time.Hour}
				})
				p.drain(t.Context())
				if test.before != nil {
					test.before(p)
				}
				p.models[1].seen = nil
				user := p.usersOf(1, 1)[0]
				opens := time.Now().Add(time.Second + upstream.DefaultGuard) // when the second has a slot again
				for range test.slots {
					p.take(1)
				}
				testwait.Pass(10 * time.Millisecond)
				p.askFor(t.Context(), user, "a")
				p.askFor(t.Context(), user, "b")
				testwait.Pass(10 * time.Millisecond)
				for range test.slots {
					p.take(0)
				}
				testwait.Pass(time.Until(opens) + 10*time.Millisecond)
				wait := p.gateway.Providers[1].Cap.Predict("acme", upstream.Share{Weight: 1})
				seen := p.models[1].sightings()
				switch {
				case test.before == nil && (len(seen) != 1 || seen[0].when.Sub(opens) > time.Millisecond):
					t.Errorf("%+v, want one pack at %v", seen, opens)
				case test.before != nil && (len(seen) > 0 || wait > 0):
					t.Errorf("%+v, and the second has no slot for %v", seen, wait)
				}
				testwait.Pass(time.Minute)
			})
		})
	}
}

// A canary counts a call of a pack for its arm where that has answered, and not where the pack has left by an equal of it.
func TestCanaryOfAPackThatMoves(t *testing.T) {
	for name, stable := range map[string]int{"it is asked": 1, "its equal is": 0} {
		t.Run(name, func(t *testing.T) {
			k := canary.New(canary.File{Path: filepath.Join(t.TempDir(), "canary.db")}, "k", canary.Plan{
				Steps: []canary.Step{{Share: 1e-9, For: time.Hour}}, Guards: []canary.Guard{canary.Errors},
			})
			if err := k.Exchange(t.Context()); err != nil {
				t.Fatal(err)
			}
			testwait.Bubble(t, func(t *testing.T) {
				p := newPacking(t, []*model{{}, {}, {}}, func(g *alipayai.Gateway) {
					g.Canary = &alipayai.Canary{Trial: k, Stable: g.Providers[stable], Candidate: g.Providers[2]}
					if err := g.Canary.Candidate.Prepare(); err != nil {
						t.Fatal(err)
					}
					g.Providers = g.Providers[:2]
				}, joined(2, 1))
				p.drain(t.Context())
				user := p.usersOf(1, 1)[0]
				p.take(1)
				testwait.Pass(10 * time.Millisecond)
				a, b := p.askFor(t.Context(), user, "a"), p.askFor(t.Context(), user, "b")
				testwait.Pass(10 * time.Millisecond)
				p.take(0)
				testwait.Pass(5 * time.Minute)
				for _, got := range []*reply{a, b} {
					wantHeader(t, *got, alipayai.HeaderProvider, "second")
				}
				if got, want := k.Totals()[canary.Errors][canary.Stable].Trials, int64(2*stable); got != want {
					t.Errorf("%d calls count for the arm, want %d", got, want)
				}
			})
		})
	}
}
