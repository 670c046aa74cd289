package outgoing

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/badupstream"
)

const (
	whole   = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nwhole"
	chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n5\r\nfirst\r\n6;a=b\r\nsecond\r\n0\r\nSum: 11\r\n\r\n"
)

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
