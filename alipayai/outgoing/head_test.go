package outgoing

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/internal/badupstream"
)

// Whatever is written plainly is written as net/http writes it, and traced as it traces it.
func FuzzWritePlain(f *testing.F) {
	f.Add("POST", "http://host.example/v1?a=b c", "", "test", "X-A", " b\t", "{}", true)
	f.Add("PUT", "https://[::1]:8443//a/../b%2f", "other:1", " agent ", "connection", "close", "x", false)
	f.Add("GET", "http://h", "a b", "", "Host", "evil", "", true)
	f.Add("a", "http://u:p@h/\x7f?\n", "h%zone", "\r\n", "Content-Length", "7", "body", true)
	f.Add("POST", "http://支付宝/", "支付宝", "t", "Trailer", "X", "body", true)
	f.Fuzz(func(t *testing.T, method, url, host, agent, name, value, body string, twice bool) {
		if _, err := http.NewRequest(method, url, nil); err != nil {
			return // no caller can have made it
		}
		request := func() *http.Request {
			req, err := http.NewRequest(method, url, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host, req.ContentLength = host, int64(len(body))
			req.Body = io.NopCloser(bytes.NewReader([]byte(body)))
			req.Header = http.Header{"User-Agent": {agent}, "Accept-Encoding": {"identity"}, "Idempotency-Key": {"1"}, "x-lower": {}}
			req.Header[name] = append(req.Header[name], value)
			if twice {
				req.Header[name] = append(req.Header[name], value+"2")
			}
			return req
		}
		if !plain(new(http.Transport), request(), maxDirect) {
			return
		}
		written := func(write func(*bufio.Writer, *http.Request, *httptrace.ClientTrace) error) (text string, traced []string, err error) {
			trace := &httptrace.ClientTrace{
				WroteHeaderField: func(name string, values []string) { traced = append(traced, fmt.Sprintf("%q %q", name, values)) },
				WroteHeaders:     func() { traced = append(traced, "headers") },
				WroteRequest:     func(i httptrace.WroteRequestInfo) { traced = append(traced, fmt.Sprint("request ", i.Err)) },
			}
			var b strings.Builder
			w := bufio.NewWriter(&b)
			req := request()
			err = write(w, req.WithContext(httptrace.WithClientTrace(context.Background(), trace)), trace)
			_ = w.Flush()
			return b.String(), traced, err
		}
		done := false
		got, gotTrace, err := written(func(w *bufio.Writer, req *http.Request, trace *httptrace.ClientTrace) (err error) {
			done, err = writePlain(w, req, trace)
			return err
		})
		if !done {
			if got != "" || gotTrace != nil || err != nil {
				t.Errorf("what is not written plainly: %q, %v, error %v", got, gotTrace, err)
			}
			return
		}
		want, wantTrace, wantErr := written(func(w *bufio.Writer, req *http.Request, _ *httptrace.ClientTrace) error { return req.Write(w) })
		if got != want || (err == nil) != (wantErr == nil) {
			t.Errorf("written\n%q (%v)\nand by net/http\n%q (%v)", got, err, want, wantErr)
		}
		if !reflect.DeepEqual(gotTrace, wantTrace) {
			t.Errorf("traced\n%q\nand by net/http\n%q", gotTrace, wantTrace)
		}
	})
}

// The gateway's own requests are written plainly, and cost no allocation for it.
func TestWritePlainAllocates(t *testing.T) {
	req, trace := newPost(t.Context(), t, "http://host.example", "{}"), new(httptrace.ClientTrace)
	req.URL.RawQuery = ""
	body, w := bodyReader(req.Body), bufio.NewWriter(io.Discard)
	if n := testing.AllocsPerRun(100, func() {
		_, _ = body.Seek(0, io.SeekStart)
		if done, err := writePlain(w, req, trace); !done || err != nil {
			t.Fatal(done, err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// The head of an answer costs one allocation for all of its text, and one for what reads chunks.
func TestReadPlainAllocates(t *testing.T) {
	for name, tt := range map[string]struct {
		framing string
		most    float64
	}{
		"length": {"Content-Length: 2", 1},
		"chunks": {"Transfer-Encoding: chunked", 2},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.NewReader("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + tt.framing + "\r\n\r\n")
			r, body, resp := bufio.NewReader(text), new(plainBody), new(http.Response)
			if n := testing.AllocsPerRun(100, func() {
				_, _ = text.Seek(0, io.SeekStart)
				r.Reset(text)
				_, _ = r.Peek(1)
				if !readPlain(r, resp, body) {
					t.Fatal("it is not plain")
				}
			}); n > tt.most {
				t.Errorf("%v allocations, want %v", n, tt.most)
			}
		})
	}
}

// A round trip on a kept connection costs nine allocations at most; net/http's takes some forty.
func TestDirectAllocates(t *testing.T) {
	l, base, err := badupstream.HTTP1.Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	req := newPost(t.Context(), t, "http://"+l.Addr().String(), "{}")
	var wire strings.Builder
	w := bufio.NewWriter(&wire)
	if done, err := writePlain(w, req, new(httptrace.ClientTrace)); !done || err != nil {
		t.Fatal(done, err)
	}
	_ = w.Flush()
	request, answer := make([]byte, wire.Len()), []byte(whole)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		for {
			if _, err := io.ReadFull(conn, request); err != nil {
				return
			}
			if _, err := conn.Write(answer); err != nil {
				return
			}
		}
	}()
	connections := NewTransport(base)
	defer connections.CloseIdleConnections()
	room := make([]byte, 64)
	n := testing.AllocsPerRun(200, func() {
		own := new(Body)
		own.Reset([]byte("{}"))
		req.Body = own
		resp, err := connections.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = resp.Body.Read(room)
		}
	})
	const most = 9 + 3 // the race detector has pools drop a part of what they hold
	if len(connections.directs) != 1 || n > most {
		t.Errorf("%v allocations", n)
	}
}
