package alipayai_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/failover"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// caching gives a gateway a cache of answers.
func caching(edits ...func(*alipayai.AnswerCache)) func(*alipayai.Gateway) {
	return func(g *alipayai.Gateway) {
		g.Answers = &alipayai.AnswerCache{Cache: replay.NewMemoryCache(time.Now).Within(64 << 20), TTL: time.Hour}
		for _, edit := range edits {
			edit(g.Answers)
		}
	}
}

func firstOfAll(a *alipayai.AnswerCache) { a.First = true }

// fails makes every provider fail from now on.
func (s *scripted) fails(with turn) {
	for _, script := range s.scripts {
		script.mu.Lock()
		script.turns = []turn{with}
		script.mu.Unlock()
	}
}

// wantCached checks that got repeats what was answered age seconds before.
func wantCached(t *testing.T, got, before reply, age string) {
	t.Helper()
	if got.status != http.StatusOK || got.body != before.body || got.err != nil {
		t.Errorf("%d %q (%v), want %q", got.status, got.body, got.err, before.body)
	}
	wantHeader(t, got, "Age", age, "Cache-Status", "alipayai; hit", "Idempotent-Replayed", "",
		"Content-Type", before.header.Get("Content-Type"),
		"X-Alipayai-Provider", before.header.Get("X-Alipayai-Provider"), "X-Alipayai-Model", before.header.Get("X-Alipayai-Model"))
	if id := got.header.Get("X-Request-Id"); id == "" || id == before.header.Get("X-Request-Id") {
		t.Errorf("X-Request-Id %q", id)
	}
}

var wholeStream = streams(nil, deltaEvent, finishEvent, "[DONE]")

func TestLastGoodAnswer(t *testing.T) {
	for name, fails := range map[string]turn{
		"system error": sysError, "503": busy, "throttled": says(429, "{}"), "timeout": after(time.Second, breaks),
		"malformed": says(200, "nonsense"), "unreachable": refuses, "credentials": says(401, "{}"),
		"empty stream": streams(nil),
	} {
		for mode, good := range map[string]turn{chatBody("hello"): good, streamBody("hello"): wholeStream} {
			t.Run(name+", "+mode[:10], func(t *testing.T) {
				testwait.Bubble(t, func(t *testing.T) {
					s := perform(t, [][]turn{{good}, {good}}, caching())
					before := s.call(mode)
					wantHeader(t, before, "Age", "", "Cache-Status", "")
					s.outcome()
					s.fails(fails)
					time.Sleep(100 * time.Second)
					got := s.call(mode)
					age := got.header.Get("Age")
					if age < "100" || age > "103" {
						t.Errorf("Age %q", age)
					}
					wantCached(t, got, before, age)
					if s.scripts[1].count() == 0 {
						t.Error("the second provider was not asked before")
					}
					if o := s.outcome(); o.Stored != alipayai.StoredCache || o.Status != http.StatusOK || o.Code != "" || o.Provider != "first" || o.Reasons == "" || o.Exhausted == (name == "throttled") {
						t.Errorf("outcome %+v", o)
					}
					wantHeader(t, got, "X-Alipayai-Reason", strings.Join(reasonsOf(s), ", "))
					// It is what it was, also the next time.
					time.Sleep(100 * time.Second)
					if age := s.call(mode).header.Get("Age"); age < "200" || age > "210" {
						t.Errorf("Age %q: the answer was cached anew", age)
					}
				})
			})
		}
	}
}

func reasonsOf(s *scripted) (reasons []string) {
	for _, fallback := range s.seen.fallen() {
		_, reason, _ := strings.Cut(fallback, ":")
		reasons = append(reasons, reason)
	}
	return reasons
}

// First, it is given before the second provider is asked; where there is none, the walk goes on.
func TestLastGoodAnswerFirst(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{good, sysError}, {good}}, caching(firstOfAll))
		before := s.call(chatBody("hello"))
		got := s.call(chatBody("hello"))
		wantCached(t, got, before, "0")
		wantHeader(t, got, "X-Alipayai-Reason", "system_error", "X-Alipayai-Attempts", "1")
		s.wantCalls(2, 0)
		wantServed(t, s.call(chatBody("something else")), "second", "2", "system_error")
		s.wantCalls(3, 1)
	})
}

// With the breaker open the answer comes without anybody being asked.
func TestLastGoodAnswerWithTheBreakerOpen(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{good, sysError}}, caching(), breakers(failover.Rule{}))
		before := s.call(chatBody("hello"))
		for range 4 {
			s.call(chatBody("hello"))
		}
		got := s.call(chatBody("hello"))
		wantCached(t, got, before, "0")
		wantHeader(t, got, "X-Alipayai-Reason", failure.CodeBreakerOpen, "X-Alipayai-Attempts", "0")
		s.wantCalls(5)
	})
}

// Only the same tenant gets it, for the same request, for as long as it lives.
func TestWhoseLastGoodAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		body    string
		header  []string
		later   time.Duration
		edit    func(*scripted)
		want    bool
		another string // tenant of both calls
	}{
		"the same":            {want: true},
		"shortly before":      {later: time.Hour - time.Millisecond, want: true},
		"too late":            {later: time.Hour},
		"another tenant":      {header: []string{tenantHeader, "other"}},
		"no tenant":           {another: alipayai.AnonymousTenant},
		"another prompt":      {body: chatBody("Hello")},
		"another temperature": {body: strings.Replace(chatBody("hello"), "{", `{"temperature":0,`, 1)},
		"a stream":            {body: streamBody("hello")},
		"another model":       {edit: func(s *scripted) { s.gateway.Providers[0].Model = "newer" }},
		"money by now":        {edit: func(s *scripted) { s.gateway.Class = alipayai.ClassMoney }},
		"with a proof":        {header: []string{"Payment-Proof", "paid"}},
		"the client left":     {edit: func(s *scripted) { s.fails(hangs) }},
		"a request at fault":  {edit: func(s *scripted) { s.fails(says(400, "{}")) }},
		"a blocked request":   {edit: func(s *scripted) { s.fails(says(200, `{"code":"COMPLIANCE_BLOCKED"}`)) }},
		"payment asked for":   {edit: func(s *scripted) { s.fails(says(402, "{}", "Payment-Needed", "invoice")) }},
		"an empty account":    {edit: func(s *scripted) { s.fails(says(402, "{}")) }, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{good}, {good}}, caching())
				var whose []string
				if test.another != "" {
					whose = []string{tenantHeader, test.another}
				}
				before := s.call(chatBody("hello"), whose...)
				s.fails(sysError)
				if test.edit != nil {
					test.edit(s)
				}
				time.Sleep(test.later)
				if test.body == "" {
					test.body = chatBody("hello")
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				got := s.callWith(ctx, test.body, append(whose, test.header...)...)
				if cached := got.header.Get("Cache-Status") != ""; cached != test.want || cached && got.body != before.body {
					t.Errorf("%d %v %s", got.status, got.header, got.body)
				}
			})
		})
	}
}

// Answers that are not whole, or not good, or of calls that may move money, are not kept.
func TestWhatIsNotCached(t *testing.T) {
	for name, test := range map[string]struct {
		turn   turn
		body   string
		edit   func(*alipayai.Gateway)
		header []string
	}{
		"a stream that is cut":       {turn: streams(nil, deltaEvent), body: streamBody("hello")},
		"a stream that fails":        {turn: streams(nil, deltaEvent, `{"error":{"code":"SYSTEM_ERROR"}}`), body: streamBody("hello")},
		"a stream that hangs":        {turn: streams(silent, deltaEvent), body: streamBody("hello")},
		"money":                      {turn: good, edit: money},
		"hosted tools":               {turn: good, body: strings.Replace(chatBody("hello"), "{", `{"tools":[{"type":"web_search"}],`, 1)},
		"paid for":                   {turn: good, header: []string{"Payment-Proof", "paid"}},
		"402":                        {turn: says(402, `{"choices":[{}]}`, "Payment-Needed", "invoice")},
		"an empty account's 402":     {turn: says(402, `{"choices":[{}]}`)},
		"what is too large":          {turn: says(200, `{"choices":[{}],"x":"`+strings.Repeat("x", alipayai.MaxRecorded)+`"}`)},
		"no tenant's":                {turn: good, header: []string{tenantHeader, alipayai.AnonymousTenant}},
		"a stream that is too large": {turn: streams(nil, append(manyEvents(), finishEvent, "[DONE]")...), body: streamBody("hello")},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				kept := &counting{Cache: replay.NewMemoryCache(time.Now).Within(64 << 20)}
				s := perform(t, [][]turn{{test.turn}}, func(g *alipayai.Gateway) {
					g.Answers = &alipayai.AnswerCache{Cache: kept, TTL: time.Hour}
					if test.edit != nil {
						test.edit(g)
					}
				})
				if test.body == "" {
					test.body = chatBody("hello")
				}
				s.call(test.body, test.header...)
				if kept.puts != 0 {
					t.Errorf("kept %d answers", kept.puts)
				}
			})
		})
	}
}

func manyEvents() []string {
	events := make([]string, 20)
	for i := range events {
		events[i] = `{"choices":[{"delta":{"content":"` + strings.Repeat("x", 64<<10) + `"}}]}`
	}
	return events
}

// What the client did not stay to hear to its end may not be whole.
func TestAbandonedStreamIsNotCached(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		kept := &counting{Cache: replay.NewMemoryCache(time.Now).Within(64 << 20)}
		s := perform(t, [][]turn{{streams(silent, deltaEvent)}}, caching(func(a *alipayai.AnswerCache) { a.Cache = kept }))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s.callWith(ctx, streamBody("hello"))
		if o := s.outcome(); o.Code != failure.CodeClientGone || kept.puts != 0 {
			t.Errorf("outcome %+v, kept %d answers", o, kept.puts)
		}
	})
}

// counting is a cache that counts what it is given.
type counting struct {
	replay.Cache
	puts int
}

func (c *counting) Put(ctx context.Context, tenant string, key replay.Key, a replay.Answer, ttl time.Duration, also ...replay.Entry) error {
	c.puts++
	return c.Cache.Put(ctx, tenant, key, a, ttl, also...)
}

// away is a store that is not there.
type away struct{}

func (away) Get(context.Context, string, replay.Key) (replay.Answer, bool, error) {
	return replay.Answer{}, false, replay.ErrUnavailable
}

func (away) Put(context.Context, string, replay.Key, replay.Answer, time.Duration, ...replay.Entry) error {
	return errors.New("away")
}

// A cache that is away is a miss, and no call fails for it.
func TestCacheThatIsAway(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{good, sysError}}, caching(func(a *alipayai.AnswerCache) { a.Cache = away{} }))
		if got := s.call(chatBody("hello")); got.status != http.StatusOK {
			t.Errorf("%d %s", got.status, got.body)
		}
		wantError(t, s.call(chatBody("hello")), http.StatusInternalServerError, "SYSTEM_ERROR")
	})
}
