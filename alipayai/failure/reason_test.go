package failure

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
)

// The log says which address failed and why, and nothing that another side wrote.
func TestReasonOf(t *testing.T) {
	address := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 443}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"refused": {
			&net.OpError{Op: "dial", Net: "tcp", Addr: address, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)},
			"dial 192.0.2.7:443: connection refused",
		},
		"no route": {
			&net.OpError{Op: "dial", Net: "tcp", Addr: address, Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)},
			"dial 192.0.2.7:443: no route to host",
		},
		"reset": {
			&net.OpError{Op: "read", Net: "tcp", Addr: address, Err: os.NewSyscallError("read", syscall.ECONNRESET)},
			"read 192.0.2.7:443: connection reset by peer",
		},
		"dial timeout": {
			&net.OpError{Op: "dial", Net: "tcp", Addr: address, Err: os.ErrDeadlineExceeded},
			"dial 192.0.2.7:443: timed out",
		},
		"a proxy": {
			&net.OpError{Op: "proxyconnect", Net: "tcp", Err: &net.OpError{Op: "dial", Net: "tcp", Addr: address, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}},
			"to the proxy: dial 192.0.2.7:443: connection refused",
		},
		"a proxy's name": {
			&net.OpError{Op: "proxyconnect", Net: "tcp", Err: &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "proxy.example.test", IsNotFound: true}}},
			"to the proxy: the name proxy.example.test cannot be resolved",
		},
		"a proxy's refusal":     {errors.New("Proxy Authentication Required"), "the proxy answers: Proxy Authentication Required"},
		"a proxy's other words": {errors.New("Proxy Authentication Required: secret"), "the connection broke, or the answer is no HTTP"},
		"no such name": {
			&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "api.example.test", IsNotFound: true}},
			"the name api.example.test cannot be resolved",
		},
		"name in time": {
			&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "i/o timeout", Name: "api.example.test", IsTimeout: true}},
			"the name api.example.test was not resolved in time",
		},
		"certificate's authority": {
			&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}},
			"the host's certificate is not valid: signed by an unknown authority",
		},
		"certificate's name": {
			&tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: new(x509.Certificate), Host: "api.example.test"}},
			"the host's certificate is not valid for api.example.test",
		},
		"certificate's time": {
			&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}},
			"the host's certificate is not valid: expired, or not valid yet",
		},
		"certificate's use": {
			&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.IncompatibleUsage, Detail: "secret"}},
			"the host's certificate is not valid",
		},
		"no TLS":           {tls.RecordHeaderError{Msg: "secret"}, "the host does not speak TLS"},
		"handshake":        {&net.OpError{Op: "remote error", Err: tls.AlertError(40)}, "tls: handshake failure"},
		"cancelled":        {fmt.Errorf("round trip: %w", context.Canceled), "cancelled"},
		"what was written": {errors.New(`malformed HTTP status code "secret"`), "the connection broke, or the answer is no HTTP"},
	} {
		t.Run(name, func(t *testing.T) {
			err := &url.Error{Op: "Post", URL: "https://secret.example.test", Err: test.err}
			if got := ReasonOf(err).Error(); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			} else if strings.Contains(got, "secret") {
				t.Errorf("%q quotes", got)
			}
		})
	}
}
