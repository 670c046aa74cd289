package alipaycaddy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// What makes a tunnel of a connection is refused before any handler behind, and an offer of h2c is served as the request
// that it comes with.
func TestModerateRefusesTunnels(t *testing.T) {
	g := newJudge(t)
	var reached, upgraded atomic.Int64
	var last atomic.Value
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		last.Store(r.Header.Clone())
		if r.Header.Get("Upgrade") == "" {
			_, _ = io.WriteString(w, "an answer")
			return
		}
		upgraded.Add(1)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
	}))
	t.Cleanup(upstream.Close)
	g.vars["tunnel"] = upstream.Listener.Addr().String()
	g.load(moderators("moderator law {\nwords 稳赚不赔\n}"), moderatedSite(`
	@moderated not path /free
	alipayai_moderate @moderated law
	reverse_proxy ${tunnel}`))
	const handshake = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for name, test := range map[string]struct {
		request, fields string
		status          int
	}{
		"a WebSocket":                 {"GET /v1/realtime", "Connection: Upgrade\r\nUpgrade: websocket\r\n" + handshake, 403},
		"in other letters":            {"GET /v1/realtime", "Connection: uPGRADE\r\nUpgrade: WebSocket\r\n" + handshake, 403},
		"among other tokens":          {"GET /v1/realtime", "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" + handshake, 403},
		"in a second field":           {"GET /v1/realtime", "Connection: keep-alive\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n" + handshake, 403},
		"behind h2c":                  {"GET /v1/realtime", "Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n" + handshake, 403},
		"with a POST":                 {"POST /v1/realtime", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n" + handshake, 403},
		"another protocol":            {"GET /", "Connection: Upgrade\r\nUpgrade: spdy/3.1\r\n", 403},
		"at Anthropic's path":         {"GET /v1/messages", "Connection: Upgrade\r\nUpgrade: websocket\r\n" + handshake, 403},
		"CONNECT":                     {"CONNECT " + g.vars["gateway"], "", 403},
		"an offer of h2c":             {"GET /v1/models", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n", 200},
		"no upgrade by its own field": {"GET /v1/models", "Connection: keep-alive\r\nUpgrade: websocket\r\n", 200},
		"an upgrade to nothing":       {"GET /v1/models", "Connection: Upgrade\r\n", 200},
		"a path that is left out":     {"GET /free", "Connection: Upgrade\r\nUpgrade: websocket\r\n" + handshake, 101},
	} {
		t.Run(name, func(t *testing.T) {
			before, tunnels := reached.Load(), upgraded.Load()
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", g.vars["gateway"])
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			host := g.vars["gateway"]
			fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: %s\r\n%s\r\n%s\r\n", test.request, host, g.acme, test.fields)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != test.status {
				t.Fatalf("status %d, want %d", resp.StatusCode, test.status)
			}
			switch test.status {
			case http.StatusForbidden:
				body, _ := io.ReadAll(resp.Body)
				form := `"code":"moderation_blocked"`
				if strings.HasSuffix(test.request, "/messages") {
					form = `"type":"permission_error"`
				}
				if !strings.Contains(string(body), form) || !strings.Contains(string(body), "policy law") {
					t.Errorf("body %s, want %s", body, form)
				}
				if reached.Load() != before {
					t.Error("it has reached the upstream")
				}
			case http.StatusOK:
				header, _ := last.Load().(http.Header)
				if upgraded.Load() != tunnels || header.Get("Http2-Settings") != "" {
					t.Errorf("the upgrade was passed on: %v", header)
				}
			}
		})
	}
}
