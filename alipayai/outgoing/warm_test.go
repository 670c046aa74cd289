package outgoing

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/outgoing/pool"
	"github.com/caddy-alipayai/gateway/internal/badupstream"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// keep has a transport keep connections, until the test ends.
func keep(t *testing.T, transport *Transport, base string, k Keeping) *Warm {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	if k.Kept == nil {
		k.Kept = new(Kept)
	}
	w, err := transport.Keep(u, k)
	if err != nil {
		t.Fatal(err)
	}
	w.Open()
	t.Cleanup(w.Close)
	return w
}

// pooledSite is an upstream that counts its connections, and what keeps some to it.
type pooledSite struct {
	*http.Server
	url       string
	base      *http.Transport // what transport is made of
	transport *Transport
	warm      *Warm
	conns     atomic.Int64 // that were ever made
	asked     atomic.Int64
	release   chan struct{} // lets requests to /slow end
	head      http.Header   // of answers
	closeIdle func()        // closes all that are idle, as the upstream
	idles     func() int    // counts them
}

func newPooledSite(t *testing.T, protocol badupstream.Protocol, k Keeping, change func(*pooledSite)) *pooledSite {
	t.Helper()
	l, base, err := protocol.Listen()
	if err != nil {
		t.Fatal(err)
	}
	base.DisableCompression = true
	s := &pooledSite{base: base, url: protocol.Scheme() + "://" + l.Addr().String(), release: make(chan struct{})}
	var mu sync.Mutex
	conns, busy := make(map[string]net.Conn), make(map[string]int) // requests, by the address of the client
	s.Server = &http.Server{Protocols: new(http.Protocols), HTTP2: new(http.HTTP2Config), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		count := func(n int) {
			mu.Lock()
			defer mu.Unlock()
			busy[r.RemoteAddr] += n
		}
		count(1)
		defer count(-1)
		maps.Copy(w.Header(), s.head)
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil || n != r.ContentLength {
			http.Error(w, "the body is not whole", http.StatusBadRequest)
			return
		}
		if r.URL.Path == "/slow" {
			<-s.release
		}
		io.WriteString(w, r.RemoteAddr)
	}), ConnState: func(c net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		switch from := c.RemoteAddr().String(); state {
		case http.StateNew:
			s.conns.Add(1)
			conns[from] = c // for HTTP/2 in clear text, later states come with another one
		case http.StateClosed:
			delete(conns, from)
		}
	}}
	idles := func(each func(from string, c net.Conn)) {
		mu.Lock()
		defer mu.Unlock()
		for from, c := range conns {
			if busy[from] == 0 {
				each(from, c)
			}
		}
	}
	s.idles = func() (n int) {
		idles(func(string, net.Conn) { n++ })
		return n
	}
	s.closeIdle = func() {
		idles(func(from string, c net.Conn) {
			_ = c.Close()
			delete(conns, from)
		})
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	if change != nil {
		change(s)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(l)
	}()
	s.transport = NewTransport(base)
	t.Cleanup(func() {
		_ = s.Server.Close()
		<-served
	})
	s.warm = keep(t, s.transport, s.url, k)
	return s
}

// post sends a request of so many bytes, and gives the answer.
func (s *pooledSite) post(t *testing.T, path string, size int) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	body := new(Body)
	body.Reset(bytes.Repeat([]byte("x"), size))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Body, req.ContentLength = body, int64(size)
	resp, err := Send(s.transport, req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		t.Errorf("status %d: %s", resp.StatusCode, all)
	}
	return string(all), err
}

// idle waits until so many connections wait for requests.
func (s *pooledSite) idle(t *testing.T, n int) {
	t.Helper()
	testwait.For(t, 10*time.Second, "connections are ready", func() bool { st := s.warm.Stats(); return st.Idle == n && st.Dialing == 0 })
}

// Connections are made before there is a request, and requests of any size go by them. What follows the handshake of TLS 1.3,
// such as tickets, is no reason to drop one.
func TestPoolIsWarm(t *testing.T) {
	for _, protocol := range badupstream.Protocols {
		t.Run(string(protocol), func(t *testing.T) {
			t.Parallel()
			// More would be made ahead where a busy machine takes long for a request.
			s := newPooledSite(t, protocol, Keeping{Min: 3, Max: 3}, func(s *pooledSite) {
				if s.base.TLSClientConfig != nil {
					s.base.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(10) // asks for tickets
				}
			})
			s.idle(t, 3)
			for _, size := range []int{2, maxDirect, maxDirect + 1, 1 << 20} {
				if _, err := s.post(t, "/", size); err != nil {
					t.Errorf("%d bytes: %v", size, err)
				}
			}
			s.idle(t, 3)
			if n := s.conns.Load(); n != 3 {
				t.Errorf("%d connections were made, want the three of the beginning", n)
			}
			s.warm.Close()
			if st := s.warm.Stats(); st.Idle+st.Active != 0 {
				t.Errorf("left open: %+v", st)
			}
			if _, err := s.post(t, "/", 2); err != nil {
				t.Errorf("a request after the pool was closed: %v", err)
			}
			if st := s.warm.Stats(); st.Idle+st.Active != 0 {
				t.Errorf("left open by a late request: %+v", st)
			}
		})
	}
}

// Streams of a connection are used before those of another, and when they are used up, requests wait.
func TestPoolSpreadsStreams(t *testing.T) {
	for _, protocol := range bothHTTP2 {
		t.Run(string(protocol), func(t *testing.T) {
			t.Parallel()
			s := newPooledSite(t, protocol, Keeping{Min: 1, Max: 3}, func(s *pooledSite) { s.HTTP2.MaxConcurrentStreams = 2 })
			s.idle(t, 1)
			var sending sync.WaitGroup
			var mu sync.Mutex
			carried := make(map[string]int)
			for range 8 {
				sending.Go(func() {
					from, err := s.post(t, "/slow", 2)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					carried[from]++
				})
			}
			testwait.For(t, 10*time.Second, "six are served and two wait", func() bool {
				return s.asked.Load() == 6 && s.warm.Stats().Waiting == 2
			})
			close(s.release)
			sending.Wait()
			if len(carried) != 3 || s.conns.Load() != 3 {
				t.Errorf("carried by %v, of %d connections", carried, s.conns.Load())
			}
		})
	}
}

// What the upstream closes while it idles is replaced, and a request that comes before that goes by another
// connection: it is written once.
func TestPoolConnectionsClosedByUpstream(t *testing.T) {
	for _, protocol := range badupstream.Protocols {
		t.Run(string(protocol), func(t *testing.T) {
			t.Parallel()
			s := newPooledSite(t, protocol, Keeping{Min: 3, Max: 3}, nil)
			s.idle(t, 3)
			for i := range 5 {
				if i%2 == 0 {
					testwait.For(t, 10*time.Second, "both sides have the same connections", func() bool {
						st := s.warm.Stats()
						return s.idles() == 3 && st.Idle == 3 && st.Dialing == 0
					})
					found := s.warm.Stats().Closed
					s.closeIdle()
					testwait.For(t, 10*time.Second, "they are found", func() bool { return s.warm.Stats().Closed == found+3 })
					s.idle(t, 3)
				}
				s.closeIdle()
				before := s.asked.Load()
				if _, err := s.post(t, "/", 2); err != nil && s.asked.Load() > before+1 {
					t.Errorf("round %d: %v", i, err)
				}
				if n := s.asked.Load() - before; n > 1 {
					t.Errorf("round %d: the request arrived %d times", i, n)
				}
				s.idle(t, 3)
			}
		})
	}
}

// An upstream says how long it keeps a connection.
func TestPoolLearnsIdle(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"timeout=5":            5 * time.Second,
		"max=100, Timeout=7":   7 * time.Second,
		"timeout=0":            pool.MinIdle,
		"timeout=999999999":    pool.MaxIdle,
		"timeout=-1":           pool.DefaultIdle,
		"timeout":              pool.DefaultIdle,
		strings.Repeat(",", 9): pool.DefaultIdle,
	} {
		t.Run(value, func(t *testing.T) {
			s := newPooledSite(t, badupstream.HTTP1TLS, Keeping{Min: 1, Max: 1}, func(s *pooledSite) { s.head = http.Header{"Keep-Alive": {value}} })
			if _, err := s.post(t, "/", 2); err != nil {
				t.Fatal(err)
			}
			if got := s.warm.Stats().Limit; got != want {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}

// An upstream that answers before it has read a large request does not keep it waiting.
func TestPoolEarlyAnswer(t *testing.T) {
	for _, protocol := range []badupstream.Protocol{badupstream.HTTP1, badupstream.HTTP1TLS} {
		t.Run(string(protocol), func(t *testing.T) {
			l, base, err := protocol.Listen()
			if err != nil {
				t.Fatal(err)
			}
			base.DisableCompression = true
			ended, end := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(ended)
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				_, _ = conn.Read(make([]byte, 1)) // of the head; no more
				_, _ = io.WriteString(conn, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nlong")
				<-end
			}()
			t.Cleanup(func() {
				_ = l.Close()
				close(end)
				<-ended
			})
			transport := NewTransport(base)
			warm := keep(t, transport, protocol.Scheme()+"://"+l.Addr().String(), Keeping{Max: 1})
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, warm.Origin(), bytes.NewReader(make([]byte, 64<<20)))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := Send(transport, req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if all, err := io.ReadAll(resp.Body); err != nil || string(all) != "long" {
				t.Errorf("%q, %v", all, err)
			}
			testwait.For(t, 10*time.Second, "the connection is given up", func() bool { return warm.Stats().Broken == 1 })
		})
	}
}

// What a transport does that does not go with a pool is named.
func TestPoolRefuses(t *testing.T) {
	for want, change := range map[string]func(*http.Transport){
		"max_conns_per_host":      func(t *http.Transport) { t.MaxConnsPerHost = 10 },
		"keepalive off":           func(t *http.Transport) { t.DisableKeepAlives = true },
		"response_header_timeout": func(t *http.Transport) { t.ResponseHeaderTimeout = time.Second },
		"read_buffer":             func(t *http.Transport) { t.WriteBufferSize = 1 },
		"proxy":                   func(t *http.Transport) { t.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy.example"}) },
		"server name": func(t *http.Transport) {
			t.DialTLSContext = func(context.Context, string, string) (net.Conn, error) { return nil, io.EOF }
		},
	} {
		base := new(http.Transport)
		change(base)
		if _, err := NewTransport(base).Keep(&url.URL{Scheme: "https", Host: "host.example"}, Keeping{Kept: new(Kept)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
