package alipayai_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/testwait"
	"github.com/caddy-alipayai/gateway/signer"
)

// frozenAfter is a replica that sends its request and then stands still for so long.
func frozenAfter(d time.Duration, next turn) turn {
	return func(req *http.Request) (*http.Response, error) {
		leave(req)
		time.Sleep(d)
		return next(req)
	}
}

// inference says what a gateway's class is by default.
func inference(*alipayai.Gateway) {}

// While a call's replica stands still its key is in flight, and after its lease the outcome is unknown: never free.
func TestCallWhoseReplicaFreezesAfterSending(t *testing.T) {
	for class, edit := range map[string]func(*alipayai.Gateway){"money": money, "inference": inference} {
		for name, test := range map[string]struct {
			wakes turn
			then  int // what the same call gets after that
		}{
			"wakes to an answer":       {good, http.StatusOK},
			"wakes to a system error":  {sysError, http.StatusConflict},
			"wakes to a broken socket": {breaks, http.StatusConflict},
		} {
			t.Run(class+", "+name, func(t *testing.T) {
				testwait.Bubble(t, func(t *testing.T) {
					s := perform(t, [][]turn{{frozenAfter(30*time.Minute, test.wakes), good}}, claiming, edit)
					go s.call(chatBody("hello"), keyed...)
					synctest.Wait()
					lease := alipayai.DefaultDeadline + alipayai.LeaseMargin
					for _, at := range []struct {
						wait time.Duration
						code string
					}{{0, failure.CodeIdempotencyInFlight}, {5 * time.Second, failure.CodeIdempotencyInFlight}, {lease - 6*time.Second, failure.CodeIdempotencyInFlight}, {time.Second, failure.CodeIdempotencyUnresolved}, {20 * time.Minute, failure.CodeIdempotencyUnresolved}} {
						time.Sleep(at.wait)
						wantError(t, s.call(chatBody("hello"), keyed...), http.StatusConflict, at.code)
					}
					time.Sleep(15 * time.Minute) // it wakes
					if got := s.call(chatBody("hello"), keyed...); got.status != test.then {
						t.Errorf("%d %s, want %d", got.status, got.body, test.then)
					}
					s.wantCalls(1)
				})
			})
		}
	}
}

// freezingScheme stands still when it signs.
type freezingScheme struct {
	signer.Scheme
	freeze func()
}

func (f freezingScheme) Sign(signer.Message) (signer.Signed, error) {
	f.freeze()
	return signer.Signed{}, nil
}

// A call whose replica stands still before it has sent anything frees its key with the lease, and sends nothing after.
func TestCallWhoseReplicaFreezesBeforeSending(t *testing.T) {
	for name, moment := range map[string]func(p *upstream.Provider, freeze func()){
		"before its token": func(p *upstream.Provider, freeze func()) {
			p.Unavailable = func(time.Time) error { freeze(); return nil }
		},
		"after its turn in the queue": func(p *upstream.Provider, freeze func()) {
			p.Scheme = freezingScheme{new(signer.HMAC), freeze}
		},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				var slept atomic.Bool
				s := perform(t, [][]turn{{good}}, claiming, money, first(func(p *upstream.Provider) {
					moment(p, func() {
						if slept.CompareAndSwap(false, true) {
							time.Sleep(2 * time.Minute)
						}
					})
				}))
				frozen := make(chan reply, 1)
				go func() { frozen <- s.call(chatBody("hello"), keyed...) }()
				synctest.Wait()
				wantError(t, s.call(chatBody("hello"), keyed...), http.StatusConflict, failure.CodeIdempotencyInFlight)
				time.Sleep(time.Minute)
				served := s.call(chatBody("hello"), keyed...)
				if served.status != http.StatusOK || served.header.Get("Idempotent-Replayed") != "" {
					t.Errorf("%d %s", served.status, served.body)
				}
				if got := <-frozen; got.status < 500 {
					t.Errorf("the call that slept got %d %s", got.status, got.body)
				}
				s.wantCalls(1)
				wantReplayed(t, s.call(chatBody("hello"), keyed...), served, "60")
			})
		})
	}
}

// marks are claims that note when their calls leave, and fail as they are told.
type marks struct {
	replay.Claims
	mu     sync.Mutex
	fails  []error // of the marks to come, in turn
	unmade bool    // one that fails was made all the same
	onMark func()
	made   int
}

func (m *marks) Claim(ctx context.Context, tenant string, key replay.Key, request [32]byte, lease time.Duration) (replay.Claim, *replay.Answer, error) {
	c, a, err := m.Claims.Claim(ctx, tenant, key, request, lease)
	if c != nil {
		c = markedClaim{c, m}
	}
	return c, a, err
}

type markedClaim struct {
	replay.Claim
	*marks
}

func (c markedClaim) Leave(ctx context.Context, lease, ttl time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made++
	if c.onMark != nil {
		c.onMark()
	}
	if len(c.fails) > 0 {
		err := c.fails[0]
		c.fails = c.fails[1:]
		if !c.unmade {
			_ = c.Claim.Leave(ctx, lease, ttl)
		}
		return err
	}
	return c.Claim.Leave(ctx, lease, ttl)
}

// The mark is made once, before the first request, however many follow.
func TestCallIsMarkedOnceBeforeItLeaves(t *testing.T) {
	for name, turns := range map[string][][]turn{
		"served":           {{good}},
		"after a repeat":   {{busy, good}},
		"fell over":        {{sysError}, {good}},
		"never connected":  {{refuses, refuses, good}},
		"nothing could be": {{busy}, {refuses}},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				store := &marks{Claims: replay.NewMemoryClaims(time.Now).Within(1 << 20)}
				s := perform(t, turns, func(g *alipayai.Gateway) { g.Claims = &alipayai.Claims{Store: store, TTL: time.Hour} })
				store.onMark = func() { s.wantCalls(make([]int, len(turns))...) }
				s.call(chatBody("hello"), keyed...)
				if store.made != 1 {
					t.Errorf("marked %d times", store.made)
				}
				s.call(chatBody("hello"))
				if store.made != 1 {
					t.Error("a call without a key was marked")
				}
			})
		})
	}
}

// A call whose mark cannot be made is not sent, to no provider, and its key is free for the next try.
func TestCallThatCannotBeMarkedIsNotSent(t *testing.T) {
	for name, err := range map[string]error{"the store is away": replay.ErrUnavailable, "the claim is lost": replay.ErrLost} {
		for _, unmade := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				testwait.Bubble(t, func(t *testing.T) {
					store := &marks{Claims: replay.NewMemoryClaims(time.Now).Within(1 << 20), fails: []error{err}, unmade: unmade}
					s := perform(t, [][]turn{{good}, {good}}, func(g *alipayai.Gateway) { g.Claims = &alipayai.Claims{Store: store, TTL: time.Hour} }, caching())
					got := s.call(chatBody("hello"), keyed...)
					wantError(t, got, http.StatusServiceUnavailable, failure.CodeIdempotencyUnavailable)
					wantHeader(t, got, "Retry-After", "1", "X-Should-Retry", "", "X-Alipayai-Attempts", "0")
					s.wantCalls(0, 0)
					if got := s.call(chatBody("hello"), keyed...); got.status != http.StatusOK {
						t.Errorf("the next try: %d %s", got.status, got.body)
					}
					s.wantCalls(1, 0)
				})
			})
		}
	}
}

// A call that failed for certain after its mark frees its key as soon as its store is back, even if the lease is over.
func TestFailedCallFreesItsKeyAfterAnOutage(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		store := &outage{Claims: replay.NewMemoryClaims(time.Now).Within(1 << 20)}
		store.left.Store(600)
		s := perform(t, [][]turn{{says(400, "{}"), good}}, func(g *alipayai.Gateway) { g.Claims = &alipayai.Claims{Store: store, TTL: time.Hour} })
		s.call(chatBody("hello"), keyed...)
		time.Sleep(10 * time.Minute)
		if got := s.call(chatBody("hello"), keyed...); got.status != http.StatusOK {
			t.Errorf("%d %s", got.status, got.body)
		}
	})
}

// An answer that was whole but is not kept says so; one that broke off is of unknown outcome.
func TestAnswersThatAreNotKeptSaySo(t *testing.T) {
	const notKept, unknown = "was served, but its answer is not kept", "its outcome is unknown"
	large := slices.Repeat([]byte("x"), alipayai.MaxRecorded)
	halfEvent := `{"x":"` + string(large[:alipayai.MaxRecorded/2]) + `","choices":[{"delta":{"content":"x"}}]}`
	for name, test := range map[string]struct {
		turn    turn
		body    string
		message string
	}{
		"too large":                      {says(200, `{"choices":[{"finish_reason":"stop"}],"x":"`+string(large)+`"}`), chatBody("hello"), notKept},
		"a stream that is too large":     {streams(nil, halfEvent, halfEvent, finishEvent, "[DONE]"), streamBody("hello"), notKept},
		"a stream that broke off":        {streams(nil, deltaEvent), streamBody("hello"), unknown},
		"a stream with no finish reason": {streams(nil, deltaEvent, "[DONE]"), streamBody("hello"), unknown},
		"a system error":                 {sysError, chatBody("hello"), unknown},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{test.turn, sysError}}, claiming, caching())
				s.call(test.body, keyed...)
				got := s.call(test.body, keyed...)
				wantError(t, got, http.StatusConflict, failure.CodeIdempotencyUnresolved)
				if !strings.Contains(got.body, test.message) {
					t.Errorf("%s, want %q", got.body, test.message)
				}
				s.wantCalls(1)
				if got := s.call(test.body); got.status == http.StatusOK {
					t.Errorf("it was cached: %v", got.header)
				}
			})
		})
	}
}

// A client may repeat its key the moment it has seen the answer's end.
func TestClaimHasEndedWhenTheAnswerIsSent(t *testing.T) {
	for body, answer := range map[string]turn{chatBody("hello"): good, streamBody("hello"): wholeStream} {
		testwait.Bubble(t, func(t *testing.T) {
			s := perform(t, [][]turn{{answer}}, claiming)
			var last reply // of what was repeated at each write
			s.through = func(w http.ResponseWriter) http.ResponseWriter {
				s.through = nil
				return eagerWriter{w, func() { last = s.call(body, keyed...) }}
			}
			before := s.call(body, keyed...)
			wantReplayed(t, last, before, "0")
			wantReplayed(t, s.call(body, keyed...), before, "0")
			s.wantCalls(1)
		})
	}
}

// eagerWriter does something before each write.
type eagerWriter struct {
	http.ResponseWriter
	before func()
}

func (w eagerWriter) Write(b []byte) (int, error) {
	w.before()
	return w.ResponseWriter.Write(b)
}

func (w eagerWriter) FlushError() error {
	w.ResponseWriter.(http.Flusher).Flush()
	return nil
}

// A key, and a cached answer, belong to an endpoint as well.
func TestKeysAndCachedAnswersAreOfOneEndpoint(t *testing.T) {
	const both = `{"model":"alipay-fin-1","messages":[{"role":"user","content":"hello"}],"input":"hello"}`
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{good}}, claiming)
		for i, path := range []string{chatPath, "/v1/embeddings"} {
			got := s.callAt(t.Context(), path, both, keyed...)
			if got.status != http.StatusOK || got.header.Get("Idempotent-Replayed") != "" {
				t.Errorf("%s: %d %s", path, got.status, got.body)
			}
			s.wantCalls(i + 1)
		}
	})
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{good, sysError}}, caching())
		if got := s.callAt(t.Context(), chatPath, both); got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
		if got := s.callAt(t.Context(), "/v1/embeddings", both); got.status == http.StatusOK {
			t.Errorf("a chat's answer was given to embeddings: %v", got.header)
		}
		if got := s.callAt(t.Context(), chatPath, both); got.header.Get("Cache-Status") == "" {
			t.Errorf("%d %s", got.status, got.body)
		}
	})
}

// The largest answer that is kept has alipayai.MaxRecorded bytes.
func TestLargestAnswerThatIsKept(t *testing.T) {
	const frame = `{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant"},"finish_reason":"stop"}],"x":""}`
	filled := func(n int) string {
		return frame[:len(frame)-2] + string(slices.Repeat([]byte("x"), n-len(frame))) + `"}`
	}
	event := func(n int) string { // a stream of n bytes
		const rest = "data: \n\ndata: " + finishEvent + "\n\ndata: [DONE]\n\n"
		const delta = `{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"x"}}],"x":""}`
		return delta[:len(delta)-2] + string(slices.Repeat([]byte("x"), n-len(rest)-len(delta))) + `"}`
	}
	for name, test := range map[string]struct {
		body string
		turn turn
		kept bool
	}{
		"JSON":                    {chatBody("hello"), says(200, filled(alipayai.MaxRecorded)), true},
		"JSON, a byte more":       {chatBody("hello"), says(200, filled(alipayai.MaxRecorded+1)), false},
		"the stream":              {streamBody("hello"), streams(nil, event(alipayai.MaxRecorded), finishEvent, "[DONE]"), true},
		"the stream, a byte more": {streamBody("hello"), streams(nil, event(alipayai.MaxRecorded+1), finishEvent, "[DONE]"), false},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{test.turn}}, claiming)
				before := s.call(test.body, keyed...)
				if n := len(before.body) - alipayai.MaxRecorded; before.err != nil || n != 0 && n != 1 {
					t.Fatalf("%d %v, %d bytes more than are kept", before.status, before.err, n)
				}
				got := s.call(test.body, keyed...)
				if (got.header.Get("Idempotent-Replayed") == "true") != test.kept || test.kept && got.body != before.body {
					t.Errorf("%d %v", got.status, got.header)
				}
			})
		})
	}
}
