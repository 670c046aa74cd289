package outgoing

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/internal/badupstream"
	"github.com/caddy-alipayai/gateway/internal/pipenet"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// silenced is a connection that goes silent, as one whose NAT has forgotten it: what is written is taken and goes nowhere,
// and nothing comes.
type silenced struct {
	net.Conn
	silent atomic.Bool
	once   sync.Once
	closed chan struct{}
}

func (s *silenced) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if s.silent.Load() {
		<-s.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (s *silenced) Write(b []byte) (int, error) {
	if s.silent.Load() {
		return len(b), nil
	}
	return s.Conn.Write(b)
}

func (s *silenced) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.Conn.Close()
}

// Who waits for an answer on a connection that has become silent is told so by a ping, and its connection closed.
func TestSilentConnectionIsPinged(t *testing.T) {
	for _, protocol := range bothHTTP2 {
		for name, path := range map[string]string{"idle": "/", "with a request": "/slow"} {
			t.Run(string(protocol)+" "+name, func(t *testing.T) {
				testwait.Bubble(t, func(t *testing.T) { pingedWhenSilent(t, protocol, path) })
			})
		}
	}
}

func pingedWhenSilent(t *testing.T, protocol badupstream.Protocol, path string) {
	n := new(pipenet.Network)
	l, base, err := protocol.On(n.Listen())
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
		}
		_, _ = io.WriteString(w, "whole")
	})}
	server.Protocols.SetHTTP2(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	var conns []*silenced // in the order in which they were made
	base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := n.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		conns = append(conns, &silenced{Conn: conn, closed: make(chan struct{})})
		return conns[len(conns)-1], nil
	}
	transport := NewTransport(base)
	t.Cleanup(transport.CloseIdleConnections)
	ask := func(path string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, protocol.Scheme()+"://"+l.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := Send(transport, req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}

	resp := ask(path)
	if path == "/" {
		_, _ = io.Copy(io.Discard, resp.Body)
	}
	synctest.Wait() // all has come
	conns[0].silent.Store(true)
	began := time.Now()
	<-conns[0].closed
	if took := time.Since(began); took != PingAfter+PingTimeout {
		t.Errorf("the silent connection is closed after %v, want %v", took, PingAfter+PingTimeout)
	}
	if _, err := io.ReadAll(resp.Body); err == nil && path != "/" {
		t.Error("the answer seems to be whole")
	}
	resp.Body.Close()
	resp = ask("/") // and nothing is lost
	if all, err := io.ReadAll(resp.Body); err != nil || string(all) != "whole" {
		t.Errorf("%q, %v", all, err)
	}
	resp.Body.Close()
}
