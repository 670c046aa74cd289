package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/heldport"
)

func TestBodies(t *testing.T) {
	tests := map[string]struct {
		body []byte
		size int
	}{
		"request":          {requestBody(modelName, false), requestSize},
		"streamed request": {requestBody(modelName, true), requestSize},
		"slow request":     {requestBody(slowModel, true), requestSize},
		"answer":           {answerBody(), answerSize},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if len(tt.body) != tt.size {
				t.Errorf("%d bytes, want %d", len(tt.body), tt.size)
			}
			if !json.Valid(tt.body) {
				t.Errorf("not JSON: %s", tt.body)
			}
		})
	}
	events := eventBodies()
	if len(events) != streamEvents {
		t.Errorf("%d events, want %d", len(events), streamEvents)
	}
	for _, event := range events[:len(events)-1] {
		data, ok := bytes.CutPrefix(event, []byte("data: "))
		if !ok || !json.Valid(data) {
			t.Errorf("not an event of JSON: %s", event)
		}
	}
}

// serve1 is the address of the upstream, served in this process.
func serve1(t *testing.T) string {
	server := httptest.NewServer(upstream())
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func TestClosedLoop(t *testing.T) {
	for name, w := range map[string]workload{"json": jsonCalls(3), "stream": streamCalls(3), "keyed": productionCalls()} {
		t.Run(name, func(t *testing.T) {
			w.clients = 3
			cs, err := dial(t.Context(), serve1(t), w)
			if err != nil {
				t.Fatal(err)
			}
			defer cs.close()
			got, err := cs.closedLoop(t.Context(), w, 20*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.latencies) <= w.clients || got.elapsed < 20*time.Millisecond {
				t.Errorf("%d calls in %v", len(got.latencies), got.elapsed)
			}
		})
	}
}

// A proxy is full after so many calls, which are made on all connections.
func TestFillUp(t *testing.T) {
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		upstream().ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	w := productionCalls()
	w.clients, w.fills = 3, 50
	if err := fillUp(t.Context(), &child{greeting: greeting{Addr: server.Listener.Addr().String()}}, w, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if n := calls.Load(); n < 50 {
		t.Errorf("%d calls, want 50 or more", n)
	}
	if err := fillUp(t.Context(), &child{greeting: greeting{Addr: heldport.Addr(t)}}, w, time.Millisecond); err == nil {
		t.Error("a proxy that is not there was filled")
	}
}

// No two calls are alike: a gateway would answer the second from what it keeps.
func TestCallsDiffer(t *testing.T) {
	for name, w := range map[string]workload{"keyed": productionCalls(), "without keys": jsonCalls(2)} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			prompts, keys, n := map[string]bool{}, map[string]bool{}, 0
			server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				mu.Lock()
				defer mu.Unlock()
				n++
				prompts[string(body)] = true
				keys[r.Header.Get("Idempotency-Key")] = true
				rw.Write(answerBody())
			}))
			defer server.Close()
			w.clients = 2
			w.check = func([]byte) error { return nil }
			cs, err := dial(t.Context(), server.Listener.Addr().String(), w)
			if err != nil {
				t.Fatal(err)
			}
			defer cs.close()
			if _, err := cs.closedLoop(t.Context(), w, 5*time.Millisecond); err != nil {
				t.Fatal(err)
			}
			want := n
			if !w.keyed {
				want = 1 // the empty one
			}
			if len(prompts) != n || len(keys) != want {
				t.Errorf("%d calls had %d prompts and %d keys, want %d", n, len(prompts), len(keys), want)
			}
		})
	}
}

// A benchmark that counts failures as calls would praise a proxy that fails fast.
func TestLoadRefuses(t *testing.T) {
	wholeStream := string(bytes.Join(eventBodies(), nil))
	tests := map[string]struct {
		stream bool
		answer func(w http.ResponseWriter)
		want   string
	}{
		"another status": {
			answer: func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) },
			want:   `answered "HTTP/1.1 502 Bad Gateway"`,
		},
		"another answer": {
			answer: func(w http.ResponseWriter) { io.WriteString(w, "{}") },
			want:   "2 bytes of answer are not the upstream's",
		},
		"a stream without its end": {
			stream: true,
			answer: func(w http.ResponseWriter) {
				io.WriteString(w, strings.TrimSuffix(wholeStream, string(streamEnd)))
			},
			want: "a stream of 49 events",
		},
		"a stream cut off": {
			stream: true,
			answer: func(w http.ResponseWriter) {
				io.WriteString(w, wholeStream)
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			},
			want: "EOF",
		},
		"a chunk longer than it says": {
			stream: true,
			answer: func(w http.ResponseWriter) {
				raw(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n")
			},
			want: "a chunk does not end where it says",
		},
		"a chunk of no size": {
			stream: true,
			answer: func(w http.ResponseWriter) {
				raw(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")
			},
			want: "invalid syntax",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { tt.answer(w) }))
			defer server.Close()
			w := jsonCalls(2)
			if tt.stream {
				w = streamCalls(2)
			}
			cs, err := dial(t.Context(), server.Listener.Addr().String(), w)
			if err == nil {
				cs.close()
				t.Fatal("the load went on")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want %q in it", err, tt.want)
			}
		})
	}
}

// raw answers with bytes that net/http itself would not write.
func raw(w http.ResponseWriter, answer string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	fmt.Fprint(conn, answer)
	conn.Close()
}
