package outgoing

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"
)

// direct carries HTTP/1.1 requests to one host on the goroutines that send them.
// net/http has two goroutines for each connection, one that writes and one that
// reads, and hands each request to and fro between the three: a tenth of what a
// short call costs. Requests are written as [http.Request.Write] writes them, and
// answers read by [http.ReadResponse], as net/http's own connections do.
//
// It takes only what it carries just as net/http would, which has all the rest:
// see directable for the settings and plain for the requests. It repeats nothing.
type direct struct {
	peer
	maxIdle  int
	idleTime time.Duration

	// unsuited says that the dialer makes connections that cannot be looked at.
	unsuited atomic.Bool

	mu     sync.Mutex
	idle   []*connection // those that were used last come last
	expiry *time.Timer   // looks for those that have idled for too long
	closed bool          // used connections are closed, until the next request
}

// peer is what connections are made to, and how.
type peer struct {
	base       *http.Transport
	tls        bool   // https, or else http
	name, addr string // the host without its port, and with one
}

func newPeer(base *http.Transport, u *url.URL) peer {
	port := "80"
	if u.Scheme == "https" {
		port = "443"
	}
	return peer{base: base, tls: u.Scheme == "https", name: u.Hostname(), addr: net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port))}
}

// dial makes a connection that is not encrypted.
func (p *peer) dial(ctx context.Context) (net.Conn, error) {
	dial := p.base.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return dial(ctx, "tcp", p.addr)
}

// maxDirect is the largest request body in bytes that is sent directly. It fits a
// connection's buffers: an upstream that answers without having read the request
// (a 413, say) must not find this side still writing instead of reading.
const maxDirect = 16 << 10

// directable reports whether base has only settings that direct obeys.
func directable(base *http.Transport, protocols *http.Protocols) bool {
	return canLook && protocols.HTTP1() && !protocols.UnencryptedHTTP2() && !base.DisableKeepAlives &&
		base.Dial == nil && base.DialTLS == nil && base.DialTLSContext == nil && //nolint:staticcheck // deprecated, but obeyed
		base.ReadBufferSize == 0 && base.WriteBufferSize == 0 && base.MaxIdleConnsPerHost >= 0 && base.MaxConnsPerHost == 0 && base.ResponseHeaderTimeout == 0
}

// plain reports whether a request asks for no more than direct does: it needs no
// proxy, and has a body in memory, of at most so many bytes.
func plain(base *http.Transport, req *http.Request, maxBody int64) bool {
	if req.Header == nil || req.URL == nil || req.URL.Host == "" || !isASCII(req.URL.Host) ||
		req.URL.Scheme != "http" && req.URL.Scheme != "https" ||
		req.ContentLength > maxBody || bodyReader(req.Body) == nil || len(req.Trailer) > 0 || req.Cancel != nil || //nolint:staticcheck // deprecated, but obeyed
		!httpguts.ValidHeaderFieldName(req.Method) || req.Method == http.MethodConnect {
		return false
	}
	for name, values := range req.Header {
		if name == "Expect" || name == "Upgrade" || !httpguts.ValidHeaderFieldName(name) {
			return false
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return false
			}
		}
	}
	// net/http asks for gzip where a request does not say what it accepts.
	if !base.DisableCompression && req.Header.Get("Accept-Encoding") == "" {
		return false
	}
	if base.Proxy == nil {
		return true
	}
	proxy, err := base.Proxy(req)
	return proxy == nil && err == nil
}

// isASCII reports whether a host is one that net/http does not translate.
func isASCII(host string) bool {
	return strings.IndexFunc(host, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// readerBody is the kind of body that is in memory.
var readerBody = reflect.TypeOf(io.NopCloser(bytes.NewReader(nil)))

// newDirect makes what carries requests to the host of a URL.
func newDirect(base *http.Transport, u *url.URL) *direct {
	d := &direct{
		peer:     newPeer(base, u),
		maxIdle:  cmp.Or(base.MaxIdleConnsPerHost, http.DefaultMaxIdleConnsPerHost),
		idleTime: cmp.Or(base.IdleConnTimeout, idleTimeout),
	}
	if base.MaxIdleConns > 0 {
		d.maxIdle = min(d.maxIdle, base.MaxIdleConns)
	}
	return d
}

// RoundTrip implements [http.RoundTripper] for plain requests to the host.
func (d *direct) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, trace := req.Context(), traceOf(req)
	c, idled, err := d.connection(ctx, trace)
	if err != nil {
		_ = req.Body.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	return c.roundTrip(req, trace, idled)
}

// traceOf gives a request's trace, which may be without hooks.
func traceOf(req *http.Request) *httptrace.ClientTrace {
	if trace := httptrace.ContextClientTrace(req.Context()); trace != nil {
		return trace
	}
	return noTrace
}

// noTrace is that of requests without one.
var noTrace = new(httptrace.ClientTrace)

// connection gives one that has idled, and for how long, or makes a new one.
func (d *direct) connection(ctx context.Context, trace *httptrace.ClientTrace) (c *connection, idled time.Duration, err error) {
	if ctx.Err() != nil {
		return nil, 0, ctx.Err()
	}
	if trace.GetConn != nil {
		trace.GetConn(d.addr)
	}
	for c := d.take(); c != nil; c = d.take() {
		// What came while it idled is its end, or an answer to nothing.
		if c.silent() {
			return c, max(time.Since(c.idle), 1), nil
		}
		c.close()
	}
	conn, err := d.dial(ctx)
	if err != nil {
		return nil, 0, err
	}
	// No other protocol is offered, as by net/http for requests that HTTP/2 cannot carry.
	if c, err = d.open(ctx, conn, trace, nil); err != nil {
		_ = conn.Close()
		return nil, 0, err
	}
	if c.of = d; c.raw == nil { // it serves one request, and the next ones are net/http's
		d.unsuited.Store(true)
	}
	return c, 0, nil
}

// take takes the connection that was used last; nil where none idles.
func (d *direct) take() *connection {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = false
	if len(d.idle) == 0 {
		return nil
	}
	last := len(d.idle) - 1
	c := d.idle[last]
	d.idle[last], d.idle = nil, d.idle[:last]
	return c
}

// give keeps a connection for the requests to come if it may.
func (d *direct) give(c *connection, again bool) (kept bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !again || d.closed || len(d.idle) >= d.maxIdle {
		c.close()
		return false
	}
	c.idle = time.Now()
	d.idle = append(d.idle, c)
	switch {
	case d.expiry == nil:
		d.expiry = time.AfterFunc(d.idleTime, d.expire)
	case len(d.idle) == 1:
		d.expiry.Reset(d.idleTime)
	}
	return true
}

// unused implements keeper.
func (d *direct) unused(c *connection) { d.give(c, c.raw != nil) }

// expire closes the connections that have idled for too long.
func (d *direct) expire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	now, n := time.Now(), 0
	for n < len(d.idle) && now.Sub(d.idle[n].idle) >= d.idleTime {
		d.idle[n].close()
		n++
	}
	d.idle = slices.Delete(d.idle, 0, n)
	if len(d.idle) > 0 {
		d.expiry.Reset(d.idleTime - now.Sub(d.idle[0].idle))
	}
}

// closeIdle closes the connections that no request is on, and those under way when
// their requests have ended.
func (d *direct) closeIdle() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.idle {
		c.close()
	}
	d.idle, d.closed = nil, true
	if d.expiry != nil { // which would keep d, and the configuration that it is of, for as long as a connection may idle
		d.expiry.Stop()
		d.expiry = nil
	}
}
