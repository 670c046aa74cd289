package outgoing

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"github.com/caddy-alipayai/gateway/alipayai/outgoing/pool"
)

// Keeping says how connections to an origin are kept ready.
type Keeping struct {
	// Kept has them, and outlives the Transport.
	Kept *Kept
	// Min, Max, Idle and Failing are those of [pool.Settings].
	Min, Max int
	Idle     time.Duration
	Failing  func(err error)
}

// Warm keeps connections to one origin ready between Open and Close. Who has it from Keep has to close it.
type Warm struct {
	origin   string
	pool     *keptPool
	settings *pool.Settings
	leave    func()
}

// Origin is what the connections are made to, as a URL without a path.
func (w *Warm) Origin() string { return w.origin }

// Open begins to make connections ahead.
func (w *Warm) Open() { w.pool.Open(w.settings) }

// Close ends that, for good. Requests go on, and get connections of their own where no other Transport keeps them.
func (w *Warm) Close() {
	w.pool.Leave(w.settings)
	w.leave()
}

// Stats says how many connections there are, and what became of others.
func (w *Warm) Stats() pool.Stats { return w.pool.Stats() }

// Keep has requests to u's origin go by connections that k.Kept has, over TLS and in clear
// text, by HTTP/2 and HTTP/1.1. It comes before the first request. The error says what base
// has that does not go with it. Requests whose body is not in memory go as they would otherwise.
func (t *Transport) Keep(u *url.URL, k Keeping) (*Warm, error) {
	if err := t.keepable(u); err != nil {
		return nil, err
	}
	kept := k.Kept.hold(t.base.TLSClientConfig)
	w := &warm{peer: newPeer(t.base, u), pool: &kept.Pool, h2c: u.Scheme == "http" && t.protocols.UnencryptedHTTP2() && !t.protocols.HTTP1()}
	if t.protocols.HTTP2() {
		w.offered = append(w.offered, http2.NextProtoTLS)
	}
	if t.protocols.HTTP1() {
		w.offered = append(w.offered, "http/1.1")
	}
	w.http2 = t.http2()
	w.settings = &pool.Settings{Min: k.Min, Max: k.Max, Idle: k.Idle, Failing: k.Failing, Dial: w.connect}
	if t.warms == nil {
		t.warms = make(map[origin]*warm)
	}
	t.warms[origin{u.Scheme, u.Host}] = w
	return &Warm{
		origin: u.Scheme + "://" + u.Host, pool: kept, settings: w.settings,
		leave: sync.OnceFunc(func() { k.Kept.leave(kept) }),
	}, nil
}

// http2 makes what speaks HTTP/2 on connections of the pool.
//
//nolint:staticcheck // net/http's ClientConn neither pings nor is made of a connection
func (t *Transport) http2() *http2.Transport {
	config := t.current.Load().transport.HTTP2
	return &http2.Transport{
		DisableCompression:         t.base.DisableCompression,
		MaxHeaderListSize:          uint32(min(max(t.base.MaxResponseHeaderBytes, 0), maxHead)),
		StrictMaxConcurrentStreams: true, // the pool counts them
		ReadIdleTimeout:            config.SendPingTimeout,
		PingTimeout:                config.PingTimeout,
		WriteByteTimeout:           config.WriteByteTimeout,
	}
}

// keepable says what keeps connections from being kept.
func (t *Transport) keepable(u *url.URL) error {
	base := t.base
	switch {
	case !canLook:
		return errors.New("needs a Unix system")
	case base.MaxConnsPerHost > 0:
		return errors.New("has its own maximum: leave out max_conns_per_host")
	case base.DisableKeepAlives:
		return errors.New("keeps connections alive: leave out keepalive off")
	case base.ResponseHeaderTimeout > 0:
		return errors.New("does not go with response_header_timeout: use the provider's timeout")
	case base.ReadBufferSize > 0 || base.WriteBufferSize > 0:
		return errors.New("does not go with read_buffer and write_buffer")
	case base.Dial != nil || base.DialTLS != nil || base.DialTLSContext != nil: //nolint:staticcheck // deprecated, but obeyed
		return errors.New("does not go with a TLS server name that depends on the request")
	case u.Scheme == "https" && !t.protocols.HTTP1() && !t.protocols.HTTP2():
		return errors.New("needs version 1.1 or 2 of HTTP")
	}
	if base.Proxy != nil {
		if proxy, err := base.Proxy(&http.Request{URL: u}); proxy != nil || err != nil {
			return fmt.Errorf("does not go with a proxy, and there is one for %s", u.Host)
		}
	}
	return nil
}

// warm carries requests to one origin by the connections of a pool. It repeats nothing of
// which a byte may have been written.
type warm struct {
	peer
	pool     *pool.Pool
	settings *pool.Settings
	offered  []string         // protocols, over TLS
	h2c      bool             // HTTP/2 in clear text
	http2    *http2.Transport //nolint:staticcheck // see Keep
}

// connect makes a connection for the pool.
func (w *warm) connect(ctx context.Context) (pool.Conn, error) {
	conn, err := w.dial(ctx)
	if err != nil {
		return nil, err
	}
	c, err := w.open(ctx, conn, noTrace, w.offered)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	if !w.h2c && (c.tls == nil || c.tls.NegotiatedProtocol != http2.NextProtoTLS) {
		c.of = w
		return c, nil
	}
	m := &multiplexed{conn: c.Conn, tls: c.tls}
	m.ClientConn, err = w.http2.NewClientConn(closeNoting{c.Conn, &m.closed}) //nolint:staticcheck // see Keep
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	go m.settle(w.pool) //nolint:gosec // the connection outlives the dial
	return m, nil
}

// attempts is how many connections a request may find unusable before anything of it is written.
const attempts = 3

// RoundTrip implements [http.RoundTripper] for plain requests to the origin.
func (w *warm) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, trace := req.Context(), traceOf(req)
	if trace.GetConn != nil {
		trace.GetConn(w.addr)
	}
	for attempt := 1; ; attempt++ {
		lease, err := w.pool.Get(ctx, w.settings)
		if err != nil {
			_ = req.Body.Close()
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return nil, err
		}
		c, ok := lease.Conn.(*connection)
		if !ok {
			resp, wrote, err := w.multiplex(req, lease, trace)
			if err != nil && !wrote && ctx.Err() == nil && attempt < attempts {
				continue
			}
			return resp, err
		}
		c.lease = lease
		resp, err := c.roundTrip(req, trace, idled(lease))
		if err == nil {
			w.learn(resp.Header)
		}
		return resp, err
	}
}

// idled is how long a connection has idled since another request; 0 for one that has had none, as if it were made now.
func idled(l pool.Lease) time.Duration {
	if !l.Used {
		return 0
	}
	return l.Idled
}

// learn reads how long the upstream keeps a connection, of a field such as `Keep-Alive: timeout=5`.
func (w *warm) learn(h http.Header) {
	for _, value := range h["Keep-Alive"] {
		for parameter := range strings.SplitSeq(value, ",") {
			name, seconds, _ := strings.Cut(parameter, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "timeout") {
				continue
			}
			if n, err := strconv.ParseUint(strings.TrimSpace(seconds), 10, 31); err == nil {
				w.pool.Said(time.Duration(n) * time.Second)
			}
		}
	}
}

// give implements keeper.
func (w *warm) give(c *connection, again bool) (kept bool) { return w.pool.Put(c.lease, again) }

// unused implements keeper.
func (w *warm) unused(c *connection) { w.pool.Return(c.lease) }

// Streams implements [pool.Conn].
func (*connection) Streams() (int, bool) { return 1, true }

// Alive implements [pool.Conn].
func (c *connection) Alive() bool { return c.silent() }

// Close implements [pool.Conn], and [net.Conn] for all but close.
func (c *connection) Close() { c.close() }

// multiplexed is a connection of HTTP/2.
type multiplexed struct {
	*http2.ClientConn
	conn net.Conn
	tls  *tls.ConnectionState
	// closed says that it is: CanTakeNewRequest holds a closed connection that was never used
	// for usable, so that net/http finds its error. State would tell, but waits for writes.
	closed atomic.Bool
	// streams is how many requests the upstream takes at once; 0 until its SETTINGS have come.
	streams atomic.Int64
}

// closeNoting is a connection that notes its closing.
type closeNoting struct {
	net.Conn
	closed *atomic.Bool
}

// Close implements [net.Conn].
func (c closeNoting) Close() error {
	c.closed.Store(true)
	return c.Conn.Close()
}

// maxStreams bounds how many requests one connection carries, whatever the upstream takes.
const maxStreams = 1000

// settle waits for the upstream's SETTINGS, which come before anything else (RFC 9113,
// section 3.4), so before the answer to a ping.
func (m *multiplexed) settle(p *pool.Pool) {
	ctx, cancel := context.WithTimeout(context.Background(), PingTimeout)
	defer cancel()
	if err := m.Ping(ctx); err != nil {
		m.SetDoNotReuse()
	}
	m.streams.Store(int64(min(max(m.State().MaxConcurrentStreams, 1), maxStreams)))
	p.Changed()
}

// Streams implements [pool.Conn]. Until the upstream has said how many it takes, it is one.
func (m *multiplexed) Streams() (n int, known bool) {
	n = int(m.streams.Load())
	return max(n, 1), n > 0
}

// Alive implements [pool.Conn].
func (m *multiplexed) Alive() bool { return !m.closed.Load() && m.CanTakeNewRequest() }

// Close implements [pool.Conn].
func (m *multiplexed) Close() { _ = m.ClientConn.Close() }

// multiplex carries a request over a connection of HTTP/2. wrote says that some of it may have been written.
func (w *warm) multiplex(req *http.Request, lease pool.Lease, trace *httptrace.ClientTrace) (resp *http.Response, wrote bool, err error) {
	m, ctx, idled := lease.Conn.(*multiplexed), req.Context(), idled(lease)
	if s := senderOf(ctx); s != nil {
		if err := s.Connected(m.conn, idled > 0); err != nil {
			_ = req.Body.Close()
			w.pool.Return(lease)
			return nil, true, err
		}
		if !w.tls {
			s.Multiplexed()
		}
	}
	if trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{Conn: m.conn, Reused: lease.Used, WasIdle: idled > 0, IdleTime: idled})
	}
	// Each field is told when it is encoded, before the first byte is written.
	var encoded atomic.Bool
	sent := forNetHTTP(req, func(net.Conn) {})
	sent = sent.WithContext(httptrace.WithClientTrace(sent.Context(), &httptrace.ClientTrace{
		WroteHeaderField: func(string, []string) { encoded.Store(true) },
	}))
	resp, err = m.RoundTrip(sent)
	if err != nil {
		w.pool.Put(lease, encoded.Load() && !timedOut(ctx, err)) // by a connection that times out, no others go
		return nil, encoded.Load(), err
	}
	resp.Request, resp.TLS = req, m.tls
	if resp.Body == http.NoBody {
		w.pool.Put(lease, true)
		return resp, true, nil
	}
	resp.Body = &leased{body: resp.Body, put: func() { w.pool.Put(lease, true) }}
	return resp, true, nil
}

// leased is the body of an answer whose place on a connection is given back once.
type leased struct {
	body io.ReadCloser
	once sync.Once
	put  func()
}

// Read implements [io.Reader].
func (l *leased) Read(b []byte) (int, error) {
	n, err := l.body.Read(b)
	if err != nil {
		l.once.Do(l.put)
	}
	return n, err
}

// Close implements [io.Closer].
func (l *leased) Close() error {
	err := l.body.Close()
	l.once.Do(l.put)
	return err
}
