package alipayai_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/shadow"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// oneState is a store of one process.
type oneState struct {
	mu    sync.Mutex
	state []byte
}

func (s *oneState) Update(_ context.Context, _ string, change func(old []byte, now time.Time) ([]byte, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	state, err := change(s.state, time.Now())
	if err == nil {
		s.state = state
	}
	return err
}

// shadowed is a shadow beside a gateway, and what came of its copies.
type shadowed struct {
	*simulated
	t       *testing.T
	queue   *shadow.Queue
	running sync.WaitGroup

	mu      sync.Mutex
	pairs   []shadow.Pair
	dropped []string
}

func (s *shadowed) Compared(p shadow.Pair, _ bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pairs = append(s.pairs, p)
}

func (s *shadowed) Dropped(reason string, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped = append(s.dropped, reason)
	if cause != nil {
		s.t.Error(cause)
	}
}

// newShadow starts a simulator that gets a copy of every call.
func newShadow(t *testing.T, cfg sandbox.Config) *shadowed {
	t.Helper()
	s := &shadowed{simulated: newUpstreamOf(t, "shadow", cfg), t: t}
	s.provider.ClientID, s.provider.Region = "sandbox-shadow", "cn"
	if cfg.Format == sandbox.OpenAI {
		s.provider.ClientID = sandbox.DemoClientID // at a host of its own
	}
	if err := s.provider.Prepare(); err != nil {
		t.Fatal(err)
	}
	s.queue = &shadow.Queue{
		Gateway: shadow.NewGateway(s.provider), MaxCalls: shadow.DefaultMaxCalls, MaxBytes: shadow.DefaultMaxBytes,
		History: shadow.NewHistory(new(oneState), "k", shadow.DefaultDivergence), Observer: s,
		Running: func() func() {
			s.running.Add(1)
			return s.running.Done
		},
	}
	s.queue.Gateway.Deadline = 10 * time.Second
	if err := s.queue.Gateway.Prepare(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.running.Wait)
	return s
}

// beside has the gateway copy its calls.
func (s *shadowed) beside(g *alipayai.Gateway) {
	for _, p := range g.Providers {
		p.Region = "cn"
	}
	g.Shadow = &alipayai.Shadow{Provider: s.provider, Share: 1, OptedOut: map[string]bool{"private": true}, Copy: s.queue.Copy}
}

// settled waits until nothing more is asked, and gives what was compared.
func (s *shadowed) settled() []shadow.Pair {
	s.t.Helper()
	s.running.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pairs
}

// Every call has a copy, at every door and in every format, after its answer; and none that may
// not have one. Counted at the shadow.
func TestShadowGetsCopies(t *testing.T) {
	for door, f := range fronts {
		for _, format := range []sandbox.Format{sandbox.OpenAI, sandbox.Anthropic} {
			for _, of := range []sandbox.Format{sandbox.OpenAI, sandbox.Anthropic} {
				for _, stream := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s, %s, of %s, stream %v", door, format, of, stream), func(t *testing.T) {
						t.Parallel()
						s := newShadow(t, sandbox.Config{Format: format})
						l := newLadder(t, []sandbox.Format{of}, s.beside)
						got := l.post(f.path, f.body(prompt, stream))
						if got.status != http.StatusOK {
							t.Fatalf("%d %s", got.status, got.body)
						}
						pairs := s.settled()
						if len(pairs) != 1 || len(s.calls()) != 1 || len(l.upstreams[0].calls()) != 1 {
							t.Fatalf("%d pairs, %d copies of %d calls; dropped %q", len(pairs), len(s.calls()), len(l.upstreams[0].calls()), s.dropped)
						}
						if body := string(s.calls()[0].body); !strings.Contains(body, prompt) {
							t.Errorf("the copy is %s", body)
						}
						if p := pairs[0]; len(p.Differences) != 0 || p.Real.Provider != "first" || p.Call.Tenant != "acme" || len(p.Real.Answer) == 0 || len(p.Shadow.Answer) == 0 {
							t.Errorf("%+v of %s and %s", p.Differences, p.Real.Answer, p.Shadow.Answer)
						}
						if o := l.outcome(); o.Shadow != "shadow" || o.Provider != "first" || o.Attempts != 1 {
							t.Errorf("outcome %+v", o)
						}
						if n := len(l.seen.settled); n != 0 {
							t.Errorf("%d more calls are settled", n)
						}
					})
				}
			}
		}
	}
}

var _ = upstream.EndpointChat
