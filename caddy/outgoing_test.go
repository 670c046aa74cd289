package alipaycaddy

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/badupstream"
)

// h2cRig is a rig whose site signs for ${upstream} and sends calls there, by HTTP/2 in clear text, with short timeouts
// that a busy machine keeps.
func h2cRig(t *testing.T, upstream string) *rig {
	t.Helper()
	g := newRig(t, sandbox.Config{})
	g.vars["upstream"], g.vars["rsa"] = upstream, g.file("rsa", privatePEM(rsaKey()))
	g.load(`
alipayai {
	provider pay {
		profile openapi-v2
		client_id 2021000000000001
		key 1 {file.${rsa}}
		base_url ${upstream}
	}
	provider local {
		profile ollama
		base_url ${upstream}
		timeout 1s
		transport http {
			versions h2c
		}
	}
}`, `
http://${gateway} {
	handle /gateway.do {
		reverse_proxy ${upstream} {
			transport alipayai pay {
				paths /gateway.do
				methods *
				allow_anonymous
				http {
					versions h2c
					response_header_timeout 1s
				}
			}
		}
	}
	alipayai_proxy local
}`)
	return g
}

// Whatever the method: an upstream that takes a request and then says that it has not looked at it gets it once.
func TestTransportNeverRepeatsOverHTTP2(t *testing.T) {
	for fault, server := range map[string]*badupstream.Server{
		"GOAWAY":         {Head: func(c *badupstream.Conn, _ uint32) { c.GoAway(0, 0) }},
		"REFUSED_STREAM": {Head: func(c *badupstream.Conn, stream uint32) { c.ResetStream(stream, badupstream.RefusedStream) }},
	} {
		t.Run(fault, func(t *testing.T) {
			s, url, _ := badupstream.Start(t, badupstream.HTTP2, server, 0)
			g := h2cRig(t, url)
			for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"} {
				s.Restart()
				if a := g.do(method, anAPI, "", "Idempotency-Key: a"); a.status != http.StatusBadGateway {
					t.Errorf("%s: status %d: %s", method, a.status, a.body)
				}
				if n := s.Arrived(); n != 1 {
					t.Errorf("%s arrived %d times", method, n)
				}
			}
		})
	}
}

// Calls, and what the transport signs, are lost on a connection that has gone silent until one has timed out, and not
// after it.
func TestSilentUpstreamConnection(t *testing.T) {
	for name, path := range map[string]string{"call": chatPath, "transport": anAPI} {
		var body string
		if path == chatPath {
			body = chatBody("x", false)
		}
		t.Run(name, func(t *testing.T) {
			upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.Write([]byte(`{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}`))
			}))
			upstream.Config.Protocols = new(http.Protocols)
			upstream.Config.Protocols.SetUnencryptedHTTP2(true)
			upstream.Start()
			t.Cleanup(upstream.Close)
			front, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			relay := badupstream.NewRelay(front, upstream.Listener.Addr().String())
			t.Cleanup(relay.Close)
			g := h2cRig(t, "http://"+front.Addr().String())
			if a := g.do("POST", path, body); a.status != http.StatusOK {
				t.Fatalf("status %d: %s", a.status, a.body)
			}
			if relay.Silence() == 0 {
				t.Fatal("no connection")
			}
			if a := g.do("POST", path, body); a.status < 500 {
				t.Errorf("status %d through a silent connection", a.status)
			}
			for range 5 {
				if a := g.do("POST", path, body); a.status != http.StatusOK {
					t.Errorf("status %d after the timeout: %s", a.status, a.body)
				}
			}
		})
	}
}
