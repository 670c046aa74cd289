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
	"os"
	"sync"
	"syscall"
	"time"
)

// connection is one of direct's, with one request at a time.
type connection struct {
	net.Conn // the encrypted one over TLS
	of       *direct
	raw      syscall.RawConn // of the socket; nil where it has none
	tls      *tls.ConnectionState
	read     *bufio.Reader // of the pool, while a request is under way
	close    func()
	// left is how many bytes may still come: a head is bounded, and a body is not.
	left int64
	// broken says that nothing comes after what has been read.
	broken bool
	// idle is when its last exchange ended.
	idle time.Time
	// look looks whether something has come, and nothing says that it has not.
	look    func(fd uintptr) bool
	nothing bool
}

// open makes a connection of one that has just been dialled.
func (d *direct) open(ctx context.Context, conn net.Conn, trace *httptrace.ClientTrace) (*connection, error) {
	c := &connection{Conn: conn, of: d}
	if socket, ok := conn.(syscall.Conn); ok {
		c.raw, _ = socket.SyscallConn()
	}
	if c.raw == nil { // it serves one request, and the next ones are net/http's
		d.unsuited.Store(true)
	}
	if d.tls {
		if err := c.encrypt(ctx, trace); err != nil {
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

// encrypt does the TLS handshake, and offers no other protocol, as net/http does
// for requests that HTTP/2 cannot carry.
func (c *connection) encrypt(ctx context.Context, trace *httptrace.ClientTrace) error {
	config := c.of.base.TLSClientConfig.Clone()
	if config == nil {
		config = new(tls.Config)
	}
	config.ServerName, config.NextProtos = cmp.Or(config.ServerName, c.of.name), nil
	if d := c.of.base.TLSHandshakeTimeout; d > 0 {
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

// silent reports whether a connection that has idled is open, and nothing has come
// on it that the next request would take for its answer.
func (c *connection) silent() bool {
	if c.tls != nil { // it may have more of what has come than it gave out
		var b [1]byte
		_ = c.SetReadDeadline(time.Unix(1, 0))
		if _, err := c.Conn.Read(b[:]); !errors.Is(err, os.ErrDeadlineExceeded) {
			return false
		}
		_ = c.SetReadDeadline(time.Time{})
	}
	c.nothing = false
	return c.raw.Read(c.look) == nil && c.nothing
}

// Read reads for c.read.
func (c *connection) Read(b []byte) (int, error) {
	if c.left <= 0 {
		return 0, errHeadTooLarge
	}
	n, err := c.Conn.Read(b[:min(int64(len(b)), c.left)])
	c.left -= int64(n)
	c.broken = c.broken || err != nil
	return n, err
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
	keep     bool // whether the connection may carry another one

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
	x.c, x.ctx, x.lifetime, x.body, x.keep, x.err, x.free = nil, nil, lifetime{}, nil, false, nil, false
	x.response, x.plain = http.Response{}, plainBody{header: x.plain.header}
}

// send writes a request and reads the head of its answer.
func (x *exchange) send(req *http.Request, trace *httptrace.ClientTrace) (*http.Response, error) {
	c := x.c
	if err := c.writeRequest(req, trace); err != nil {
		return nil, err
	}
	if x.lifetime.sender != nil {
		x.lifetime.sender.Written()
	}
	c.read = readers.Get().(*bufio.Reader)
	c.read.Reset(c)
	c.left = cmp.Or(c.of.base.MaxResponseHeaderBytes, maxHead)
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
			c.left = cmp.Or(c.of.base.MaxResponseHeaderBytes, maxHead) // who takes them counts them
		}
	}
}

// writeRequest writes a request whole.
func (c *connection) writeRequest(req *http.Request, trace *httptrace.ClientTrace) error {
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
	if err != nil {
		return err
	}
	return w.Flush()
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
	x.free = x.lifetime.end() && whole && x.keep && !c.broken && c.raw != nil && c.of.give(c)
	if !x.free {
		c.close()
	}
	return x.err
}
