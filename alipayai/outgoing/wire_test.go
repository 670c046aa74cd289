package outgoing

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// Over HTTP/1.1 a request without a body looks as net/http sends it by itself, byte for byte but for the case of a name.
func TestRequestsWithoutABodyOnTheWire(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "PATCH", "DELETE", "PROPFIND", "OTHER"} {
		for _, body := range []string{"", "{}"} {
			t.Run(fmt.Sprintf("%s %q", method, body), func(t *testing.T) {
				send := func(how func(http.RoundTripper, *http.Request) (*http.Response, error)) string {
					var reader io.Reader
					if body != "" {
						reader = strings.NewReader(body)
					}
					req, err := http.NewRequestWithContext(t.Context(), method, "http://host.example/path", reader)
					if err != nil {
						t.Fatal(err)
					}
					return written(t, req, how)
				}
				want := send(func(rt http.RoundTripper, req *http.Request) (*http.Response, error) { return rt.RoundTrip(req) })
				if got := send(Send); !strings.EqualFold(got, want) {
					t.Errorf("on the wire:\n%s\nwant:\n%s", got, want)
				}
			})
		}
	}
}

// written is what a request is on the wire, with its header's lines in no particular order made equal: the length last.
func written(t *testing.T, req *http.Request, send func(http.RoundTripper, *http.Request) (*http.Response, error)) string {
	t.Helper()
	near, far := net.Pipe()
	transport := &http.Transport{DialContext: dialing(near), DisableKeepAlives: true, DisableCompression: true}
	head := make(chan string, 1)
	go func() {
		defer far.Close()
		var b strings.Builder
		read := bufio.NewReader(io.TeeReader(far, &b))
		if got, err := http.ReadRequest(read); err == nil {
			_, _ = io.Copy(io.Discard, got.Body)
		}
		head <- b.String()
		_, _ = io.WriteString(far, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	}()
	resp, err := send(transport, req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return <-head
}

// dialing gives that connection, once.
func dialing(conn net.Conn) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) { return conn, nil }
}
