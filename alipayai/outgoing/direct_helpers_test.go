package outgoing

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/badupstream"
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

func protocols(set ...func(*http.Protocols, bool)) *http.Protocols {
	p := new(http.Protocols)
	for _, set := range set {
		set(p, true)
	}
	return p
}
