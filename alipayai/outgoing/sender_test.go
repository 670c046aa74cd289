package outgoing

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/badupstream"
)

// refusing is a sender whose request must not be written to any connection, if it says so.
type refusing struct {
	context.Context
	end    context.CancelCauseFunc // nil: it may be written
	closed func() bool

	wrote  *atomic.Int64 // bytes, to all connections
	before int64         // that, when it refused
}

var errRefused = errors.New("too late")

func (r *refusing) Value(key any) any {
	if _, ok := key.(SenderKey); ok {
		return r
	}
	return r.Context.Value(key)
}

func (r *refusing) Connected(net.Conn, bool) error {
	if r.end == nil {
		return nil
	}
	r.before = r.wrote.Load()
	r.end(errRefused)
	return context.Cause(r.Context)
}

func (*refusing) Multiplexed()              {}
func (*refusing) Written()                  {}
func (*refusing) Answering()                {}
func (*refusing) Informational(http.Header) {}

func (r *refusing) CloseAtEnd(end func()) { r.closed = context.AfterFunc(r.Context, end) }
func (r *refusing) KeepOpen() bool        { return r.closed() }

// counting is a connection that counts what is written to it.
type counting struct {
	net.Conn
	wrote *atomic.Int64
}

func (c counting) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.wrote.Add(int64(n))
	return n, err
}

func (c counting) SyscallConn() (syscall.RawConn, error) { return c.Conn.(syscall.Conn).SyscallConn() }

// What the sender refuses when there is a connection is not written, whoever carries it, and the others on a connection that
// carries several at once go on.
func TestRefusedIsNotWritten(t *testing.T) {
	for _, protocol := range badupstream.Protocols {
		for name, carry := range map[string]func(*Transport, *http.Transport) http.RoundTripper{
			pooled:     func(t *Transport, _ *http.Transport) http.RoundTripper { return t },
			"directly": func(t *Transport, _ *http.Transport) http.RoundTripper { return t },
			"net/http": func(t *Transport, _ *http.Transport) http.RoundTripper { t.directable = false; return t },
			"bare":     func(_ *Transport, base *http.Transport) http.RoundTripper { return base.Clone() },
		} {
			if name == "directly" && protocol.Multiplexes() {
				continue
			}
			t.Run(string(protocol)+"/"+name, func(t *testing.T) {
				t.Parallel()
				s, base, transport := badupstream.Start(t, protocol, &badupstream.Server{}, 1)
				transport.DisableCompression = true // which goes directly, where that is asked for
				wrote := new(atomic.Int64)
				transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					conn, err := new(net.Dialer).DialContext(ctx, network, addr)
					return counting{conn, wrote}, err
				}
				made := NewTransport(transport)
				if name == pooled {
					keep(t, made, base, Keeping{Min: 1, Max: 1})
				}
				connections := carry(made, transport)
				defer (&http.Client{Transport: connections}).CloseIdleConnections()
				post := func(refused bool) error {
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					sender := &refusing{Context: ctx, wrote: wrote}
					if refused {
						sender.end = cancel
					}
					within, cancelAll := context.WithTimeout(sender, 10*time.Second)
					defer cancelAll()
					req, err := http.NewRequestWithContext(within, http.MethodPost, base+"/path", bytes.NewReader([]byte("{}")))
					if err != nil {
						t.Fatal(err)
					}
					resp, err := Send(connections, req)
					if err == nil {
						_, err = io.Copy(io.Discard, resp.Body)
						_ = resp.Body.Close()
					}
					if n := wrote.Load() - sender.before; refused && !protocol.Multiplexes() && n != 0 {
						t.Errorf("%d bytes were written of what was refused", n)
					}
					return err
				}
				for i := range 40 {
					if refused := i != 20; (post(refused) != nil) != refused {
						t.Errorf("request %d: refused %v, want %v", i, !refused, refused)
					}
				}
				if n := s.Arrived(); n != 0 {
					t.Errorf("%d requests arrived that were refused", n)
				}
			})
		}
	}
}

// changing is a sender that does something when its request gets a connection for the first time.
type changing struct {
	refusing
	connected int
	idled     []bool
	first     func()
}

func (c *changing) Value(key any) any {
	if _, ok := key.(SenderKey); ok {
		return c
	}
	return c.Context.Value(key)
}

func (c *changing) Connected(_ net.Conn, idled bool) error {
	c.idled = append(c.idled, idled)
	if c.connected++; c.connected == 1 {
		c.first()
	}
	return nil
}

// A request whose connection can take none any more when it is about to be written goes by another one, once and whole.
func TestPoolSecondAttempt(t *testing.T) {
	for _, protocol := range bothHTTP2 {
		for name, body := range map[string]func(text []byte) io.ReadCloser{
			"a Body":   func(text []byte) io.ReadCloser { b := new(Body); b.Reset(text); return b },
			"a reader": func(text []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(text)) },
		} {
			t.Run(string(protocol)+"/"+name, func(t *testing.T) {
				t.Parallel()
				s := newPooledSite(t, protocol, Keeping{Min: 1, Max: 1}, nil)
				s.idle(t, 1)
				lease, err := s.warm.pool.Get(t.Context(), s.warm.settings)
				if err != nil {
					t.Fatal(err)
				}
				s.warm.pool.Return(lease)
				sender := &changing{refusing: refusing{Context: t.Context()}, first: lease.Conn.(*multiplexed).SetDoNotReuse}
				text := bytes.Repeat([]byte("x"), 100<<10)
				req, err := http.NewRequestWithContext(sender, http.MethodPost, s.url, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Body, req.ContentLength = body(text), int64(len(text))
				resp, err := Send(s.transport, req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if resp.StatusCode != http.StatusOK { // which the site answers to a body that is whole
					t.Errorf("status %d", resp.StatusCode)
				}
				if n := s.asked.Load(); n != 1 || sender.connected != 2 {
					t.Errorf("arrived %d times, by %d connections", n, sender.connected)
				}
			})
		}
	}
}

// A connection that was made ahead is a new one to its first request, whose failure was not the upstream's closing of what had
// idled, most likely.
func TestPoolTellsWhatHasIdled(t *testing.T) {
	for _, protocol := range badupstream.Protocols {
		t.Run(string(protocol), func(t *testing.T) {
			t.Parallel()
			s := newPooledSite(t, protocol, Keeping{Min: 1, Max: 1}, nil)
			s.idle(t, 1)
			for i := range 3 {
				sender := &changing{refusing: refusing{Context: t.Context()}, first: func() {}}
				req, err := http.NewRequestWithContext(sender, http.MethodPost, s.url, bytes.NewReader([]byte("{}")))
				if err != nil {
					t.Fatal(err)
				}
				if err := sendAndRead(s.transport, req); err != nil {
					t.Fatal(err)
				}
				if want := i > 0; len(sender.idled) != 1 || sender.idled[0] != want {
					t.Errorf("request %d: idled %v, want %v", i, sender.idled, want)
				}
			}
		})
	}
}
