package alipayai_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// answerOf is an answer of that many bytes.
func answerOf(size int) string {
	const head, tail = `{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"`, `"}}]}`
	return head + strings.Repeat("x", size-len(head)-len(tail)) + tail
}

// Forty clients do not read their answers of 16 MiB: no more of these is held than max_buffered, calls with small answers are
// served meanwhile, and once the clients have gone nothing is held.
func TestUnreadAnswersAreBounded(t *testing.T) {
	const clients, budget, allowance = 40, 64 << 20, 32 << 20
	large := answerOf(16 << 20)
	for name, announced := range map[string]bool{"with a length": true, "in chunks": false} {
		t.Run(name, func(t *testing.T) {
			var begun atomic.Int64
			r := newPlainRig(t, func(w http.ResponseWriter, req *http.Request) {
				body, _ := io.ReadAll(req.Body)
				if strings.Contains(string(body), "little") {
					fmt.Fprint(w, answerOf(1<<10))
					return
				}
				if announced {
					w.Header().Set("Content-Length", fmt.Sprint(len(large)))
				}
				begun.Add(1)
				_, _ = io.WriteString(w, large)
			}, func(g *alipayai.Gateway) { g.MaxBuffered = budget })
			before := heap()
			for range clients {
				conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close() })
				body := chatBody("much")
				fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", chatPath, len(body), body)
				defer conn.Close()
			}
			waitFor(t, "all calls to be upstream, and as many answers to be held as may be", func() bool {
				return begun.Load() == clients && r.gateway.Held() > budget-16<<20
			})
			for range 20 {
				if got := r.chat("little"); got.status != http.StatusOK {
					t.Errorf("a small answer: %d %s", got.status, got.body)
				}
				// An answer that grows is there twice for as long as that takes.
				waitFor(t, "no more to be held than may be", func() bool { return heap()-before <= budget+allowance })
			}
			if held := r.gateway.Held(); held > budget {
				t.Errorf("%d MiB are reserved", held>>20)
			}
		})
	}
}

// heap is how many bytes are held. What is allocated while the collector marks
// survives that cycle, although it may be garbage by then: so it looks twice.
func heap() int64 {
	held := int64(math.MaxInt64)
	for range 2 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		held = min(held, int64(m.HeapInuse))
	}
	return held
}

// A call whose answer finds no room until its deadline fails, is not repeated, and leaves the others as they are; the room is
// free again when the client that does not read has had its time.
func TestAnswerThatFindsNoRoom(t *testing.T) {
	const size = 1 << 20
	for mode, body := range map[string]func(string) string{"JSON": chatBody, "stream": streamBody} {
		t.Run(mode, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{func(req *http.Request) (*http.Response, error) {
					if req.Header.Get("Payment-Proof") != "" { // asks for a small answer
						return good(req)
					}
					return says(http.StatusOK, answerOf(size))(req)
				}}}, func(g *alipayai.Gateway) { g.MaxAnswer, g.MaxBuffered = size, size })
				s.slowly(time.Hour)
				began := time.Now()
				ended := make(chan time.Duration)
				go func() { s.call(body("hello")); ended <- time.Since(began) }()
				synctest.Wait()
				s.through = nil

				got := s.call(body("hello"))
				wantError(t, got, http.StatusServiceUnavailable, failure.CodeBuffersFull)
				wantHeader(t, got, "X-Should-Retry", "false")
				if took := time.Since(began); took != alipayai.DefaultDeadline {
					t.Errorf("it waited %v", took)
				}
				s.wantCalls(2)
				if got := s.call(body("hello"), "Payment-Proof", "small"); got.status != http.StatusOK || time.Since(began) != alipayai.DefaultDeadline {
					t.Errorf("a small answer: %d after %v: %s", got.status, time.Since(began), got.body)
				}
				if took := <-ended; took < alipayai.ClientTimeout-time.Second || took > alipayai.ClientTimeout+time.Second {
					t.Errorf("the client that does not read was let go after %v", took)
				}
				if got := s.call(body("hello")); got.status != http.StatusOK {
					t.Errorf("with room again: %d %s", got.status, got.body)
				}
				if held := s.gateway.Held(); held != 0 {
					t.Errorf("%d bytes stay reserved", held)
				}
			})
		})
	}
}

// A stream with a large event waits for room like a whole answer: until the deadline of its call, and not as long as
// its provider may take, which is not to blame.
func TestLargeEventThatFindsNoRoom(t *testing.T) {
	const size = 2 * alipayai.LargeEvent
	for name, freed := range map[string]time.Duration{"never": time.Hour, "before the deadline": 10 * time.Second} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{func(req *http.Request) (*http.Response, error) {
					if req.Header.Get("Accept") != "text/event-stream" {
						return says(http.StatusOK, answerOf(size))(req)
					}
					resp, err := says(http.StatusOK, `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"`+strings.Repeat("x", size-1024)+
						`"},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n")(req)
					resp.Header.Set("Content-Type", "text/event-stream")
					return resp, err
				}}}, func(g *alipayai.Gateway) {
					g.MaxAnswer, g.MaxBuffered = size, size
					g.Providers[0].Timeout, g.Providers[0].StreamTimeout = 5*time.Second, 5*time.Second
				})
				s.slowly(freed)
				ended := make(chan struct{})
				go func() { s.call(chatBody("hello")); close(ended) }()
				synctest.Wait()
				s.through = nil

				began := time.Now()
				got := s.call(streamBody("hello"))
				took := time.Since(began)
				if freed < alipayai.DefaultDeadline {
					if got.status != http.StatusOK || !strings.HasSuffix(got.body, "data: [DONE]\n\n") || took < 5*time.Second || took >= alipayai.DefaultDeadline {
						t.Errorf("%d after %v, %d bytes", got.status, took, len(got.body))
					}
				} else {
					wantError(t, got, http.StatusServiceUnavailable, failure.CodeBuffersFull)
					if took != alipayai.DefaultDeadline {
						t.Errorf("it waited %v", took)
					}
				}
				s.wantCalls(2)
				<-ended
			})
		})
	}
}

// What was reserved for an answer is free again however its call ends.
func TestRoomIsGivenBack(t *testing.T) {
	const size = 1 << 20
	cut := func(req *http.Request) (*http.Response, error) {
		resp, err := says(http.StatusOK, "")(req)
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(answerOf(size)[:size/2]), ending{req.Context(), func(context.Context) error { return io.ErrUnexpectedEOF }}))
		return resp, err
	}
	for name, answer := range map[string]turn{
		"whole":         says(http.StatusOK, answerOf(size)),
		"a failure":     says(http.StatusBadRequest, `{"code":"x","message":"`+strings.Repeat("y", size/2)+`"}`),
		"repeated":      says(http.StatusServiceUnavailable, `{"code":"BUSY","message":"`+strings.Repeat("y", size/2)+`"}`),
		"too large":     says(http.StatusOK, answerOf(size+1)),
		"not an answer": says(http.StatusOK, strings.Repeat("z", size/2)),
		"cut":           cut,
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{answer}}, func(g *alipayai.Gateway) { g.MaxAnswer, g.MaxBuffered = size, size })
				for range 3 {
					if got := s.call(chatBody("hello")); strings.Contains(got.body, failure.CodeBuffersFull) {
						t.Error(got.body)
					}
				}
				if held := s.gateway.Held(); held != 0 {
					t.Errorf("%d bytes stay reserved", held)
				}
			})
		})
	}
}

// A client that reads a large answer slowly gets it, and then its connection has no deadline.
func TestClientThatReadsALargeAnswerSlowly(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		want := answerOf(5 << 20)
		s := perform(t, [][]turn{{says(http.StatusOK, want)}})
		last := s.slowly(alipayai.ClientTimeout - time.Second)
		if got := s.call(chatBody("hello")); got.status != http.StatusOK || got.body != want {
			t.Errorf("%d, %d bytes", got.status, len(got.body))
		}
		if by := last().by; !by.IsZero() {
			t.Errorf("the connection is left with a deadline, %v from now", time.Until(by))
		}
	})
}
