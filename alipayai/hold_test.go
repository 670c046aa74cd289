package alipayai_test

import (
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// Ant Ling's documentation asks for 15 minutes after its Slow Down, whether or not a rate cap is configured.
func TestSlowDownWithoutACap(t *testing.T) {
	var calls atomic.Int64
	r := newPlainRig(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"error":{"message":"Slow Down"}}`)
	}, first(func(p *upstream.Provider) { p.Profile.Codes = profile(t, "ant_ling").Codes }))
	if got := r.chat("hello"); got.status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", got.status, got.body)
	}
	got := r.chat("too early")
	wantError(t, got, http.StatusTooManyRequests, failure.CodeThrottled)
	if after, _ := strconv.Atoi(got.header.Get("Retry-After")); after < 890 || after > 900 {
		t.Errorf("Retry-After %s", got.header.Get("Retry-After"))
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("%d requests went upstream, want 1", n)
	}
	wantRejected(t, r, failure.CodeThrottled)
}

// A short hold is waited for, by all.
func TestRetryAfterWithoutACap(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var calls atomic.Int64
		r := newPlainRig(t, func(w http.ResponseWriter, _ *http.Request) {
			if calls.Add(1) == 1 {
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			fmt.Fprint(w, `{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}`)
		})
		began := time.Now()
		throttled := r.inBackground(t.Context(), chatBody("throttled"))
		waitFor(t, "the throttle", func() bool { return r.provider.Hold.Left(time.Now()) > 0 })
		if got := r.chat("comes meanwhile"); got.status != http.StatusOK {
			t.Errorf("%d %s", got.status, got.body)
		}
		if got := receive(t, throttled, "the throttled call"); got.status != http.StatusOK || got.header.Get("X-Alipayai-Attempts") != "2" {
			t.Errorf("%d %v %s", got.status, got.header, got.body)
		}
		if took := time.Since(began); took < time.Second {
			t.Errorf("both were served after %v", took)
		}
		if n := calls.Load(); n != 3 {
			t.Errorf("%d requests went upstream, want 3", n)
		}
	})
}

func TestHoldNeverShortens(t *testing.T) {
	var h upstream.Hold
	now := time.Now()
	if h.Left(now) != 0 {
		t.Error("holds from the start")
	}
	h.Extend(now, time.Minute)
	h.Extend(now, time.Second)
	if left := h.Left(now.Add(10 * time.Second)); left != 50*time.Second {
		t.Errorf("holds for %v", left)
	}
	if left := h.Left(now.Add(time.Minute)); left != 0 {
		t.Errorf("still holds for %v", left)
	}
}

// No call waits for a provider while another can be asked.
func TestHoldWithAnotherProvider(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var calls atomic.Int64
		second, _ := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}`)
		}))
		r := newPlainRig(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) }, func(g *alipayai.Gateway) {
			p := plainProvider(t, second)
			p.Name = "second"
			g.Providers = append(g.Providers, p)
		})
		r.provider.Hold.Extend(time.Now(), time.Second)
		began := time.Now()
		got := r.chat("hello")
		if got.status != http.StatusOK || got.header.Get(alipayai.HeaderProvider) != "second" || got.header.Get(alipayai.HeaderReason) != failure.CodeThrottled {
			t.Errorf("%d %v %s", got.status, got.header, got.body)
		}
		if took := time.Since(began); took != 0 || calls.Load() != 0 {
			t.Errorf("took %v, and the first was asked %d times", took, calls.Load())
		}
	})
}
