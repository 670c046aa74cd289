package alipayai_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/limiter"
)

func limitTenants(l limiter.TenantLimit) func(*alipayai.Gateway) {
	return func(g *alipayai.Gateway) {
		g.TenantLimits = &alipayai.TenantLimits{Usage: new(limiter.TenantLimits), Default: l}
	}
}

// A tenant that is over its limit is told which, and when to come again.
func TestTenantLimits(t *testing.T) {
	for name, test := range map[string]struct {
		limit limiter.TenantLimit
		code  string
		after time.Duration // most
	}{
		"requests": {limiter.TenantLimit{RequestsPerSecond: 0.1, Burst: 2}, "tenant_requests", 10 * time.Second},
		"tokens":   {limiter.TenantLimit{TokensPerMinute: 1}, "tenant_tokens", 10 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, sandbox.Config{}, limitTenants(test.limit))
			passed := 0
			var got reply
			for ; passed < 3; passed++ {
				if got = r.chat("hello " + strconv.Itoa(passed)); got.status != http.StatusOK {
					break
				}
				r.outcome()
			}
			if want := map[string]int{"requests": 2, "tokens": 1}[name]; passed != want {
				t.Errorf("%d calls were permitted, want %d", passed, want)
			}
			wantError(t, got, http.StatusTooManyRequests, test.code)
			after, _ := strconv.Atoi(got.header.Get("Retry-After-Ms"))
			if after == 0 || time.Duration(after)*time.Millisecond > test.after || got.header.Get("Retry-After") == "" {
				t.Errorf("header %v", got.header)
			}
			if o := r.outcome(); o.Provider != "" || o.Attempts != 0 || o.Code != test.code {
				t.Errorf("outcome %+v", o)
			}
			r.wantTraffic(int64(passed), 1)
			if got := r.do(t.Context(), http.MethodGet, "/v1/models", ""); got.status != http.StatusOK {
				t.Errorf("the list of models, which counts apart: %d %s", got.status, got.body)
			}
		})
	}
}

// What costs nothing has the same limit as calls have, and counts apart from them.
func TestTenantLimitsOfWhatIsFree(t *testing.T) {
	r := newRig(t, sandbox.Config{}, limitTenants(limiter.TenantLimit{RequestsPerSecond: 0.1, Burst: 2}))
	list := func() reply { return r.do(t.Context(), http.MethodGet, "/v1/models", "") }
	estimate := func() reply { // which the gateway makes by itself
		return r.post(messagesPath+"/count_tokens", `{"model":"m","messages":[{"role":"user","content":"hello"}]}`)
	}
	for i, c := range []struct {
		ask    func() reply
		status int
	}{{list, 200}, {estimate, 200}, {list, 200}, {list, 429}, {estimate, 200}, {func() reply { return r.chat("one") }, 200}, {func() reply { return r.chat("two") }, 200}, {func() reply { return r.chat("three") }, 429}} {
		got := c.ask()
		if got.status != c.status || got.status == http.StatusTooManyRequests && got.header.Get("Retry-After") == "" {
			t.Errorf("request %d: %d %s, want %d", i, got.status, got.body, c.status)
		}
	}
}

// A stream is under way until its end, and its tokens count then.
func TestTenantLimitOfConcurrency(t *testing.T) {
	r := newRig(t, sandbox.Config{}, limitTenants(limiter.TenantLimit{Concurrent: 1}))
	r.set(sandbox.Fault{Kind: sandbox.Latency, Delay: 500 * time.Millisecond, Times: 1})
	waiting := r.inBackground(t.Context(), streamBody("hello"))
	waitFor(t, "the call to arrive", func() bool { return len(r.arrived.at(chatPath)) == 1 })
	got := r.chat("at the same time")
	wantError(t, got, http.StatusTooManyRequests, "tenant_concurrency")
	wantHeader(t, got, "Retry-After", "1", "X-Should-Retry", "")
	if got := receive(t, waiting, "the stream"); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
	waitFor(t, "the stream to count no more", func() bool { return r.chat("after it").status == http.StatusOK })
	wantRejected(t, r, "tenant_concurrency")
}

// A named tenant's limit replaces the others'; one that is empty is none.
func TestTenantLimitByName(t *testing.T) {
	l := &alipayai.TenantLimits{
		Usage:   new(limiter.TenantLimits),
		Of:      map[string]limiter.TenantLimit{"two": {Concurrent: 2}, "free": {}},
		Default: limiter.TenantLimit{Concurrent: 1},
	}
	for tenant, want := range map[string]int{"two": 2, "free": 100, "other": 1, "another": 1, "": 1} {
		n := 0
		for ; n < 100; n++ {
			if _, f := l.Allow(tenant, time.Now()); f != nil {
				break
			}
		}
		if n != want {
			t.Errorf("tenant %q has %d calls under way, want %d", tenant, n, want)
		}
	}
}

func wantRejected(t *testing.T, r *rig, reason string) {
	t.Helper()
	rejected := r.seen.rejections()
	if len(rejected) == 0 || rejected[0] != reason {
		t.Errorf("the observer got %v, want %s", rejected, reason)
	}
}

// The tokens of a stream count for its tenant also where the client does not ask for
// them: the provider is asked, and the client sees nothing of it.
func TestTenantTokensOfStreams(t *testing.T) {
	for name, test := range map[string]struct {
		limit   limiter.TenantLimit
		options string
		asked   bool // by whom, the client sees it
		counted bool
	}{
		"limited":               {limiter.TenantLimit{TokensPerMinute: 100000}, "", false, true},
		"limited, and asked":    {limiter.TenantLimit{TokensPerMinute: 100000}, `"stream_options":{"include_usage":true},`, true, true},
		"limited, and declined": {limiter.TenantLimit{TokensPerMinute: 100000}, `"stream_options":{"include_usage":false},`, false, true},
		"not limited":           {limiter.TenantLimit{Concurrent: 9}, "", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, sandbox.Config{}, limitTenants(test.limit))
			got := r.do(t.Context(), http.MethodPost, chatPath, `{"model":"alipay-fin-1",`+test.options+`"stream":true,"messages":[{"role":"user","content":"tea for two"}]}`)
			if got.status != http.StatusOK || !strings.HasSuffix(got.body, "data: [DONE]\n\n") {
				t.Fatalf("%d %s", got.status, got.body)
			}
			if seen := strings.Contains(got.body, `"total_tokens"`); seen != test.asked {
				t.Errorf("the client sees usage: %v, want %v: %s", seen, test.asked, got.body)
			}
			if o := r.outcome(); (o.Usage.Total > 0) != test.counted {
				t.Errorf("usage %+v, want it counted: %v", o.Usage, test.counted)
			}
		})
	}
}

// Tokens of a model that declined to go on with an answer count with those of the one that has answered: the vendor has read and
// written them all.
func TestTenantTokensOfDeclinedAnswers(t *testing.T) {
	for name, answer := range map[string]func(string, int) turn{"JSON": declines, "stream": declinesInStream} {
		for output, permitted := range map[int]bool{0: true, 500: false} { // 1,010 tokens, and 1,500 more
			t.Run(name+", "+strconv.Itoa(output), func(t *testing.T) {
				s := perform(t, [][]turn{{answer("n", output), answer("n", output)}}, func(g *alipayai.Gateway) {
					g.Providers[0] = claudeProviderOver(t, g.Providers[0])
				}, first(anyModel), limitTenants(limiter.TenantLimit{TokensPerMinute: 1200}))
				body := `{"model":"m","max_tokens":900,"stream":` + strconv.FormatBool(name == "stream") + `,"fallbacks":[{"model":"n"}],"messages":[{"role":"user","content":"hello"}]}`
				if got := s.callAt(t.Context(), "/v1/messages", body); got.status != http.StatusOK {
					t.Fatalf("%d %s", got.status, got.body)
				}
				if got := s.callAt(t.Context(), "/v1/messages", body); (got.status == http.StatusOK) != permitted {
					t.Errorf("the next call: %d %s", got.status, got.body)
				}
			})
		}
	}
}
