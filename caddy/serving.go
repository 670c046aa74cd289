package alipaycaddy

import (
	"context"
	"net/http"
	"sync"
)

// serving are the HTTP servers of all configurations that have calls under way.
var serving = servers{calls: make(map[*http.Server]int)}

// servers counts the calls of HTTP servers. When the process ends, Caddy's servers leave calls behind that have outlasted their
// grace_period: what they cost would be known as the most that it may be, and the ledger would not be closed.
type servers struct {
	mu    sync.Mutex
	calls map[*http.Server]int
	none  chan struct{} // closed when no call is left; nil where nothing waits for that
}

// ofPacks stands for the server of packs, which go on for a moment when the last client has left: then they are charged.
var ofPacks = new(http.Server)

// enter counts a call, until leave.
func (s *servers) enter(server *http.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[server]++
}

func (s *servers) leave(server *http.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls[server]--; s.calls[server] == 0 {
		delete(s.calls, server)
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
	for server := range s.calls {
		go server.Close()
	}
	s.mu.Unlock()
	select {
	case <-none:
	case <-ctx.Done():
	}
}
