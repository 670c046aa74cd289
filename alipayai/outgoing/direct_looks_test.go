package outgoing

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/caddy-alipayai/gateway/internal/badupstream"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

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
