package alipaycaddy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// TestSlowUpload holds what OPERATIONS.md says of uploads: with the server's
// read_body, a client that stops in the middle of its body gets 408 and loses its
// connection, and a call whose answer takes longer than that goes on. That one needs
// time for its own body, which counts from when it has connected.
func TestSlowUpload(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.load(`servers {
		timeouts {
			read_body 2s
		}
	}`+oneProvider, proxySite)
	if a := g.do("POST", chatPath, chatBody("[[fault:latency=2500ms]] tea", false)); a.status != http.StatusOK {
		t.Fatalf("an answer that takes longer: status %d: %s", a.status, a.body)
	}

	// At all doors at once, since each waits for the same time.
	uploads := make(map[string]net.Conn)
	for _, name := range []string{"chat", "completions", "responses", "messages", "count_tokens", "embeddings"} {
		conn := g.dial(t)
		if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", doors[name].path, g.vars["gateway"]); err != nil {
			t.Fatal(err)
		}
		uploads[name] = conn
	}
	for name, conn := range uploads {
		t.Run(name, func(t *testing.T) {
			d := doors[name]
			received := bufio.NewReader(conn)
			d.refused(t, g.read(http.ReadResponse(received, nil)), http.StatusRequestTimeout, failure.CodeRequestUnreadable, "invalid_request_error")
			if rest, err := io.ReadAll(received); err != nil || len(rest) > 0 {
				t.Errorf("after the answer: %q, %v", rest, err)
			}
		})
	}
	if n := g.chats(); n != 1 {
		t.Errorf("%d calls reached the provider, want 1", n)
	}
}
