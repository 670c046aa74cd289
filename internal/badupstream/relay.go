package badupstream

import (
	"net"
	"sync"
	"sync/atomic"
)

// Relay passes connections on to a server. It can let those that exist go
// silent, as a NAT does that has forgotten them: bytes are taken and go nowhere,
// while new connections work.
type Relay struct {
	// Ended gets a value for each connection that the client has closed, up to
	// a hundred that are not received.
	Ended chan struct{}

	listener net.Listener
	target   string
	relayed  sync.WaitGroup

	mu    sync.Mutex
	links map[*link]struct{}
}

// link is a relayed connection, from the client and to the server.
type link struct {
	near, far net.Conn
	silent    atomic.Bool
}

// NewRelay relays what l accepts to the address target, until Close.
func NewRelay(l net.Listener, target string) *Relay {
	r := &Relay{Ended: make(chan struct{}, 100), listener: l, target: target, links: make(map[*link]struct{})}
	r.relayed.Go(r.accept)
	return r
}

// Silence makes the connections that exist go silent, and says how many there are.
func (r *Relay) Silence() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for l := range r.links {
		l.silent.Store(true)
	}
	return len(r.links)
}

// Open is how many connections the client has not closed.
func (r *Relay) Open() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.links)
}

// Close ends the relay and its connections.
func (r *Relay) Close() {
	_ = r.listener.Close()
	r.mu.Lock()
	for l := range r.links {
		_ = l.near.Close()
	}
	r.mu.Unlock()
	r.relayed.Wait()
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
		l := &link{near: near, far: far}
		r.mu.Lock()
		r.links[l] = struct{}{}
		r.mu.Unlock()
		r.relayed.Go(func() {
			l.pass(near, far) // until the client has closed it
			_ = far.Close()
			r.mu.Lock()
			delete(r.links, l)
			r.mu.Unlock()
			select {
			case r.Ended <- struct{}{}:
			default:
			}
		})
		r.relayed.Go(func() {
			l.pass(far, near)
			if !l.silent.Load() {
				_ = near.Close()
			}
		})
	}
}

// pass copies from one end to the other until the first is closed.
func (l *link) pass(from, to net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && !l.silent.Load() {
			_, _ = to.Write(buffer[:n])
		}
		if err != nil {
			return
		}
	}
}
