package alipayai_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/failover"
	"github.com/caddy-alipayai/gateway/failover/balance"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// joined makes the first n providers equal, each with a cap of so many requests a second; 0 for none.
func joined(n, perSecond int, edits ...func(*alipayai.Balance)) func(*alipayai.Gateway) {
	return func(g *alipayai.Gateway) {
		g.Balance = &alipayai.Balance{Equals: [][]*upstream.Provider{slices.Clone(g.Providers[:n])}}
		for _, p := range g.Providers[:n] {
			if perSecond > 0 {
				p.Cap = newCap(perSecond, time.Second)
			}
		}
		for _, edit := range edits {
			edit(g.Balance)
		}
	}
}

// drain forgets what is settled, until the test ends.
func (s *scripted) drain(ctx context.Context) {
	go func() {
		for {
			select {
			case <-s.seen.settled:
			case <-ctx.Done():
				return
			}
		}
	}()
}

// chatOf is the body of a call of that conversation.
func chatOf(user string) string {
	return strings.Replace(chatBody("hello"), `{`, `{"user":"`+user+`",`, 1)
}

// wantCapped checks that no second had more requests than that at any provider, and gives their sum.
func (s *scripted) wantCapped(perSecond int) (sum int) {
	s.t.Helper()
	for i, script := range s.scripts {
		seen := script.seen
		for k := perSecond; k < len(seen); k++ {
			if apart := seen[k].when.Sub(seen[k-perSecond].when); apart < time.Second {
				s.t.Fatalf("%d requests reached provider %d in %v", perSecond+1, i+1, apart)
			}
		}
		sum += len(seen)
	}
	return sum
}

// Three equal apps serve three times as much as one, whatever conversations the calls are of, and none more than its cap.
func TestEqualsServeTheirSum(t *testing.T) {
	const lasts = 10 * time.Second
	for name, users := range map[string]int{"one conversation": 1, "many": 1000} {
		for _, policy := range balance.Policies[:3] {
			t.Run(name+" by "+string(policy), func(t *testing.T) {
				testwait.Bubble(t, func(t *testing.T) {
					s := perform(t, [][]turn{{good}, {good}, {good}}, joined(3, 50, func(b *alipayai.Balance) { b.Policy = policy }))
					ctx, cancel := context.WithCancel(t.Context()) // without a deadline, which queues look at
					time.AfterFunc(lasts, cancel)
					s.drain(ctx)
					var all sync.WaitGroup
					for k := range 200 {
						all.Go(func() {
							for n := k; ctx.Err() == nil; n += 200 {
								if got := s.callWith(ctx, chatOf(fmt.Sprint(n%users))); got.status != http.StatusOK && ctx.Err() == nil {
									t.Errorf("%d %s", got.status, got.body)
								}
							}
						})
					}
					all.Wait()
					time.Sleep(time.Minute) // until what gives permits has ended
					if sum := s.wantCapped(50); sum < 147*int(lasts/time.Second) {
						t.Errorf("%d requests in %v, want 147 a second", sum, lasts)
					}
				})
			})
		}
	}
}

// Calls of one conversation stay with one provider as long as that has a slot for them, and all conversations use all providers.
func TestConversationsStayWithOneOfTheEquals(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{good}, {good}, {good}}, joined(3, 50))
		s.drain(t.Context())
		used := make(map[string]int)
		for user := range 60 {
			home := ""
			for range 3 {
				got := s.call(chatOf(fmt.Sprint(user)))
				if by := got.header.Get(alipayai.HeaderProvider); home == "" {
					home = by
					used[by]++
				} else if by != home {
					t.Errorf("conversation %d moved from %s to %s", user, home, by)
				}
				time.Sleep(30 * time.Millisecond)
			}
		}
		if len(used) != 3 || min(used["first"], used["second"], used["third"]) < 10 {
			t.Errorf("conversations by provider: %v", used)
		}
		// A conversation that has more calls than its provider takes goes on at the others, at once.
		before := time.Now()
		var all sync.WaitGroup
		by := make(map[string]int)
		var mu sync.Mutex
		for range 120 {
			all.Go(func() {
				got := s.call(chatOf("1"))
				mu.Lock()
				defer mu.Unlock()
				by[got.header.Get(alipayai.HeaderProvider)]++
			})
		}
		all.Wait()
		if took := time.Since(before); took > 2*balance.Patience+500*time.Millisecond || len(by) != 3 {
			t.Errorf("120 calls took %v: %v", took, by)
		}
		time.Sleep(time.Minute)
	})
}

// What happens to one of the equals is its own alone: each is asked as a provider of the list is.
func TestOneOfTheEqualsFails(t *testing.T) {
	throttled := says(429, "{}", "Retry-After", "30")
	for name, tt := range map[string]struct {
		first  turn
		reason string
		status int
		asked  int // how often the first is, in six calls
	}{
		"a throttle":         {throttled, "upstream_throttled", 200, 1},
		"system errors":      {sysError, "system_error", 200, 4},
		"no connection":      {refuses, "upstream_unreachable", 200, 18},
		"a bad request":      {says(400, `{"error":{"message":"no","type":"invalid_request_error"}}`), "", 400, 6},
		"a compliance block": {says(403, `{"error":{"code":"COMPLIANCE_BLOCKED","message":"no"}}`), "", 403, 6},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{tt.first}, {good}}, joined(2, 50), func(g *alipayai.Gateway) {
					g.Breakers = new(failover.Breakers)
					g.Providers[0].Budget = new(failover.Budget)
				})
				s.drain(t.Context())
				user := s.conversationOf(0)
				for range 6 {
					got := s.call(chatOf(user))
					if got.status != tt.status {
						t.Errorf("%d %s", got.status, got.body)
					}
				}
				if asked := s.scripts[0].count(); asked > tt.asked || asked == 0 {
					t.Errorf("the first was asked %d times, want at most %d", asked, tt.asked)
				}
				if served := s.scripts[1].count(); tt.status == 200 && served != 6 {
					t.Errorf("the second was asked %d times", served)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// conversationOf gives a conversation that begins at that provider.
func (s *scripted) conversationOf(provider int) string {
	for n := 0; ; n++ {
		request, err := wire.ParseChatRequest([]byte(chatOf(fmt.Sprint(n))), wire.Limits{})
		if err != nil {
			s.t.Fatal(err)
		}
		if alipayai.FirstProvider(s.gateway, "acme", request) == provider {
			return fmt.Sprint(n)
		}
	}
}

// A call that waits for one which is throttled meanwhile is served by another.
func TestEqualsServeWhatAThrottledOneKeepsWaiting(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{good}, {good}, {good}}, joined(2, 10))
		s.drain(t.Context())
		time.AfterFunc(100*time.Millisecond, func() { s.gateway.Providers[0].Cap.Throttled(time.Minute) })
		began := time.Now()
		var all sync.WaitGroup
		for n := range 60 {
			all.Go(func() {
				if got := s.call(chatOf(fmt.Sprint(n))); got.status != 200 || got.header.Get(alipayai.HeaderProvider) == "third" {
					t.Errorf("%d by %s", got.status, got.header.Get(alipayai.HeaderProvider))
				}
			})
		}
		all.Wait()
		if took := time.Since(began); took > 6*time.Second || s.scripts[0].count() > 10 {
			t.Errorf("took %v, %d by the one that was throttled", took, s.scripts[0].count())
		}
		time.Sleep(2 * time.Minute)
	})
}

// A call that may move money is asked of the same one each time, however full that is, and of no other.
func TestMoneyIsPinnedToOneOfTheEquals(t *testing.T) {
	refuses := says(400, `{"code":"BAD"}`)
	for name, test := range map[string]struct {
		turns []turn
		edit  func(*alipayai.Gateway)
	}{
		"the vendor knows the key":  {[]turn{busy, good}, func(*alipayai.Gateway) {}},
		"the gateway knows the key": {[]turn{refuses}, claiming},
	} {
		t.Run(name, func(t *testing.T) { moneyIsPinned(t, test.turns, test.edit) })
	}
}

func moneyIsPinned(t *testing.T, turns []turn, edit func(*alipayai.Gateway)) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{turns, slices.Clone(turns)}, joined(2, 1), edit, func(g *alipayai.Gateway) { g.Class = alipayai.ClassMoney })
		s.drain(t.Context())
		home := -1
		for n := range 6 {
			got := s.call(chatBody(fmt.Sprint(n)), "Idempotency-Key", "order-7")
			counts := []int{s.scripts[0].count(), s.scripts[1].count()}
			if home < 0 {
				home = slices.Index(counts, 1)
			}
			if home < 0 || counts[home] != n+1 || counts[1-home] != 0 {
				t.Fatalf("call %d: %d, requests by provider %v", n, got.status, counts)
			}
		}
		ids := make(map[string]bool)
		for _, a := range s.scripts[home].seen {
			ids[a.header.Get("Idempotency-Key")] = true
		}
		if len(ids) != 1 {
			t.Errorf("ids of one key: %v", ids)
		}
		time.Sleep(time.Minute)
	})
}

// A timeout is repeated neither where it was nor, by a money call, at an equal; each attempt of an inference call has the same id.
func TestEqualsAndWhatMayHaveBeenExecuted(t *testing.T) {
	for class, want := range map[alipayai.Class]int{alipayai.ClassMoney: 1, alipayai.ClassInference: 2} {
		testwait.Bubble(t, func(t *testing.T) {
			s := perform(t, [][]turn{{hangs}, {hangs}}, joined(2, 50), func(g *alipayai.Gateway) {
				g.Class, g.Deadline = class, time.Hour
			})
			s.drain(t.Context())
			if got := s.call(chatBody("pay")); got.status != http.StatusGatewayTimeout || got.header.Get("X-Should-Retry") != "false" {
				t.Errorf("%s: %d %v", class, got.status, got.header)
			}
			all := slices.Concat(s.scripts[0].seen, s.scripts[1].seen)
			if len(all) != want {
				t.Errorf("%s: %d requests, want %d", class, len(all), want)
			}
			for _, a := range all {
				if a.header.Get("Idempotency-Key") != all[0].header.Get("Idempotency-Key") {
					t.Errorf("%s: another id", class)
				}
			}
			time.Sleep(time.Minute)
		})
	}
}

// The cheapest serves as long as it has slots.
func TestCheapestOfTheEquals(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{good}, {good}}, joined(2, 10, func(b *alipayai.Balance) { b.Policy = balance.Cheapest }), func(g *alipayai.Gateway) {
			g.Spending = &alipayai.Spending{Providers: map[string]*alipayai.Priced{"first": priced(30), "second": priced(20)}}
		})
		s.drain(t.Context())
		for n := range 10 {
			s.call(chatOf(fmt.Sprint(n)))
		}
		s.wantCalls(0, 10)
		for n := range 10 {
			s.call(chatOf(fmt.Sprint(n)))
		}
		s.wantCalls(10, 10)
		time.Sleep(time.Minute)
	})
}

// The fastest serves once it is known, and one that is slow no more than now and then.
func TestFastestOfTheEquals(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{after(2*time.Second, good)}, {after(100*time.Millisecond, good)}}, joined(2, 0, func(b *alipayai.Balance) { b.Policy = balance.Fastest }))
		s.drain(t.Context())
		for n := range 200 {
			s.call(chatOf(fmt.Sprint(n)))
		}
		if slow := s.scripts[0].count(); slow == 0 || slow > 10 {
			t.Errorf("the slow one was asked %d times of 200", slow)
		}
	})
}

// Providers that are not equal are refused, with what they differ in.
func TestEqualsThatAreNot(t *testing.T) {
	for want, edit := range map[string]func(g *alipayai.Gateway, p *upstream.Provider){
		`region none and second eu`: func(g *alipayai.Gateway, p *upstream.Provider) { p.Region, g.AllowCrossRegion = "eu", true },
		"environment":               func(_ *alipayai.Gateway, p *upstream.Provider) { p.Environment = upstream.Sandbox },
		"on_unsupported":            func(_ *alipayai.Gateway, p *upstream.Provider) { p.OnUnsupported = upstream.OnUnsupportedReject },
		"model none and second m":   func(_ *alipayai.Gateway, p *upstream.Provider) { p.Model = "m" },
		"models none and second m":  func(_ *alipayai.Gateway, p *upstream.Provider) { p.Models = []string{"m"} },
		"models renamed to":         func(_ *alipayai.Gateway, p *upstream.Provider) { p.ModelMap = map[string]string{"a": "b"} },
		"dialect":                   func(_ *alipayai.Gateway, p *upstream.Provider) { p.Dialect = "mistral" },
		"one has a limit":           func(_ *alipayai.Gateway, p *upstream.Provider) { p.Cap = newCap(1, time.Second) },
		"has no price": func(g *alipayai.Gateway, _ *upstream.Provider) {
			g.Balance.Policy = balance.Cheapest
		},
		"prices in CNY and second none": func(g *alipayai.Gateway, _ *upstream.Provider) {
			g.Spending = &alipayai.Spending{Providers: map[string]*alipayai.Priced{"first": priced(1), "second": {}}}
		},
		"lb_policy \"best\" is unknown": func(g *alipayai.Gateway, _ *upstream.Provider) { g.Balance.Policy = "best" },
	} {
		g := new(alipayai.Gateway)
		for i, name := range []string{"first", "second"} {
			p := plainProvider(t, fmt.Sprintf("http://127.0.0.1:%d", i+1))
			p.Name = name
			g.Providers = append(g.Providers, p)
		}
		joined(2, 0)(g)
		edit(g, g.Providers[1])
		for _, p := range g.Providers {
			if err := p.Prepare(); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.Prepare(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// priced costs so much for each request, of any model.
func priced(request price.Amount) *alipayai.Priced {
	return &alipayai.Priced{Book: price.Book{Any: &price.Price{Currency: "CNY", Request: request}}, Estimate: new(price.Estimate)}
}

// A call that a panic breaks off is not one that its provider is waited for.
func TestPanicsLeaveNoCallInFlight(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		latencies := new(balance.Latencies)
		panics := func(*http.Request) (*http.Response, error) { panic("any") }
		s := perform(t, [][]turn{{panics}, {panics}}, joined(2, 0, func(b *alipayai.Balance) { b.Policy, b.Latencies = balance.Fastest, latencies }))
		s.panics(chatBody("hello"))
		testwait.Pass(time.Hour)
		for _, p := range s.gateway.Providers {
			if cost := latencies.Cost(p.Name, time.Now()); cost >= 1 {
				t.Errorf("%s costs %v with no call under way", p.Name, cost)
			}
		}
	})
}
