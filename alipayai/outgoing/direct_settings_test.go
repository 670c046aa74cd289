package outgoing

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/caddy-alipayai/gateway/internal/badupstream"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// What only net/http can do is left to it: by the settings, by the request, and by what the connection is.
func TestDirectSettings(t *testing.T) {
	dial := new(net.Dialer).DialContext
	for name, base := range map[string]*http.Transport{
		"dials as in the past":       {Dial: net.Dial},
		"dials TLS as in the past":   {DialTLS: net.Dial},
		"dials TLS by itself":        {DialTLSContext: dial},
		"keeps no connections":       {DisableKeepAlives: true},
		"keeps no idle ones":         {MaxIdleConnsPerHost: -1},
		"bounds connections":         {MaxConnsPerHost: 1},
		"reads into other buffers":   {ReadBufferSize: 1},
		"writes from other buffers":  {WriteBufferSize: 1},
		"has a timeout for the head": {ResponseHeaderTimeout: time.Second},
		"speaks HTTP/2 alone":        {Protocols: protocols((*http.Protocols).SetHTTP2)},
		"speaks it in clear text":    {Protocols: protocols((*http.Protocols).SetHTTP1, (*http.Protocols).SetUnencryptedHTTP2)},
	} {
		if NewTransport(base).directable {
			t.Errorf("what %s goes directly", name)
		}
	}
	if !NewTransport(&http.Transport{DialContext: dial, TLSClientConfig: new(tls.Config), ForceAttemptHTTP2: true}).directable {
		t.Error("nothing goes directly")
	}
}

func TestDirectRequests(t *testing.T) {
	for name, change := range map[string]func(base *http.Transport, req *http.Request){
		"as it is":           nil,
		"another scheme":     func(_ *http.Transport, r *http.Request) { r.URL.Scheme = "ftp" },
		"no host":            func(_ *http.Transport, r *http.Request) { r.URL.Host = "" },
		"no header":          func(_ *http.Transport, r *http.Request) { r.Header = nil },
		"a host to encode":   func(_ *http.Transport, r *http.Request) { r.URL.Host = "支付宝.example" },
		"a body that waits":  func(_ *http.Transport, r *http.Request) { r.Body = io.NopCloser(bufio.NewReader(r.Body)) },
		"a body of its own":  func(_ *http.Transport, r *http.Request) { r.Body = struct{ io.ReadCloser }{r.Body} },
		"a large body":       func(_ *http.Transport, r *http.Request) { r.ContentLength = maxDirect + 1 },
		"a trailer":          func(_ *http.Transport, r *http.Request) { r.Trailer = http.Header{"A": nil} },
		"a 100 awaited":      func(_ *http.Transport, r *http.Request) { r.Header.Set("Expect", "100-continue") },
		"an upgrade":         func(_ *http.Transport, r *http.Request) { r.Header.Set("Upgrade", "websocket") },
		"a tunnel":           func(_ *http.Transport, r *http.Request) { r.Method = "CONNECT" },
		"a bad method":       func(_ *http.Transport, r *http.Request) { r.Method = "A B" },
		"a bad name":         func(_ *http.Transport, r *http.Request) { r.Header["A B"] = []string{"c"} },
		"a bad value":        func(_ *http.Transport, r *http.Request) { r.Header["A"] = []string{"c\r\nd: e"} },
		"gzip to be decoded": func(_ *http.Transport, r *http.Request) { r.Header.Del("Accept-Encoding") },
		"a channel":          func(_ *http.Transport, r *http.Request) { r.Cancel = make(chan struct{}) }, //nolint:staticcheck // deprecated, but obeyed
		"a proxy":            func(b *http.Transport, _ *http.Request) { b.Proxy = http.ProxyURL(new(url.URL)) },
		"a proxy's error": func(b *http.Transport, _ *http.Request) {
			b.Proxy = func(*http.Request) (*url.URL, error) { return nil, errors.New("no proxy") }
		},
	} {
		base, req := new(http.Transport), newPost(t.Context(), t, "http://host.example", "{}")
		if change != nil {
			change(base, req)
		}
		if got := plain(base, req, maxDirect); got != (change == nil) {
			t.Errorf("with %s: %v", name, got)
		}
	}
}

// A connection that cannot be looked at serves the request that it was made for, and no other.
func TestDirectUnsuitedConnection(t *testing.T) {
	s := &scripted{answers: slices.Repeat([]string{whole}, 3)}
	base, transport := s.serve(t, badupstream.HTTP1)
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return struct{ net.Conn }{conn}, err
	}
	connections := NewTransport(transport)
	defer connections.CloseIdleConnections()
	for i, reused := range []bool{false, false, true} {
		if got := see(connections, newPost(t.Context(), t, base, "{}")); got.Body != "whole" || !strings.Contains(got.Trace[0], fmt.Sprint("reused ", reused)) {
			t.Errorf("request %d: %+v", i, got)
		}
	}
}

// Over TLS, HTTP/2 is what an upstream is asked for first; one that has not chosen it is spoken to directly from then on.
func TestDirectOverTLS(t *testing.T) {
	for name, test := range map[string]struct {
		protocol badupstream.Protocol
		directs  int
	}{
		"HTTP/1.1 alone": {badupstream.HTTP1TLS, 1},
		"HTTP/2":         {badupstream.HTTP2TLS, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, test.protocol, never, never)
			base := s.transport.base.Clone()
			base.Protocols.SetHTTP1(true)
			base.Protocols.SetHTTP2(true)
			connections := NewTransport(base)
			defer connections.CloseIdleConnections()
			for i := range 3 {
				got := see(connections, newPost(t.Context(), t, s.url, "{}"))
				if got.Failed || !got.TLS || (got.Proto == "HTTP/1.1") != (test.directs == 1) {
					t.Errorf("%+v", got)
				}
				if n := len(connections.directs); n != test.directs {
					t.Errorf("after request %d: %d origins are spoken to directly", i, n)
				}
			}
		})
	}
}

// A Transport without a user is gone once its connections are closed, and with it what its settings refer to, such as the
// configuration that a reload has replaced.
func TestClosedConnectionsKeepNothing(t *testing.T) {
	for name, use := range map[string]func(connections *Transport, req *http.Request){
		"never used": func(*Transport, *http.Request) {},
		"idle": func(connections *Transport, req *http.Request) {
			see(connections, req)
		},
		"in use": func(connections *Transport, req *http.Request) {
			resp, err := Send(connections, req)
			if err != nil {
				t.Fatal(err)
			}
			connections.CloseIdleConnections()
			_, _ = io.Copy(io.Discard, resp.Body)
		},
		"used again": func(connections *Transport, req *http.Request) {
			see(connections, req)
			connections.CloseIdleConnections()
			see(connections, newPost(req.Context(), t, "http://"+req.Host, "{}"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &scripted{answers: []string{whole, whole}}
			base, transport := s.serve(t, badupstream.HTTP1)
			kept := func() weak.Pointer[net.Dialer] {
				configuration, own := new(net.Dialer), transport.Clone()
				own.DialContext = configuration.DialContext
				connections := NewTransport(own)
				use(connections, newPost(t.Context(), t, base, "{}"))
				connections.CloseIdleConnections()
				return weak.Make(configuration)
			}()
			testwait.For(t, 10*time.Second, "the configuration is gone", func() bool {
				runtime.GC()
				return kept.Value() == nil
			})
		})
	}
}
