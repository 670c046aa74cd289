package failure

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"syscall"
)

// reason is why a round trip failed, in words that are safe to log. The error
// itself, which they stand for, can be had by errors.Unwrap, and its text goes
// nowhere: net/http quotes what it could not read, and that may be a token or a
// payload.
type reason struct {
	text string
	err  error
}

func (r *reason) Error() string { return r.text }
func (r *reason) Unwrap() error { return r.err }

// String and GoString keep the error itself out of what %+v and %#v write.
func (r *reason) String() string   { return r.text }
func (r *reason) GoString() string { return r.text }

// ReasonOf says why a round trip failed, for the log, and wraps err: the address,
// where it is known, and the reason in fixed words or the system's.
func ReasonOf(err error) error {
	text, proxied := reasonOf(err), false
	for op, ok := errors.AsType[*net.OpError](err); ok; op, ok = errors.AsType[*net.OpError](op.Err) {
		// Op is what was done, such as dial or read. A proxy that is not reached has one around that, without an address.
		proxied = proxied || op.Op == "proxyconnect"
		if op.Addr != nil {
			text = op.Op + " " + op.Addr.String() + ": " + text
			break
		}
	}
	if proxied {
		text = "to the proxy: " + text
	}
	return &reason{text: text, err: err}
}

// proxyAnswer gives what a proxy has answered to CONNECT, which net/http has as the text of an error of its own; empty for any
// other error, and for words that are not those of a status.
func proxyAnswer(err error) string {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	for status := http.StatusMultipleChoices; status <= http.StatusNetworkAuthenticationRequired; status++ {
		if text := http.StatusText(status); text != "" && err.Error() == text {
			return text
		}
	}
	return ""
}

func reasonOf(err error) string {
	var (
		dns         *net.DNSError
		alert       tls.AlertError
		record      tls.RecordHeaderError
		unknown     x509.UnknownAuthorityError
		hostname    x509.HostnameError
		invalid     x509.CertificateInvalidError
		certificate *tls.CertificateVerificationError
		errno       syscall.Errno
	)
	switch {
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.As(err, &dns) && dns.IsTimeout:
		return "the name " + dns.Name + " was not resolved in time"
	case errors.As(err, &dns):
		return "the name " + dns.Name + " cannot be resolved"
	case isTimeout(err):
		return "timed out"
	case errors.As(err, &unknown):
		return "the host's certificate is not valid: signed by an unknown authority"
	case errors.As(err, &hostname):
		return "the host's certificate is not valid for " + hostname.Host
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the host's certificate is not valid: expired, or not valid yet"
	case errors.As(err, &certificate):
		return "the host's certificate is not valid"
	case errors.As(err, &record):
		return "the host does not speak TLS"
	case errors.As(err, &alert):
		return alert.Error() // one of a fixed list, such as handshake failure
	case errors.As(err, &errno):
		return errno.Error() // the system's words, such as connection refused
	default:
		if text := proxyAnswer(err); text != "" {
			return "the proxy answers: " + text
		}
		return "the connection broke, or the answer is no HTTP"
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
