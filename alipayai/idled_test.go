package alipayai_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
)

// forgetful is an upstream that answers the first request of each connection, and closes the connection when the
// second comes, as one does whose idle timeout has just run out; last is what it says before.
func forgetful(t *testing.T, last string) (url string, requests *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	requests = new(atomic.Int64)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				for n := range 2 {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, req.Body)
					requests.Add(1)
					if n > 0 {
						_, _ = io.WriteString(conn, last)
					} else {
						const answer = `{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}`
						fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Type: application/json\r\n\r\n%s", len(answer), answer)
					}
				}
			}()
		}
	}()
	return "http://" + l.Addr().String(), requests
}

// A connection that the upstream closed while it idled costs an ordinary call nothing but another attempt. One that may
// move money is not repeated even so.
func TestConnectionThatIdled(t *testing.T) {
	for name, test := range map[string]struct {
		class    alipayai.Class
		status   int
		requests int64
	}{
		"inference": {alipayai.ClassInference, http.StatusOK, 3},
		"money":     {alipayai.ClassMoney, http.StatusBadGateway, 2},
	} {
		t.Run(name, func(t *testing.T) {
			url, requests := forgetful(t, "")
			r := startGateway(t, plainProvider(t, url), func(g *alipayai.Gateway) { g.Class = test.class })
			if got := r.chat("makes the connection"); got.status != http.StatusOK {
				t.Fatalf("%d %s", got.status, got.body)
			}
			if got := r.chat("finds it closed"); got.status != test.status {
				t.Errorf("%d %s", got.status, got.body)
			}
			if n := requests.Load(); n != test.requests {
				t.Errorf("%d requests went upstream, want %d", n, test.requests)
			}
		})
	}
}

// An upstream that has begun an answer has read the request, and may have served it: whatever became of the rest, the
// call is not sent again.
func TestConnectionThatBreaksInAnAnswer(t *testing.T) {
	for name, last := range map[string]string{
		"a byte": "H", "half of the status": "HTTP/1.1 20", "half of a field": "HTTP/1.1 200 OK\r\nConte",
		"half of the body": "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
	} {
		t.Run(name, func(t *testing.T) {
			url, requests := forgetful(t, last)
			r := startGateway(t, plainProvider(t, url))
			if got := r.chat("makes the connection"); got.status != http.StatusOK {
				t.Fatalf("%d %s", got.status, got.body)
			}
			if got := r.chat("is broken off"); got.status != http.StatusBadGateway || got.header.Get("X-Should-Retry") != "false" {
				t.Errorf("%d %v %s", got.status, got.header, got.body)
			}
			if n := requests.Load(); n != 2 {
				t.Errorf("%d requests went upstream, want 2", n)
			}
		})
	}
}
