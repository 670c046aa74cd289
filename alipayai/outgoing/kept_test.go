package outgoing

import (
	"crypto/tls"
	"crypto/x509"
	"testing"

	"github.com/caddy-alipayai/gateway/internal/badupstream"
)

// Transports share connections where they show the same certificate and trust the same authorities.
func TestPoolIsOfOneCertificate(t *testing.T) {
	certificate, err := badupstream.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	trusting := func() *x509.CertPool {
		p := x509.NewCertPool()
		p.AddCert(certificate.Leaf)
		return p
	}
	made := func() *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{{Certificate: certificate.Certificate}}, RootCAs: trusting()}
	}
	for name, config := range map[string]func() *tls.Config{"none": func() *tls.Config { return nil }, "empty": func() *tls.Config { return new(tls.Config) }, "made": made} {
		k := new(Kept)
		if first, again := k.hold(config()), k.hold(config()); first != again {
			t.Errorf("%s: not shared", name)
		}
	}
	for name, change := range map[string]func(*tls.Config){
		"another certificate": func(c *tls.Config) { c.Certificates[0].Certificate = [][]byte{{1}} },
		"a chain more":        func(c *tls.Config) { c.Certificates[0].Certificate = append(c.Certificates[0].Certificate, []byte{1}) },
		"no certificate":      func(c *tls.Config) { c.Certificates = nil },
		"other authorities":   func(c *tls.Config) { c.RootCAs = x509.NewCertPool() },
		"the system's":        func(c *tls.Config) { c.RootCAs = nil },
		"another name":        func(c *tls.Config) { c.ServerName = "other.example" },
		"not verified":        func(c *tls.Config) { c.InsecureSkipVerify = true },
		"one that is asked for": func(c *tls.Config) {
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return nil, nil }
		},
	} {
		k, one, two := new(Kept), made(), made()
		change(two)
		a, b := k.hold(one), k.hold(two)
		if a == b || k.hold(nil) == a {
			t.Errorf("%s: shared", name)
		}
		k.leave(a)
		if c := k.hold(one); c == a || c == b {
			t.Errorf("%s: what all have left is given again", name)
		}
	}
}
