package alipayai_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/failover/canary"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// Streams of equals: one that fails before its content is asked of the other, one that has shown content is not.
func TestStreamsOfEquals(t *testing.T) {
	for name, test := range map[string]struct {
		first  turn
		second int // requests that reach it
		whole  bool
	}{
		"whole":                    {wholeStream, 0, true},
		"refused":                  {refuses, 1, true},
		"a failure before content": {says(503, `{"error":{"message":"busy"}}`), 1, true},
		"nothing in it":            {streams(nil), 1, true},
		"broken after content":     {streams(func(context.Context) error { return io.ErrUnexpectedEOF }, deltaEvent), 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{test.first}, {wholeStream}}, joined(2, 50))
				s.drain(t.Context())
				got := s.call(strings.Replace(chatOf(s.conversationOf(0)), `{`, `{"stream":true,`, 1))
				if whole := strings.HasSuffix(got.body, "data: [DONE]\n\n"); whole != test.whole {
					t.Errorf("%q (%v)", got.body, got.err)
				}
				if by, want := got.header.Get(alipayai.HeaderProvider), [...]string{"first", "second"}[test.second]; by != want {
					t.Errorf("served by %q, want %q", by, want)
				}
				if n := s.scripts[1].count(); n != test.second {
					t.Errorf("%d requests reached the second, want %d", n, test.second)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// An answer of one of the equals is the last good one for a call that begins at another.
func TestCachedAnswersOfEquals(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{good}, {good}}, joined(2, 50), caching())
		s.drain(t.Context())
		body := chatOf(s.conversationOf(0))
		before := s.call(body)
		s.fails(sysError)
		time.Sleep(5 * time.Second)
		got := s.call(body)
		wantHeader(t, got, "Cache-Status", "alipayai; hit", "Age", "5")
		if got.body != before.body {
			t.Errorf("%q, want %q", got.body, before.body)
		}
		if s.scripts[1].count() == 0 {
			t.Error("the other of the equals was not asked before")
		}
		time.Sleep(time.Minute)
	})
}

// Calls of anonymous clients are of no conversation that can be told: they go to all of the equals, within each one's cap.
func TestAnonymousCallsOfEquals(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{good}, {good}}, joined(2, 10))
		s.drain(t.Context())
		began := time.Now()
		var all sync.WaitGroup
		for range 40 {
			all.Go(func() {
				if got := s.call(chatBody("hello"), tenantHeader, alipayai.AnonymousTenant); got.status != http.StatusOK {
					t.Errorf("%d %s", got.status, got.body)
				}
			})
		}
		all.Wait()
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("40 calls took %v at twice 10 a second", took)
		}
		s.wantCapped(10)
		if a, b := s.scripts[0].count(), s.scripts[1].count(); a == 0 || b == 0 || a+b != 40 {
			t.Errorf("%d and %d requests", a, b)
		}
		time.Sleep(time.Minute)
	})
}

// The candidate of one of the equals gets its share of those calls that are that one's, and none of the others'.
func TestCanaryOfOneOfTheEquals(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		next := &script{turns: []turn{good}}
		s := perform(t, [][]turn{{good}, {good}}, joined(2, 0), func(g *alipayai.Gateway) {
			p := plainProvider(t, "http://127.0.0.1:9")
			p.Name, p.Transport = "next", next
			if err := p.Prepare(); err != nil {
				t.Fatal(err)
			}
			trial := canary.New(canary.File{Path: filepath.Join(t.TempDir(), "canary.db")}, "k", canary.Plan{Steps: []canary.Step{{Share: 0.5, For: time.Hour}}, Guards: []canary.Guard{canary.Errors}})
			if err := trial.Exchange(t.Context()); err != nil {
				t.Fatal(err)
			}
			g.Canary = &alipayai.Canary{Trial: trial, Stable: g.Providers[0], Candidate: p}
		})
		s.drain(t.Context())
		by := make(map[string]int)
		for n := range 200 {
			by[s.call(chatOf(fmt.Sprint(n))).header.Get(alipayai.HeaderProvider)]++
		}
		if first, tried, second := by["first"], by["next"], by["second"]; first+tried+second != 200 || second < 60 || first < 25 || tried < 25 {
			t.Errorf("calls by provider: %v", by)
		}
		time.Sleep(time.Minute)
	})
}
