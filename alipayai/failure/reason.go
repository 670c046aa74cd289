package failure

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"syscall"
)

// reason is an error in fixed words. The error itself, which they stand for, can be
// had by errors.Unwrap, and its text goes nowhere: net/http quotes what it could not
// read, and that may be a token or a payload.
type reason struct {
	text string
	err  error
}

func (r *reason) Error() string { return r.text }
func (r *reason) Unwrap() error { return r.err }

// String and GoString keep the error itself out of what %+v and %#v write.
func (r *reason) String() string   { return r.text }
func (r *reason) GoString() string { return r.text }

// ReasonOf says in fixed words why a round trip failed, and wraps err.
func ReasonOf(err error) error { return &reason{text: reasonOf(err), err: err} }

func reasonOf(err error) string {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case isTimeout(err):
		return "timed out"
	case errors.As(err, &dns):
		return "the host's name cannot be resolved"
	case errors.As(err, &certificate):
		return "the host's certificate is not valid"
	case errors.As(err, &record):
		return "the host does not speak TLS"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	default:
		return "the connection broke, or the answer is no HTTP"
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
