package badupstream

import (
	"net/http"
	"testing"
)

// Start serves as faulty does, by the protocol, until the test ends: the first
// good requests well. It gives the URL and what connects to it.
func Start(tb testing.TB, p Protocol, faulty *Server, good int64) (s *Server, url string, transport *http.Transport) {
	tb.Helper()
	l, transport, err := p.Listen()
	if err != nil {
		tb.Fatal(err)
	}
	s = &Server{Good: good, HTTP1: faulty.HTTP1, Connected: faulty.Connected, Head: faulty.Head, End: faulty.End}
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
