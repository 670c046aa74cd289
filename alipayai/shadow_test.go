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
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/shadow"
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
	return newShadowAt(t, newUpstreamOf(t, "shadow", cfg))
}

// newShadowAt is newShadow for a provider that is there.
func newShadowAt(t *testing.T, at *simulated) *shadowed {
	t.Helper()
	s := &shadowed{simulated: at, t: t}
	s.provider.Region = "cn"
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

// settled waits for so many copies, and until nothing more is asked, and gives what was compared. A client may have its
// answer before the call is copied.
func (s *shadowed) settled(copies int) []shadow.Pair {
	s.t.Helper()
	waitFor(s.t, fmt.Sprintf("%d copies", copies), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.pairs)+len(s.dropped) >= copies
	})
	s.running.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := len(s.pairs) + len(s.dropped); got != copies {
		s.t.Errorf("%d copies, want %d", got, copies)
	}
	return s.pairs
}

// differs gives the differences of a pair but for latency, which on a busy machine may be any.
func differs(p shadow.Pair) (list []shadow.Difference) {
	return slices.DeleteFunc(slices.Clone(p.Differences), func(d shadow.Difference) bool { return d.Aspect == shadow.Latency })
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
						pairs := s.settled(1)
						if len(pairs) != 1 || len(s.calls()) != 1 || len(l.upstreams[0].calls()) != 1 {
							t.Fatalf("%d pairs, %d copies of %d calls; dropped %q", len(pairs), len(s.calls()), len(l.upstreams[0].calls()), s.dropped)
						}
						if body := string(s.calls()[0].body); !strings.Contains(body, prompt) {
							t.Errorf("the copy is %s", body)
						}
						if p := pairs[0]; len(differs(p)) != 0 || p.Real.Provider != "first" || p.Call.Tenant != "acme" || len(p.Real.Answer) == 0 || len(p.Shadow.Answer) == 0 {
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

// What each provider does is judged beside what the other does, also where the one has failed.
func TestShadowIsJudged(t *testing.T) {
	type faults = []sandbox.Fault
	system, busy := sandbox.Fault{Kind: sandbox.SystemError200}, sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 503, Code: "BUSY"}
	filtered := sandbox.Fault{Kind: sandbox.FinishReason, Code: "content_filter"}
	for name, tt := range map[string]struct {
		real, shadow faults
		prompt       string
		version      int
		tools        bool
		stream       bool
		want         []shadow.Difference
	}{
		"both answer":                        {prompt: "hello"},
		"the shadow blocks":                  {prompt: "predict future income", want: []shadow.Difference{{Aspect: shadow.Blocked, Worse: shadow.OfShadow}}},
		"the shadow blocks a stream":         {prompt: "predict future income", stream: true, want: []shadow.Difference{{Aspect: shadow.Blocked, Worse: shadow.OfShadow}}},
		"the real one filters":               {prompt: "hello", real: faults{filtered}, want: []shadow.Difference{{Aspect: shadow.Blocked, Worse: shadow.Real}}},
		"both filter":                        {prompt: "hello", real: faults{filtered}, shadow: faults{filtered}},
		"the shadow fails":                   {prompt: "hello", shadow: faults{system}, want: []shadow.Difference{{Aspect: shadow.Failure, Worse: shadow.OfShadow}}},
		"the real one fails":                 {prompt: "hello", real: faults{system}, want: []shadow.Difference{{Aspect: shadow.Failure, Worse: shadow.Real}}},
		"both fail":                          {prompt: "hello", real: faults{system}, shadow: faults{system}},
		"both fail, each in its way":         {prompt: "hello", real: faults{system}, shadow: faults{busy}, want: []shadow.Difference{{Aspect: shadow.Failure, Worse: shadow.Neither}}},
		"one fails, and one blocks":          {prompt: "predict future income", real: faults{system}, want: []shadow.Difference{{Aspect: shadow.Failure, Worse: shadow.Neither}}},
		"the shadow's stream breaks off":     {prompt: "[[events:20]] hello", stream: true, shadow: faults{{Kind: sandbox.Cut, AfterEvents: 5}}, want: []shadow.Difference{{Aspect: shadow.Failure, Worse: shadow.OfShadow}}},
		"the real one's stream breaks off":   {prompt: "[[events:20]] hello", stream: true, real: faults{{Kind: sandbox.Cut, AfterEvents: 5}}, want: []shadow.Difference{{Aspect: shadow.Failure, Worse: shadow.Real}}},
		"another finish reason":              {prompt: "hello", shadow: faults{{Kind: sandbox.FinishReason, Code: "length"}}, want: []shadow.Difference{{Aspect: shadow.Finish, Worse: shadow.Neither}}},
		"another finish reason, in a stream": {prompt: "hello", stream: true, shadow: faults{{Kind: sandbox.FinishReason, Code: "length"}}, want: []shadow.Difference{{Aspect: shadow.Finish, Worse: shadow.Neither}}},
		"good tool calls":                    {prompt: "use the tool", tools: true},
		"broken tool calls":                  {prompt: "use the tool", tools: true, version: 2, want: []shadow.Difference{{Aspect: shadow.ToolCalls, Worse: shadow.OfShadow}}},
		"broken tool calls in a stream":      {prompt: "use the tool", tools: true, stream: true, version: 2, want: []shadow.Difference{{Aspect: shadow.ToolCalls, Worse: shadow.OfShadow}}},
		"slower":                             {prompt: "hello", shadow: faults{{Kind: sandbox.Latency, Delay: 2 * time.Second}}, want: []shadow.Difference{{Aspect: shadow.Latency, Worse: shadow.OfShadow}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShadow(t, sandbox.Config{Format: sandbox.OpenAI, Mode: sandbox.Production, APIVersion: tt.version})
			r := newRig(t, sandbox.Config{}, s.beside)
			r.set(tt.real...)
			s.set(t, tt.shadow...)
			tools := ""
			if tt.tools {
				tools = weatherTool
			}
			r.post(chatPath, fmt.Sprintf(`{"model":"alipay-fin-1","messages":[{"role":"user","content":%q}],"stream":%v%s}`, tt.prompt, tt.stream, tools))
			pairs := s.settled(1)
			if len(pairs) != 1 {
				t.Fatalf("%d pairs; dropped %q", len(pairs), s.dropped)
			}
			got := differs(pairs[0])
			if name == "slower" {
				got = pairs[0].Differences
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%+v, want %+v: %+v and %+v", pairs[0].Differences, tt.want, pairs[0].Real, pairs[0].Shadow)
			}
		})
	}
}
