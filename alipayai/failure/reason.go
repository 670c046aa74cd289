package failure

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// ReasonOf says why a round trip failed, for the log: the address, where it is
// known, and the reason in fixed words or the system's. The error itself goes
// nowhere: net/http quotes what it could not read, and that may be a token or a
// payload.
func ReasonOf(err error) error {
	reason := reasonOf(err)
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Addr != nil {
		// Op is what was done, such as dial or read; through a proxy it is
		// proxyconnect, and Addr the proxy's.
		return fmt.Errorf("%s %s: %w", op.Op, op.Addr, reason)
	}
	return reason
}

func reasonOf(err error) error {
	var (
		dns      *net.DNSError
		alert    tls.AlertError
		record   tls.RecordHeaderError
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		errno    syscall.Errno
	)
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("cancelled")
	case errors.As(err, &dns):
		if dns.IsTimeout {
			return fmt.Errorf("the name %s was not resolved in time", dns.Name)
		}
		return fmt.Errorf("the name %s cannot be resolved", dns.Name)
	case isTimeout(err):
		return errors.New("timed out")
	case errors.As(err, &unknown):
		return errors.New("the host's certificate is not valid: signed by an unknown authority")
	case errors.As(err, &hostname):
		return fmt.Errorf("the host's certificate is not valid for %s", hostname.Host)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return errors.New("the host's certificate is not valid: expired, or not valid yet")
	case isCertificate(err):
		return errors.New("the host's certificate is not valid")
	case errors.As(err, &record):
		return errors.New("the host does not speak TLS")
	case errors.As(err, &alert):
		return alert // one of a fixed list, such as handshake failure
	case errors.As(err, &errno):
		return errno // the system's words, such as connection refused
	default:
		return errors.New("the connection broke, or the answer is no HTTP")
	}
}

func isCertificate(err error) bool {
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
