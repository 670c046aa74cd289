package failure

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"syscall"
)

// ReasonOf says in fixed words why a round trip failed. The error itself goes
// nowhere: net/http quotes what it could not read, and that may be a token or
// a payload.
func ReasonOf(err error) error {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("cancelled")
	case isTimeout(err):
		return errors.New("timed out")
	case errors.As(err, &dns):
		return errors.New("the host's name cannot be resolved")
	case errors.As(err, &certificate):
		return errors.New("the host's certificate is not valid")
	case errors.As(err, &record):
		return errors.New("the host does not speak TLS")
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("connection refused")
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return errors.New("connection reset")
	default:
		return errors.New("the connection broke, or the answer is no HTTP")
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
