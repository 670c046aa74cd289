package outgoing

import (
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// When an HTTP/2 connection counts as dead.
const (
	// PingAfter is how long it may be silent, with requests on it or idle,
	// before it is pinged.
	PingAfter = 10 * time.Second
	// PingTimeout is how long the answer to a ping may take before the
	// connection is closed, and all that is on it fails.
	PingTimeout = 5 * time.Second
)

// idleTimeout is how long an unused connection is kept where that is not set;
// Caddy has the same.
const idleTimeout = 2 * time.Minute

// Transport keeps connections to upstreams, as [http.Transport] does, and takes
// silent HTTP/2 connections out of use: net/http keeps using one whose peer is
// gone, for each new request, until the kernel gives it up after minutes.
//
// After a request has had no answer in time, those that start later go by new
// connections. What is under way on the old ones goes on, unless their peer does
// not answer a ping. HTTP/1.1 needs neither: a connection is closed with the
// request that is cancelled.
//
// Plain requests over HTTP/1.1 go by connections that need no goroutines of their
// own: see direct.
type Transport struct {
	base       *http.Transport // what connections are made as; has no connections itself
	current    atomic.Pointer[connections]
	directable bool // by base's settings
	protocols  *http.Protocols
	warms      map[origin]*warm // by Keep; not changed once there are requests

	mu      sync.Mutex
	directs map[origin]*direct
}

// origin is where requests go.
type origin struct{ scheme, host string }

// maxDirects bounds how many origins have a direct; a provider has one or two.
const maxDirects = 16

// connections are net/http's, and the protocols that they have shown.
type connections struct {
	transport    *http.Transport
	http1, http2 atomic.Bool
}

// NewTransport makes a Transport that connects as base does, which must not
// carry requests itself, and becomes the Transport's. Base's HTTP2 may set other
// times for pings.
func NewTransport(base *http.Transport) *Transport {
	base.DialContext = tellingWhy(base.DialContext)
	t := &Transport{base: base, directs: make(map[origin]*direct)}
	made := t.newConnections()
	t.protocols = made.transport.Protocols
	t.directable = directable(base, t.protocols)
	t.current.Store(made)
	return t
}

// newConnections makes a set without any.
func (t *Transport) newConnections() *connections {
	made := t.base.Clone()
	// Clone shares the connections of an HTTP/2 implementation that was
	// configured by hand (TLSNextProto), as Caddy's is. Protocols asks for
	// net/http's own, with its own connections.
	made.Protocols = protocolsOf(t.base)
	made.TLSNextProto = nil
	if made.HTTP2 == nil {
		made.HTTP2 = new(http.HTTP2Config)
	}
	if made.HTTP2.SendPingTimeout == 0 {
		made.HTTP2.SendPingTimeout = PingAfter
	}
	if made.HTTP2.PingTimeout == 0 {
		made.HTTP2.PingTimeout = PingTimeout
	}
	if made.IdleConnTimeout == 0 {
		made.IdleConnTimeout = idleTimeout // what ends those of former sets
	}
	return &connections{transport: made}
}

// protocolsOf says what t speaks, however it was configured. Clone has filled in
// its TLSNextProto.
func protocolsOf(t *http.Transport) *http.Protocols {
	p := new(http.Protocols)
	if t.Protocols != nil {
		*p = *t.Protocols
	} else {
		p.SetHTTP1(true)
	}
	if t.TLSNextProto["h2"] != nil {
		p.SetHTTP2(true)
	}
	return p
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if len(t.warms) > 0 {
		if w := t.warms[origin{req.URL.Scheme, req.URL.Host}]; w != nil && plain(t.base, req, math.MaxInt64) {
			return w.RoundTrip(req)
		}
	}
	if t.directable && plain(t.base, req, maxDirect) {
		// In clear text net/http speaks nothing but HTTP/1.1.
		known := req.URL.Scheme == "http" || !t.protocols.HTTP2()
		if d := t.direct(req.URL, known); d != nil && !d.unsuited.Load() {
			return d.RoundTrip(req)
		}
	}
	p, resp, err := t.byNetHTTP(req)
	switch {
	case err != nil:
		if timedOut(req.Context(), err) {
			t.abandon(p)
		}
	case resp.ProtoMajor == 1:
		show(&p.http1)
		t.learn(req.URL, true)
	default:
		show(&p.http2)
		t.learn(req.URL, false)
	}
	return resp, err
}

// netHTTPAttempts is how many connections of net/http's a request may find full, before anything of it is written. On one that is new
// net/http puts up to a hundred requests until the upstream has said how many it takes, and each attempt finds room for one at least.
const netHTTPAttempts = 10

// byNetHTTP carries req by net/http's connections, and says by which. A body of which nothing was read is as good after it was
// closed: those that this package sends are in memory.
func (t *Transport) byNetHTTP(req *http.Request) (p *connections, resp *http.Response, err error) {
	for attempt := 1; ; attempt++ {
		p = t.current.Load()
		resp, err = p.transport.RoundTrip(forNetHTTP(req, t.refuse))
		if err == nil || attempt == netHTTPAttempts || !unwritten(err) || req.Context().Err() != nil {
			return p, resp, err
		}
	}
}

// unwritten reports whether net/http has given a request up of which it wrote nothing. A connection of HTTP/2 that it chose takes no
// more requests by then, as SETTINGS or a GOAWAY have come; it would go on with another one, but has closed the body and
// finds no GetBody. No other error of a request as [Once] makes it is this one (rewindBody in transport.go, as of Go 1.26), though one
// may hold the same words, of what an upstream has written into a GOAWAY.
func unwritten(err error) bool {
	return err.Error() == "net/http: cannot rewind body after connection loss"
}

// refuse closes a connection of net/http's that nothing must be written to, unless
// it sees to that itself.
func (t *Transport) refuse(conn net.Conn) {
	refuse(conn, h2c(t.protocols))
}

// h2c reports whether p speaks HTTP/2 in clear text, with prior knowledge.
func h2c(p *http.Protocols) bool { return p != nil && p.UnencryptedHTTP2() && !p.HTTP1() }

// direct gives what carries requests to u's origin directly; nil where the origin is
// not known to speak HTTP/1.1. http1 says that it is known by now.
func (t *Transport) direct(u *url.URL, http1 bool) *direct {
	key := origin{u.Scheme, u.Host}
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.directs[key]
	if d == nil && http1 && len(t.directs) < maxDirects {
		d = newDirect(t.base, u)
		t.directs[key] = d
	}
	return d
}

// learn notes what an origin speaks if HTTP/2 is offered.
func (t *Transport) learn(u *url.URL, http1 bool) {
	if !t.directable {
		return
	}
	if d := t.direct(u, http1); d != nil && !http1 {
		d.closeIdle()
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.directs, origin{u.Scheme, u.Host})
	}
}

// show sets seen without taking its cache line from others each time.
func show(seen *atomic.Bool) {
	if !seen.Load() {
		seen.Store(true)
	}
}

// abandon makes a new set for the requests to come, once for each set, unless
// p's connections are known to be of HTTP/1 alone.
func (t *Transport) abandon(p *connections) {
	if p.http1.Load() && !p.http2.Load() || t.current.Load() != p {
		return
	}
	if t.current.CompareAndSwap(p, t.newConnections()) {
		p.transport.CloseIdleConnections()
	}
}

// timedOut reports whether a round trip ended because the answer's head did not
// come in time. A client that leaves says nothing about the connection.
func timedOut(ctx context.Context, err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout() || errors.As(context.Cause(ctx), &t) && t.Timeout()
}

// CloseIdleConnections closes the connections that no request is on.
func (t *Transport) CloseIdleConnections() {
	t.current.Load().transport.CloseIdleConnections()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range t.directs {
		d.closeIdle()
	}
}
