package alipayai_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/shadow"
	"github.com/caddy-alipayai/gateway/failover/canary"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// held is a transport that lets nothing pass until it is released.
type held struct {
	http.RoundTripper
	arrived atomic.Int64
	release chan struct{}
}

func (h *held) RoundTrip(req *http.Request) (*http.Response, error) {
	h.arrived.Add(1)
	select {
	case <-h.release:
		return h.RoundTripper.RoundTrip(req)
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
}

// Copies that find no room are dropped, and counted; no client waits for any of them, however long the shadow takes.
func TestShadowQueueIsBounded(t *testing.T) {
	const asked = 16
	large := strings.Repeat("hello ", 5000)
	one := int64(4<<10 + len(chatBody(large)) + served(t.Context(), newRig(t, sandbox.Config{}).gateway, "acme", chatPath, chatBody(large)).Body.Len())
	for name, tt := range map[string]struct {
		edit   func(*shadow.Queue)
		prompt string
		kept   int
		reason string
	}{
		"in calls": {func(q *shadow.Queue) { q.MaxCalls = 5 }, "hello", asked + 5, shadow.QueueFull},
		"in bytes": {func(q *shadow.Queue) { q.MaxBytes = 10*one + one/2 }, large, 10, shadow.QueueBytes},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShadow(t, sandbox.Config{Format: sandbox.OpenAI})
			tt.edit(s.queue)
			h := &held{RoundTripper: s.provider.Transport, release: make(chan struct{})}
			s.provider.Transport = h
			r := newRig(t, sandbox.Config{}, s.beside)
			const calls = 40
			for n := range calls { // which all end while the shadow has not answered any
				if w := served(t.Context(), r.gateway, "acme", chatPath, chatBody(tt.prompt)); w.Code != http.StatusOK {
					t.Errorf("%d %s", w.Code, w.Body)
				}
				waitFor(t, "the shadow to be asked", func() bool { return h.arrived.Load() == int64(min(n+1, asked, tt.kept)) })
			}
			if len(s.calls()) != 0 || len(s.pairs) != 0 {
				t.Errorf("%d copies are served", len(s.calls()))
			}
			close(h.release)
			s.settled(calls)
			if len(s.calls()) != tt.kept || len(s.dropped) != calls-tt.kept || slices.ContainsFunc(s.dropped, func(reason string) bool { return reason != tt.reason }) {
				t.Errorf("%d copies, want %d; dropped %q", len(s.calls()), tt.kept, s.dropped)
			}
			if state := s.queue.History.State(); state.Pairs != int64(tt.kept) || state.Dropped[tt.reason] != int64(calls-tt.kept) {
				t.Errorf("counted %+v", state.Counts)
			}
		})
	}
}

// The shadow's own cap holds, and what is over it is dropped; the real provider's is not touched.
func TestShadowHasItsOwnCap(t *testing.T) {
	s := newShadow(t, sandbox.Config{Format: sandbox.OpenAI})
	s.provider.Cap = newCap(3, time.Hour)
	real := newCap(10, time.Hour)
	r := newRig(t, sandbox.Config{}, s.beside, capped(real))
	for range 10 {
		if w := served(t.Context(), r.gateway, "acme", chatPath, chatBody("hello")); w.Code != http.StatusOK {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	pairs := s.settled(10)
	if len(pairs) != 3 || len(s.calls()) != 3 || s.dropped[0] != "queue_deadline" {
		t.Errorf("%d pairs of %d copies; dropped %q", len(pairs), len(s.calls()), s.dropped)
	}
}

// A copy waits behind all clients: where the shadow's permits are those of the provider itself, no client waits longer for it.
func TestShadowIsBehindClients(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		k := newCap(1, time.Second)
		s := newShadow(t, sandbox.Config{Format: sandbox.OpenAI})
		s.provider.Cap = k
		r := newRig(t, sandbox.Config{}, s.beside, capped(k))
		ask := func() {
			if w := served(t.Context(), r.gateway, "acme", chatPath, chatBody("hello")); w.Code != http.StatusOK {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
		ask()
		synctest.Wait() // its copy is in line
		began := time.Now()
		var calls sync.WaitGroup
		for range 5 {
			calls.Go(ask)
		}
		calls.Wait()
		if took := time.Since(began); took > 5500*time.Millisecond {
			t.Errorf("five calls took %v at one a second", took)
		}
		s.settled(6)
	})
}

// A copy is a call of its own, at the operator's cost: in the ledger, but in no tenant's budget; and it is no repeat of the call.
func TestShadowIsTheOperators(t *testing.T) {
	l := new(lines)
	s := newShadow(t, sandbox.Config{Format: sandbox.OpenAI})
	r := newRig(t, sandbox.Config{}, s.beside, spends(l, alipayPrice(), daily(price.Unit)), claiming, caching(), remembering)
	spends(l, alipayPrice())(s.queue.Gateway)
	if w := served(t.Context(), r.gateway, "acme", chatPath, chatBody("hello"), keyed...); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	s.settled(1)
	all := l.taken()
	slices.SortFunc(all, func(a, b ledger.Line) int { return strings.Compare(a.Tenant, b.Tenant) })
	if len(all) != 2 || all[0].Tenant != alipayai.ShadowTenant || all[0].Provider != "shadow" || all[1].Tenant != "acme" || all[0].Amount == 0 || all[0].RequestID == all[1].RequestID {
		t.Errorf("the ledger has %+v", all)
	}
	if used := r.gateway.Spending.Budgets.States()[0].Used; used != all[1].Amount {
		t.Errorf("the budget has %v of a call of %v", used, all[1].Amount)
	}
	copied, real := s.calls()[0].header, r.arrived.at(chatPath)[0].header
	if copied.Get("Idempotency-Key") == real.Get("Idempotency-Key") || copied.Get("Idempotency-Key") == keyed[1] {
		t.Errorf("both calls have the key %s", copied.Get("Idempotency-Key"))
	}
}

// What a shadow blocks is not remembered for clients, and what they were blocked for not for it: it has its own say each time.
func TestShadowRemembersNothing(t *testing.T) {
	s := newShadow(t, sandbox.Config{Format: sandbox.OpenAI, Mode: sandbox.Production})
	r := newRig(t, sandbox.Config{}, s.beside, remembering, caching())
	for range 5 {
		served(t.Context(), r.gateway, "acme", chatPath, chatBody("predict future income"))
	}
	if s.settled(5); len(s.calls()) != 5 || len(r.arrived.at(chatPath)) != 5 || !r.gateway.Blocked.Calls.Empty() {
		t.Errorf("%d copies of %d calls", len(s.calls()), len(r.arrived.at(chatPath)))
	}
}

// Each call of a pack has its own copy, of its own text, beside its own answer.
func TestShadowOfPackedCalls(t *testing.T) {
	for name, member := range map[string]string{"whole": `"temperature":0`, "streams": `"stream":true`} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				copies, m := new(model), new(model)
				at := &simulated{provider: plainProvider(t, "http://shadow.test")}
				at.provider.Transport = copies
				s := newShadowAt(t, at)
				p := newPacking(t, []*model{m}, s.beside, func(g *alipayai.Gateway) { g.Packs.MaxCalls = 2 })
				for _, text := range []string{"a", "b"} {
					go p.callWith(t.Context(), userBody("u1", text, member))
				}
				testwait.Pass(time.Second)
				pairs := s.settled(2)
				if got := m.sightings(); len(got) != 1 || !got[0].packed || len(copies.sightings()) != 2 {
					t.Errorf("%+v, and %+v", got, copies.sightings())
				}
				for _, pair := range pairs {
					text := "re: a"
					if strings.Contains(string(pair.Call.Request.Body), `"b"`) {
						text = "re: b"
					}
					if len(differs(pair)) > 0 || !strings.Contains(string(pair.Real.Answer), text) || !strings.Contains(string(pair.Shadow.Answer), text) {
						t.Errorf("%+v of %s and %s", pair.Differences, pair.Real.Answer, pair.Shadow.Answer)
					}
				}
			})
		})
	}
}

// A canary and a shadow do not see each other: the shadow gets a copy of what either arm has answered, and counts for neither.
func TestShadowBesideCanary(t *testing.T) {
	for promoted, provider := range map[bool]string{true: "next", false: "alipay"} {
		t.Run(provider, func(t *testing.T) {
			k := newTrial(t, promoted)
			sim, edit := withCanary(t, k, sandbox.Config{})
			s := newShadow(t, sandbox.Config{Format: sandbox.OpenAI, APIVersion: 2})
			r := newRig(t, sandbox.Config{}, edit, s.beside)
			const calls = 10
			for n := range calls {
				body := fmt.Sprintf(`{"model":"alipay-fin-1","messages":[{"role":"user","content":"use the tool, %d"}]%s}`, n, weatherTool)
				if w := served(t.Context(), r.gateway, "acme", chatPath, body); w.Code != http.StatusOK {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			}
			pairs := s.settled(calls)
			if got := len(r.arrived.at(chatPath)) + int(sim.Stats().Paths[chatPath]); got != calls || len(s.calls()) != calls {
				t.Errorf("%d calls and %d copies", got, len(s.calls()))
			}
			tallies := k.Totals()[canary.ToolCalls]
			if tallies[canary.Stable].Trials+tallies[canary.Candidate].Trials != calls || tallies[canary.Stable].Bad+tallies[canary.Candidate].Bad != 0 {
				t.Errorf("the canary counts %+v", tallies)
			}
			if !slices.ContainsFunc(pairs, func(p shadow.Pair) bool { return p.Real.Provider == provider }) {
				t.Errorf("no pair of %s", provider)
			}
			for _, p := range pairs {
				if !slices.Equal(differs(p), []shadow.Difference{{Aspect: shadow.ToolCalls, Worse: shadow.OfShadow}}) {
					t.Errorf("%+v", p.Differences)
				}
			}
		})
	}
}

// When a process ends it waits for the copies that are there, as long as it may; each that is left is dropped and counted,
// and what comes after that too.
func TestShadowQueueEnds(t *testing.T) {
	const calls = 20
	for name, tt := range map[string]struct {
		answers      bool
		kept, counts int
	}{
		"in time":  {true, calls, 1},
		"too late": {false, 0, calls + 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShadow(t, sandbox.Config{Format: sandbox.OpenAI})
			h := &held{RoundTripper: s.provider.Transport, release: make(chan struct{})}
			s.provider.Transport = h
			r := newRig(t, sandbox.Config{}, s.beside)
			ask := func() {
				if w := served(t.Context(), r.gateway, "acme", chatPath, chatBody("hello")); w.Code != http.StatusOK {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			}
			for range calls {
				ask()
			}
			waitFor(t, "the shadow to be asked", func() bool { return h.arrived.Load() == 16 })
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tt.answers {
				close(h.release)
			} else {
				cancel()
			}
			if lost := s.queue.End(ctx); lost != calls-tt.kept {
				t.Errorf("%d copies are lost", lost)
			}
			ask()
			s.settled(calls + 1)
			if len(s.calls()) != tt.kept || len(s.dropped) != tt.counts || slices.ContainsFunc(s.dropped, func(reason string) bool { return reason != shadow.ProcessEnds }) {
				t.Errorf("%d copies are served; dropped %q", len(s.calls()), s.dropped)
			}
			if state := s.queue.History.State(); state.Dropped[shadow.ProcessEnds] != int64(tt.counts) {
				t.Errorf("counted %+v", state.Counts)
			}
		})
	}
}
