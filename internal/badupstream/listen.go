package badupstream

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"sync"
	"time"
)

// Protocol is how an upstream is spoken to.
type Protocol string

// The protocols.
const (
	HTTP1    Protocol = "HTTP/1.1"
	HTTP1TLS Protocol = "HTTP/1.1 over TLS"
	HTTP2TLS Protocol = "HTTP/2 over TLS"
	HTTP2    Protocol = "HTTP/2 in clear text"
)

// Protocols are all of them.
var Protocols = []Protocol{HTTP1, HTTP1TLS, HTTP2TLS, HTTP2}

// Multiplexes says whether a connection carries several requests at once.
func (p Protocol) Multiplexes() bool { return p == HTTP2TLS || p == HTTP2 }

// Scheme is that of the protocol's URLs.
func (p Protocol) Scheme() string {
	if p == HTTP1TLS || p == HTTP2TLS {
		return "https"
	}
	return "http"
}

// Faults are those that the protocol allows, by what they do.
func (p Protocol) Faults() map[string]*Server {
	if p.Multiplexes() {
		return HTTP2Faults()
	}
	return HTTP1Faults()
}

// Listen listens on loopback, and makes what connects there by the protocol alone.
func (p Protocol) Listen() (net.Listener, *http.Transport, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	return p.On(l)
}

// On has l speak the protocol alone, and makes what connects there.
func (p Protocol) On(l net.Listener) (net.Listener, *http.Transport, error) {
	t := &http.Transport{Protocols: new(http.Protocols), MaxIdleConnsPerHost: 10}
	next := "http/1.1"
	switch p {
	case HTTP2:
		t.Protocols.SetUnencryptedHTTP2(true)
	case HTTP2TLS:
		t.Protocols.SetHTTP2(true)
		next = "h2"
	default:
		t.Protocols.SetHTTP1(true)
	}
	if p.Scheme() == "https" {
		certificate, err := Certificate()
		if err != nil {
			_ = l.Close()
			return nil, nil, err
		}
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{next}})
		t.TLSClientConfig = &tls.Config{RootCAs: x509.NewCertPool()}
		t.TLSClientConfig.RootCAs.AddCert(certificate.Leaf)
	}
	return l, t, nil
}

// Certificate is for 127.0.0.1 and signs itself, with a key that makes for quick
// handshakes. It is the same at each call, and valid in the time of bubbles too.
var Certificate = sync.OnceValues(func() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2099, time.January, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
})
