package outgoing

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/caddy-alipayai/gateway/internal/badupstream"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// A scripted upstream answers the requests on each connection with the texts of its script, and closes it after the last.
type scripted struct {
	answers []string
	// after is what is done after an answer, before the next request is read.
	after func(conn net.Conn)

	opened atomic.Int64
	mu     sync.Mutex
	heads  []string // of the requests that came, as they are on the wire
	ended  chan struct{}
}

// serve starts it, and gives its URL and what connects to it.
func (s *scripted) serve(t *testing.T, protocol badupstream.Protocol) (string, *http.Transport) {
	t.Helper()
	l, base, err := protocol.Listen()
	if err != nil {
		t.Fatal(err)
	}
	s.ended = make(chan struct{}, 1000)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.opened.Add(1)
			serving.Go(func() {
				defer func() { s.ended <- struct{}{} }()
				defer conn.Close()
				s.converse(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
	return protocol.Scheme() + "://" + l.Addr().String(), base
}

func (s *scripted) converse(conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	for _, answer := range s.answers {
		var wire bytes.Buffer
		// One byte at a time: no buffer takes in what follows the request.
		req, err := http.ReadRequest(bufio.NewReaderSize(io.TeeReader(oneByte{conn}, &wire), 16))
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		s.mu.Lock()
		s.heads = append(s.heads, wire.String())
		s.mu.Unlock()
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
		if s.after != nil {
			s.after(conn)
		}
	}
}

type oneByte struct{ io.Reader }

func (o oneByte) Read(b []byte) (int, error) { return o.Reader.Read(b[:min(len(b), 1)]) }

// newPost makes a request such as the gateway's own, that goes directly.
func newPost(ctx context.Context, t *testing.T, url, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions?a=b", io.NopCloser(bytes.NewReader([]byte(body))))
	if err != nil {
		t.Fatal(err)
	}
	req.Host, req.ContentLength = "host.example", int64(len(body))
	req.Header = http.Header{
		"User-Agent": {"test"}, "Accept-Encoding": {"identity"}, "Idempotency-Key": {"1"},
		"X-Two": {"a", "b"}, "A-First": {" padded\t"}, "x-lower": {"c"},
	}
	return req
}

// seen is all that a caller sees of an exchange.
type seen struct {
	Failed, Truncated         bool
	Status                    string
	Proto                     string
	Header, Trailer           http.Header
	Length                    int64
	Encoding                  []string
	Close, Uncompressed       bool
	TLS                       bool
	Body                      string
	BodyFailed, BodyTruncated bool
	Trace                     []string
}

// see makes a request, and reads its answer.
func see(transport *Transport, req *http.Request) (s seen) {
	trace := func(format string, a ...any) { s.Trace = append(s.Trace, fmt.Sprintf(format, a...)) }
	var mu sync.Mutex // net/http's goroutines
	traced := &httptrace.ClientTrace{
		GotConn: func(c httptrace.GotConnInfo) {
			mu.Lock()
			defer mu.Unlock()
			trace("connection reused %v idle %v", c.Reused, c.WasIdle)
		},
		WroteHeaderField: func(name string, values []string) {
			mu.Lock()
			defer mu.Unlock()
			trace("wrote %s %q", name, values)
		},
		WroteRequest: func(i httptrace.WroteRequestInfo) {
			mu.Lock()
			defer mu.Unlock()
			trace("wrote %v", i.Err)
		},
		GotFirstResponseByte: func() {
			mu.Lock()
			defer mu.Unlock()
			trace("first byte")
		},
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			mu.Lock()
			defer mu.Unlock()
			trace("%d %v", code, header)
			if header.Get("Refuse") != "" {
				return errors.New("refused")
			}
			return nil
		},
	}
	resp, err := Send(transport, req.WithContext(httptrace.WithClientTrace(req.Context(), traced)))
	if err != nil {
		mu.Lock()
		defer mu.Unlock()
		slices.Sort(s.Trace)
		s.Failed, s.Truncated = true, errors.Is(err, io.ErrUnexpectedEOF)
		return s
	}
	body, err := io.ReadAll(resp.Body)
	s.BodyFailed, s.BodyTruncated, s.Body = err != nil, errors.Is(err, io.ErrUnexpectedEOF), string(body)
	closeErr := resp.Body.Close()
	s.Status, s.Proto, s.Header, s.Trailer, s.Length = resp.Status, resp.Proto, resp.Header, resp.Trailer, resp.ContentLength
	s.Encoding, s.Close, s.Uncompressed, s.TLS = resp.TransferEncoding, resp.Close, resp.Uncompressed, resp.TLS != nil
	mu.Lock()
	defer mu.Unlock()
	if closeErr != nil {
		trace("close: %v", closeErr)
	}
	slices.Sort(s.Trace) // net/http may learn that the request was written when the answer has come already
	return s
}

const (
	whole   = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nwhole"
	chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n5\r\nfirst\r\n6;a=b\r\nsecond\r\n0\r\nSum: 11\r\n\r\n"
)

// answers are what an upstream may say.
var answers = map[string]string{
	"a length":                    whole,
	"chunks and a trailer":        chunked,
	"no content":                  "HTTP/1.1 204 No Content\r\n\r\n",
	"an empty body":               "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	"an error":                    "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\nno",
	"the end of the connection":   "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nwhole",
	"HTTP/1.0":                    "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nwhole",
	"hints":                       "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + whole,
	"a hint that is refused":      "HTTP/1.1 103 Early Hints\r\nRefuse: me\r\n\r\n" + whole,
	"a protocol":                  "HTTP/1.1 101 Switching Protocols\r\nConnection: close\r\n\r\n",
	"a 100 that is not asked for": "HTTP/1.1 100 Continue\r\n\r\n" + whole,
	"a compressed body":           "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nwhole",
	"what is not HTTP":            "SSH-2.0-OpenSSH\r\n\r\n",
	"two lengths":                 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nwhole",
	"a bad length":                "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nwhole",
	"a length and chunks":         "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + chunked[len("HTTP/1.1 200 OK\r\n"):],
	"a bad chunk":                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
	"an unknown encoding":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: zip\r\n\r\nwhole",
	"a head of over the limit":    "HTTP/1.1 200 OK\r\nX-Long: " + strings.Repeat("x", 10<<10) + "\r\nContent-Length: 0\r\n\r\n",
	"hints of over the limit":     strings.Repeat("HTTP/1.1 103 Early Hints\r\nX-Long: "+strings.Repeat("x", 2<<10)+"\r\n\r\n", 8) + whole,
	"a folded field":              "HTTP/1.1 200 OK\r\nX-Folded: a\r\n b\r\nContent-Length: 0\r\n\r\n",
	"a field without a name":      "HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 0\r\n\r\n",
}

// Whatever an upstream answers, in each place of a conversation and with the connection closed after it or in the middle of
// it: what goes directly looks just as it does through net/http, to the caller and on the wire.
func TestDirectAsNetHTTP(t *testing.T) {
	for _, protocol := range []badupstream.Protocol{badupstream.HTTP1, badupstream.HTTP1TLS} {
		for name, answer := range answers {
			t.Run(string(protocol)+"/"+name, func(t *testing.T) {
				t.Parallel()
				for _, answers := range [][]string{
					{answer}, {whole, answer}, {answer, whole, chunked}, {answer[:len(answer)-3]}, {whole, answer[:min(len(answer), 30)]},
				} {
					direct, wire, opened := converse(t, protocol, answers, true)
					want, wantWire, wantOpened := converse(t, protocol, answers, false)
					for again := 0; wantOpened > opened && again < 5; again++ {
						// net/http gives up a connection if it hears only 50 ms after an answer that the request was written.
						want, wantWire, wantOpened = converse(t, protocol, answers, false)
					}
					if !reflect.DeepEqual(direct, want) {
						t.Errorf("%.60q: the caller saw\n%+v\nand by net/http\n%+v", answers, direct, want)
					}
					if !slices.Equal(wire, wantWire) {
						t.Errorf("%.60q: on the wire\n%q\nand by net/http\n%q", answers, wire, wantWire)
					}
				}
			})
		}
	}
}

// converse makes a request for each answer, and counts the connections.
func converse(t *testing.T, protocol badupstream.Protocol, answers []string, directly bool) (all []seen, wire []string, opened int64) {
	t.Helper()
	s := &scripted{answers: answers}
	base, transport := s.serve(t, protocol)
	transport.MaxResponseHeaderBytes = 8 << 10
	connections := NewTransport(transport)
	defer connections.CloseIdleConnections()
	if !connections.directable {
		t.Fatal("nothing goes directly")
	}
	connections.directable = directly
	for i := range answers {
		all = append(all, see(connections, newPost(t.Context(), t, base, fmt.Sprintf(`{"number":%d}`, i))))
		if all[i].Failed || all[i].BodyFailed || all[i].Close {
			break // whether the next one goes by the same connection is up to chance
		}
	}
	if used := len(connections.directs) == 1; used != directly {
		t.Errorf("went directly: %v", used)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return all, s.heads, s.opened.Load()
}

// A connection that the upstream has closed while it idled, or sent something unasked on, carries no request:
// the next one goes by a new connection, and succeeds.
func TestDirectLooksBeforeItSends(t *testing.T) {
	for name, idle := range map[string]func(net.Conn){
		"closed":     func(conn net.Conn) { _ = conn.Close() },
		"reset":      func(conn net.Conn) { (&badupstream.Conn{Conn: conn}).Reset() },
		"unasked":    func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 408 Request Timeout\r\n\r\n") },
		"one byte":   func(conn net.Conn) { _, _ = io.WriteString(conn, "H") },
		"more of it": nil, // and in one packet with the answer
	} {
		for _, protocol := range []badupstream.Protocol{badupstream.HTTP1, badupstream.HTTP1TLS} {
			t.Run(name+"/"+string(protocol), func(t *testing.T) {
				t.Parallel()
				wasRead, idled := make(chan struct{}), make(chan struct{})
				s := &scripted{answers: []string{whole, whole}, after: func(conn net.Conn) {
					if idle != nil {
						<-wasRead
						idle(conn)
						idled <- struct{}{}
					}
				}}
				if idle == nil {
					s.answers[0] += "HTTP/1.1 408 Request Timeout\r\n\r\n"
				}
				base, transport := s.serve(t, protocol)
				connections := NewTransport(transport)
				defer connections.CloseIdleConnections()
				for i := range 10 {
					got := see(connections, newPost(t.Context(), t, base, "{}"))
					if got.Failed || got.BodyFailed || got.Body != "whole" {
						t.Fatalf("request %d: %+v", i, got)
					}
					if !strings.Contains(got.Trace[0], "reused false") {
						t.Errorf("request %d went by a used connection", i)
					}
					if idle != nil {
						wasRead <- struct{}{}
						<-idled
						connections.waitForNews(t, base)
					}
				}
			})
		}
	}
}

// waitForNews waits until what an upstream has done, a close say, has come to the connection to it that idles: the
// system may take its time to pass it on. It reads nothing.
func (t *Transport) waitForNews(tb testing.TB, base string) {
	tb.Helper()
	u, err := url.Parse(base)
	if err != nil {
		tb.Fatal(err)
	}
	d := t.directs[origin{u.Scheme, u.Host}]
	if len(d.idle) != 1 {
		tb.Fatalf("%d connections idle", len(d.idle))
	}
	poll := []unix.PollFd{{Events: unix.POLLIN}}
	err = d.idle[0].raw.Control(func(fd uintptr) {
		poll[0].Fd = int32(fd)
		testwait.For(tb, 10*time.Second, "news of the upstream", func() bool {
			n, err := unix.Poll(poll, 1000)
			return n == 1 && err == nil
		})
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// Over TLS what was sent unasked may lie in the connection already, decrypted or not, where no look at the socket finds it.
func TestDirectLooksIntoTLS(t *testing.T) {
	l, base, err := badupstream.HTTP1.Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	certificate, err := badupstream.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for range 2 {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			held := &holding{Conn: conn}
			secure := tls.Server(held, &tls.Config{Certificates: []tls.Certificate{certificate}})
			if _, err := http.ReadRequest(bufio.NewReader(secure)); err != nil {
				return
			}
			held.hold = true
			_, _ = io.WriteString(secure, whole)
			_, _ = io.WriteString(secure, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
			_, _ = conn.Write(held.held.Bytes()) // both records in one packet
		}
	}()
	base.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	connections := NewTransport(base)
	for range 2 {
		if got := see(connections, newPost(t.Context(), t, "https://"+l.Addr().String(), "{}")); got.Body != "whole" {
			t.Errorf("%+v", got)
		}
	}
	_ = l.Close()
	<-served
	if len(connections.directs) != 1 {
		t.Error("it did not go directly")
	}
}

// holding keeps what is written.
type holding struct {
	net.Conn
	hold bool
	held bytes.Buffer
}

func (h *holding) Write(b []byte) (int, error) {
	if h.hold {
		return h.held.Write(b)
	}
	return h.Conn.Write(b)
}

// The end of a request's context ends its wait, wherever it is, with its cause, and closes the connection.
func TestDirectEndsWithItsContext(t *testing.T) {
	cause := errors.New("enough")
	for name, answer := range map[string]string{
		"for the head":          "",
		"in the head":           "HTTP/1.1 200 OK\r\nContent-",
		"for the body":          "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
		"in the body":           whole[:len(whole)-2],
		"for the next chunk":    chunked[:strings.Index(chunked, "6;")],
		"after a hint":          "HTTP/1.1 103 Early Hints\r\n\r\n",
		"for the end of chunks": chunked[:len(chunked)-2],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			closed := make(chan error, 1)
			s := &scripted{answers: []string{answer}, after: func(conn net.Conn) {
				cancel(cause)
				_, err := conn.Read(make([]byte, 1))
				closed <- err
			}}
			base, transport := s.serve(t, badupstream.HTTP1)
			connections := NewTransport(transport)
			resp, err := Send(connections, newPost(ctx, t, base, "{}"))
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if !errors.Is(err, cause) {
				t.Errorf("error %v", err)
			}
			if err := <-closed; err == nil || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the upstream's end: %v", err)
			}
			d := connections.directs[origin{"http", strings.TrimPrefix(base, "http://")}]
			if len(d.idle) != 0 {
				t.Error("the connection is kept")
			}
		})
	}
}

// A request whose context has ended is not sent, nor one whose connection comes too late.
func TestDirectOfWhatHasEnded(t *testing.T) {
	cause := errors.New("enough")
	s := &scripted{answers: []string{whole}}
	base, transport := s.serve(t, badupstream.HTTP1)
	connections := NewTransport(transport)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := Send(connections, newPost(ctx, t, base, "{}")); !errors.Is(err, cause) {
		t.Errorf("error %v", err)
	}
	ctx, cancel = context.WithCancelCause(t.Context())
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		cancel(cause)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	connections = NewTransport(transport)
	if _, err := Send(connections, newPost(ctx, t, base, "{}")); !errors.Is(err, cause) {
		t.Errorf("error %v", err)
	}
	if n := s.opened.Load(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// An answer that is closed before its end takes its connection with it, also while another goroutine reads.
func TestDirectClosedEarly(t *testing.T) {
	s := &scripted{answers: []string{whole[:len(whole)-2]}, after: func(conn net.Conn) { _, _ = conn.Read(make([]byte, 1)) }}
	base, transport := s.serve(t, badupstream.HTTP1)
	connections := NewTransport(transport)
	resp, err := Send(connections, newPost(t.Context(), t, base, "{}"))
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 3)
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "who" {
		t.Fatalf("%q, %v", first, err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := io.ReadAll(resp.Body)
		read <- err
	}()
	resp.Body.Close()
	if err := <-read; err == nil {
		t.Error("the answer seems to be whole")
	}
	<-s.ended
	if _, err := resp.Body.Read(first); !errors.Is(err, http.ErrBodyReadAfterClose) {
		t.Errorf("read after close: %v", err)
	}
}

// No more connections are kept than base says, none for longer than it says, and none once they are to be closed.
func TestDirectKeepsConnections(t *testing.T) {
	const limit, requests = 2, 5
	s := &scripted{answers: slices.Repeat([]string{whole}, 3)}
	base, transport := s.serve(t, badupstream.HTTP1)
	transport.MaxIdleConnsPerHost, transport.IdleConnTimeout = limit, never
	connections := NewTransport(transport)
	atOnce := func() {
		var sent []*http.Response
		for range requests {
			resp, err := Send(connections, newPost(t.Context(), t, base, "{}"))
			if err != nil {
				t.Fatal(err)
			}
			sent = append(sent, resp)
		}
		for _, resp := range sent {
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Fatal(err)
			}
		}
	}
	atOnce()
	for range requests - limit {
		<-s.ended
	}
	d := connections.directs[origin{"http", strings.TrimPrefix(base, "http://")}]
	if n := len(d.idle); n != limit {
		t.Errorf("%d are kept", n)
	}
	atOnce()
	if n := s.opened.Load(); n != 2*requests-limit {
		t.Errorf("%d were opened", n)
	}
	for range requests - limit {
		<-s.ended
	}

	// One that a request is on when they are closed is closed after it.
	resp, err := Send(connections, newPost(t.Context(), t, base, "{}"))
	if err != nil {
		t.Fatal(err)
	}
	connections.CloseIdleConnections()
	<-s.ended
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	<-s.ended
	if n := len(d.idle); n != 0 {
		t.Errorf("%d are kept", n)
	}

	transport.IdleConnTimeout = time.Millisecond
	connections = NewTransport(transport)
	atOnce()
	for range requests {
		<-s.ended
	}
}

// What only net/http can do is left to it: by the settings, by the request, and by what the connection is.
func TestDirectSettings(t *testing.T) {
	dial := new(net.Dialer).DialContext
	for name, base := range map[string]*http.Transport{
		"dials as in the past":       {Dial: net.Dial},
		"dials TLS as in the past":   {DialTLS: net.Dial},
		"dials TLS by itself":        {DialTLSContext: dial},
		"keeps no connections":       {DisableKeepAlives: true},
		"keeps no idle ones":         {MaxIdleConnsPerHost: -1},
		"bounds connections":         {MaxConnsPerHost: 1},
		"reads into other buffers":   {ReadBufferSize: 1},
		"writes from other buffers":  {WriteBufferSize: 1},
		"has a timeout for the head": {ResponseHeaderTimeout: time.Second},
		"speaks HTTP/2 alone":        {Protocols: protocols((*http.Protocols).SetHTTP2)},
		"speaks it in clear text":    {Protocols: protocols((*http.Protocols).SetHTTP1, (*http.Protocols).SetUnencryptedHTTP2)},
	} {
		if NewTransport(base).directable {
			t.Errorf("what %s goes directly", name)
		}
	}
	if !NewTransport(&http.Transport{DialContext: dial, TLSClientConfig: new(tls.Config), ForceAttemptHTTP2: true}).directable {
		t.Error("nothing goes directly")
	}
}

func protocols(set ...func(*http.Protocols, bool)) *http.Protocols {
	p := new(http.Protocols)
	for _, set := range set {
		set(p, true)
	}
	return p
}

func TestDirectRequests(t *testing.T) {
	for name, change := range map[string]func(base *http.Transport, req *http.Request){
		"as it is":           nil,
		"another scheme":     func(_ *http.Transport, r *http.Request) { r.URL.Scheme = "ftp" },
		"no host":            func(_ *http.Transport, r *http.Request) { r.URL.Host = "" },
		"no header":          func(_ *http.Transport, r *http.Request) { r.Header = nil },
		"a host to encode":   func(_ *http.Transport, r *http.Request) { r.URL.Host = "支付宝.example" },
		"a body that waits":  func(_ *http.Transport, r *http.Request) { r.Body = io.NopCloser(bufio.NewReader(r.Body)) },
		"a body of its own":  func(_ *http.Transport, r *http.Request) { r.Body = struct{ io.ReadCloser }{r.Body} },
		"a large body":       func(_ *http.Transport, r *http.Request) { r.ContentLength = maxDirect + 1 },
		"a trailer":          func(_ *http.Transport, r *http.Request) { r.Trailer = http.Header{"A": nil} },
		"a 100 awaited":      func(_ *http.Transport, r *http.Request) { r.Header.Set("Expect", "100-continue") },
		"an upgrade":         func(_ *http.Transport, r *http.Request) { r.Header.Set("Upgrade", "websocket") },
		"a tunnel":           func(_ *http.Transport, r *http.Request) { r.Method = "CONNECT" },
		"a bad method":       func(_ *http.Transport, r *http.Request) { r.Method = "A B" },
		"a bad name":         func(_ *http.Transport, r *http.Request) { r.Header["A B"] = []string{"c"} },
		"a bad value":        func(_ *http.Transport, r *http.Request) { r.Header["A"] = []string{"c\r\nd: e"} },
		"gzip to be decoded": func(_ *http.Transport, r *http.Request) { r.Header.Del("Accept-Encoding") },
		"a channel":          func(_ *http.Transport, r *http.Request) { r.Cancel = make(chan struct{}) }, //nolint:staticcheck // deprecated, but obeyed
		"a proxy":            func(b *http.Transport, _ *http.Request) { b.Proxy = http.ProxyURL(new(url.URL)) },
		"a proxy's error": func(b *http.Transport, _ *http.Request) {
			b.Proxy = func(*http.Request) (*url.URL, error) { return nil, errors.New("no proxy") }
		},
	} {
		base, req := new(http.Transport), newPost(t.Context(), t, "http://host.example", "{}")
		if change != nil {
			change(base, req)
		}
		if got := plain(base, req, maxDirect); got != (change == nil) {
			t.Errorf("with %s: %v", name, got)
		}
	}
}

// A connection that cannot be looked at serves the request that it was made for, and no other.
func TestDirectUnsuitedConnection(t *testing.T) {
	s := &scripted{answers: slices.Repeat([]string{whole}, 3)}
	base, transport := s.serve(t, badupstream.HTTP1)
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return struct{ net.Conn }{conn}, err
	}
	connections := NewTransport(transport)
	defer connections.CloseIdleConnections()
	for i, reused := range []bool{false, false, true} {
		if got := see(connections, newPost(t.Context(), t, base, "{}")); got.Body != "whole" || !strings.Contains(got.Trace[0], fmt.Sprint("reused ", reused)) {
			t.Errorf("request %d: %+v", i, got)
		}
	}
}

// Over TLS, HTTP/2 is what an upstream is asked for first; one that has not chosen it is spoken to directly from then on.
func TestDirectOverTLS(t *testing.T) {
	for name, test := range map[string]struct {
		protocol badupstream.Protocol
		directs  int
	}{
		"HTTP/1.1 alone": {badupstream.HTTP1TLS, 1},
		"HTTP/2":         {badupstream.HTTP2TLS, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, test.protocol, never, never)
			base := s.transport.base.Clone()
			base.Protocols.SetHTTP1(true)
			base.Protocols.SetHTTP2(true)
			connections := NewTransport(base)
			defer connections.CloseIdleConnections()
			for i := range 3 {
				got := see(connections, newPost(t.Context(), t, s.url, "{}"))
				if got.Failed || !got.TLS || (got.Proto == "HTTP/1.1") != (test.directs == 1) {
					t.Errorf("%+v", got)
				}
				if n := len(connections.directs); n != test.directs {
					t.Errorf("after request %d: %d origins are spoken to directly", i, n)
				}
			}
		})
	}
}
