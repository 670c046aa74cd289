// Package badupstream is an upstream for tests that breaks connections off in each
// way that HTTP/1.1 and HTTP/2 allow, and counts what arrived.
//
// It speaks HTTP/2 by its frames (RFC 9113, section 4.1), since no server of a
// library can be made to misbehave at will.
package badupstream

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Server is the upstream. Its fields are set before Serve.
type Server struct {
	// Good is how many requests, over all connections, get status 200 and no
	// content before the fault sets in.
	Good int64
	// HTTP1 is what becomes of a request by HTTP/1.1 that was read whole; nil
	// closes the connection.
	HTTP1 func(*Conn)
	// Connected, Head, End and Pong are what happens over HTTP/2 when a connection is
	// made, when a request's HEADERS have come, when it has come whole, and when a Ping
	// is answered; nil does nothing.
	Connected, Head, End, Pong func(c *Conn, stream uint32)

	requests atomic.Int64
	mu       sync.Mutex
	conns    map[net.Conn]struct{}
	closed   bool
	serving  sync.WaitGroup
}

// Conn is a connection to the upstream.
type Conn struct {
	net.Conn
	reader *bufio.Reader
	write  sync.Mutex
}

// Arrived is how many requests have arrived since the fault set in.
func (s *Server) Arrived() int64 { return max(s.requests.Load()-s.Good, 0) }

// Restart forgets the requests so far.
func (s *Server) Restart() { s.requests.Store(0) }

// Serve serves connections, which may speak either protocol, until Close.
func (s *Server) Serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		if !s.keep(conn) {
			return
		}
		go func() {
			defer s.serving.Done()
			defer s.drop(conn)
			c := &Conn{Conn: conn, reader: bufio.NewReader(conn)}
			start, err := c.reader.Peek(4)
			if err != nil {
				return
			}
			if string(start) == "PRI " {
				_ = s.serveHTTP2(c)
			} else {
				s.serveHTTP1(c)
			}
		}()
	}
}

func (s *Server) keep(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = conn.Close()
		return false
	}
	if s.conns == nil {
		s.conns = make(map[net.Conn]struct{})
	}
	s.conns[conn] = struct{}{}
	s.serving.Add(1)
	return true
}

func (s *Server) drop(conn net.Conn) {
	_ = conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

// Close ends all connections, and waits until they are served. The listener is
// closed by its owner, before.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for conn := range s.conns {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.serving.Wait()
}

// Hangup closes the connection.
func (c *Conn) Hangup() { _ = c.Close() }

// Reset closes the connection with a RST of TCP.
func (c *Conn) Reset() {
	conn := c.Conn
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// Say writes bytes as they are.
func (c *Conn) Say(text string) {
	c.write.Lock()
	defer c.write.Unlock()
	_ = c.SetWriteDeadline(time.Now().Add(10 * time.Second))
	_, _ = c.Write([]byte(text))
}

var errNotHTTP2 = errors.New("the connection does not begin as one of HTTP/2")

// Start serves as faulty does, by the protocol, until the test ends: the first
// good requests well. It gives the URL and what connects to it.
func Start(tb testing.TB, p Protocol, faulty *Server, good int64) (s *Server, url string, transport *http.Transport) {
	tb.Helper()
	l, transport, err := p.Listen()
	if err != nil {
		tb.Fatal(err)
	}
	s = &Server{Good: good, HTTP1: faulty.HTTP1, Connected: faulty.Connected, Head: faulty.Head, End: faulty.End, Pong: faulty.Pong}
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.Serve(l)
	}()
	tb.Cleanup(func() {
		_ = l.Close()
		<-served
		s.Close()
	})
	return s, p.Scheme() + "://" + l.Addr().String(), transport
}
