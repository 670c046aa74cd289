package alipayai_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// claiming gives a gateway claims of its own.
func claiming(g *alipayai.Gateway) {
	g.Claims = &alipayai.Claims{Store: replay.NewMemoryClaims(time.Now).Within(64 << 20), TTL: time.Hour}
}

// keyed is the header of a call that happens once.
var keyed = []string{"Idempotency-Key", "order-1"}

// wantReplayed checks that got is the answer before, given again after age seconds.
func wantReplayed(t *testing.T, got, before reply, age string) {
	t.Helper()
	if got.status != before.status || got.body != before.body || got.err != nil {
		t.Errorf("%d %q (%v), want %q", got.status, got.body, got.err, before.body)
	}
	wantHeader(t, got, "Idempotent-Replayed", "true", "Age", age, "Cache-Status", "", "X-Alipayai-Attempts", "0",
		"Content-Type", before.header.Get("Content-Type"), "X-Alipayai-Provider", before.header.Get("X-Alipayai-Provider"))
}

func TestFinishedCallIsGivenAgain(t *testing.T) {
	for name, test := range map[string]struct {
		turns []turn
		body  string
		calls int
	}{
		"JSON":             {[]turn{good}, chatBody("hello"), 1},
		"a stream":         {[]turn{wholeStream}, streamBody("hello"), 1},
		"after a repeat":   {[]turn{busy, good}, chatBody("hello"), 2},
		"another good one": {[]turn{says(201, `{"choices":[{"finish_reason":"stop"}]}`)}, chatBody("hello"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{append(test.turns, sysError)}, claiming)
				before := s.call(test.body, keyed...)
				if before.status > 299 || before.header.Get("Idempotent-Replayed") != "" {
					t.Fatalf("%d %v %s", before.status, before.header, before.body)
				}
				s.outcome()
				time.Sleep(42 * time.Second)
				wantReplayed(t, s.call(test.body, keyed...), before, "42")
				if o := s.outcome(); o.Stored != alipayai.StoredClaim || o.Code != "" || o.Provider != "first" || o.Attempts != 0 {
					t.Errorf("outcome %+v", o)
				}
				s.wantCalls(test.calls)

				// Another request under the key is a mistake, whatever became of the first one.
				wantError(t, s.call(chatBody("bye"), keyed...), http.StatusUnprocessableEntity, failure.CodeIdempotencyReused)
				s.wantCalls(test.calls)
				// Its life ends, and the key is free.
				time.Sleep(time.Hour)
				s.call(test.body, keyed...)
				s.wantCalls(test.calls + 1)
			})
		})
	}
}

func TestParallelDuplicates(t *testing.T) {
	for mode, answers := range map[string]turn{chatBody("hello"): after(10*time.Second, good), streamBody("hello"): after(10*time.Second, wholeStream)} {
		testwait.Bubble(t, func(t *testing.T) {
			s := perform(t, [][]turn{{answers}}, claiming)
			var all sync.WaitGroup
			var first reply
			all.Go(func() { first = s.call(mode, keyed...) })
			synctest.Wait()
			for range 20 {
				all.Go(func() {
					got := s.call(mode, keyed...)
					wantError(t, got, http.StatusConflict, failure.CodeIdempotencyInFlight)
					wantHeader(t, got, "Retry-After", "1", "X-Should-Retry", "")
				})
				all.Go(func() {
					wantError(t, s.call(chatBody("bye"), keyed...), http.StatusUnprocessableEntity, failure.CodeIdempotencyReused)
				})
			}
			all.Wait()
			s.wantCalls(1)
			wantReplayed(t, s.call(mode, keyed...), first, "0")
		})
	}
}

// What is known not to have been done may be tried again; what is not known stays claimed.
func TestClaimsOfCallsThatFail(t *testing.T) {
	for name, test := range map[string]struct {
		turns []turn
		body  string
		edit  func(*alipayai.Gateway)
		held  bool
	}{
		"400":                         {turns: []turn{says(400, `{"code":"PARAM_ILLEGAL"}`)}},
		"blocked":                     {turns: []turn{says(200, `{"code":"COMPLIANCE_BLOCKED"}`)}},
		"throttled":                   {turns: []turn{says(429, "{}", "Retry-After", "60")}},
		"unreachable":                 {turns: []turn{refuses}},
		"payment is asked for":        {turns: []turn{says(402, "{}", "Payment-Needed", "invoice")}},
		"an empty account":            {turns: []turn{says(402, "{}")}},
		"408":                         {turns: []turn{says(408, "{}")}, held: true},
		"a timeout in a 200":          {turns: []turn{says(200, `{"error":{"code":524}}`)}, held: true},
		"throttled in a 200":          {turns: []turn{says(200, `{"error":{"code":429}}`)}},
		"credentials":                 {turns: []turn{says(401, `{"code":"INVALID_SIGNATURE"}`)}},
		"token":                       {turns: []turn{says(401, `{"code":"INVALID_ACCESS_TOKEN"}`)}},
		"busy, and for how long":      {turns: []turn{says(503, "{}", "Retry-After", "60")}},
		"the queue is too long":       {turns: []turn{good}, edit: first(func(p *upstream.Provider) { p.Cap = closedCap() })},
		"a model that is not there":   {turns: []turn{good}, edit: first(func(p *upstream.Provider) { p.Models = []string{"another"} })},
		"500":                         {turns: []turn{says(500, "{}")}, held: true},
		"timeout":                     {turns: []turn{hangs}, held: true},
		"broken connection":           {turns: []turn{breaks}, held: true},
		"system error":                {turns: []turn{sysError}, held: true},
		"system error in a 200":       {turns: []turn{says(200, `{"code":"SYSTEM_ERROR"}`)}, held: true},
		"malformed":                   {turns: []turn{says(200, "nonsense")}, held: true},
		"a stream that is cut":        {turns: []turn{streams(nil, deltaEvent)}, body: streamBody("hello"), held: true},
		"a stream that fails first":   {turns: []turn{streams(nil, `{"error":{"code":"SYSTEM_ERROR"}}`)}, body: streamBody("hello"), held: true},
		"an empty stream":             {turns: []turn{streams(nil)}, body: streamBody("hello"), held: true},
		"a stream blocked at once":    {turns: []turn{streams(nil, `{"error":{"code":"content_filter"}}`)}, body: streamBody("hello")},
		"a stream that hangs":         {turns: []turn{streams(silent, deltaEvent)}, body: streamBody("hello"), held: true},
		"too large to be given again": {turns: []turn{says(200, `{"choices":[{}],"x":"`+strings.Repeat("x", alipayai.MaxRecorded)+`"}`)}, held: true},
		"a panic":                     {turns: []turn{func(*http.Request) (*http.Response, error) { panic(http.ErrAbortHandler) }}, held: true},
		"money that never left":       {turns: []turn{refuses}, edit: money},
		"money that may have":         {turns: []turn{breaks}, edit: money, held: true},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{test.turns}, claiming, func(g *alipayai.Gateway) {
					if test.edit != nil {
						test.edit(g)
					}
				})
				if test.body == "" {
					test.body = chatBody("hello")
				}
				s.call(test.body, keyed...)
				asked := s.scripts[0].count()
				s.fails(good)
				for _, p := range s.gateway.Providers {
					p.Cap, p.Models = nil, nil
				}
				time.Sleep(time.Minute) // for which a provider that throttles is skipped
				got := s.call(test.body, keyed...)
				if !test.held {
					if got.header.Get("Idempotent-Replayed") != "" {
						t.Errorf("a failure was kept as an answer: %s", got.body)
					}
					s.wantCalls(asked + 1)
					return
				}
				wantError(t, got, http.StatusConflict, failure.CodeIdempotencyUnresolved)
				wantHeader(t, got, "X-Should-Retry", "false", "Retry-After", "")
				s.wantCalls(asked)
				time.Sleep(time.Hour - 2*time.Minute)
				wantError(t, s.call(test.body, keyed...), http.StatusConflict, failure.CodeIdempotencyUnresolved)
				time.Sleep(time.Minute)
				s.call(test.body, keyed...)
				s.wantCalls(asked + 1)
			})
		})
	}
}

// A client that leaves after the request was sent cannot know what it did.
func TestClaimsOfClientsThatLeave(t *testing.T) {
	for name, test := range map[string]struct {
		turn turn
		body string
		held bool
	}{
		"after sending":            {hangs, chatBody("hello"), true},
		"in the stream":            {streams(silent, deltaEvent), streamBody("hello"), true},
		"while it waits to repeat": {says(503, "{}", "Retry-After", "5"), chatBody("hello"), false},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{test.turn, good}}, claiming)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				s.callWith(ctx, test.body, keyed...)
				if o := s.outcome(); o.Code != failure.CodeClientGone {
					t.Errorf("outcome %+v", o)
				}
				s.wantCalls(1)
				got := s.call(test.body, keyed...)
				if test.held {
					wantError(t, got, http.StatusConflict, failure.CodeIdempotencyUnresolved)
					s.wantCalls(1)
				} else {
					s.wantCalls(2)
				}
			})
		})
	}
}

// One attempt that may have executed is enough, even if the next one definitely did not.
func TestClaimOfACallThatFellOver(t *testing.T) {
	for name, test := range map[string]struct {
		turns [][]turn
		held  bool
	}{
		"may have executed, then not": {[][]turn{{sysError}, {says(400, "{}")}}, true},
		"a timeout, then throttled":   {[][]turn{{hangs}, {says(429, "{}", "Retry-After", "60")}}, true},
		"never executed":              {[][]turn{{says(429, "{}")}, {refuses}}, false},
		"a token, then throttled":     {[][]turn{{says(401, "{}")}, {says(429, "{}", "Retry-After", "60")}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, test.turns, claiming)
				s.call(chatBody("hello"), keyed...)
				s.fails(good)
				got := s.call(chatBody("hello"), keyed...)
				if test.held {
					wantError(t, got, http.StatusConflict, failure.CodeIdempotencyUnresolved)
				} else if got.status != http.StatusOK {
					t.Errorf("%d %s", got.status, got.body)
				}
			})
		})
	}
	testwait.Bubble(t, func(t *testing.T) { // a fallback that answers settles it
		s := perform(t, [][]turn{{sysError}, {good}}, claiming)
		before := s.call(chatBody("hello"), keyed...)
		wantServed(t, before, "second", "2", "system_error")
		wantReplayed(t, s.call(chatBody("hello"), keyed...), before, "0")
		s.wantCalls(1, 1)
	})
	testwait.Bubble(t, func(t *testing.T) { // and so does an answer from the cache
		s := perform(t, [][]turn{{good, sysError, good}}, claiming, caching())
		before := s.call(chatBody("hello"))
		time.Sleep(10 * time.Second)
		wantCached(t, s.call(chatBody("hello"), keyed...), before, "10")
		time.Sleep(10 * time.Second)
		wantReplayed(t, s.call(chatBody("hello"), keyed...), before, "20")
		s.wantCalls(2)
		// Given again, it is not good for longer.
		s.fails(sysError)
		time.Sleep(time.Hour - 20*time.Second)
		wantError(t, s.call(chatBody("hello")), http.StatusInternalServerError, "SYSTEM_ERROR")
	})
}

// Keys are those of a tenant and an endpoint; those of no tenant count for nothing.
func TestWhoseClaims(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{good}}, claiming)
		s.call(chatBody("hello"), keyed...)
		for i, header := range [][]string{{tenantHeader, "other"}, {tenantHeader, "third"}} {
			got := s.call(chatBody("hello"), append(header, keyed...)...)
			if got.status != http.StatusOK || got.header.Get("Idempotent-Replayed") != "" {
				t.Errorf("%d %v", got.status, got.header)
			}
			s.wantCalls(2 + i)
		}
		for i := range 3 {
			s.call(chatBody("hello"), append([]string{tenantHeader, alipayai.AnonymousTenant}, keyed...)...)
			s.wantCalls(4 + i)
		}
		for i := range 2 { // without a key every call is another
			s.call(chatBody("hello"))
			s.wantCalls(7 + i)
		}
		ids := make(map[string]bool)
		for _, a := range s.scripts[0].seen {
			ids[a.header.Get("Idempotency-Key")] = true
		}
		if len(ids) != s.scripts[0].count() {
			t.Errorf("%d ids for %d calls of different owners", len(ids), s.scripts[0].count())
		}
	})
}

// gone are claims of a store that is not there.
type gone struct{}

func (gone) Claim(context.Context, string, replay.Key, [32]byte, time.Duration) (replay.Claim, *replay.Answer, error) {
	return nil, nil, replay.ErrUnavailable
}

// A claim that cannot be made is not skipped.
func TestClaimsThatAreAway(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{good}}, func(g *alipayai.Gateway) { g.Claims = &alipayai.Claims{Store: gone{}, TTL: time.Hour} })
		for range 3 {
			got := s.call(chatBody("hello"), keyed...)
			wantError(t, got, http.StatusServiceUnavailable, failure.CodeIdempotencyUnavailable)
			wantHeader(t, got, "Retry-After", "1")
		}
		s.wantCalls(0)
		if got := s.call(chatBody("hello")); got.status != http.StatusOK {
			t.Errorf("a call without a key: %d %s", got.status, got.body)
		}
		s.wantCalls(1)
	})
}

// farClaims are claims in a store that takes its time to end one.
type farClaims struct{ replay.Claims }

type farClaim struct{ replay.Claim }

func (f farClaims) Claim(ctx context.Context, tenant string, key replay.Key, request [32]byte, lease time.Duration) (replay.Claim, *replay.Answer, error) {
	claim, before, err := f.Claims.Claim(ctx, tenant, key, request, lease)
	if claim != nil {
		claim = farClaim{claim}
	}
	return claim, before, err
}

func (f farClaim) Finish(ctx context.Context, answer replay.Answer, ttl time.Duration) error {
	testwait.Pass(40 * time.Millisecond)
	return f.Claim.Finish(ctx, answer, ttl)
}

// The client has the first byte when its claim has ended, which the measure of it says.
func TestFirstByteComesBehindTheClaim(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{says(200, `{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}`)}}, claiming, func(g *alipayai.Gateway) { g.Claims.Store = farClaims{g.Claims.Store} })
		s.call(chatBody("hello"), keyed...)
		if o := s.outcome(); o.FirstByte < 40*time.Millisecond {
			t.Errorf("first byte after %v", o.FirstByte)
		}
	})
}
