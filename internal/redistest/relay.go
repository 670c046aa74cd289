package redistest

import (
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// Relay passes connections on to a server, until it breaks them.
type Relay struct {
	// Addr is where it listens.
	Addr string

	target   string
	listener net.Listener
	relayed  sync.WaitGroup

	mu    sync.Mutex
	mode  mode
	text  string // of every answer
	conns map[net.Conn]struct{}
}

// mode is what a relay does.
type mode int

const (
	pass mode = iota
	swallow
	loseReplies
	answer
)

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
func (r *Relay) Swallow() { r.set(swallow, "") }

// LoseReplies makes it close a connection in place of passing on a reply, but for
// the first one, to the greeting: the server has executed what was sent.
func (r *Relay) LoseReplies() { r.set(loseReplies, "") }

// Answer makes it answer every command with that text, in place of the server.
func (r *Relay) Answer(text string) { r.set(answer, text) }

// Pass makes it pass on again, on new connections: those that have lost bytes
// are closed.
func (r *Relay) Pass() {
	r.set(pass, "")
	r.cut()
}

func (r *Relay) set(m mode, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mode, r.text = m, text
}

func (r *Relay) does() (m mode, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mode, r.text
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
		r.relayed.Go(func() { r.copy(near, far, near, far) })
		r.relayed.Go(func() { r.copy(far, near, near, far) })
	}
}

// command begins every command of a client.
var command = regexp.MustCompile(`(?:^|\r\n)\*\d+\r\n`)

// copy passes on what it reads until either end is closed, then closes the other.
// near is the client's end.
func (r *Relay) copy(from, to, near, far net.Conn) {
	buffer := make([]byte, 32<<10)
	for first := true; ; first = false {
		n, err := from.Read(buffer)
		if err != nil {
			break
		}
		switch does, text := r.does(); {
		case does == pass, does == loseReplies && (from == near || first):
			_, err = to.Write(buffer[:n])
		case does == loseReplies:
			err = near.Close()
			_ = far.Close()
		case does == answer && from == near:
			_, err = near.Write([]byte(strings.Repeat(text, len(command.FindAll(buffer[:n], -1)))))
		}
		if err != nil {
			break
		}
	}
	_ = to.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, from)
}
