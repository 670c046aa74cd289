package outgoing

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/badupstream"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// headTimeout is how long a test's requests wait for the answer's head.
const headTimeout = 300 * time.Millisecond

// never is a time that no test lasts.
const never = time.Hour

// site is an upstream behind a relay, and the transport to it.
type site struct {
	t         *testing.T
	relay     *badupstream.Relay
	transport *Transport
	url       string
	release   func() // lets requests to /slow end
}

// newSite starts an upstream that says to whom it speaks. It answers /slow only when it is released, but for its head if
// it is asked for ?head, and not at all once the client has left.
func newSite(t *testing.T, protocol badupstream.Protocol, pingAfter, pingTimeout time.Duration) *site {
	t.Helper()
	l, base, err := protocol.Listen()
	if err != nil {
		t.Fatal(err)
	}
	base.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout}
	released := make(chan struct{})
	server := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			if r.URL.RawQuery == "head" {
				w.(http.Flusher).Flush()
			}
			select {
			case <-released:
			case <-r.Context().Done():
				panic(http.ErrAbortHandler) // TLS says that the client leaves before it closes: an answer might still arrive
			}
		}
		io.WriteString(w, r.RemoteAddr)
	})}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l)
	}()
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, url: protocol.Scheme() + "://" + front.Addr().String(), release: sync.OnceFunc(func() { close(released) })}
	s.relay, s.transport = badupstream.NewRelay(front, l.Addr().String()), NewTransport(base)
	t.Cleanup(func() {
		s.release()
		s.transport.CloseIdleConnections()
		s.relay.Close()
		_ = server.Close()
		<-served
	})
	return s
}

// start sends a request whose answer's head has to come within the timeout.
func (s *site) start(path string, timeout time.Duration) (*http.Response, error) {
	s.t.Helper()
	ctx, cancel := context.WithCancelCause(s.t.Context())
	timer := time.AfterFunc(timeout, func() { cancel(context.DeadlineExceeded) })
	defer timer.Stop()
	return s.send(ctx, path)
}

// send sends a request.
func (s *site) send(ctx context.Context, path string) (*http.Response, error) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return Send(s.transport, req)
}

// get is start for a whole answer: the address that the request came from.
func (s *site) get(path string, timeout time.Duration) (from string, err error) {
	s.t.Helper()
	resp, err := s.start(path, timeout)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	return string(all), err
}

// must is get for a request that has to succeed.
func (s *site) must(path string) (from string) {
	s.t.Helper()
	from, err := s.get(path, 10*time.Second)
	if err != nil {
		s.t.Fatal(err)
	}
	return from
}

var bothHTTP2 = []badupstream.Protocol{badupstream.HTTP2TLS, badupstream.HTTP2}

// Requests that are on a connection when it goes silent are lost, but none that starts after the first of them has timed
// out. No ping is due here.
func TestSilentConnectionTakesNoNewRequests(t *testing.T) {
	for _, protocol := range bothHTTP2 {
		t.Run(string(protocol), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, protocol, never, never)
			s.must("/")
			if n := s.relay.Silence(); n != 1 {
				t.Fatalf("%d connections", n)
			}
			const lost = 6
			written, ended := make(chan struct{}, lost), make(chan error, lost)
			var timeOuts []context.CancelCauseFunc
			for range lost {
				ctx, timeOut := context.WithCancelCause(t.Context())
				timeOuts = append(timeOuts, timeOut)
				ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { written <- struct{}{} }})
				go func() {
					_, err := s.send(ctx, "/")
					ended <- err
				}()
			}
			for range lost {
				testwait.Receive(t, 10*time.Second, written, "a request on the silent connection")
			}
			for i, timeOut := range timeOuts {
				timeOut(context.DeadlineExceeded)
				if err := testwait.Receive(t, 10*time.Second, ended, "the end of a request"); err == nil {
					t.Error("a request came through a silent connection")
				}
				for range 20 / (i + 1) {
					s.must("/")
				}
			}
			if n := s.relay.Open(); n != 2 {
				t.Errorf("%d connections, want the silent one and one more", n)
			}
		})
	}
}

// An upstream that is merely slow keeps what is under way on the connection; new requests go by another.
func TestSlowConnectionKeepsItsRequests(t *testing.T) {
	for _, protocol := range bothHTTP2 {
		t.Run(string(protocol), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, protocol, 50*time.Millisecond, 10*time.Second)
			old := s.must("/")
			resp, err := s.start("/slow?head", 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if _, err := s.get("/slow", headTimeout); err == nil {
				t.Fatal("a slow answer came in time")
			}
			if from := s.must("/"); from == old {
				t.Error("a new request went by the connection whose request timed out")
			}
			s.release()
			if all, err := io.ReadAll(resp.Body); err != nil || string(all) != old {
				t.Errorf("the answer under way: %q (%v), want %q", all, err, old)
			}
		})
	}
}

// A client that leaves says nothing about the connection, and over HTTP/1.1 a timeout concerns one connection alone.
func TestConnectionsThatStayInUse(t *testing.T) {
	for name, test := range map[string]struct {
		protocol badupstream.Protocol
		cause    error
	}{
		"client that leaves, HTTP/2 over TLS":      {badupstream.HTTP2TLS, context.Canceled},
		"client that leaves, HTTP/2 in clear text": {badupstream.HTTP2, context.Canceled},
		"timeout, HTTP/1.1":                        {badupstream.HTTP1, context.DeadlineExceeded},
		"timeout, HTTP/1.1 over TLS":               {badupstream.HTTP1TLS, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, test.protocol, never, never)
			before := s.transport.current.Load()
			s.must("/")
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(headTimeout, func() { cancel(test.cause) })
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/slow", nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Send(s.transport, req); err == nil {
				t.Fatal("a slow answer came")
			}
			if s.transport.current.Load() != before {
				t.Error("the connections were abandoned")
			}
			s.must("/")
		})
	}
}

// What Caddy and others leave unset has a value, and what they set stays.
func TestSettings(t *testing.T) {
	made := NewTransport(&http.Transport{DialContext: new(net.Dialer).DialContext}).current.Load().transport
	if made.HTTP2.SendPingTimeout != PingAfter || made.HTTP2.PingTimeout != PingTimeout || made.IdleConnTimeout != idleTimeout {
		t.Errorf("%+v, idle for %v", made.HTTP2, made.IdleConnTimeout)
	}
	if p := made.Protocols; !p.HTTP1() || p.HTTP2() || p.UnencryptedHTTP2() {
		t.Errorf("protocols %v, want HTTP/1 as it was", p)
	}
	base := &http.Transport{
		HTTP2:           &http.HTTP2Config{SendPingTimeout: time.Minute, PingTimeout: time.Second, MaxReadFrameSize: 1 << 20},
		IdleConnTimeout: time.Second, ForceAttemptHTTP2: true, MaxConnsPerHost: 3,
	}
	made = NewTransport(base).current.Load().transport
	if !reflect.DeepEqual(made.HTTP2, base.HTTP2) || made.IdleConnTimeout != time.Second || made.MaxConnsPerHost != 3 || !made.Protocols.HTTP2() {
		t.Errorf("%+v, %+v", made, made.HTTP2)
	}
}
