package alipayai_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
)

// net/http repeats requests by itself where it thinks that it may: with an old
// signature, and with a time that no longer is now. Here each request that
// reaches a server is counted, whatever became of it.

// socketServer answers connections by hand and counts the requests.
type socketServer struct {
	url string

	mu       sync.Mutex
	requests int
}

func (s *socketServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	return s.requests
}

func (s *socketServer) counted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// listen gives every connection to serve, which has to close it.
func listen(t *testing.T, serve func(*socketServer, net.Conn)) *socketServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &socketServer{url: "http://" + l.Addr().String()}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			all.Go(func() { serve(s, conn) })
		}
	})
	t.Cleanup(all.Wait)
	t.Cleanup(func() { l.Close() })
	return s
}

// hangUp answers the first request, and closes the connection when it has read the second.
func hangUp(s *socketServer, conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		if s.count() > 1 {
			return
		}
		answer := `{"choices":[{}],"data":[{"id":"m"}]}`
		head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(answer))
		if req.Method == http.MethodHead {
			answer = ""
		}
		io.WriteString(conn, head+answer)
	}
}

func TestNothingIsReplayedOverHTTP1(t *testing.T) {
	for name, call := range map[string]func(*rig, ...string) reply{
		"chat":   func(r *rig, header ...string) reply { return r.chat("hello", header...) },
		"stream": func(r *rig, header ...string) reply { return r.stream("hello", header...) },
		"embeddings": func(r *rig, header ...string) reply {
			return r.post("/v1/embeddings", `{"model":"m","input":"x"}`, header...)
		},
		"models": func(r *rig, header ...string) reply {
			return r.do(r.t.Context(), http.MethodGet, "/v1/models", "", header...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := listen(t, hangUp)
			r := startGateway(t, plainProvider(t, server.url))
			if got := call(r); got.status != http.StatusOK {
				t.Fatalf("%d %s", got.status, got.body)
			}
			got := call(r, "Idempotency-Key", "order-1")
			wantError(t, got, http.StatusBadGateway, failure.CodeTruncated)
			if got.header.Get("X-Should-Retry") != "false" {
				t.Error("does not tell the client that the call may have executed")
			}
			if n := server.counted(); n != 2 {
				t.Errorf("%d requests reached the server, want 2: one was repeated", n)
			}
		})
	}
}

// Frames of HTTP/2 (RFC 9113, section 6), as far as these tests need them.
const (
	frameHeaders   = 0x1
	frameReset     = 0x3
	frameSettings  = 0x4
	frameGoAway    = 0x7
	flagEndStream  = 0x1
	codeNoError    = 0x0
	codeRefused    = 0x7
	codeProtocol   = 0x1
	prefaceOfHTTP2 = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
)

func writeFrame(w io.Writer, kind byte, stream uint32, payload ...byte) {
	head := make([]byte, 9, 9+len(payload))
	head[0], head[1], head[2], head[3] = byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind
	binary.BigEndian.PutUint32(head[5:], stream)
	w.Write(append(head, payload...))
}

// refuseHTTP2 reads each request to its end, counts it, and has refuse say that it was not done.
func refuseHTTP2(refuse func(w io.Writer, stream uint32)) func(*socketServer, net.Conn) {
	return func(s *socketServer, conn net.Conn) {
		defer conn.Close()
		in := bufio.NewReader(conn)
		if _, err := io.ReadFull(in, make([]byte, len(prefaceOfHTTP2))); err != nil {
			return
		}
		writeFrame(conn, frameSettings, 0)
		for {
			var head [9]byte
			if _, err := io.ReadFull(in, head[:]); err != nil {
				return
			}
			size := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
			if _, err := io.CopyN(io.Discard, in, size); err != nil {
				return
			}
			kind, flags, stream := head[3], head[4], binary.BigEndian.Uint32(head[5:])
			if kind == frameHeaders {
				s.count()
			}
			if stream > 0 && flags&flagEndStream != 0 {
				refuse(conn, stream)
			}
		}
	}
}

func TestNothingIsReplayedOverHTTP2(t *testing.T) {
	for name, refuse := range map[string]func(io.Writer, uint32){
		"GOAWAY before the stream": func(w io.Writer, _ uint32) { writeFrame(w, frameGoAway, 0, 0, 0, 0, 0, 0, 0, 0, codeNoError) },
		"REFUSED_STREAM":           func(w io.Writer, stream uint32) { writeFrame(w, frameReset, stream, 0, 0, 0, codeRefused) },
		"PROTOCOL_ERROR":           func(w io.Writer, stream uint32) { writeFrame(w, frameReset, stream, 0, 0, 0, codeProtocol) },
	} {
		for path, method := range map[string]string{"/v1/chat/completions": http.MethodPost, "/v1/models": http.MethodGet} {
			t.Run(name+", "+method, func(t *testing.T) {
				server := listen(t, refuseHTTP2(refuse))
				p := plainProvider(t, server.url)
				protocols := new(http.Protocols)
				protocols.SetUnencryptedHTTP2(true)
				p.Transport.(*http.Transport).Protocols = protocols
				r := startGateway(t, p)
				body := chatBody("hello")
				if method == http.MethodGet {
					body = ""
				}
				got := r.do(t.Context(), method, path, body, "Idempotency-Key", "order-1")
				wantError(t, got, http.StatusBadGateway, failure.CodeTruncated)
				if n := server.counted(); n != 1 {
					t.Errorf("%d requests reached the server, want 1", n)
				}
			})
		}
	}
}

// Each answer goes to the call that it belongs to, however many there are and whatever they reuse.
func TestAnswersAreNotCrossed(t *testing.T) {
	r := newPlainRig(t, func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		if strings.Contains(string(body), `"stream":true`) {
			w.Header().Set("Content-Type", "text/event-stream")
			for range 20 {
				io.WriteString(w, "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"echo\":"+string(body)+"}\n\n")
			}
			io.WriteString(w, "data: [DONE]\n\n")
			return
		}
		io.WriteString(w, `{"choices":[{}],"echo":`+string(body)+`}`)
	})
	var all sync.WaitGroup
	for client := range 16 {
		all.Go(func() {
			for i := range 40 {
				name := strings.Repeat(string(rune('a'+client)), 50+i*37)
				body, times := chatBody(name), 1
				if i%2 == 0 {
					body, times = streamBody(name), 20
				}
				got := r.do(t.Context(), http.MethodPost, "/v1/chat/completions", body)
				if got.status != http.StatusOK || got.err != nil || strings.Count(got.body, body) != times {
					t.Errorf("call %d of client %d: %d (%v)", i, client, got.status, got.err)
				}
			}
		})
	}
	all.Wait()
}

// A call that the upstream says, by HTTP/2, that it has not looked at costs nothing, leaves its key free, and the client may
// repeat it; unless money may hang on it.
func TestUnprocessedCallsHaveNotExecuted(t *testing.T) {
	for name, test := range map[string]struct {
		refuse func(io.Writer, uint32)
		class  alipayai.Class
		free   bool
	}{
		"GOAWAY": {
			func(w io.Writer, _ uint32) { writeFrame(w, frameGoAway, 0, 0, 0, 0, 0, 0, 0, 0, codeNoError) }, alipayai.ClassInference, true,
		},
		"REFUSED_STREAM": {
			func(w io.Writer, stream uint32) { writeFrame(w, frameReset, stream, 0, 0, 0, codeRefused) }, alipayai.ClassInference, true,
		},
		"another error": {
			func(w io.Writer, stream uint32) { writeFrame(w, frameReset, stream, 0, 0, 0, codeProtocol) }, alipayai.ClassInference, false,
		},
		"money": {
			func(w io.Writer, stream uint32) { writeFrame(w, frameReset, stream, 0, 0, 0, codeRefused) }, alipayai.ClassMoney, false,
		},
	} {
		for of, body := range map[string]string{"whole": chatBody("hello"), "stream": streamBody("hello")} {
			t.Run(name+", "+of, func(t *testing.T) {
				server := listen(t, refuseHTTP2(test.refuse))
				p := plainProvider(t, server.url)
				p.Transport.(*http.Transport).Protocols = new(http.Protocols)
				p.Transport.(*http.Transport).Protocols.SetUnencryptedHTTP2(true)
				r := startGateway(t, p, func(g *alipayai.Gateway) {
					g.Class = test.class
					g.Claims = &alipayai.Claims{Store: replay.NewMemoryClaims(time.Now).Within(1 << 20), TTL: time.Hour}
				})
				arrive := []int{1, 2}
				code, status := failure.CodeTruncated, http.StatusBadGateway
				if !test.free {
					arrive, code, status = []int{1, 1}, failure.CodeIdempotencyUnresolved, http.StatusConflict
				}
				for i, want := range arrive {
					got := r.post("/v1/chat/completions", body, "Idempotency-Key", "order-1")
					if i == 0 {
						wantError(t, got, http.StatusBadGateway, failure.CodeTruncated)
					} else {
						wantError(t, got, status, code)
					}
					if told := got.header.Get("X-Should-Retry") == "false"; told == test.free {
						t.Errorf("call %d: the client is told not to repeat it: %v", i+1, told)
					}
					if n := server.counted(); n != want {
						t.Errorf("call %d: %d requests reached the server, want %d", i+1, n, want)
					}
				}
			})
		}
	}
}
