package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// protocol is what a client speaks to the gateway.
type protocol struct {
	tls  bool
	name string // as in http.Response.Proto
}

var protocols = map[string]protocol{
	"http1":     {name: "HTTP/1.1"},
	"tls-http1": {name: "HTTP/1.1", tls: true},
	"tls-http2": {name: "HTTP/2.0", tls: true},
}

// overEachProtocol runs a test over each of them, each time with a client that
// makes no retries of its own, since tests count calls.
func (g *gateway) overEachProtocol(t *testing.T, test func(t *testing.T, c *client)) {
	t.Helper()
	for name, p := range protocols {
		t.Run(name, func(t *testing.T) {
			g.take("")
			g.claude.take("")
			test(t, g.client(t, p))
		})
	}
}

// client is the official OpenAI SDK, pointed at the gateway.
type client struct {
	openai.Client
	wire *tap
}

// client makes one that has no connection yet.
func (g *gateway) client(t *testing.T, p protocol) *client {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(p.name == "HTTP/1.1")
	transport.Protocols.SetHTTP2(p.name == "HTTP/2.0")
	base := "http://" + g.addr + "/v1"
	if p.tls {
		base = "https://" + g.tlsAddr + "/v1"
		roots, err := internalCA()
		if err != nil {
			t.Fatal(err)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	wire := &tap{t: t, protocol: p, transport: transport}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if wire.answers == 0 {
			t.Error("no call was answered")
		}
	})
	return &client{wire: wire, Client: openai.NewClient(
		option.WithBaseURL(base),
		option.WithAPIKey(g.key),
		option.WithHTTPClient(&http.Client{Transport: wire}),
		option.WithMaxRetries(0),
	)}
}

// defaultRetries is how often the SDK repeats a call by default.
const defaultRetries = 2

// tap holds a client to its protocol, and keeps the last body that it sent.
type tap struct {
	t         *testing.T
	protocol  protocol
	transport http.RoundTripper

	mu      sync.Mutex
	answers int
	body    []byte
}

func (w *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if err := r.Body.Close(); err != nil {
			return nil, err
		}
		w.mu.Lock()
		w.body = body
		w.mu.Unlock()
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	resp, err := w.transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.answers++
	w.mu.Unlock()
	if got := (protocol{resp.TLS != nil, resp.Proto}); got != w.protocol {
		w.t.Errorf("the call went over %+v, not %+v", got, w.protocol)
	}
	return resp, nil
}

// sent is the last body.
func (w *tap) sent() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.body)
}

// internalCA is the root that Caddy signs the site's certificate with.
func internalCA() (*x509.CertPool, error) {
	pem, err := os.ReadFile(filepath.Join(caddy.DefaultStorage.Path, "pki", "authorities", "local", "root.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("root.crt holds no certificate")
	}
	return roots, nil
}

// certified reports whether the site has its certificate, which Caddy makes in
// the background.
func (g *gateway) certified() error {
	roots, err := internalCA()
	if err != nil {
		return err
	}
	conn, err := tls.Dial("tcp", g.tlsAddr, &tls.Config{RootCAs: roots})
	if err != nil {
		return err
	}
	return conn.Close()
}
