package outgoing

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/caddy-alipayai/gateway/internal/heldport"
)

// opaque hides what it wraps, as Caddy's DialError does.
type opaque struct{ error }

// What a dialer hides of why it failed can be had all the same, directly and through
// net/http, and its own error too.
func TestDialErrorsTellWhy(t *testing.T) {
	refusing := heldport.Addr(t)
	hiding := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, opaque{err}
		}
		return conn, nil
	}
	for name, header := range map[string]http.Header{
		"directly": {"Accept-Encoding": {"identity"}}, "by net/http": {"Expect": {"100-continue"}},
	} {
		t.Run(name, func(t *testing.T) {
			transport := NewTransport(&http.Transport{DialContext: hiding})
			t.Cleanup(transport.CloseIdleConnections)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+refusing, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header = header
			resp, err := transport.RoundTrip(req)
			if err == nil {
				_ = resp.Body.Close()
				t.Fatal("connected")
			}
			if op, ok := errors.AsType[*net.OpError](err); !ok || op.Addr.String() != refusing || !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("does not tell why: %v", err)
			}
			if _, ok := errors.AsType[opaque](err); !ok {
				t.Errorf("hides the dialer's error: %v", err)
			}
		})
	}
}
