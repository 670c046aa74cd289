package outgoing

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/outgoing/pool"
)

// keeper is what a connection belongs to.
type keeper interface {
	// give takes it back from a request that has ended. again says that it may carry another
	// one; give reports whether it will, and closes it if not.
	give(c *connection, again bool) (kept bool)
	// unused takes it back with nothing written to it.
	unused(c *connection)
}

// connection carries one request at a time.
type connection struct {
	net.Conn // the encrypted one over TLS
	of       keeper
	lease    pool.Lease // of warm's
	maxHead  int64
	raw      syscall.RawConn // of the socket; nil where it has none
	arrived  *arrived        // over TLS
	tls      *tls.ConnectionState
	read     *bufio.Reader // of the pool, while a request is under way
	close    func()
	// left is how many bytes may still come: a head is bounded, and a body is not.
	left int64
	// broken says that nothing comes after what has been read.
	broken bool
	burst  *burst // of a stream of events, while it is read; over TLS it is arrived's
	bursts burst  // what that is, of one stream after another
	// idle is when its last exchange ended.
	idle time.Time
	// look looks whether something has come, and nothing says that it has not.
	look    func(fd uintptr) bool
	nothing bool
}

// open makes a connection of one that has just been dialled. It offers protocols over TLS.
func (p *peer) open(ctx context.Context, conn net.Conn, trace *httptrace.ClientTrace, protocols []string) (*connection, error) {
	c := &connection{Conn: conn, maxHead: cmp.Or(p.base.MaxResponseHeaderBytes, maxHead)}
	if socket, ok := conn.(syscall.Conn); ok {
		c.raw, _ = socket.SyscallConn()
	}
	if p.tls {
		c.arrived = newArrived(conn, c.raw)
		c.Conn = c.arrived
		if err := p.encrypt(ctx, c, trace, protocols); err != nil {
			return nil, err
		}
	}
	c.close = func() { _ = c.Conn.Close() }
	c.look = func(fd uintptr) bool {
		c.nothing = nothingToRead(fd)
		return true
	}
	return c, nil
}

// Buffers belong to requests, not to connections: those that idle need none, and
// the few that are in use stay in the processor's cache. A reader holds what a
// stream brings while its last events are passed on, so that they are passed on
// together.
var (
	readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 16<<10) }}
	writers = sync.Pool{New: func() any { return bufio.NewWriter(nil) }}
)

// encrypt does the TLS handshake.
func (p *peer) encrypt(ctx context.Context, c *connection, trace *httptrace.ClientTrace, protocols []string) error {
	config := p.base.TLSClientConfig.Clone()
	if config == nil {
		config = new(tls.Config)
	}
	config.ServerName, config.NextProtos = cmp.Or(config.ServerName, p.name), protocols
	if d := p.base.TLSHandshakeTimeout; d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	if trace.TLSHandshakeStart != nil {
		trace.TLSHandshakeStart()
	}
	encrypted := tls.Client(c.Conn, config)
	err := encrypted.HandshakeContext(ctx)
	state := encrypted.ConnectionState()
	if trace.TLSHandshakeDone != nil {
		trace.TLSHandshakeDone(state, err)
	}
	c.Conn, c.tls = encrypted, &state
	return err
}

// Read reads for c.read.
func (c *connection) Read(b []byte) (int, error) {
	if c.left <= 0 {
		return 0, errHeadTooLarge
	}
	b = b[:min(int64(len(b)), c.left)]
	c.burst.before()
	n, err := c.Conn.Read(b)
	c.burst.after(n == len(b))
	c.left -= int64(n)
	c.broken = c.broken || err != nil
	return n, err
}

// reads has the reads of the socket begin and end with those of b.
func (c *connection) reads(b *burst) {
	if c.arrived != nil {
		c.arrived.burst = b
		return
	}
	c.burst = b
}

var errHeadTooLarge = errors.New("outgoing: the answer's header is too large")

// maxHead is how many bytes of an answer's head are read where that is not set, as
// by net/http.
const maxHead = 10 << 20

// exchange is one request on a connection, and the body of its answer.
type exchange struct {
	c        *connection
	ctx      context.Context
	lifetime lifetime
	body     io.Reader
	keep     bool       // whether the connection may carry another one
	writing  chan error // gets how it was written, while its answer may be read already; nil before that

	// What is read plainly, in one piece with the rest.
	response http.Response
	plain    plainBody

	mu   sync.Mutex // Close may come while Read waits
	err  error      // why it has ended; nil before
	free bool       // it has ended, and its connection is given back
}

// clear makes a new exchange of one that has ended. It keeps the header's map, empty.
func (x *exchange) clear() {
	x.mu.Lock() // after whoever had it
	defer x.mu.Unlock()
	clear(x.plain.header)
	x.c, x.ctx, x.lifetime, x.body, x.keep, x.writing, x.err, x.free = nil, nil, lifetime{}, nil, false, nil, nil, false
	x.response, x.plain = http.Response{}, plainBody{header: x.plain.header}
}

// roundTrip carries a request over a connection that has idled for so long.
func (c *connection) roundTrip(req *http.Request, trace *httptrace.ClientTrace, idled time.Duration) (*http.Response, error) {
	ctx := req.Context()
	sender := senderOf(ctx)
	if sender != nil {
		if err := sender.Connected(c.Conn, idled > 0); err != nil {
			_ = req.Body.Close()
			c.of.unused(c)
			return nil, err
		}
	}
	if trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{Conn: c.Conn, Reused: idled > 0, WasIdle: idled > 0, IdleTime: idled})
	}
	// The end of ctx closes the connection, and so ends each wait for it.
	var x *exchange
	if b, ok := req.Body.(*Body); ok {
		x = &b.exchange
	} else {
		x = new(exchange)
	}
	x.c, x.ctx = c, ctx
	x.lifetime.begin(ctx, sender, c.close)
	resp, err := x.send(req, trace)
	if err != nil {
		return nil, x.end(err)
	}
	return resp, nil
}

// send writes a request and reads the head of its answer.
func (x *exchange) send(req *http.Request, trace *httptrace.ClientTrace) (*http.Response, error) {
	c := x.c
	if req.ContentLength <= maxDirect {
		if err := c.writeRequest(req, trace, x.lifetime.sender); err != nil {
			return nil, err
		}
	} else { // the upstream may answer before it has read all of it
		writing, sender := make(chan error, 1), x.lifetime.sender
		x.writing = writing
		go func() { writing <- c.writeRequest(req, trace, sender) }()
	}
	// No upstream has answered by now: what else there is to do goes first, rather than a read that finds nothing.
	runtime.Gosched()
	c.read = readers.Get().(*bufio.Reader)
	c.read.Reset(c)
	c.left = c.maxHead
	c.reads(nil)
	if _, err := c.read.Peek(1); err != nil {
		return nil, err
	}
	if x.lifetime.sender != nil {
		x.lifetime.sender.Answering()
	}
	if trace.GotFirstResponseByte != nil {
		trace.GotFirstResponseByte()
	}
	resp, err := x.readHead(req, trace)
	if err != nil {
		return nil, err
	}
	c.left = math.MaxInt64
	resp.TLS = c.tls
	x.keep = !resp.Close && !req.Close && resp.StatusCode >= 200
	if resp.Body == http.NoBody {
		_ = x.end(io.EOF)
		return resp, nil
	}
	x.body, resp.Body = resp.Body, x
	c.reads(c.bursts.of(resp.Header, c.raw))
	return resp, nil
}

// readHead reads the head of the answer, after those that are informational.
func (x *exchange) readHead(req *http.Request, trace *httptrace.ClientTrace) (*http.Response, error) {
	c := x.c
	for {
		x.response.Request = req
		if readPlain(c.read, &x.response, &x.plain) {
			return &x.response, nil
		}
		resp, err := http.ReadResponse(c.read, req)
		if err != nil {
			return nil, fmt.Errorf("reading the answer's header: %w", err)
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, nil
		}
		if trace.Got1xxResponse != nil {
			if x.lifetime.sender != nil {
				x.lifetime.sender.Informational(resp.Header)
			}
			if err := trace.Got1xxResponse(resp.StatusCode, textproto.MIMEHeader(resp.Header)); err != nil {
				return nil, err
			}
			c.left = c.maxHead // who takes them counts them
		}
	}
}

// writeGrace is how long a request may still be written when its answer has come whole. An upstream that has answered
// early may read no more of it; most have read it, and only the one who writes it does not know yet.
const writeGrace = time.Second

// giveWhenWritten gives the connection back as soon as its request is written.
func (c *connection) giveWhenWritten(writing <-chan error) {
	late := time.AfterFunc(writeGrace, c.close) // which ends the writing
	err := <-writing
	c.of.give(c, late.Stop() && err == nil)
}

// writeRequest writes a request whole.
func (c *connection) writeRequest(req *http.Request, trace *httptrace.ClientTrace, sender Sender) error {
	w := writers.Get().(*bufio.Writer)
	defer func() {
		w.Reset(nil)
		writers.Put(w)
	}()
	w.Reset(c.Conn)
	done, err := writePlain(w, req, trace)
	if !done {
		err = req.Write(w)
	}
	if err == nil {
		err = w.Flush()
	}
	if err == nil && sender != nil {
		sender.Written()
	}
	return err
}

// Read reads the body.
func (x *exchange) Read(b []byte) (int, error) {
	x.mu.Lock()
	err := x.err
	x.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n, err := x.body.Read(b)
	if err != nil {
		err = x.end(err)
	}
	return n, err
}

// Close ends the exchange. A body that has not been read to its end takes its
// connection with it.
func (x *exchange) Close() error {
	_ = x.end(http.ErrBodyReadAfterClose)
	return nil
}

// end ends the exchange for good, and gives why it has ended: io.EOF for a body
// that is whole.
func (x *exchange) end(err error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.err != nil {
		return x.err
	}
	if x.err = err; err != io.EOF && x.ctx.Err() != nil { //nolint:errorlint // a wrapped one is not the body's end
		x.err = context.Cause(x.ctx)
	}
	c := x.c
	whole := err == io.EOF && c.read != nil && c.read.Buffered() == 0 //nolint:errorlint // see above
	if whole {
		c.read.Reset(nil) // nothing of it is read any more
		readers.Put(c.read)
		c.read = nil
	}
	again := x.lifetime.end() && whole && x.keep && !c.broken && c.raw != nil
	if again && x.writing != nil {
		go c.giveWhenWritten(x.writing)
		return x.err
	}
	x.free = c.of.give(c, again)
	return x.err
}
