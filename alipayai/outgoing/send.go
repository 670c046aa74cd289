// Package outgoing is how requests leave this process: [Send] sends one that
// net/http cannot repeat, over the connections that a [Transport] keeps. [Inflate]
// reads an answer that a proxy has compressed.
//
// Calls, signed requests, token requests and alerts all leave through Send, and
// internal/archtest holds that nothing else does. It knows neither Caddy nor
// what the requests mean.
package outgoing

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
)

// Send sends req over rt, once. It changes req as [Once] does. What a [Sender] refuses is
// not written where [Refuses] says so.
func Send(rt http.RoundTripper, req *http.Request) (*http.Response, error) {
	Once(req)
	switch t := rt.(type) {
	case *Transport: // does that itself
	case *http.Transport:
		req = forNetHTTP(req, func(conn net.Conn) { refuse(conn, h2c(t.Protocols)) })
	default:
		req = forNetHTTP(req, func(net.Conn) {})
	}
	return rt.RoundTrip(req)
}

// Refuses reports whether [Send] keeps rt from writing a request whose [Sender] refuses it. A RoundTripper that is neither
// a [Transport], nor net/http's own, nor [Looking] may write a request whose context has ended, as net/http does
// over HTTP/1.1, and such a request has to count as one that may have executed.
func Refuses(rt http.RoundTripper) bool {
	switch rt.(type) {
	case *Transport, *http.Transport, Looking:
		return true
	}
	return false
}

// Looking is a RoundTripper that looks whether a request's context has ended after its trace has heard
// of the connection, and before it writes.
type Looking interface{ LooksBeforeWriting() }

// Once changes req, which has to be the caller's own, so that no transport can
// send it again by itself. Its Body may be nil; a body comes with its
// ContentLength, and loses its GetBody.
//
// net/http and golang.org/x/net/http2 repeat requests by themselves, under the
// same signature, after the upstream may have executed them. All of their
// repeats (as of Go 1.26) ask for a request without a body, or for one with
// GetBody:
//
//   - HTTP/1.1, on a reused connection that broke: Request.isReplayable in
//     request.go, for GET, HEAD, OPTIONS and TRACE, and for each method with the
//     header Idempotency-Key or X-Idempotency-Key; and, where nothing was
//     written yet, persistConn.shouldRetryRequest in transport.go.
//   - HTTP/2, after GOAWAY, REFUSED_STREAM, and PROTOCOL_ERROR from the peer:
//     shouldRetryRequest in h2_bundle.go and in x/net's http2/transport.go, for
//     each method. Together with Transport.roundTrip, which takes a new
//     connection where the old one is gone, it repeats without an end.
//   - HTTP/3, after H3_REQUEST_REJECTED: canRetryRequest of quic-go.
//
// http.NoBody counts as no body. So every request gets a body of its own, an
// empty one where there is nothing to send, and no GetBody. What remains are
// repeats of requests of which nothing has been written yet (HTTP/2 connections
// that turn out to be unusable before the request's HEADERS).
func Once(req *http.Request) {
	req.GetBody = nil
	if req.Body == nil || req.Body == http.NoBody {
		sendNothing(req)
	}
}

// Unprocessed reports whether err, of [Send], is the upstream's word by HTTP/2 that it has done nothing with the request, and will not:
// of a stream that its GOAWAY leaves out, or REFUSED_STREAM (RFC 9113, sections 6.8 and 8.7). Such an error has no type of its
// own where net/http would have repeated the request (http2shouldRetryRequest in h2_bundle.go, as of Go 1.26).
func Unprocessed(err error) bool {
	text := err.Error()
	if cause, ok := strings.CutPrefix(text, "http2: Transport: cannot retry err ["); ok {
		text, _, _ = strings.Cut(cause, "] after Request.Body was written")
	}
	return text == "http2: Transport received Server's graceful shutdown GOAWAY" ||
		strings.HasPrefix(text, "stream error: stream ID ") && strings.HasSuffix(text, "; REFUSED_STREAM; received from peer")
}

// sendNothing gives req an empty body. A body whose ContentLength is 0 has an
// unknown length to net/http (Request.outgoingLength), so by itself it sends
// `Transfer-Encoding: chunked` with POST, PUT and PATCH over HTTP/1.1. The
// encoding `identity`, which is never written, keeps it from that; and these
// methods get the `Content-Length: 0` that they have without a body (RFC 9110,
// section 8.6). Its name is in lower case because net/http drops the canonical
// one in favour of its own, which is not written for an unknown length.
//
// Over HTTP/2 the body ends with an empty DATA frame, and net/http leaves out
// any content-length, which is optional there (RFC 9113, section 8.1.1).
func sendNothing(req *http.Request) {
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(nil)), 0
	req.TransferEncoding = identity
	switch req.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		if req.Header == nil {
			req.Header = make(http.Header, 1)
		}
		req.Header["content-length"] = zero
	}
}

// Values that requests without a body share.
var (
	identity = []string{"identity"}
	zero     = []string{"0"}
)
