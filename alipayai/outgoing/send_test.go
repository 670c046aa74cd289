package outgoing

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/badupstream"
)

// Whatever the method, the body, the header, the protocol and the way in which the upstream breaks it off: a request
// arrives once at the most.
func TestNothingIsRepeated(t *testing.T) {
	for _, protocol := range badupstream.Protocols {
		for fault, faulty := range protocol.Faults() {
			for name, good := range map[string]int64{"new connection": 0, "used connection": 1} {
				for _, way := range []string{byNetHTTP, directly, pooled} {
					if way == directly && protocol.Multiplexes() {
						continue
					}
					t.Run(strings.Join([]string{string(protocol), fault, name, way}, "/"), func(t *testing.T) {
						t.Parallel()
						arriveOnce(t, protocol, fault, faulty, good, way)
					})
				}
			}
		}
	}
}

// The ways that requests go.
const byNetHTTP, directly, pooled = "net/http", "directly", "pooled"

// arriveOnce sends each kind of request, after so many that went well, and counts how often it arrives.
func arriveOnce(t *testing.T, protocol badupstream.Protocol, fault string, faulty *badupstream.Server, good int64, way string) {
	s, base, transport := badupstream.Start(t, protocol, faulty, good)
	transport.DisableCompression = true
	methods := []string{"GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "PATCH", "DELETE"}
	if protocol.Multiplexes() && !strings.HasPrefix(fault, "GOAWAY NO_ERROR") && !strings.HasPrefix(fault, "RST_STREAM REFUSED") {
		methods = []string{"POST"} // its repeats do not ask for the method
	}
	everyRequest(t, methods, base, func(name string, req *http.Request) {
		transport := NewTransport(transport.Clone()) // the one before may still dial
		defer transport.CloseIdleConnections()
		transport.directable = way == directly
		var warm *Warm
		if way == pooled {
			warm = keep(t, transport, base, Keeping{Max: 2})
			defer warm.Close()
		}
		s.Restart()
		if good > 0 {
			first := &http.Request{Method: "GET", URL: req.URL, Header: make(http.Header)}
			if err := sendAndRead(transport, first.WithContext(req.Context())); err != nil {
				t.Fatalf("%s: the first request: %v", name, err)
			}
		}
		if err := sendAndRead(transport, req); errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: no end", name)
		}
		if n := s.Arrived(); n != 1 {
			t.Errorf("%s: arrived %d times", name, n)
		}
		if way == directly && len(transport.directs) != 1 {
			t.Errorf("%s: it did not go directly", name)
		}
		if warm != nil && warm.Stats().Dialed == 0 {
			t.Errorf("%s: it did not go by the pool", name)
		}
	})
}

// An upstream that says GOAWAY on each new connection, before it has read anything, gets a request once at the most.
func TestGoAwayBeforeARequest(t *testing.T) {
	for _, protocol := range []badupstream.Protocol{badupstream.HTTP2TLS, badupstream.HTTP2} {
		t.Run(string(protocol), func(t *testing.T) {
			t.Parallel()
			goAway := &badupstream.Server{Connected: func(c *badupstream.Conn, _ uint32) { c.GoAway(0, 0) }}
			s, base, transport := badupstream.Start(t, protocol, goAway, 0)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, base, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := sendAndRead(NewTransport(transport), req); err == nil {
				t.Error("an answer came")
			}
			if n := s.Arrived(); n > 1 {
				t.Errorf("arrived %d times", n)
			}
		})
	}
}

// everyRequest makes requests of these methods, with each kind of body and of header that net/http looks at.
func everyRequest(t *testing.T, methods []string, url string, use func(name string, req *http.Request)) {
	headers := []string{"", "Idempotency-Key", "X-Idempotency-Key"}
	for i, method := range methods {
		for j, body := range []string{"no body", "NoBody", "{}"} {
			var reader io.Reader
			switch body {
			case "NoBody":
				reader = http.NoBody
			case "{}":
				reader = bytes.NewReader([]byte(body)) // with which the request gets a GetBody
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // which only one without an end takes
			req, err := http.NewRequestWithContext(ctx, method, url+"/path", reader)
			if err != nil {
				t.Fatal(err)
			}
			header := headers[(i+j)%len(headers)]
			if header != "" {
				req.Header.Set(header, "key-1")
			}
			use(strings.Join([]string{method, body, header}, " "), req)
			cancel()
		}
	}
}

// sendAndRead sends a request and reads its answer.
func sendAndRead(rt http.RoundTripper, req *http.Request) error {
	resp, err := Send(rt, req)
	if err != nil {
		if req.Context().Err() != nil {
			return context.DeadlineExceeded
		}
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
