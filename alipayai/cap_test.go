package alipayai_test

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/testwait"
	"github.com/caddy-alipayai/gateway/limiter"
)

// A burst far over the cap is served whole, as fast as the cap allows, and no second holds more.
func TestBurstIsKeptWithinTheCap(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		k := newCap(50, time.Second)
		s := perform(t, [][]turn{{good}}, capped(k))
		began := time.Now()
		var calls sync.WaitGroup
		for i := range 200 {
			calls.Go(func() {
				if got := s.call(chatBody("call " + strconv.Itoa(i))); got.status != http.StatusOK {
					t.Errorf("call %d: %d %s %v", i, got.status, got.body, got.err)
				}
			})
		}
		calls.Wait()
		span := k.Limit.Span()
		if took := time.Since(began); took < 3*span || took > 3*span+span/8 { // within which a window's permits are spread
			t.Errorf("200 calls took %v, want a little more than %v", took, 3*span)
		}
		s.wantCalls(200)
		var sent []time.Time
		for _, a := range s.scripts[0].seen {
			sent = append(sent, a.when)
		}
		slices.SortFunc(sent, time.Time.Compare)
		for i := 50; i < len(sent); i++ {
			if apart := sent[i].Sub(sent[i-50]); apart < span {
				t.Errorf("requests %d and %d are %v apart, want %v", i-50, i, apart, span)
			}
		}
		waits := s.seen.permitted()
		if len(waits) != 200 || slices.Max(waits) < 3*span {
			t.Errorf("the observer has %d permits, the longest wait %v", len(waits), slices.Max(waits))
		}
	})
}

// Each attempt takes a permit of its own: with two in a window, the repeat of the first call is the second.
func TestEveryAttemptTakesAPermit(t *testing.T) {
	for name, fault := range map[string]sandbox.Fault{
		"after another token":  {Kind: sandbox.ExpiredToken, Times: 1},
		"after another clock":  {Kind: sandbox.ClockSkew, Skew: time.Hour},
		"GET /v1/models, once": {Kind: sandbox.Latency, Delay: time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				k := newCap(2, time.Hour)
				k.MaxWait = time.Second
				r := newRig(t, sandbox.Config{}, capped(k))
				if _, err := r.provider.Tokens.Token(t.Context()); err != nil {
					t.Fatal(err)
				}
				r.set(fault)
				if fault.Kind == sandbox.Latency {
					r.do(t.Context(), http.MethodGet, "/v1/models", "")
				}
				if got := r.chat("hello"); got.status != http.StatusOK {
					t.Fatalf("%d %s", got.status, got.body)
				}
				wantError(t, r.chat("one too many"), http.StatusTooManyRequests, "queue_deadline")
				if n := len(r.seen.permitted()); n != 2 {
					t.Errorf("%d permits, want 2", n)
				}
			})
		})
	}
}

// A call that would wait too long is turned away at once, with all that a client needs to know.
func TestPredictedWaitIsTooLong(t *testing.T) {
	for name, test := range map[string]struct{ maxWait, deadline time.Duration }{
		"for max_wait":      {time.Second, 30 * time.Second},
		"for the deadline":  {time.Minute, 2 * time.Second},
		"for both, at once": {time.Millisecond, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				k := newCap(1, 20*time.Second)
				k.MaxWait = test.maxWait
				r := newRig(t, sandbox.Config{}, capped(k), func(g *alipayai.Gateway) { g.Deadline = test.deadline })
				if got := r.chat("hello"); got.status != http.StatusOK {
					t.Fatalf("%d %s", got.status, got.body)
				}
				r.outcome()
				began := time.Now()
				got := r.chat("too late")
				if took := time.Since(began); took != 0 {
					t.Errorf("turned away after %v", took)
				}
				wantError(t, got, http.StatusTooManyRequests, "queue_deadline")
				seconds, _ := strconv.Atoi(got.header.Get("Retry-After"))
				millis, _ := strconv.Atoi(got.header.Get("Retry-After-Ms"))
				if millis < 18000 || millis > 20010 || seconds != (millis+999)/1000 {
					t.Errorf("Retry-After %d, Retry-After-Ms %d, want about 20s", seconds, millis)
				}
				reset, err := time.ParseDuration(got.header.Get("X-Ratelimit-Reset-Requests"))
				if err != nil || reset < 18*time.Second || reset > 20010*time.Millisecond {
					t.Errorf("X-Ratelimit-Reset-Requests %v, %v", reset, err)
				}
				if got.header.Get("X-Ratelimit-Limit-Requests") != "1" || got.header.Get("X-Ratelimit-Remaining-Requests") != "0" {
					t.Errorf("header %v", got.header)
				}
				if got.header.Get("X-Should-Retry") != "" {
					t.Error("tells the client not to retry")
				}
				if o := r.outcome(); o.Attempts != 0 || o.Code != "queue_deadline" || o.Status != 429 || o.Provider != "alipay" {
					t.Errorf("outcome %+v", o)
				}
				if !slices.Equal(r.seen.rejections(), []string{"queue_deadline"}) {
					t.Errorf("the observer got %v", r.seen.rejections())
				}
				r.wantTraffic(1, 1)
			})
		})
	}
}

// The call's deadline also ends the wait of one that was let in: that is a timeout, not the client's leaving.
func TestDeadlineInTheQueue(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		k := newCap(1, 400*time.Millisecond)
		r := newRig(t, sandbox.Config{}, capped(k), func(g *alipayai.Gateway) { g.Deadline = 600 * time.Millisecond })
		r.chat("hello")
		r.outcome()
		waiting := r.inBackground(t.Context(), chatBody("held up"))
		waitFor(t, "the call to wait", func() bool { return r.waiting() == 1 })
		k.Window.Throttle(time.Minute)
		got := receive(t, waiting, "the call")
		if code := r.outcome().Code; code != failure.CodeTimeout && code != "queue_deadline" {
			t.Errorf("%d %s, code %s", got.status, got.body, code)
		}
		r.wantTraffic(1, 1)
	})
}

func TestQueueIsFull(t *testing.T) {
	t.Parallel()
	for name, bound := range map[string]func(*upstream.Cap){
		"by count": func(k *upstream.Cap) { k.MaxCount = 1 },
		"by bytes": func(k *upstream.Cap) { k.MaxBytes = int64(len(chatBody("waits"))) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				k := newCap(1, time.Second)
				bound(k)
				r := newRig(t, sandbox.Config{}, capped(k))
				r.chat("hello")
				waiting := r.inBackground(t.Context(), chatBody("waits"))
				waitFor(t, "the call to wait", func() bool { return r.waiting() == 1 })
				got := r.chat("too many")
				wantError(t, got, http.StatusTooManyRequests, "queue_full")
				if got.header.Get("Retry-After-Ms") == "" || got.header.Get("X-Ratelimit-Limit-Requests") != "1" {
					t.Errorf("header %v", got.header)
				}
				if got := receive(t, waiting, "the call that waits"); got.status != http.StatusOK {
					t.Errorf("%d %s", got.status, got.body)
				}
				r.wantTraffic(2, 1)
			})
		})
	}
}

// A client that leaves the queue is taken out at once, and costs the others nothing.
func TestClientThatLeavesTheQueue(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, sandbox.Config{}, capped(newCap(1, 8*time.Second)))
		r.chat("hello")
		r.outcome()
		ctx, leave := context.WithCancel(t.Context())
		waiting := r.inBackground(ctx, chatBody("leaves"))
		waitFor(t, "the call to wait", func() bool { return r.waiting() == 1 })
		began := time.Now()
		leave()
		receive(t, waiting, "the client")
		if o := r.outcome(); o.Status != failure.ClientClosedRequest || o.Code != failure.CodeClientGone || o.Attempts != 0 {
			t.Errorf("outcome %+v", o)
		}
		if took := time.Since(began); took != 0 || r.waiting() != 0 {
			t.Errorf("%d wait %v after the client has left", r.waiting(), took)
		}
		if !slices.Equal(r.seen.rejections(), []string{string(limiter.ClientGone)}) {
			t.Errorf("the observer got %v", r.seen.rejections())
		}
		r.wantTraffic(1, 1)
	})
}

// A window that cannot be asked for a permit is no client's fault.
func TestWindowThatFails(t *testing.T) {
	k := newCap(1, time.Second)
	k.Limit.Requests = 0
	r := newRig(t, sandbox.Config{}, capped(k))
	wantError(t, r.chat("hello"), http.StatusServiceUnavailable, failure.CodeRateLimit)
	r.wantTraffic(0, 1)
}

// Who waits when the gateway shuts down may try elsewhere at once.
func TestDrainedCallsAreToldSo(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, sandbox.Config{}, capped(newCap(1, 8*time.Second)))
		r.chat("takes a permit")
		waiting := r.inBackground(t.Context(), chatBody("waits"))
		waitFor(t, "the call to wait", func() bool { return r.waiting() == 1 })
		r.provider.Cap.Queue.Drain()
		wantError(t, receive(t, waiting, "the call that waited"), http.StatusServiceUnavailable, "draining")
	})
}
