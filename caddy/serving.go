package alipaycaddy

import (
	"context"
	"io"
	"net/http"
	"sync"

	"github.com/quic-go/quic-go/http3"
)

// server is an [http.Server] or [http3.Server], by its pointer: Close ends the calls that it has.
type server = io.Closer

// serverOf gives the server that a request has come to; nil for one that is not known.
func serverOf(r *http.Request) server {
	// Each puts itself into the contexts of its requests under a key of its own.
	if s, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok {
		return s
	}
	if s, ok := r.Context().Value(http3.ServerContextKey).(*http3.Server); ok {
		return s
	}
	return nil
}

// serving are the HTTP servers of all configurations that have calls under way.
var serving = servers{calls: make(map[server]int)}

// servers counts the calls of HTTP servers. When the process ends, Caddy's servers leave calls behind that have outlasted their
// grace_period: what they cost would be known as the most that it may be, and the ledger would not be closed.
type servers struct {
	mu    sync.Mutex
	calls map[server]int
	none  chan struct{} // closed when no call is left; nil where nothing waits for that
}

// ofPacks stands for the server of packs, which go on for a moment when the last client has left: then they are charged.
var ofPacks = new(http.Server)

// enter counts a call, until leave.
func (s *servers) enter(of server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[of]++
}

func (s *servers) leave(of server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls[of]--; s.calls[of] == 0 {
		delete(s.calls, of)
	}
	if len(s.calls) == 0 && s.none != nil {
		close(s.none)
		s.none = nil
	}
}

// end closes the connections of the calls that are left, which ends them as if their clients had left, and waits for that, no
// longer than for ctx.
func (s *servers) end(ctx context.Context) {
	s.mu.Lock()
	if len(s.calls) == 0 {
		s.mu.Unlock()
		return
	}
	if s.none == nil {
		s.none = make(chan struct{})
	}
	none := s.none
	for of := range s.calls {
		go of.Close()
	}
	s.mu.Unlock()
	select {
	case <-none:
	case <-ctx.Done():
	}
}
