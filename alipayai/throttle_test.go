package alipayai_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// A window that the upstream has closed opens after as long as it said, or a second.
func TestUpstreamThatThrottlesClosesTheWindow(t *testing.T) {
	chat, stream := chatBody("hello"), streamBody("hello")
	for name, test := range map[string]struct {
		fault sandbox.Fault
		body  string
		hold  time.Duration
	}{
		"429 with Retry-After":      {sandbox.Fault{Kind: sandbox.Throttle, RetryAfter: 7}, chat, 7 * time.Second},
		"429 without":               {sandbox.Fault{Kind: sandbox.Throttle}, chat, time.Second},
		"429 for far too long":      {sandbox.Fault{Kind: sandbox.Throttle, RetryAfter: 3600}, chat, time.Minute},
		"429 of another kind":       {sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 429, Code: "slow", RetryAfter: 3}, chat, 3 * time.Second},
		"429 for a stream":          {sandbox.Fault{Kind: sandbox.Throttle, RetryAfter: 7}, stream, 7 * time.Second},
		"a code in a 200":           {sandbox.Fault{Kind: sandbox.SystemError200, Code: "REQUEST_TRAFFIC_EXCEED_LIMIT"}, chat, time.Second},
		"v2's code in a 200":        {sandbox.Fault{Kind: sandbox.SystemError200, Code: "isv.app-call-limited", Shape: sandbox.ShapeGateway}, chat, time.Second},
		"v3's code":                 {sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 403, Code: "method-call-limited"}, chat, time.Second},
		"a stream's first event":    {sandbox.Fault{Kind: sandbox.SystemErrorFirst, Code: "REQUEST_TRAFFIC_EXCEED_LIMIT"}, stream, time.Second},
		"503, which is no throttle": {sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 503, RetryAfter: 7}, chat, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				k := newCap(50, time.Second)
				k.MaxWait = time.Millisecond // no repeat waits for the window
				r := newRig(t, sandbox.Config{}, capped(k))
				r.set(test.fault)
				got := r.post(chatPath, test.body)
				if got.status == http.StatusOK {
					t.Fatalf("%d %s", got.status, got.body)
				}
				now := time.Now()
				closed := max(k.Window.Next(k.Limit, now).Sub(now), 0)
				if closed > test.hold || closed < test.hold-time.Second {
					t.Errorf("closed for %v, want %v", closed, test.hold)
				}
				if rate, open := k.Window.Rate(k.Limit, now), test.hold == 0; (rate == 50) != open || !open && rate != 0 {
					t.Errorf("the rate is %v while the window is closed for %v", rate, test.hold)
				}
			})
		})
	}
}

// After a throttle the rate starts at half and grows back.
func TestRateGrowsBack(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		k := newCap(20, 100*time.Millisecond)
		r := newRig(t, sandbox.Config{}, capped(k))
		r.set(sandbox.Fault{Kind: sandbox.Throttle, RetryAfter: 1, Times: 1})
		began := time.Now()
		if got := r.chat("held back, and repeated"); got.status != http.StatusOK || got.header.Get("X-Alipayai-Attempts") != "2" {
			t.Fatalf("%d %v %s", got.status, got.header, got.body)
		}
		if took := time.Since(began); took < time.Second {
			t.Errorf("the next attempt left after %v", took)
		}
		rate := k.Window.Rate(k.Limit, time.Now())
		if rate < 10 || rate > 15 {
			t.Errorf("the rate is %v after the throttle, want about 10", rate)
		}
		waitFor(t, "the whole rate", func() bool { return k.Window.Rate(k.Limit, time.Now()) == 20 })
	})
}

// Those that wait when the upstream throttles are held back too, and none of them is dropped.
func TestThrottleHoldsBackTheQueue(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		k := newCap(1, 300*time.Millisecond)
		r := newRig(t, sandbox.Config{}, capped(k))
		r.chat("hello")
		waiting := r.inBackground(t.Context(), chatBody("waits"))
		waitFor(t, "the call to wait", func() bool { return r.waiting() == 1 })
		closed := time.Now()
		k.Throttled(0)
		if got := receive(t, waiting, "the call that waits"); got.status != http.StatusOK {
			t.Errorf("%d %s", got.status, got.body)
		}
		arrived := r.arrived.at(chatPath)
		if d := arrived[len(arrived)-1].when.Sub(closed); d < time.Second {
			t.Errorf("it left %v after the window was closed", d)
		}
	})
}

// Ant Ling is throttling: retry after 15 minutes at the least.
func TestSlowDown(t *testing.T) {
	for name, test := range map[string]struct {
		profile, message string
		hold             time.Duration
	}{
		"of ant_ling":             {"ant_ling", "Slow Down", 15 * time.Minute},
		"of ant_ling, in a text":  {"ant_ling", "503 Slow Down: too fast", 15 * time.Minute},
		"another 503 of ant_ling": {"ant_ling", "overloaded", 0},
		"of somebody else":        {"ollama", "Slow Down", 0},
	} {
		t.Run(name, func(t *testing.T) {
			k := newCap(50, time.Second)
			r := newPlainRig(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusServiceUnavailable)
				_, _ = io.WriteString(w, `{"error":{"message":"`+test.message+`"}}`)
			}, capped(k), first(func(p *upstream.Provider) {
				paths := p.Profile.Paths
				p.Profile = profile(t, test.profile)
				p.Profile.Paths = paths
			}))
			got := r.chat("hello")
			if got.status != http.StatusServiceUnavailable {
				t.Errorf("%d %s", got.status, got.body)
			}
			now := time.Now()
			// An account with a client id closes its window; one with a key alone is held.
			if closed := max(k.Window.Next(k.Limit, now).Sub(now), r.provider.Held(now, "alipay-fin-1"), 0); closed > test.hold || closed < test.hold-time.Second {
				t.Errorf("closed for %v, want %v", closed, test.hold)
			}
			if hold := got.header.Get("Retry-After"); (hold == "900") != (test.hold > 0) {
				t.Errorf("Retry-After %q", hold)
			}
		})
	}
}

// The 429 of a request that somebody else composed holds the next ones back as well: by the cap's window where there is
// one, and by the provider's hold where there is none.
func TestComposedRequestsAreHeldBack(t *testing.T) {
	for status, want := range map[int]time.Duration{
		http.StatusTooManyRequests:    5 * time.Second,
		http.StatusServiceUnavailable: 0,
		http.StatusOK:                 0,
	} {
		for name, k := range map[string]*upstream.Cap{"capped": newCap(50, time.Second), "uncapped": nil} {
			t.Run(fmt.Sprint(name, " ", status), func(t *testing.T) {
				testwait.Bubble(t, func(t *testing.T) {
					p := simProvider(t, "http://127.0.0.1:1")
					p.Tokens, p.Verify, p.Cap = nil, upstream.VerifyOff, nil
					if k != nil {
						p.Cap = newCap(50, time.Second)
					}
					if err := p.Prepare(); err != nil {
						t.Fatal(err)
					}
					sign := func() (waited time.Duration, f *failure.Failure) {
						began := time.Now()
						ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
						defer cancel()
						req := composed(t, http.MethodPost, "http://127.0.0.1:1/v3/pay").WithContext(ctx)
						resp := &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {"5"}}, Body: http.NoBody}
						x, f := send(t, p, req, nil, gives{resp})
						if f == nil {
							f = x.PassOn(1<<20, false)
						}
						return time.Since(began), f
					}
					if waited, f := sign(); f != nil || waited > time.Second {
						t.Errorf("the first: %v after %v", f, waited)
					}
					// Those that come back do so over a second.
					if waited, f := sign(); f != nil || waited < want || waited > want+time.Second {
						t.Errorf("the second: %v after %v, want %v", f, waited, want)
					}
				})
			})
		}
	}
}

// A hold that is longer than a call may wait rejects at once, and says when.
func TestComposedRequestsAreRejectedWhileHeld(t *testing.T) {
	p := simProvider(t, "http://127.0.0.1:1")
	p.Tokens = nil
	if err := p.Prepare(); err != nil {
		t.Fatal(err)
	}
	p.Throttled(time.Now(), time.Minute, "")
	_, f := sign(t, p, composed(t, http.MethodPost, "http://127.0.0.1:1/v3/pay"), nil)
	if codeOf(f) != failure.CodeThrottled || f.RetryAfter < 59*time.Second {
		t.Errorf("got %v", f)
	}
}
