package alipayai_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/pack"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/failover"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// model is an upstream without sockets that repeats each text, also those of packs.
type model struct {
	// before comes before the n-th answer, counted from 1; what it gives goes in its place.
	before func(n int, req *http.Request) (*http.Response, error)
	// reply answers one text; it repeats the text where nil.
	reply func(text string, packed bool) string

	mu   sync.Mutex
	seen []sighting
}

// sighting is one request: its texts by what stood for them, and when it came.
type sighting struct {
	when   time.Time
	texts  []string
	packed bool
	body   string
}

// RoundTrip implements http.RoundTripper.
func (m *model) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	var asked struct {
		Stream   bool
		Messages []struct{ Role, Content string }
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		return nil, err
	}
	prompt := asked.Messages[len(asked.Messages)-1].Content
	seen := sighting{when: time.Now(), texts: []string{prompt}, body: string(body)}
	items := map[string]string{}
	if asked.Messages[0].Role == "system" && strings.Contains(asked.Messages[0].Content, pack.Instruction) {
		if err := json.Unmarshal([]byte(prompt), &items); err != nil {
			return nil, err
		}
		seen.packed, seen.texts = true, nil
		for id, text := range items {
			seen.texts = append(seen.texts, text)
			items[id] = m.answer(text, true)
		}
		slices.Sort(seen.texts)
	}
	m.mu.Lock()
	m.seen = append(m.seen, seen)
	n := len(m.seen)
	m.mu.Unlock()
	if m.before != nil {
		if resp, err := m.before(n, req); resp != nil || err != nil {
			return resp, err
		}
	}
	text := m.answer(prompt, false)
	if seen.packed {
		all, _ := json.Marshal(items)
		text = string(all)
	}
	quoted, _ := json.Marshal(text)
	if asked.Stream {
		return streams(nil, `{"choices":[{"index":0,"delta":{"content":`+string(quoted)+`}}]}`,
			`{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`, `[DONE]`)(req)
	}
	return says(200, `{"model":"m","choices":[{"index":0,"message":{"content":`+string(quoted)+`},"finish_reason":"stop"}],`+
		`"usage":{"prompt_tokens":101,"completion_tokens":53,"total_tokens":154}}`)(req)
}

func (m *model) answer(text string, packed bool) string {
	if m.reply != nil {
		return m.reply(text, packed)
	}
	return "re: " + text
}

func (m *model) sightings() []sighting {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.seen)
}

// packing is a gateway that packs, before models.
type packing struct {
	*scripted
	models []*model
}

func newPacking(t *testing.T, models []*model, edits ...func(*alipayai.Gateway)) *packing {
	t.Helper()
	s := perform(t, make([][]turn, len(models)), slices.Concat([]func(*alipayai.Gateway){packed(), func(g *alipayai.Gateway) {
		for i, m := range models {
			g.Providers[i].Transport = m
		}
		g.Packs.MaxWait = 0
	}}, edits)...)
	return &packing{s, models}
}

// ask makes a call of user u1 after some time; its reply is there when the bubble is idle.
func (p *packing) ask(ctx context.Context, after time.Duration, text string, header ...string) *reply {
	got := new(reply)
	go func() {
		time.Sleep(after)
		*got = p.callWith(ctx, userBody("u1", text, `"temperature":0`), header...)
	}()
	return got
}

// pass lets time pass, and what is under way then come to an end, or to its next wait.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func wantText(t *testing.T, got *reply, text string) {
	t.Helper()
	if said := saying(t, *got); said != text {
		t.Errorf("answered %q, want %q", said, text)
	}
}

// What waits for the rate cap waits no longer to be packed, and all that has come together
// by the time of the permit leaves with it.
func TestAllThatWaitsLeavesWithOnePermit(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		m := new(model)
		p := newPacking(t, []*model{m}, capped(newCap(1, time.Second)))
		began := time.Now()
		var got []*reply
		got = append(got, p.ask(t.Context(), 0, "first"))
		for i := range 15 {
			got = append(got, p.ask(t.Context(), 100*time.Millisecond+time.Duration(i)*50*time.Millisecond, strconv.Itoa(i)))
		}
		pass(5 * time.Second)
		wantText(t, got[0], "re: first")
		for i, one := range got[1:] {
			wantText(t, one, "re: "+strconv.Itoa(i))
			wantHeader(t, *one, "X-Alipayai-Packed", "15")
		}
		seen := m.sightings()
		if len(seen) != 2 || len(seen[1].texts) != 15 {
			t.Fatalf("%+v", seen)
		}
		first, second := seen[0].when.Sub(began), seen[1].when.Sub(began)
		if first != alipayai.DefaultPackWait {
			t.Errorf("the first left after %v, want %v", first, alipayai.DefaultPackWait)
		}
		if want := first + time.Second + upstream.DefaultGuard; second < want || second > want+5*time.Millisecond {
			t.Errorf("the pack left after %v, want %v: the window's next permit", second, want)
		}
	})
}

// A full pack does not wait, and one more begins another.
func TestAFullPackLeavesAtOnce(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		m := new(model)
		p := newPacking(t, []*model{m}, func(g *alipayai.Gateway) { g.Packs.MaxCalls, g.Packs.MaxCharacters = 4, 100 })
		began := time.Now()
		for i := range 5 {
			p.ask(t.Context(), time.Duration(i), strconv.Itoa(i))
		}
		pass(time.Second)
		for i := range 3 { // of which two are as much as fits
			p.ask(t.Context(), time.Duration(i), strings.Repeat(strconv.Itoa(i), 40))
		}
		pass(time.Second)
		var sizes []int
		for _, s := range m.sightings() {
			sizes = append(sizes, len(s.texts))
		}
		if !slices.Equal(sizes, []int{4, 1, 2, 1}) || m.sightings()[0].when.Sub(began) > time.Millisecond {
			t.Errorf("packs of %v calls, the first after %v", sizes, m.sightings()[0].when.Sub(began))
		}
	})
}

// One client that leaves takes nothing from the others, before the pack has left and after;
// with the last one the upstream is cancelled.
func TestClientsThatLeave(t *testing.T) {
	for name, test := range map[string]struct {
		leave []time.Duration // when each client leaves; 0: it stays
		texts []string        // what is sent
		ended time.Duration   // when the upstream is cancelled; 0: not
	}{
		"one, before":          {[]time.Duration{10 * time.Millisecond, 0, 0}, []string{"1", "2"}, 0},
		"one, after":           {[]time.Duration{500 * time.Millisecond, 0, 0}, []string{"0", "1", "2"}, 0},
		"all but one, before":  {[]time.Duration{10 * time.Millisecond, 0, 10 * time.Millisecond}, []string{"1"}, 0},
		"all, one after other": {[]time.Duration{500 * time.Millisecond, 400 * time.Millisecond, 10 * time.Millisecond}, []string{"0", "1"}, 500 * time.Millisecond},
		"all, before":          {[]time.Duration{1, 2, 3}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				began := time.Now()
				var cancelled time.Duration
				m := &model{before: func(_ int, req *http.Request) (*http.Response, error) {
					leave(req)
					select {
					case <-time.After(time.Second):
						return nil, nil
					case <-req.Context().Done():
						cancelled = time.Since(began)
						return nil, req.Context().Err()
					}
				}}
				p := newPacking(t, []*model{m})
				var got []*reply
				for i, after := range test.leave {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					if after > 0 {
						time.AfterFunc(after, cancel)
					}
					got = append(got, p.ask(ctx, 0, strconv.Itoa(i)))
				}
				pass(3 * time.Second)
				var sent []string
				for _, s := range m.sightings() {
					sent = append(sent, s.texts...)
				}
				if !slices.Equal(sent, test.texts) || len(m.sightings()) > 1 {
					t.Errorf("sent %v, want %v", sent, test.texts)
				}
				if cancelled != test.ended {
					t.Errorf("cancelled after %v, want %v", cancelled, test.ended)
				}
				for i, after := range test.leave {
					if after == 0 {
						wantText(t, got[i], "re: "+strconv.Itoa(i))
					} else if got[i].status != 499 {
						t.Errorf("call %d ended with %d", i, got[i].status)
					}
				}
				// What the pack took is the calls' together, left or not.
				total := int64(0)
				for range test.leave {
					total += (<-p.seen.settled).Usage.Total
				}
				if want := int64(154); len(test.texts) > 0 && test.ended == 0 && total != want {
					t.Errorf("%d tokens in all, want %d", total, want)
				}
			})
		})
	}
}

// Each call of a pack has its own deadline, and the pack that of the last.
func TestEachCallHasItsDeadline(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		m := &model{before: func(_ int, req *http.Request) (*http.Response, error) {
			leave(req)
			time.Sleep(9 * time.Second)
			return nil, nil
		}}
		k := newCap(1, 5*time.Second)
		p := newPacking(t, []*model{m}, capped(k), func(g *alipayai.Gateway) { g.Deadline = 12 * time.Second })
		p.ask(t.Context(), 0, "takes the permit")
		began := time.Now()
		early, late := p.ask(t.Context(), time.Second, "early"), p.ask(t.Context(), 4*time.Second, "late")
		pass(13*time.Second + time.Millisecond)
		if wantError(t, *early, 504, "upstream_timeout"); early.header.Get("X-Should-Retry") != "false" {
			t.Errorf("a call that may have executed has the header %v", early.header)
		}
		pass(3 * time.Second)
		wantText(t, late, "re: late")
		wantHeader(t, *late, "X-Alipayai-Packed", "2")
		if len(m.sightings()) != 2 || time.Since(began) > 17*time.Second {
			t.Errorf("%+v", m.sightings())
		}
	})
}

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
				pass(time.Minute)
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
			pass(time.Second)
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
			pass(time.Second)
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

// comparisons is a PackObserver that counts.
type comparisons struct {
	mu              sync.Mutex
	same, different int
	stopped         []string
}

func (*comparisons) Packed(string, int)        {}
func (*comparisons) AskedAlone(string, string) {}

func (c *comparisons) Compared(_ string, agreed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if agreed {
		c.same++
	} else {
		c.different++
	}
}

func (c *comparisons) PackingStopped(tenant string, agreement float64) {
	c.stopped = append(c.stopped, tenant+" "+strconv.FormatFloat(agreement, 'g', 2, 64))
}

// A part of the packed answers is compared with what the call is answered alone. Where too
// many differ, packing is off for the tenant for an hour; no other tenant sees that, and
// no client waits for it or pays for it.
func TestPackedAnswersAreCompared(t *testing.T) {
	for name, test := range map[string]struct {
		reply   func(text string, packed bool) string
		stopped []string
	}{
		"the same": {nil, nil},
		"but for what is said": {func(text string, packed bool) string {
			return map[bool]string{true: " RE:  ", false: "re: "}[packed] + text + map[bool]string{true: "."}[packed]
		}, nil},
		"different": {func(text string, packed bool) string { return map[bool]string{true: "no", false: text}[packed] }, []string{"acme 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				m, seen, running := &model{reply: test.reply}, new(comparisons), 0
				p := newPacking(t, []*model{m}, func(g *alipayai.Gateway) {
					g.Packs.MaxCalls, g.Packs.Verify, g.Packs.Observer = 2, 1, seen
					var mu sync.Mutex
					g.Packs.Running = func() func() {
						mu.Lock()
						defer mu.Unlock()
						running++
						return func() {
							mu.Lock()
							defer mu.Unlock()
							running--
						}
					}
				})
				both := func(header ...string) *reply {
					p.ask(t.Context(), 0, "a", header...)
					got := p.ask(t.Context(), 0, "b", header...)
					pass(time.Second)
					return got
				}
				for range 5 {
					both()
				}
				if seen.same+seen.different != 10 || !slices.Equal(seen.stopped, test.stopped) || (seen.same == 0) != (test.stopped != nil) {
					t.Errorf("%+v", seen)
				}
				packs := map[bool]string{true: "", false: "2"}[test.stopped != nil]
				wantHeader(t, *both(), "X-Alipayai-Packed", packs)
				wantHeader(t, *both(tenantHeader, "other"), "X-Alipayai-Packed", "2")
				pass(pack.OffFor)
				wantHeader(t, *both(), "X-Alipayai-Packed", "2")
				if running != 0 {
					t.Errorf("%d are running", running)
				}
				for range len(p.seen.settled) { // the calls of clients alone
					if o := <-p.seen.settled; o.Packed == 2 && (o.Attempts != 1 || o.Usage.Total > 154) {
						t.Errorf("%+v", o)
					}
				}
			})
		})
	}
}

// What is not the same each time is not compared, nor is an answer that is not asked for.
func TestOnlyFixedAnswersAreCompared(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		m, seen := new(model), new(comparisons)
		p := newPacking(t, []*model{m}, func(g *alipayai.Gateway) { g.Packs.MaxCalls, g.Packs.Verify, g.Packs.Observer = 2, 1, seen })
		for range 2 {
			go p.call(userBody("u1", "warm", `"temperature":0.5`))
		}
		pass(time.Second)
		if n := len(m.sightings()); n != 1 || seen.same+seen.different != 0 {
			t.Errorf("%d requests, %+v", n, seen)
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
				pass(time.Second)
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

// Calls of many tenants and users that come interleaved, with clients that leave, never get
// another call's answer.
func TestNoAnswerIsCrossed(t *testing.T) {
	const calls, workers = 4000, 100
	m := new(model)
	s := perform(t, make([][]turn, 1), packed(), func(g *alipayai.Gateway) {
		g.Providers[0].Transport = m
		g.Packs.MaxWait = time.Millisecond
	})
	go func() {
		for range s.seen.settled {
		}
	}()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			tenant, user := "tenant"+strconv.Itoa(w%10), "user"+strconv.Itoa(w%20/10)
			for n := range calls / workers {
				text := tenant + " " + user + " " + strconv.Itoa(w) + " " + strconv.Itoa(n)
				ctx, cancel := context.WithCancel(t.Context())
				if n%10 == 9 {
					cancel() // this client has left
				}
				got := s.callWith(ctx, userBody(user, text), tenantHeader, tenant)
				cancel()
				if got.status == 499 && n%10 == 9 {
					continue
				}
				if said := saying(t, got); said != "re: "+text {
					t.Errorf("%q was answered %q", text, said)
				}
			}
		})
	}
	wg.Wait()
	close(s.seen.settled)
	packs := 0
	for _, seen := range m.sightings() {
		if seen.packed {
			packs++
		}
		owner, _, _ := strings.Cut(seen.texts[0], " user")
		for _, text := range seen.texts {
			if !strings.HasPrefix(text, owner+" user") || text[len(owner):len(owner)+6] != seen.texts[0][len(owner):len(owner)+6] {
				t.Fatalf("a request has the texts of several: %q", seen.texts)
			}
		}
	}
	if packs < 20 {
		t.Errorf("only %d packs", packs)
	}
}
