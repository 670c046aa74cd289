package alipayai_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/budget"
	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// lines is a ledger in memory.
type lines struct {
	mu     sync.Mutex
	all    []ledger.Line
	begun  map[uint64]ledger.Line
	number uint64
}

func (l *lines) Begin(line ledger.Line) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.begun == nil {
		l.begun = make(map[uint64]ledger.Line)
	}
	l.number++
	l.begun[l.number] = line
	return l.number
}

func (l *lines) End(number uint64, line ledger.Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, line)
	delete(l.begun, number)
}

func (l *lines) Forget(number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.begun, number)
}

// inFlight are the lines of attempts that have neither ended nor been forgotten.
func (l *lines) inFlight() []ledger.Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Values(l.begun))
}

func (l *lines) len() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.all))
}

func (l *lines) taken() []ledger.Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.all
	l.all = nil
	return all
}

// alipayPrice is 24 CNY in and 72 out for a million tokens, and 5,000 characters at least.
func alipayPrice() *price.Price {
	return &price.Price{
		Currency: "CNY", Rates: price.Rates{Input: 24e9, Output: 72e9}, MinCharacters: 5000, MaxTokens: 1000, ImageTokens: 1000,
	}
}

// spends makes a gateway that knows prices, and keeps a ledger in l; budgets bound tenants.
func spends(l *lines, p *price.Price, limits ...budget.Limit) func(*alipayai.Gateway) {
	return func(g *alipayai.Gateway) {
		s := &alipayai.Spending{Ledger: l, Exchange: new(price.Exchange), Providers: make(map[string]*alipayai.Priced)}
		for _, provider := range g.Providers {
			s.Providers[provider.Name] = &alipayai.Priced{Book: price.Book{Any: p}, Estimate: new(price.Estimate)}
		}
		if len(limits) > 0 {
			s.Budgets, s.DefaultLimits = budget.New(budget.Memory{}, time.Now), limits
		}
		g.Spending = s
	}
}

// noon is a zone in which it is about noon: no day ends there while a test runs.
var noon = func() *time.Location {
	now := time.Now().UTC()
	return time.FixedZone("noon", int((12*time.Hour - now.Sub(now.Truncate(24*time.Hour))).Seconds()))
}()

func daily(amount price.Amount) budget.Limit {
	return budget.Limit{Amount: amount, Currency: "CNY", Window: budget.Day(noon)}
}

// A call costs what its usage costs by the price, the minimum charge included: in the
// ledger, in the header of a JSON answer and in the trailer of a stream.
func TestCallsAreCharged(t *testing.T) {
	for name, tt := range map[string]struct {
		body   string
		tokens [2]int64
		amount price.Amount
		floor  price.Amount
	}{
		// 1,250 tokens for 5,000 characters.
		"short":  {chatBody("yes"), [2]int64{1, 2}, 1250*24e3 + 2*72e3, 1249 * 24e3},
		"long":   {chatBody(strings.Repeat("words. ", 1000)), [2]int64{1750, 1752}, 1750*24e3 + 1752*72e3, 0},
		"stream": {streamBody("yes"), [2]int64{1, 2}, 1250*24e3 + 2*72e3, 1249 * 24e3},
	} {
		t.Run(name, func(t *testing.T) {
			l := new(lines)
			r := newRig(t, sandbox.Config{}, spends(l, alipayPrice()))
			got := r.post(chatPath, tt.body)
			r.outcome()
			all := l.taken()
			if len(all) != 1 {
				t.Fatalf("%d lines: %+v", len(all), all)
			}
			line := all[0]
			if line.Outcome != ledger.Known || line.Tenant != "acme" || line.Provider != "alipay" || line.RequestID != got.header.Get("X-Request-Id") {
				t.Errorf("line %+v", line)
			}
			want := price.Amount(line.Prompt)*24e3 + price.Amount(line.Completion)*72e3 + tt.floor
			if line.Amount != want || line.Floor != tt.floor {
				t.Errorf("%d in, %d out: amount %d, floor %d; want %d and %d", line.Prompt, line.Completion, line.Amount, line.Floor, want, tt.floor)
			}
			if cost := got.header.Get("X-Alipayai-Cost"); strings.Contains(tt.body, "stream") {
				if cost != "" || strings.Contains(got.body, "prompt_tokens") {
					t.Errorf("a stream has cost %q in its header, or usage: %s", cost, got.body)
				}
			} else if cost != line.Amount.String()+" CNY" {
				t.Errorf("header %q", cost)
			}
		})
	}
}

// The gateway's ledger says what the vendor charges, to the unit, also for streams whose
// client did not ask for the usage and gets none of it.
func TestStreamTrailerHasTheCost(t *testing.T) {
	l := new(lines)
	r := newRig(t, sandbox.Config{}, spends(l, alipayPrice()))
	resp := r.open(t.Context(), chatPath, streamBody("hello"))
	var b strings.Builder
	if _, err := resp.Body.Read(nil); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	for {
		n, err := resp.Body.Read(buffer)
		b.Write(buffer[:n])
		if err != nil {
			break
		}
	}
	r.outcome()
	all := l.taken()
	if len(all) != 1 || resp.Trailer.Get("X-Alipayai-Cost") != all[0].Amount.String()+" CNY" || strings.Contains(b.String(), "prompt_tokens") {
		t.Errorf("trailer %v, lines %+v, body %s", resp.Trailer, all, b.String())
	}
}

// What a call has cost is said at every door alike: in a header of a whole answer, and of a stream in a trailer, behind
// events that are all that the door's clients know.
func TestCostAtEveryDoor(t *testing.T) {
	for name, door := range fronts {
		for _, streams := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " ", streams), func(t *testing.T) {
				l := new(lines)
				r := newRig(t, sandbox.Config{}, spends(l, alipayPrice(), daily(price.Unit)))
				got := r.post(door.path, door.body("yes", streams))
				r.outcome()
				all := l.taken()
				if got.status != http.StatusOK || len(all) != 1 || all[0].Outcome != ledger.Known {
					t.Fatalf("%d %s, lines %+v", got.status, got.body, all)
				}
				cost, trailer := all[0].Amount.String()+" CNY", got.trailer.Get("X-Alipayai-Cost")
				if header := got.header.Get("X-Alipayai-Cost"); streams && (header != "" || trailer != cost) || !streams && (header != cost || trailer != "") {
					t.Errorf("header %q, trailer %q; want %s", header, trailer, cost)
				}
				if streams {
					if s := door.events(t, got); !s.done || s.failed != "" {
						t.Errorf("%+v", s)
					}
				}
			})
		}
	}
}

// Over a budget no request is sent, and the client learns when there is a new one.
func TestTenantBudget(t *testing.T) {
	l := new(lines)
	bound := alipayPrice().Bound(price.Asked{Bytes: int64(len(chatBody("yes")))})
	r := newRig(t, sandbox.Config{}, spends(l, alipayPrice(), daily(bound+40e6)))
	left := bound + 40e6
	for range 2 {
		if got := r.chat("yes"); got.status != http.StatusOK {
			t.Fatalf("status %d: %s", got.status, got.body)
		}
		left -= r.outcome().Costs[0].Amount
	}
	got := r.chat("yes")
	message := wantError(t, got, http.StatusTooManyRequests, "tenant_budget")
	if want := fmt.Sprintf(": up to %s CNY, and %s is left until ", bound, left); !strings.Contains(message, want) {
		t.Errorf("message %q, want %q", message, want)
	}
	if got.header.Get("Retry-After") == "" {
		t.Errorf("no Retry-After: %v", got.header)
	}
	if n := r.sim.Stats().Paths[chatPath]; n != 2 {
		t.Errorf("%d calls reached the upstream", n)
	}
	if all := l.taken(); len(all) != 2 {
		t.Errorf("lines %+v", all)
	}
}

// What the provider's tools may search is reserved too: as often as the request permits, and 32 times where it does not say.
func TestSearchesAreReserved(t *testing.T) {
	searched := alipayPrice()
	searched.Search = price.Unit / 100
	bound := searched.Bound(price.Asked{Bytes: 1000})
	for name, tt := range map[string]struct {
		tools  string
		covers price.Amount // of that many searches
		sent   bool
	}{
		"none":                     {`[{"type":"function","function":{"name":"web_search"}}]`, 0, true},
		"as many as there is room": {`[{"type":"web_search_20250305","name":"web_search","max_uses":5}]`, 5, true},
		"one more":                 {`[{"type":"web_search_20250305","name":"web_search","max_uses":7}]`, 5, false},
		"no most":                  {`[{"type":"web_search"}]`, price.DefaultSearches - 2, false},
		"no most, and room":        {`[{"type":"web_search"}]`, price.DefaultSearches, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, sandbox.Config{}, spends(new(lines), searched, daily(bound+tt.covers*searched.Search)))
			body := strings.Replace(chatBody("yes"), `{`, `{"tools":`+tt.tools+`,`, 1)
			got := r.do(t.Context(), http.MethodPost, chatPath, body) // the simulator has no such tools
			if refused := got.status == http.StatusTooManyRequests; refused == tt.sent {
				t.Errorf("status %d: %s", got.status, got.body)
			}
			if sent := r.sim.Stats().Paths[chatPath] == 1; sent != tt.sent {
				t.Errorf("sent %t, want %t", sent, tt.sent)
			}
		})
	}
}

// A request's max_tokens bounds what is reserved where it is sent; else the answer may be as long as the model's.
func TestMaxTokensThatAreNotSent(t *testing.T) {
	fields := func(f upstream.RequestFields) func(*alipayai.Gateway) {
		return func(g *alipayai.Gateway) { g.Providers[0].RequestFields = &f }
	}
	agents := func(g *alipayai.Gateway) {
		p := agentProvider(t, g.Providers[0].BaseURL.String())
		p.Name, g.Providers = g.Providers[0].Name, []*upstream.Provider{p}
	}
	const completion = "max_completion_tokens"
	for name, test := range map[string]struct {
		member string
		edit   func(*alipayai.Gateway)
		status int
	}{
		"sent":               {"max_tokens", func(*alipayai.Gateway) {}, 200},
		"sent, newer":        {completion, func(*alipayai.Gateway) {}, 200},
		"others are dropped": {"max_tokens", fields(upstream.RequestFields{Drop: []string{"user"}}), 200},
		"kept":               {"max_tokens", fields(upstream.RequestFields{Keep: []string{"model", "messages", "max_tokens"}}), 200},
		"dropped":            {"max_tokens", fields(upstream.RequestFields{Drop: []string{"max_tokens"}}), 429},
		"dropped, newer":     {completion, fields(upstream.RequestFields{Drop: []string{completion}}), 429},
		"not kept":           {"max_tokens", fields(upstream.RequestFields{Keep: []string{"model", "messages"}}), 429},
		"no place for it":    {"max_tokens", agents, 429},
		"another in place":   {"max_tokens", fields(upstream.RequestFields{Values: map[string]string{"max_tokens": "100000"}}), 429},
		"another beside it":  {"max_tokens", fields(upstream.RequestFields{Values: map[string]string{completion: "100000"}}), 429},
		"at another place":   {"max_tokens", fields(upstream.RequestFields{Members: map[string]string{"max_tokens": "max_tokens"}, Drop: []string{"user"}}), 200},
		"written otherwise":  {"max_tokens", fields(upstream.RequestFields{Names: "pascal", Values: map[string]string{"MaxTokens": "100000"}}), 429},
		"inside of another":  {"max_tokens", fields(upstream.RequestFields{Inside: "call", Drop: []string{"user"}, Values: map[string]string{"call.max_tokens": "100000"}}), 429},
	} {
		for _, together := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", packed"}[together], func(t *testing.T) {
				unbounded := alipayPrice().Bound(price.Asked{})
				edits := []func(*alipayai.Gateway){test.edit, spends(new(lines), alipayPrice(), daily(unbounded-1))}
				if together {
					edits = append(edits, packed(of(2), func(k *alipayai.Packs) { k.MaxWait = 50 * time.Millisecond }))
				}
				r := newRig(t, sandbox.Config{}, edits...)
				body := userBody("u1", "hello", `"`+test.member+`":10`)
				for _, got := range r.together([]string{body, body}) {
					if got.status != test.status {
						t.Errorf("%d %s", got.status, got.body)
					}
				}
			})
		}
	}
}

// What is not known to have failed stays charged, and what never left costs nothing.
func TestOutcomesOfAttempts(t *testing.T) {
	for name, tt := range map[string]struct {
		fault    sandbox.Fault
		outcomes []ledger.Outcome
		stream   bool
	}{
		"reset":               {sandbox.Fault{Kind: sandbox.ResetAfter}, []ledger.Outcome{ledger.Unknown}, true},
		"blocked":             {sandbox.Fault{Kind: sandbox.SystemError200, Code: "COMPLIANCE_BLOCKED"}, nil, false},
		"system error":        {sandbox.Fault{Kind: sandbox.SystemError200}, []ledger.Outcome{ledger.Unknown}, false},
		"system error, first": {sandbox.Fault{Kind: sandbox.SystemErrorFirst}, []ledger.Outcome{ledger.Unknown}, true},
		"cut":                 {sandbox.Fault{Kind: sandbox.Cut, AfterEvents: 1}, []ledger.Outcome{ledger.Unknown}, true},
	} {
		t.Run(name, func(t *testing.T) {
			l := new(lines)
			r := newRig(t, sandbox.Config{}, spends(l, alipayPrice(), daily(price.Unit)))
			tt.fault.Times = 1
			r.set(tt.fault)
			body := chatBody("hello")
			if tt.stream {
				body = streamBody("hello, and more words of it")
			}
			r.do(context.Background(), http.MethodPost, chatPath, body)
			r.outcome()
			all := l.taken()
			if len(all) != len(tt.outcomes) {
				t.Fatalf("lines %+v", all)
			}
			used := r.gateway.Spending.Budgets.States()[0]
			if used.Open != 0 {
				t.Errorf("still reserved: %d", used.Open)
			}
			var sum price.Amount
			for i, line := range all {
				sum += line.Amount
				if line.Outcome != tt.outcomes[i] {
					t.Errorf("line %+v", line)
				}
			}
			if used.Used != sum {
				t.Errorf("the budget has %d, the lines %d", used.Used, sum)
			}
		})
	}
}

// While an attempt may be billed the ledger knows what it costs at most, for when the process ends before it; not before
// it leaves, and not once it has its line, or needs none.
func TestAttemptsInFlight(t *testing.T) {
	l := new(lines)
	limit := daily(price.Unit)
	var during []ledger.Line
	answers := func(next turn) turn {
		return func(req *http.Request) (*http.Response, error) {
			during = append(during, l.inFlight()...)
			return next(req)
		}
	}
	s := perform(t, [][]turn{{answers(says(400, `{"code":"BAD"}`)), answers(good), answers(streams(nil, deltaEvent, finishEvent, "[DONE]")), answers(breaks)}},
		spends(l, alipayPrice(), limit))
	for _, body := range []string{chatBody("hello"), chatBody("hello"), streamBody("hello"), chatBody("hello")} {
		s.call(body)
		if under := l.inFlight(); len(under) > 0 {
			t.Errorf("under way: %+v", under)
		}
	}
	all := l.taken()
	if len(during) != 4 || len(all) != 3 {
		t.Fatalf("%d attempts were known of, %d have lines: %+v", len(during), len(all), all)
	}
	for _, line := range during {
		if line.Outcome != ledger.Unknown || line.Amount == 0 || line.Tenant != "acme" || line.Provider != "first" || line.RequestID == "" || line.Time.IsZero() {
			t.Errorf("%+v", line)
		}
	}
	if last := all[2]; last != during[3] {
		t.Errorf("%+v, and under way it was %+v", last, during[3])
	}
}
