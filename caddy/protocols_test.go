package alipaycaddy

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/quic-go/quic-go/http3"

	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// TestHTTP2AndHTTP3 serves clients of both over TLS: a call, a stream, one whose client leaves, which ends the upstream's, and one
// that outlasts the grace period when the process ends, whose cost is known as that of a client that has left.
func TestHTTP2AndHTTP3(t *testing.T) {
	c := newCertified(t)
	c.issue("site", &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	roots := x509.NewCertPool()
	roots.AddCert(c.ca)
	trust := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}
	for name, tt := range map[string]struct {
		major  int
		client func() (http.RoundTripper, func())
	}{
		"HTTP/2": {2, func() (http.RoundTripper, func()) {
			h2 := &http.Transport{TLSClientConfig: trust.Clone(), ForceAttemptHTTP2: true}
			return h2, h2.CloseIdleConnections
		}},
		"HTTP/3": {3, func() (http.RoundTripper, func()) {
			h3 := &http3.Transport{TLSClientConfig: trust.Clone()}
			return h3, func() { _ = h3.Close() }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
			transport, end := tt.client()
			defer end()
			g.vars["certificate"], g.vars["key"] = c.file("site.crt"), c.file("site.key")
			g.load("grace_period 100ms\nauto_https disable_redirects\nservers {\npacket_conn_wrappers {\nordered\n}\n}\n"+pricedProvider,
				strings.Replace(proxySite, "http://${gateway} {", "https://${gateway} {\ntls ${certificate} ${key}", 1))
			loaded.Store(true)
			call := func(ctx context.Context, stream bool) *http.Response {
				t.Helper()
				r := must(http.NewRequestWithContext(ctx, "POST", "https://"+g.vars["gateway"]+chatPath, strings.NewReader(chatBody("tell me more", stream))))
				r.Header.Set("Content-Type", "application/json")
				resp, err := transport.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				if resp.StatusCode != http.StatusOK || resp.ProtoMajor != tt.major {
					t.Fatalf("%s %s", resp.Proto, resp.Status)
				}
				return resp
			}
			for _, stream := range []bool{false, true} {
				resp := call(t.Context(), stream)
				body := string(must(io.ReadAll(resp.Body)))
				_ = resp.Body.Close()
				if stream != strings.HasSuffix(body, "data: [DONE]\n\n") || !strings.Contains(body, "more") {
					t.Errorf("stream %t: %s", stream, body)
				}
			}

			if err := g.api.SetFaults(sandbox.Fault{Kind: sandbox.Stall, AfterEvents: 3}); err != nil {
				t.Fatal(err)
			}
			hangs := func(ctx context.Context) *http.Response {
				t.Helper()
				resp := call(ctx, true)
				if line, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil || !strings.HasPrefix(line, "data: ") {
					t.Fatalf("%q, %v", line, err)
				}
				return resp
			}
			ctx, leave := context.WithCancel(t.Context())
			left := hangs(ctx)
			leave()
			_ = left.Body.Close()
			g.eventually("the upstream's call to end with its client's", func() bool { return g.api.Stats().Cancelled == 1 })

			last := hangs(t.Context())
			defer last.Body.Close()
			must(caddy.ActiveContext().App("alipayai")).(*App).exiting = func() bool { return true }
			if err := caddy.Stop(); err != nil {
				t.Fatal(err)
			}
			if rest, err := io.ReadAll(last.Body); err == nil {
				t.Errorf("what was cut off ends as if it were whole: %q", rest)
			}
			// Now, since the process ends with this.
			read := ledger.New(ledger.Options{Path: filepath.Join(g.vars["dir"], "ledger.db"), LockWait: time.Millisecond})
			read.Open()
			defer func() { _ = read.Close() }()
			lines, err := read.Lines(t.Context(), ledger.Query{})
			outcomes := make(map[ledger.Outcome]int)
			for _, line := range lines {
				outcomes[line.Outcome]++
			}
			if outcomes[ledger.Known] != 2 || outcomes[ledger.Estimated] != 2 || len(outcomes) != 2 {
				t.Errorf("the ledger has %v, %v", outcomes, err)
			}
		})
	}
}

// ordered is a wrapper of Caddy's packet connections that tells the race detector that what comes in has been sent after the test
// has stored loaded: of packets it knows no order. Caddy starts its apps in any order, so what its TLS app writes when it starts
// is read in handshakes on sockets that were there before.
type ordered struct{}

var loaded atomic.Bool

func init() { caddy.RegisterModule(ordered{}) }

// CaddyModule returns the Caddy module information.
func (ordered) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.packetconns.ordered", New: func() caddy.Module { return new(ordered) }}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
func (*ordered) UnmarshalCaddyfile(*caddyfile.Dispenser) error { return nil }

// WrapPacketConn implements caddy.PacketConnWrapper.
func (ordered) WrapPacketConn(c net.PacketConn) net.PacketConn { return orderedConn{c} }

type orderedConn struct{ net.PacketConn }

func (c orderedConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := c.PacketConn.ReadFrom(p)
	loaded.Load()
	return n, from, err
}
