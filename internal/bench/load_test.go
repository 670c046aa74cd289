package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestBodies(t *testing.T) {
	tests := map[string]struct {
		body []byte
		size int
	}{
		"request":          {requestBody(false), requestSize},
		"streamed request": {requestBody(true), requestSize},
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

func TestLoad(t *testing.T) {
	server := httptest.NewServer(upstream())
	defer server.Close()
	for _, w := range workloads() {
		t.Run(w.name, func(t *testing.T) {
			w.clients = 3
			cs, err := dial(t.Context(), server.Listener.Addr().String(), w)
			if err != nil {
				t.Fatal(err)
			}
			defer cs.close()
			got, err := cs.load(t.Context(), w, 20*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.latencies) <= w.clients || got.elapsed < 20*time.Millisecond {
				t.Errorf("%d calls in %v", len(got.latencies), got.elapsed)
			}
		})
	}
}

// A benchmark that counts failures as calls would praise a proxy that fails fast.
func TestLoadRefuses(t *testing.T) {
	wholeStream := string(bytes.Join(eventBodies(), nil))
	tests := map[string]struct {
		workload int
		answer   func(w http.ResponseWriter)
		want     string
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
			workload: 1,
			answer: func(w http.ResponseWriter) {
				io.WriteString(w, strings.TrimSuffix(wholeStream, string(streamEnd)))
			},
			want: "a stream of 49 events",
		},
		"a stream cut off": {
			workload: 1,
			answer: func(w http.ResponseWriter) {
				io.WriteString(w, wholeStream)
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			},
			want: "EOF",
		},
		"a chunk longer than it says": {
			workload: 1,
			answer: func(w http.ResponseWriter) {
				raw(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n")
			},
			want: "a chunk does not end where it says",
		},
		"a chunk of no size": {
			workload: 1,
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
			w := workloads()[tt.workload]
			w.clients = 2
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
