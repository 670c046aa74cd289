package redistest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Relay passes connections on to a server, until it becomes a black hole.
type Relay struct {
	// Addr is where it listens.
	Addr string

	target   string
	listener net.Listener
	relayed  sync.WaitGroup

	mu    sync.Mutex
	hole  bool
	conns map[net.Conn]struct{}
}

// StartRelay starts a relay to the address target; it ends with its test.
func StartRelay(tb testing.TB, target string) *Relay {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	r := &Relay{
		Addr: listener.Addr().String(), target: target, listener: listener,
		conns: make(map[net.Conn]struct{}),
	}
	r.relayed.Go(r.accept)
	tb.Cleanup(func() {
		_ = listener.Close()
		r.cut()
		r.relayed.Wait()
	})
	return r
}

// Swallow makes it a black hole: it accepts and reads, and answers nothing.
func (r *Relay) Swallow() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hole = true
}

// Pass makes it pass on again, on new connections: those that have lost bytes
// are closed.
func (r *Relay) Pass() {
	r.mu.Lock()
	r.hole = false
	r.mu.Unlock()
	r.cut()
}

func (r *Relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for conn := range r.conns {
		_ = conn.Close()
	}
}

func (r *Relay) accept() {
	for {
		near, err := r.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", r.target)
		if err != nil {
			_ = near.Close()
			continue
		}
		r.mu.Lock()
		r.conns[near], r.conns[far] = struct{}{}, struct{}{}
		r.mu.Unlock()
		r.relayed.Go(func() { r.copy(far, near) })
		r.relayed.Go(func() { r.copy(near, far) })
	}
}

// copy passes on what it reads until either end is closed, then closes the other.
func (r *Relay) copy(to, from net.Conn) {
	_, _ = io.Copy(holed{to, r}, from)
	_ = to.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, from)
}

// holed is a writer into the black hole where there is one.
type holed struct {
	io.Writer
	relay *Relay
}

func (h holed) Write(p []byte) (int, error) {
	h.relay.mu.Lock()
	hole := h.relay.hole
	h.relay.mu.Unlock()
	if hole {
		return len(p), nil
	}
	return h.Writer.Write(p)
}
