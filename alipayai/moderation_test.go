package alipayai_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/moderate"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
)

// judged makes a call with a verdict of its own, and gives the code of its failure; empty for an answer.
func (r *rig) judged(prompt string, judge func() *failure.Failure) (code string) {
	r.t.Helper()
	body := []byte(chatBody(prompt))
	request, err := wire.ParseChatRequest(body, wire.Limits{})
	if err != nil {
		r.t.Error(err)
		return "unreadable"
	}
	a, err := r.gateway.Do(r.t.Context(), &alipayai.Call{
		Endpoint: upstream.EndpointChat, Tenant: "acme", Request: request, Format: openai.Format{}, Verdict: alipayai.Pending(body, judge),
	})
	if e, ok := errors.AsType[*alipayai.Error](err); ok {
		return e.Code
	}
	a.Close(true)
	return ""
}

func permits() *failure.Failure { return nil }

// Verdicts that come late make no slot be used later than it was reserved for: the upstream, whose cap is the gateway's,
// refuses nothing.
func TestVerdictsComeBesideTheQueue(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		k := newCap(20, time.Second)
		r := newRig(t, sandbox.Config{RequestsPerSecond: 20}, capped(k))
		var calls sync.WaitGroup
		began := time.Now()
		var blocked atomic.Int64
		for i := range 60 {
			calls.Go(func() {
				code := r.judged(fmt.Sprint("call ", i), func() *failure.Failure {
					<-time.After(rand.N(700 * time.Millisecond))
					if i%6 == 0 {
						return alipayai.ModerationBlocked("law")
					}
					return nil
				})
				switch {
				case i%6 == 0 && code == failure.CodeModerationBlocked:
					blocked.Add(1)
				case code != "":
					t.Errorf("call %d: %s", i, code)
				}
			})
		}
		calls.Wait()
		// 50 calls at 20 a second take two windows after the first; the verdicts' time is not added.
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("the calls took %v", took)
		}
		stats := r.sim.Stats()
		if n := stats.PeakPerSecond[sandbox.DemoClientID]; n > 20 {
			t.Errorf("%d arrivals in a second, want up to 20", n)
		}
		if stats.Codes["REQUEST_TRAFFIC_EXCEED_LIMIT"] != 0 || stats.Paths[chatPath] != 50 || blocked.Load() != 10 {
			t.Errorf("%d calls arrived, of which %d were refused; %d were blocked", stats.Paths[chatPath], stats.Codes["REQUEST_TRAFFIC_EXCEED_LIMIT"], blocked.Load())
		}
	})
}

// A slot that comes before the verdict is another call's.
func TestSlotWithoutVerdictIsGivenBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		k := newCap(1, time.Hour)
		k.MaxWait = time.Second
		r := newRig(t, sandbox.Config{}, capped(k))
		verdict, code := make(chan struct{}), make(chan string, 1)
		go func() {
			code <- r.judged("held up", func() *failure.Failure { <-verdict; return nil })
		}()
		// The other call has the only slot as soon as the first has given it back.
		waitFor(t, "the other call to be served", func() bool { return r.chat("at once").status == http.StatusOK })
		close(verdict)
		if got := receive(t, code, "the held up call"); got != "queue_deadline" {
			t.Errorf("code %q", got)
		}
		if n := r.sim.Stats().Paths[chatPath]; n != 1 {
			t.Errorf("%d calls reached the upstream", n)
		}
	})
}

func TestBlockedCallLeavesTheQueue(t *testing.T) {
	k := newCap(1, time.Minute)
	k.MaxWait = time.Hour
	r := newRig(t, sandbox.Config{}, capped(k), func(g *alipayai.Gateway) { g.Deadline = time.Hour })
	r.chat("hello")
	verdict, code := make(chan struct{}), make(chan string, 1)
	go func() {
		code <- r.judged("held up", func() *failure.Failure { <-verdict; return alipayai.ModerationBlocked("law") })
	}()
	waitFor(t, "the call to wait", func() bool { return r.waiting() == 1 })
	close(verdict)
	if got := receive(t, code, "the held up call"); got != failure.CodeModerationBlocked {
		t.Errorf("code %q", got)
	}
	waitFor(t, "the queue to be empty", func() bool { return r.waiting() == 0 })
	if n := r.sim.Stats().Paths[chatPath]; n != 1 {
		t.Errorf("%d calls reached the upstream", n)
	}
}

func TestNothingIsSentWithoutAVerdict(t *testing.T) {
	r := newRig(t, sandbox.Config{})
	for name, tc := range map[string]struct {
		judge func() *failure.Failure
		want  string
	}{
		"panic":       {func() *failure.Failure { panic("moderator") }, failure.CodeModerationUnavailable},
		"unavailable": {func() *failure.Failure { return alipayai.ModerationUnavailable("law") }, failure.CodeModerationUnavailable},
		"blocked":     {func() *failure.Failure { return alipayai.ModerationBlocked("law") }, failure.CodeModerationBlocked},
	} {
		t.Run(name, func(t *testing.T) {
			if got := r.judged("hello", tc.judge); got != tc.want {
				t.Errorf("code %q, want %q", got, tc.want)
			}
		})
	}
	changed := &alipayai.Call{Request: wire.Request{Body: []byte(`{"changed":true}`)}}
	changed.SetVerdict(alipayai.Pending([]byte(`{}`), permits))
	if f := changed.Verdict.Await(t.Context()); f == nil || f.Code != failure.CodeModerationUnavailable {
		t.Errorf("a verdict on another body counts: %v", f)
	}
	if n := r.sim.Stats().Paths[chatPath]; n != 0 {
		t.Errorf("%d calls reached the upstream", n)
	}
	if got := r.judged("hello", permits); got != "" {
		t.Errorf("code %q", got)
	}
}

// An answer that was given before is not given to a call that is blocked now.
func TestBlockedCallGetsNoStoredAnswer(t *testing.T) {
	r := newRig(t, sandbox.Config{}, func(g *alipayai.Gateway) {
		g.Answers = &alipayai.AnswerCache{Cache: replay.NewMemoryCache(time.Now).Within(1 << 20), TTL: time.Hour}
	})
	if got := r.judged("hello", permits); got != "" {
		t.Fatal(got)
	}
	r.set(sandbox.Fault{Kind: sandbox.SystemError200})
	if got := r.judged("hello", permits); got != "" {
		t.Fatalf("code %q, want the stored answer", got)
	}
	late := func() *failure.Failure {
		<-time.After(200 * time.Millisecond) // behind the stored answer
		return alipayai.ModerationBlocked("law")
	}
	if got := r.judged("hello", late); got != failure.CodeModerationBlocked {
		t.Errorf("code %q", got)
	}
}

// guardedRig is a gateway before an upstream that says what it is told, whose answers are guarded.
func guardedRig(t *testing.T, answer http.HandlerFunc, edits ...func(*alipayai.Gateway)) (r *rig, refused *atomic.Int64) {
	t.Helper()
	r = newPlainRig(t, answer, edits...)
	return r, r.guard(t)
}

// guard has a guard look at the answers that the rig's clients get, and counts those that it refuses.
func (r *rig) guard(t *testing.T) (refused *atomic.Int64) {
	t.Helper()
	rules := new(moderate.Rules)
	if err := errors.Join(rules.AddWords("greetings", "secret handshake"), rules.Compile()); err != nil {
		t.Fatal(err)
	}
	refused = new(atomic.Int64)
	guard := &alipayai.OutputGuard{Rules: rules, Name: "law", Window: 10, Blocked: func(b alipayai.BlockedAnswer) {
		refused.Add(1)
		if b.Policy != "law.greetings" || b.Tenant != "acme" || b.Provider != r.provider.Name || !strings.HasPrefix(b.RequestID, "req_") {
			t.Errorf("blocked is %+v", b)
		}
	}}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		serve(r.gateway, w, req.WithContext(alipayai.WithModeration(req.Context(), alipayai.Moderation{Guard: guard})), "acme")
	}))
	t.Cleanup(front.Close)
	r.url, r.client = front.URL, front.Client()
	return refused
}

// tells writes texts as an answer, or as a stream where that is asked for.
func tells(texts ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		asked, _ := io.ReadAll(r.Body)
		if !strings.Contains(string(asked), `"stream":true`) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}]}`, strings.Join(texts, ""))
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, `data: {"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}`+"\n\n")
		for _, text := range texts {
			fmt.Fprintf(w, `data: {"id":"x","choices":[{"index":0,"delta":{"content":%q}}]}`+"\n\n", text)
			_ = http.NewResponseController(w).Flush()
		}
		fmt.Fprint(w, `data: {"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n")
	}
}

func TestOutputGuard(t *testing.T) {
	long := strings.Repeat("this is harmless. ", 10)
	for name, tc := range map[string]struct {
		texts  []string
		stream bool
		// status that the client sees, and what it must have seen of the text; refused says that it is blocked.
		status  int
		shown   string
		refused bool
	}{
		"JSON":                       {texts: []string{long, "fine"}, status: 200, shown: "fine"},
		"JSON, blocked":              {texts: []string{long, "secret hand", "shake"}, status: 403, refused: true},
		"stream":                     {texts: []string{long, "a secret", " not shared"}, stream: true, status: 200, shown: "not shared"},
		"stream, short":              {texts: []string{"a", "b"}, stream: true, status: 200, shown: `"b"`},
		"stream, blocked at once":    {texts: []string{"secret ", "hand", "shake"}, stream: true, status: 403, refused: true},
		"stream, blocked later":      {texts: []string{long, long, "the secret ", "hand", "shake ", long}, stream: true, status: 200, shown: "harmless", refused: true},
		"stream, blocked at its end": {texts: []string{long, long, "the secret ", "handshake"}, stream: true, status: 200, shown: "harmless", refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			var down atomic.Bool
			r, refused := guardedRig(t, func(w http.ResponseWriter, req *http.Request) {
				if down.Load() {
					w.WriteHeader(http.StatusInternalServerError)
					return
				}
				tells(tc.texts...)(w, req)
			}, func(g *alipayai.Gateway) {
				g.Answers = &alipayai.AnswerCache{Cache: replay.NewMemoryCache(time.Now).Within(1 << 20), TTL: time.Hour}
				g.Claims = &alipayai.Claims{Store: replay.NewMemoryClaims(time.Now).Within(1 << 20), TTL: time.Hour}
			})
			body := chatBody("hello")
			if tc.stream {
				body = streamBody("hello")
			}
			got := r.post(chatPath, body, "Idempotency-Key", "once")
			if got.status != tc.status || !strings.Contains(got.body, tc.shown) {
				t.Errorf("status %d, want %d: %s", got.status, tc.status, got.body)
			}
			ended := strings.Contains(got.body, "[DONE]")
			if strings.Contains(got.body, "secret hand") || strings.Contains(got.body, "shake") || tc.refused && strings.Contains(got.body, "secret") {
				t.Errorf("shown: %s", got.body)
			}
			if tc.refused != (refused.Load() == 1) || tc.refused && (ended || !strings.Contains(got.body, failure.CodeModerationBlocked)) {
				t.Errorf("refused %d: %s", refused.Load(), got.body)
			}
			if tc.status == 403 && got.header.Get("X-Should-Retry") != "false" {
				t.Error("the client may retry what was paid for")
			}
			if tc.stream && !tc.refused && !ended {
				t.Errorf("no end: %s", got.body)
			}
			if tc.stream && tc.refused && tc.status == 200 && got.err == nil {
				t.Error("the stream ends cleanly")
			}
			if !tc.refused {
				down.Store(true)
				if kept := r.post(chatPath, body); kept.status != http.StatusOK {
					t.Errorf("a good answer is not kept: status %d: %s", kept.status, kept.body)
				}
				return
			}
			// Nothing of it is kept: neither for the key nor for when the provider fails.
			again := r.post(chatPath, body, "Idempotency-Key", "once")
			if again.status != http.StatusConflict {
				t.Errorf("again with the key: status %d: %s", again.status, again.body)
			}
			down.Store(true)
			if kept := r.post(chatPath, body); kept.status == http.StatusOK {
				t.Errorf("a refused answer is kept: %s", kept.body)
			}
		})
	}
}

// A request that a provider has blocked is not sent there again: that tenant's, that body, for that time.
func TestBlockedRequestsAreRemembered(t *testing.T) {
	var ahead atomic.Int64
	var arrived atomic.Int64
	r := newPlainRig(t, func(w http.ResponseWriter, r *http.Request) {
		arrived.Add(1)
		asked, _ := io.ReadAll(r.Body)
		if !strings.Contains(string(asked), "income") {
			tells("fine")(w, r)
			return
		}
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"error":{"code":"COMPLIANCE_BLOCKED","message":"blocked by policy income-prediction"}}`)
	}, func(g *alipayai.Gateway) {
		g.Blocked = &alipayai.BlockedCalls{Calls: new(moderate.Blocked), TTL: 10 * time.Minute}
		g.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	const prompt = "predict my future income"
	steps := []struct {
		name, prompt, tenant string
		ahead                time.Duration
		arrived              int64
	}{
		{"first", prompt, "acme", 0, 1},
		{"again", prompt, "acme", 0, 1},
		{"again, soon", prompt, "acme", 9 * time.Minute, 1},
		{"another tenant", prompt, "zeta", 9 * time.Minute, 2},
		{"another body", prompt + "!", "acme", 9 * time.Minute, 3},
		{"later", prompt, "acme", 11 * time.Minute, 4},
		{"anonymous", prompt, alipayai.AnonymousTenant, 11 * time.Minute, 5},
		{"anonymous again", prompt, alipayai.AnonymousTenant, 11 * time.Minute, 6},
	}
	var message string
	for _, s := range steps {
		ahead.Store(int64(s.ahead))
		got := wantError(t, r.chat(s.prompt, tenantHeader, s.tenant), http.StatusForbidden, "COMPLIANCE_BLOCKED")
		if message == "" {
			message = got
		}
		if got != message {
			t.Errorf("%s: message %q, want %q", s.name, got, message)
		}
		if n := arrived.Load(); n != s.arrived {
			t.Errorf("%s: %d calls reached the upstream, want %d", s.name, n, s.arrived)
		}
	}
	if got := r.chat("hello"); got.status != http.StatusOK {
		t.Errorf("status %d: %s", got.status, got.body)
	}
}
