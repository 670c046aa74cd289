package alipayai_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/moderate"
	"github.com/caddy-alipayai/gateway/alipayai/outgoing"
	"github.com/caddy-alipayai/gateway/alipayai/pack"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
)

// direct has the first provider's requests go as the product's do, by connections that a recycled exchange needs. What was
// recycled is gone with the test: a bubble's time does not pass for timers that were made outside of it.
func direct(t *testing.T) func(*alipayai.Gateway) {
	t.Cleanup(emptyPools)
	return first(func(p *upstream.Provider) {
		transport := outgoing.NewTransport(newTransport(t))
		t.Cleanup(transport.CloseIdleConnections)
		p.Transport = transport
	})
}

// emptyPools takes two collections: the first leaves what there was for the second.
func emptyPools() {
	runtime.GC()
	runtime.GC()
}

// echoes answers with the prompt, as a whole or in two events.
func echoes(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	request, err := wire.ParseChatRequest(body, wire.Limits{})
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	texts := request.Texts()
	said := texts[len(texts)-1].Value
	if !request.Stream {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":"1","object":"chat.completion","created":1,"model":%q,"choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}]}`, "m-"+said, said)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for _, delta := range []string{`{"role":"assistant","content":"` + said + `"},"finish_reason":null`, `{},"finish_reason":"stop"`} {
		fmt.Fprintf(w, "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m-%s\",\"choices\":[{\"index\":0,\"delta\":%s}]}\n\n", said, delta)
		w.(http.Flusher).Flush()
	}
	_, _ = io.WriteString(w, "data: [DONE]\n\n")
}

// Only calls that nothing else can look at any more leave their memory to others.
func TestCallsThatAreRecycled(t *testing.T) {
	const calls = 32
	_, trial := withCanary(t, newTrial(t, false), sandbox.Config{})
	for name, test := range map[string]struct {
		edits    []func(*alipayai.Gateway)
		call     func(r *rig, i int)
		recycled bool
	}{
		"whole":            {call: func(r *rig, i int) { r.chat(fmt.Sprint("call ", i)) }, recycled: true},
		"stream":           {call: func(r *rig, i int) { r.stream(fmt.Sprint("call ", i)) }, recycled: true},
		"kept, with a key": {edits: []func(*alipayai.Gateway){claiming, caching()}, call: func(r *rig, i int) { r.chat(fmt.Sprint("call ", i), "Idempotency-Key", fmt.Sprint(i)) }, recycled: true},
		"given again": {edits: []func(*alipayai.Gateway){claiming}, call: func(r *rig, _ int) {
			r.chat("the same", "Idempotency-Key", "the same")
		}},
		"refused":     {call: func(r *rig, _ int) { r.post(chatPath, `{"model":1}`) }},
		"failed":      {call: func(r *rig, _ int) { r.chat("fails") }},
		"repeated":    {call: func(r *rig, i int) { r.chat(fmt.Sprint("repeat ", i)) }},
		"by net/http": {edits: []func(*alipayai.Gateway){first(func(p *upstream.Provider) { p.Transport = http.DefaultTransport })}, call: func(r *rig, i int) { r.chat(fmt.Sprint("call ", i)) }},
		"with a verdict": {call: func(r *rig, i int) {
			known := alipayai.Pending(nil, permits)
			_ = known.Await(r.t.Context()) // or the exchange is not at rest, for its wait
			r.answered(&alipayai.Call{Verdict: known}, i).Recycle()
		}},
		"in a trial":            {edits: []func(*alipayai.Gateway){trial}, call: func(r *rig, i int) { r.chat(fmt.Sprint("call ", i)) }},
		"seen by somebody":      {call: func(r *rig, i int) { r.answered(&alipayai.Call{Seen: new(alipayai.Seen)}, i).Recycle() }},
		"with a guard":          {call: func(r *rig, i int) { r.answered(&alipayai.Call{Guard: guardOf(r.t)}, i).Recycle() }},
		"that could be packed":  {edits: []func(*alipayai.Gateway){packsNobody}, call: func(r *rig, i int) { r.chat(fmt.Sprint("call ", i)) }},
		"that cannot be packed": {edits: []func(*alipayai.Gateway){packsNobody}, call: func(r *rig, i int) { r.chat(fmt.Sprint("call ", i), "Idempotency-Key", fmt.Sprint(i)) }, recycled: true},
		"by itself":             {call: func(r *rig, i int) { r.answered(&alipayai.Call{}, i).Recycle() }, recycled: true},
		"that keeps its answer": {call: func(r *rig, i int) { r.answered(&alipayai.Call{}, i) }},
	} {
		t.Run(name, func(t *testing.T) {
			var failed sync.Map
			r := newPlainRig(t, func(w http.ResponseWriter, req *http.Request) {
				body, _ := io.ReadAll(req.Body)
				_, again := failed.LoadOrStore(string(body), true)
				if text := string(body); strings.Contains(text, "fails") || strings.Contains(text, "repeat") && !again {
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				req.Body = io.NopCloser(strings.NewReader(string(body)))
				echoes(w, req)
			}, append([]func(*alipayai.Gateway){direct(t)}, test.edits...)...)
			r.chat("the first") // which opens a connection
			emptyPools()
			n := alipayai.CallsMade(func() {
				for i := range calls {
					test.call(r, i)
				}
			})
			if !alipayai.CallsAreNew() {
				t.Error("a call has kept something of a former one")
			}
			// The race detector has a pool forget every fourth.
			if recycled := n < calls*3/4; recycled != test.recycled || !recycled && n < calls {
				t.Errorf("%d calls had the memory of former ones %d times, want %v", calls, calls-n, test.recycled)
			}
		})
	}
}

// answered makes a call of in without a door, and closes its answer.
func (r *rig) answered(in *alipayai.Call, i int) *alipayai.Answer {
	r.t.Helper()
	body := chatBody(fmt.Sprint("call ", i))
	request, err := wire.ParseChatRequest([]byte(body), wire.Limits{})
	if err != nil {
		r.t.Fatal(err)
	}
	in.Endpoint, in.Tenant, in.Request, in.Format = upstream.EndpointChat, "acme", request, openai.Format{}
	a, err := r.gateway.Do(r.t.Context(), in)
	if err != nil {
		r.t.Fatal(err)
	}
	a.Close(true)
	return a
}

// packsNobody packs calls, but for a time none of the rig's tenant.
func packsNobody(g *alipayai.Gateway) {
	g.Packs = &alipayai.Packs{AcrossUsers: true, Agreements: new(pack.Agreements)}
	for off := false; !off; {
		_, off = g.Packs.Agreements.Compared("acme", false, alipayai.DefaultPackAgreement, time.Now())
	}
}

// guardOf refuses what no test says.
func guardOf(t *testing.T) *alipayai.OutputGuard {
	t.Helper()
	rules := new(moderate.Rules)
	if err := errors.Join(rules.AddWords("greetings", "secret handshake"), rules.Compile()); err != nil {
		t.Fatal(err)
	}
	return &alipayai.OutputGuard{Rules: rules, Name: "law", Window: 10}
}

// Calls that leave their memory to others cross in nothing: each client gets its own answer, and the header that it was given stays
// what it was, which Caddy's access log reads when the call is over.
func TestRecycledCallsDoNotCross(t *testing.T) {
	r := newPlainRig(t, echoes, direct(t), claiming, caching())
	type given struct {
		header http.Header
		prompt string
	}
	var mu sync.Mutex
	var all []given
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		serve(r.gateway, w, req, req.Header.Get(tenantHeader))
		mu.Lock()
		defer mu.Unlock()
		all = append(all, given{w.Header(), req.Header.Get("Prompt")})
	}))
	t.Cleanup(front.Close)
	r.url, r.client = front.URL, front.Client()
	ids := make(map[string]string)
	var callers sync.WaitGroup
	for caller := range 8 {
		callers.Go(func() {
			for i := range 40 {
				prompt, send := fmt.Sprintf("p%d-%d", caller, i), r.chat
				if i%3 == 0 {
					send = r.stream
				}
				header := []string{tenantHeader, fmt.Sprint("tenant ", caller%3), "Prompt", prompt}
				if i%2 == 0 {
					header = append(header, "Idempotency-Key", prompt)
				}
				got := send(prompt, header...)
				if got.status != http.StatusOK || got.err != nil || !strings.Contains(got.body, `"`+prompt+`"`) || got.header.Get("X-Alipayai-Model") != "m-"+prompt {
					t.Errorf("%s: %d %q, %v (%v)", prompt, got.status, got.body, got.header, got.err)
				}
				mu.Lock()
				ids[prompt] = got.header.Get("X-Request-Id")
				mu.Unlock()
			}
		})
	}
	callers.Wait()
	mu.Lock()
	defer mu.Unlock()
	for _, g := range all {
		if g.header.Get("X-Alipayai-Model") != "m-"+g.prompt || g.header.Get("X-Request-Id") != ids[g.prompt] || g.header.Get("X-Alipayai-Provider") != "plain" {
			t.Errorf("%s: the header has become %v", g.prompt, g.header)
		}
	}
}
