// Package pipenet is a network in memory, by which servers and clients of net/http speak in a synctest
// bubble as they do over sockets. What is sent takes no time of the bubble, so that what has to happen soon
// can be judged on any machine: only timers make time pass.
package pipenet

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
)

// Network is one network. Its zero value is ready; what uses it belongs to the bubble that uses it first.
type Network struct {
	mu        sync.Mutex
	ports     int // that were given
	listeners map[string]*listener
}

// host is the address of all that listens, as of servers of tests.
var host = net.IPv4(127, 0, 0, 1)

// Listen listens at a port that was not given before.
func (n *Network) Listen() net.Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &listener{network: n, at: n.addr(), accepts: make(chan net.Conn), closed: make(chan struct{})}
	if n.listeners == nil {
		n.listeners = make(map[string]*listener)
	}
	n.listeners[l.at.String()] = l
	return l
}

// addr gives an address that was not given before.
func (n *Network) addr() *net.TCPAddr {
	n.ports++
	return &net.TCPAddr{IP: host, Port: n.ports}
}

// DialContext connects to what listens at an address, for an [http.Transport]. Where nothing does, the connection is
// refused as by the system.
func (n *Network) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	l, from := n.listeners[address], n.addr()
	n.mu.Unlock()
	refused := func(err error) error {
		return &net.OpError{Op: "dial", Net: network, Addr: pipeAddr(address), Err: err}
	}
	if l == nil {
		return nil, refused(syscall.ECONNREFUSED)
	}
	near, far := net.Pipe()
	select {
	case l.accepts <- &conn{far, l.at, from}:
		return &conn{near, from, l.at}, nil
	case <-l.closed:
		return nil, refused(syscall.ECONNREFUSED)
	case <-ctx.Done():
		return nil, refused(ctx.Err())
	}
}

// Serve serves HTTP until the test ends, and gives the server's URL.
func (n *Network) Serve(tb testing.TB, h http.Handler) (url string) {
	tb.Helper()
	l := n.Listen()
	server := &http.Server{Handler: h} //nolint:gosec // no client is slow but for a test's sake
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l)
	}()
	tb.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return fmt.Sprintf("http://%s", l.Addr())
}

type listener struct {
	network *Network
	at      net.Addr
	accepts chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

// Accept implements [net.Listener].
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accepts:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (l *listener) Close() error {
	l.once.Do(func() {
		l.network.mu.Lock()
		defer l.network.mu.Unlock()
		delete(l.network.listeners, l.at.String())
		close(l.closed)
	})
	return nil
}

// Addr implements [net.Listener].
func (l *listener) Addr() net.Addr { return l.at }

// conn is an end of a connection.
type conn struct {
	net.Conn
	local, remote net.Addr
}

// LocalAddr implements [net.Conn].
func (c *conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements [net.Conn].
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// pipeAddr is an address that was dialled.
type pipeAddr string

// Network implements [net.Addr].
func (pipeAddr) Network() string { return "tcp" }

// String implements [net.Addr].
func (a pipeAddr) String() string { return string(a) }
