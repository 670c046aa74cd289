package outgoing

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/badupstream"
)

// protocols are those that upstreams are spoken to in, and their faults.
var protocols = map[string]struct {
	scheme string
	faults func() map[string]*badupstream.Server
}{
	"HTTP/1.1":             {"http", badupstream.HTTP1Faults},
	"HTTP/1.1 over TLS":    {"https", badupstream.HTTP1Faults},
	"HTTP/2 over TLS":      {"https", badupstream.HTTP2Faults},
	"HTTP/2 in clear text": {"http", badupstream.HTTP2Faults},
}

// certified is a certificate for loopback, and who trusts it. Its key makes for quick handshakes.
var certified = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	trust := x509.NewCertPool()
	trust.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, trust
})

// connect starts to listen for a protocol, and makes what connects to it.
func connect(t testing.TB, protocol string) (net.Listener, *http.Transport) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{Protocols: new(http.Protocols), MaxIdleConnsPerHost: 10}
	switch protocol {
	case "HTTP/2 in clear text":
		transport.Protocols.SetUnencryptedHTTP2(true)
	case "HTTP/2 over TLS":
		transport.Protocols.SetHTTP2(true)
	default:
		transport.Protocols.SetHTTP1(true)
	}
	if strings.HasSuffix(protocol, "TLS") {
		certificate, trust := certified()
		next := []string{"http/1.1"}
		if transport.Protocols.HTTP2() {
			next = []string{"h2"}
		}
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: next})
		transport.TLSClientConfig = &tls.Config{RootCAs: trust}
	}
	return l, transport
}

// Whatever the method, the body, the header, the protocol and the way in which the upstream breaks it off: a request
// arrives once at the most.
func TestNothingIsRepeated(t *testing.T) {
	for protocol, p := range protocols {
		for fault, upstream := range p.faults() {
			for _, used := range []bool{false, true} {
				name := protocol + "/" + fault + "/new connection"
				if used {
					name = protocol + "/" + fault + "/used connection"
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					l, base := connect(t, protocol)
					s := &badupstream.Server{HTTP1: upstream.HTTP1, Head: upstream.Head, End: upstream.End}
					if used {
						s.Good = 1
					}
					served := make(chan struct{})
					go func() {
						defer close(served)
						s.Serve(l)
					}()
					defer func() {
						l.Close()
						<-served
						s.Close()
					}()
					methods := []string{"GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "PATCH", "DELETE"}
					if strings.HasPrefix(protocol, "HTTP/2") && !strings.HasPrefix(fault, "GOAWAY NO_ERROR") && !strings.HasPrefix(fault, "RST_STREAM REFUSED") {
						methods = []string{"POST"} // its repeats do not ask for the method
					}
					everyRequest(t, methods, func(name string, req *http.Request) {
						transport := NewTransport(base)
						defer transport.CloseIdleConnections()
						req.URL.Scheme, req.URL.Host = p.scheme, l.Addr().String()
						s.Restart()
						if used {
							first := &http.Request{Method: "GET", URL: req.URL, Header: make(http.Header)}
							if err := sendAndRead(transport, first.WithContext(req.Context())); err != nil {
								t.Fatalf("%s: the first request: %v", name, err)
							}
						}
						if err := sendAndRead(transport, req); err == context.DeadlineExceeded {
							t.Errorf("%s: no end", name)
						}
						if n := s.Arrived(); n != 1 {
							t.Errorf("%s: arrived %d times", name, n)
						}
					})
				})
			}
		}
	}
}

// everyRequest makes requests of these methods, with each kind of body and of header that net/http looks at.
func everyRequest(t *testing.T, methods []string, use func(name string, req *http.Request)) {
	headers := []string{"", "Idempotency-Key", "X-Idempotency-Key"}
	for i, method := range methods {
		for j, body := range []string{"no body", "NoBody", "{}"} {
			var reader io.Reader
			switch body {
			case "NoBody":
				reader = http.NoBody
			case "{}":
				reader = strings.NewReader(body) // with which the request gets a GetBody
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			req, err := http.NewRequestWithContext(ctx, method, "http://host.example/path", reader)
			if err != nil {
				t.Fatal(err)
			}
			header := headers[(i+j)%len(headers)]
			if header != "" {
				req.Header.Set(header, "key-1")
			}
			use(strings.Join([]string{method, body, header}, " "), req)
			cancel()
		}
	}
}

// sendAndRead sends a request and reads its answer.
func sendAndRead(rt http.RoundTripper, req *http.Request) error {
	resp, err := Send(rt, req)
	if err != nil {
		if req.Context().Err() != nil {
			return context.DeadlineExceeded
		}
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
