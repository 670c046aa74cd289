package alipayai_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/outgoing"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/internal/badupstream"
)

// eachFault starts an upstream for each protocol and each way in which it breaks a request off.
func eachFault(t *testing.T, good int64, use func(t *testing.T, p badupstream.Protocol, s *badupstream.Server, url string, transport http.RoundTripper)) {
	t.Helper()
	for _, protocol := range badupstream.Protocols {
		for fault, faulty := range protocol.Faults() {
			if !protocol.Multiplexes() && strings.Contains(fault, "503") {
				continue // the gateway repeats that, as it may
			}
			t.Run(string(protocol)+" "+fault, func(t *testing.T) {
				t.Parallel()
				s, url, base := badupstream.Start(t, protocol, faulty, good)
				transport := outgoing.NewTransport(base)
				t.Cleanup(transport.CloseIdleConnections)
				use(t, protocol, s, url, transport)
			})
		}
	}
}

// However the upstream breaks a call off, what arrives are the gateway's own attempts; and over HTTP/2, where a connection
// is not closed for having idled, a call on a connection that was used before is attempted once.
func TestCallsArriveOnce(t *testing.T) {
	eachFault(t, 1, func(t *testing.T, protocol badupstream.Protocol, s *badupstream.Server, url string, transport http.RoundTripper) {
		p := plainProvider(t, url)
		p.Transport = transport
		p.Timeout = 5 * time.Second
		r := startGateway(t, p)
		r.chat("makes the connection")
		r.outcome()
		path, method, body := chatPath, http.MethodPost, chatBody("is broken off")
		if strings.HasSuffix(t.Name(), "HEADERS") {
			path, method, body = "/v1/models", http.MethodGet, "" // which has no body
		}
		if got := r.do(t.Context(), method, path, body); got.status < 400 {
			t.Errorf("%d %s", got.status, got.body)
		}
		attempts := r.outcome().Attempts
		if n := s.Arrived(); n != int64(attempts) || protocol.Multiplexes() && n != 1 {
			t.Errorf("arrived %d times for %d attempts", n, attempts)
		}
	})
}

// A refresh token that is rotated is good for one request.
func TestTokenRequestsArriveOnce(t *testing.T) {
	eachFault(t, 0, func(t *testing.T, _ badupstream.Protocol, s *badupstream.Server, url string, transport http.RoundTripper) {
		g := &token.Grant{URL: url, ClientID: "client", Secret: "secret", Transport: transport, Now: time.Now}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := g.Fetch(ctx, "refresh-1"); err == nil {
			t.Error("a token came")
		}
		if n := s.Arrived(); n != 1 {
			t.Errorf("arrived %d times", n)
		}
	})
}

// A request that somebody else has composed arrives once.
func TestSignedRequestsArriveOnce(t *testing.T) {
	eachFault(t, 0, func(t *testing.T, _ badupstream.Protocol, s *badupstream.Server, url string, transport http.RoundTripper) {
		p := simProvider(t, url)
		p.Tokens = nil
		for _, method := range []string{"POST", "DELETE"} {
			s.Restart()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if x, f := send(t, p, composed(t, method, url+"/v3/pay").WithContext(ctx), nil, transport); f == nil {
				x.Response.Body.Close()
			}
			if n := s.Arrived(); n != 1 {
				t.Errorf("%s arrived %d times", method, n)
			}
		}
	})
}
