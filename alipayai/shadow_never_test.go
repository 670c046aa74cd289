package alipayai_test

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/moderate"
	"github.com/caddy-alipayai/gateway/alipayai/residency"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
)

// served serves a call, and returns when all is done that is done for its client.
func served(ctx context.Context, g *alipayai.Gateway, tenant, path, body string, header ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header[header[i]] = []string{header[i+1]}
	}
	w := httptest.NewRecorder()
	defer func() {
		v := recover()
		if err, _ := v.(error); v != nil && !errors.Is(err, http.ErrAbortHandler) {
			panic(v)
		}
	}()
	serve(g, w, req, tenant)
	return w
}

// Some calls have no copy, whoever makes them, and others only with one that has been served. Counted at the shadow.
func TestShadowGetsNone(t *testing.T) {
	moderated := func(m alipayai.Moderation) context.Context { return alipayai.WithModeration(t.Context(), m) }
	hosted := strings.Replace(chatBody("hello"), "{", `{"tools":[{"type":"web_search"}],`, 1)
	for name, tt := range map[string]struct {
		tenant string
		path   string
		body   string
		header []string
		ctx    context.Context
		faults []sandbox.Fault // from the second call on
		edit   func(g *alipayai.Gateway)
		calls  int // 1 by default
		status int // of the last
		copies int
	}{
		"a call":                                   {copies: 1, status: 200},
		"embeddings":                               {path: "/v1/embeddings", body: `{"model":"alipay-embed-1","input":"hello"}`, copies: 1, status: 200},
		"of anonymous":                             {tenant: alipayai.AnonymousTenant, status: 200},
		"without a tenant":                         {tenant: "", status: 200},
		"of a tenant that has opted out":           {tenant: "private", status: 200},
		"of one whose text may not go there":       {tenant: "local", status: 200},
		"with tools that the provider runs":        {body: hosted, status: 400},
		"with a proof of payment":                  {header: []string{"Payment-Proof", "paid-1"}, status: 200},
		"that has to be paid for":                  {faults: []sandbox.Fault{{Kind: sandbox.PaymentRequired}}, calls: 2, copies: 1, status: 402},
		"that was answered before":                 {header: keyed, edit: claiming, calls: 3, copies: 1, status: 200},
		"that is answered from the cache":          {edit: caching(), faults: []sandbox.Fault{{Kind: sandbox.SystemError500}}, calls: 3, copies: 1, status: 200},
		"that cannot be read":                      {body: `{"model":"alipay-fin-1"}`, status: 400},
		"for a model that is not served":           {body: strings.Replace(chatBody("hello"), "alipay-fin-1", "none", 1), edit: first(func(p *upstream.Provider) { p.Models = []string{"alipay-fin-1"} }), status: 404},
		"that the gateway has rejected":            {edit: first(func(p *upstream.Provider) { p.Cap = closedCap() }), status: 429},
		"that a moderator forbids":                 {ctx: moderated(alipayai.Moderation{Verdict: alipayai.Pending([]byte(chatBody("hello")), func() *failure.Failure { return alipayai.ModerationBlocked("law") })}), status: 403},
		"whose answer a rule has refused":          {ctx: moderated(alipayai.Moderation{Guard: &alipayai.OutputGuard{Rules: outputRules(t, "hello"), Name: "law"}}), status: 403},
		"whose stream a rule has refused":          {body: streamBody("hello"), ctx: moderated(alipayai.Moderation{Guard: &alipayai.OutputGuard{Rules: outputRules(t, "hello"), Name: "law", Window: 64}}), status: 403},
		"that a moderator permits":                 {ctx: moderated(alipayai.Moderation{Verdict: alipayai.Pending([]byte(chatBody("hello")), func() *failure.Failure { return nil })}), copies: 1, status: 200},
		"of which the tokens are counted":          {path: "/v1/messages/count_tokens", body: `{"model":"alipay-fin-1","messages":[{"role":"user","content":"hello"}]}`, status: 200},
		"that is blocked again without being sent": {body: chatBody("predict future income"), edit: remembering, calls: 3, copies: 1, status: 403},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShadow(t, sandbox.Config{Format: sandbox.OpenAI})
			r := newRig(t, sandbox.Config{Mode: sandbox.Production}, s.beside, func(g *alipayai.Gateway) {
				s.provider.Region, g.AllowCrossRegion = "us", true
				err := s.provider.Prepare()
				if err != nil {
					t.Fatal(err)
				}
				if g.Residency, err = residency.New(map[string][]string{"local": {"cn"}}); err != nil {
					t.Fatal(err)
				}
				if tt.edit != nil {
					tt.edit(g)
				}
			})
			tenant, path, body, ctx := tt.tenant, chatPath, chatBody("hello"), t.Context()
			if tt.tenant == "" && name != "without a tenant" {
				tenant = "acme"
			}
			if tt.path != "" {
				path = tt.path
			}
			if tt.body != "" {
				body = tt.body
			}
			if tt.ctx != nil {
				ctx = tt.ctx
			}
			var status int
			for n := range max(tt.calls, 1) {
				if n == 1 {
					r.set(tt.faults...)
				}
				status = served(ctx, r.gateway, tenant, path, body, tt.header...).Code
			}
			s.settled(tt.copies)
			if n := s.Stats().Paths[path]; int(n) != tt.copies || status != tt.status {
				t.Errorf("%d copies and status %d, want %d and %d", n, status, tt.copies, tt.status)
			}
		})
	}
}

// outputRules refuse answers with that word.
func outputRules(t *testing.T, word string) *moderate.Rules {
	t.Helper()
	rules := new(moderate.Rules)
	if err := errors.Join(rules.AddWords("law", word), rules.Compile()); err != nil {
		t.Fatal(err)
	}
	return rules
}

func remembering(g *alipayai.Gateway) {
	g.Blocked = &alipayai.BlockedCalls{Calls: new(moderate.Blocked), TTL: time.Hour}
}

// A call whose client leaves says nothing of how a provider does.
func TestShadowGetsNoneOfClientsThatLeave(t *testing.T) {
	s := newShadow(t, sandbox.Config{Format: sandbox.OpenAI})
	r := newRig(t, sandbox.Config{}, s.beside)
	ctx, cancel := context.WithCancel(t.Context())
	r.set(sandbox.Fault{Kind: sandbox.Stall, AfterEvents: 2})
	request, err := wire.ParseChatRequest([]byte(streamBody("[[events:20]] hello")), wire.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := r.gateway.Do(ctx, &alipayai.Call{Endpoint: upstream.EndpointChat, Tenant: "acme", Request: request, Format: openai.Format{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Next(); err != nil {
		t.Fatal(err)
	}
	cancel()
	for err == nil {
		_, err = a.Next()
	}
	a.Close(false)
	s.settled(0)
	if len(s.calls()) != 0 {
		t.Errorf("%d copies", len(s.calls()))
	}
}

// The copy leaves when all of the answer, or the error, has been given to the client's connection.
func TestShadowComesAfterTheAnswer(t *testing.T) {
	for door, f := range fronts {
		for name, tt := range map[string]struct {
			stream bool
			fault  sandbox.Fault
		}{
			"an answer": {}, "a stream": {stream: true}, "an error": {fault: sandbox.Fault{Kind: sandbox.SystemError500}},
			"a broken stream": {true, sandbox.Fault{Kind: sandbox.Cut, AfterEvents: 2}},
		} {
			t.Run(door+", "+name, func(t *testing.T) {
				s := newShadow(t, sandbox.Config{Format: sandbox.OpenAI})
				w := &flushing{ResponseRecorder: httptest.NewRecorder()}
				copies, early := 0, 0
				r := newRig(t, sandbox.Config{}, s.beside, func(g *alipayai.Gateway) {
					g.Shadow.Copy = func(*alipayai.Call, *alipayai.Seen) {
						copies++
						if w.Body.Len() == 0 || w.flushed != w.Body.Len() {
							early++
						}
					}
				})
				if tt.fault.Kind != "" {
					r.set(tt.fault)
				}
				req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, f.path, strings.NewReader(f.body("[[events:9]] hello", tt.stream)))
				req.Header.Set("Content-Type", "application/json")
				func() {
					defer func() { _ = recover() }()
					serve(r.gateway, w, req, "acme")
				}()
				if copies != 1 || early != 0 {
					t.Errorf("%d copies, %d of them before the end", copies, early)
				}
			})
		}
	}
}

// flushing knows how much has been flushed.
type flushing struct {
	*httptest.ResponseRecorder
	flushed int
}

func (w *flushing) Flush() { w.flushed = w.Body.Len() }

// About the share of the calls is copied.
func TestShadowHasItsShare(t *testing.T) {
	s := newShadow(t, sandbox.Config{Format: sandbox.OpenAI})
	copies := 0
	r := newRig(t, sandbox.Config{}, s.beside, func(g *alipayai.Gateway) {
		g.Shadow.Share = 0.3
		g.Shadow.Copy = func(*alipayai.Call, *alipayai.Seen) { copies++ }
	})
	const calls = 500
	for range calls {
		served(t.Context(), r.gateway, "acme", chatPath, chatBody("hello"))
	}
	if mean, deviation := 0.3*calls, math.Sqrt(0.3*0.7*calls); math.Abs(float64(copies)-mean) > 6*deviation {
		t.Errorf("%d of %d calls are copied, want about %v", copies, calls, mean)
	}
}

// A shadow that cannot be is refused.
func TestShadowIsRefused(t *testing.T) {
	for want, edit := range map[string]func(*alipayai.Gateway){
		"no meaning for class money":      func(g *alipayai.Gateway) { g.Class = alipayai.ClassMoney },
		"serves calls here already":       func(g *alipayai.Gateway) { g.Shadow.Provider = g.Providers[0] },
		"are the same app":                func(g *alipayai.Gateway) { g.Shadow.Provider.BaseURL = g.Providers[0].BaseURL },
		"would move data between regions": func(g *alipayai.Gateway) { g.Shadow.Provider.Region = "us" },
		"do not say where data stays":     func(g *alipayai.Gateway) { g.Providers[0].Region, g.Shadow.Provider.Region = "", "" },
		"the share must be a part":        func(g *alipayai.Gateway) { g.Shadow.Share = 2 },
		"is an agent": func(g *alipayai.Gateway) {
			g.Shadow.Provider = newUpstream(t, "agent", sandbox.NextBuilder).provider
			g.Shadow.Provider.Region = "cn"
		},
		"profile openapi-v2 signs form": func(g *alipayai.Gateway) { g.Shadow.Provider.Profile = profile(t, "openapi-v2") },
		"":                              func(*alipayai.Gateway) {},
	} {
		s := newShadow(t, sandbox.Config{Format: sandbox.OpenAI})
		g := &alipayai.Gateway{Providers: []*upstream.Provider{simProvider(t, "http://real.test")}}
		s.beside(g)
		edit(g)
		for _, p := range []*upstream.Provider{g.Providers[0], g.Shadow.Provider} {
			if err := p.Prepare(); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.Prepare(); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A shadow with addresses in several regions gets the copy of a call at those alone where the call's tenant may be.
func TestShadowKeepsToTheRegionsOfItsCalls(t *testing.T) {
	elsewhere := newUpstreamOf(t, "elsewhere", sandbox.Config{Format: sandbox.OpenAI})
	s := newShadow(t, sandbox.Config{Format: sandbox.OpenAI})
	s.provider.Addresses = []*upstream.Address{{URL: elsewhere.provider.BaseURL, Region: "us"}}
	if err := s.provider.Prepare(); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, sandbox.Config{}, s.beside, func(g *alipayai.Gateway) {
		g.AllowCrossRegion = true
		var err error
		if g.Residency, err = residency.New(map[string][]string{"local": {"cn"}}); err != nil {
			t.Fatal(err)
		}
	})
	const calls = 5
	for i := range calls {
		served(t.Context(), r.gateway, "local", chatPath, chatBody("hello"))
		s.settled(i + 1)
	}
	if there, here := elsewhere.Stats().Paths[chatPath], s.Stats().Paths[chatPath]; there != 0 || here != calls {
		t.Errorf("%d copies went to another region, and %d to the call's own, want 0 and %d", there, here, calls)
	}
	for i := range calls {
		served(t.Context(), r.gateway, "acme", chatPath, chatBody("hello"))
		s.settled(calls + i + 1)
	}
	if there := elsewhere.Stats().Paths[chatPath]; there == 0 {
		t.Error("no copy of a tenant that may be anywhere went to the other region")
	}
}
