package outgoing

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
)

// Sender is who sends a request, and hears how it goes. A request's context has it as
// the Value of SenderKey. It hears what [httptrace.ClientTrace] tells and stops waiting
// as [context.AfterFunc] would have it, which is seventeen allocations less for each
// request that goes directly.
type Sender interface {
	// Connected: there is a connection to write the request to, which has idled before
	// or not. It may be called again, for another connection. An error keeps the request
	// from being written, where [Refuses] says so; the context has ended by then.
	Connected(conn net.Conn, idled bool) error
	// Multiplexed: the connection carries several requests at once, which one that is
	// not encrypted does not tell.
	Multiplexed()
	// Written: the request is written.
	Written()
	// Answering: bytes of an answer have come.
	Answering()
	// Informational comes before an informational answer is handed to a trace that asks
	// for it.
	Informational(h http.Header)

	// CloseAtEnd has close called when the context ends, or at once if it has.
	CloseAtEnd(close func())
	// KeepOpen takes that back, and reports whether it came in time.
	KeepOpen() bool
}

// SenderKey is the key of the Sender in a context.
type SenderKey struct{}

func senderOf(ctx context.Context) Sender {
	s, _ := ctx.Value(SenderKey{}).(Sender)
	return s
}

// Body is a request's body in memory, in one piece with what it belongs to, and with what
// a request needs that goes directly. It is for one request.
type Body struct {
	bytes.Reader
	exchange exchange
}

// Close implements [io.Closer].
func (*Body) Close() error { return nil }

// AtRest reports whether the request went directly, its answer has come whole, and its
// connection is free for another one: nothing in this package uses the body any more, nor
// the answer.
func (b *Body) AtRest() bool {
	b.exchange.mu.Lock()
	defer b.exchange.mu.Unlock()
	return b.exchange.free
}

// Clear makes a body for another request of one that is at rest. The answer, its header
// included, is used by nothing any more.
func (b *Body) Clear() {
	b.Reader.Reset(nil)
	b.exchange.clear()
}

// forNetHTTP gives a request as net/http's transports want it: with a body of a type of
// which they know that it will not keep them waiting, so that head and body leave in
// one packet, and with a trace in the place of the Sender. refuse gets the connection that
// nothing must be written to.
func forNetHTTP(req *http.Request, refuse func(net.Conn)) *http.Request {
	ctx := req.Context()
	s := senderOf(ctx)
	body, inMemory := req.Body.(*Body)
	if s == nil && !inMemory {
		return req
	}
	if s != nil {
		ctx = httptrace.WithClientTrace(heard{ctx}, traceFor(ctx, s, req.URL.Scheme, refuse))
	}
	req = req.WithContext(ctx)
	if inMemory {
		req.Body = io.NopCloser(&body.Reader)
	}
	return req
}

func traceFor(ctx context.Context, s Sender, scheme string, refuse func(net.Conn)) *httptrace.ClientTrace {
	trace := &httptrace.ClientTrace{
		GotConn: func(c httptrace.GotConnInfo) {
			if s.Connected(c.Conn, c.WasIdle) != nil {
				refuse(c.Conn)
			}
		},
		WroteRequest:         func(httptrace.WroteRequestInfo) { s.Written() },
		GotFirstResponseByte: s.Answering,
	}
	if scheme == "http" {
		// Such a connection does not tell its protocol (HTTP/2 with prior
		// knowledge, "h2c"), but the fields that are written do: a
		// pseudo-header (RFC 9113, section 8.3) is of HTTP/2 or later. Over
		// TLS the handshake has told, so each field's call is saved.
		trace.WroteHeaderField = func(name string, _ []string) {
			if strings.HasPrefix(name, ":") {
				s.Multiplexed()
			}
		}
	}
	if outer := httptrace.ContextClientTrace(ctx); outer != nil && outer.Got1xxResponse != nil {
		trace.Got1xxResponse = func(_ int, header textproto.MIMEHeader) error {
			s.Informational(http.Header(header))
			return nil
		}
	}
	return trace
}

// refuse keeps net/http from writing a request whose context has ended. HTTP/2 and HTTP/3 look
// for that first (encodeAndWriteHeaders of h2_bundle.go, OpenStreamSync of quic-go), and their
// connections are for others as well. HTTP/1.1 does not look (persistConn.roundTrip), so
// its connection is closed; h2c says that there is none in clear text.
func refuse(conn net.Conn, h2c bool) {
	switch c := conn.(type) {
	case *tls.Conn:
		if c.ConnectionState().NegotiatedProtocol != "h2" {
			_ = c.NetConn().Close() // without the goodbye, which may have to wait
		}
	default:
		if !h2c {
			_ = conn.Close()
		}
	}
}

// heard is a context whose Sender hears by a trace, and must not hear all twice.
type heard struct{ context.Context }

func (h heard) Value(key any) any {
	if _, ok := key.(SenderKey); ok {
		return nil
	}
	return h.Context.Value(key)
}

// lifetime ends the waiting on a connection when a request's context ends. It is the
// Sender's part, or of contexts without one done by context.AfterFunc.
type lifetime struct {
	sender Sender
	stop   func() bool
}

func (l *lifetime) begin(ctx context.Context, s Sender, close func()) {
	if l.sender = s; s != nil {
		s.CloseAtEnd(close)
		return
	}
	l.stop = context.AfterFunc(ctx, close)
}

// end reports whether it came before the context's end.
func (l *lifetime) end() bool {
	if l.sender != nil {
		return l.sender.KeepOpen()
	}
	return l.stop()
}
