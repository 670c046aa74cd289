package outgoing

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/badupstream"
)

// setting is a SETTINGS frame with that one in it (RFC 9113, section 6.5), and opened a WINDOW_UPDATE of one byte (section 6.9).
func setting(id, value byte) string {
	return "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00" + string([]byte{id, 0, 0, 0, value})
}

func opened(stream byte) string {
	return "\x00\x00\x04\x08\x00\x00\x00\x00" + string([]byte{stream}) + "\x00\x00\x00\x01"
}

// post sends a body, and takes the head of an answer.
func post(ctx context.Context, rt http.RoundTripper, url, body string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := Send(rt, req)
	if err == nil {
		err = resp.Body.Close()
	}
	return err
}

// An HTTP/2 upstream may take as little at once as it wants: each request arrives once, and one whose body it never takes ends
// when its time is over.
func TestNarrowHTTP2(t *testing.T) {
	const streams, window = 3, 4 // SETTINGS_MAX_CONCURRENT_STREAMS, SETTINGS_INITIAL_WINDOW_SIZE
	const body, together, patient = `{"model":"alipay-fin-1"}`, 8, 10 * time.Second
	tells := func(text string) func(*badupstream.Conn, uint32) {
		return func(c *badupstream.Conn, _ uint32) { c.Say(text) }
	}
	answers := func(c *badupstream.Conn, stream uint32) { c.Answer(stream, true) }
	for name, test := range map[string]struct {
		upstream *badupstream.Server
		ends     time.Duration // of a request without an answer; 0 for those that have one
	}{
		"one stream at a time": {upstream: &badupstream.Server{Connected: tells(setting(streams, 1)), End: answers}},
		"one byte at a time": {upstream: &badupstream.Server{Connected: tells(setting(window, 1)), End: answers, Head: func(c *badupstream.Conn, stream uint32) {
			for range len(body) {
				c.Say(opened(byte(stream)))
			}
		}}},
		"no byte ever": {upstream: &badupstream.Server{Connected: tells(setting(window, 0)), End: answers}, ends: 300 * time.Millisecond},
	} {
		for _, protocol := range bothHTTP2 {
			t.Run(name+" "+string(protocol), func(t *testing.T) {
				t.Parallel()
				s, url, base := badupstream.Start(t, protocol, test.upstream, 0)
				transport := NewTransport(base)
				defer transport.CloseIdleConnections()
				ask := func(body string, within time.Duration) error {
					ctx, cancel := context.WithTimeout(t.Context(), within)
					defer cancel()
					return post(ctx, transport, url, body)
				}
				if err := ask("", patient); err != nil { // the settings have come then
					t.Fatal(err)
				}
				var sending sync.WaitGroup
				for range together {
					sending.Go(func() {
						if err := ask(body, cmp.Or(test.ends, patient)); test.ends == 0 && err != nil || test.ends > 0 && !errors.Is(err, context.DeadlineExceeded) {
							t.Errorf("a request ends with %v", err)
						}
					})
				}
				sending.Wait()
				if n := s.Arrived(); n != 1+together {
					t.Errorf("%d requests arrived, want %d", n, 1+together)
				}
			})
		}
	}
}

// holdsUntil is a sender whose request waits when it has a connection.
type holdsUntil struct {
	refusing
	connected func()
}

func (h *holdsUntil) Value(key any) any {
	if _, ok := key.(SenderKey); ok {
		return h
	}
	return h.Context.Value(key)
}

func (h *holdsUntil) Connected(net.Conn, bool) error {
	h.connected()
	return nil
}

// Requests that have chosen a connection of HTTP/2 which takes no more by then, and of which nothing is written, go by another one: each
// arrives once.
func TestConnectionFullByThen(t *testing.T) {
	const together = 8
	for name, full := range map[string]func(*badupstream.Conn){
		"takes one at once": func(c *badupstream.Conn) { c.Say(setting(3, 1)) }, // SETTINGS_MAX_CONCURRENT_STREAMS
		"goes away":         func(c *badupstream.Conn) { c.GoAway(1, 0) },
	} {
		for _, protocol := range bothHTTP2 {
			t.Run(name+" "+string(protocol), func(t *testing.T) {
				t.Parallel()
				conns, known := make(chan *badupstream.Conn, 1+together), make(chan struct{})
				s, url, base := badupstream.Start(t, protocol, &badupstream.Server{
					Connected: func(c *badupstream.Conn, _ uint32) { conns <- c },
					End:       func(c *badupstream.Conn, stream uint32) { c.Answer(stream, true) },
					Pong:      func(*badupstream.Conn, uint32) { close(known) },
				}, 0)
				transport := NewTransport(base)
				defer transport.CloseIdleConnections()
				ask := func(connected func()) error {
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					defer cancel()
					return post(&holdsUntil{refusing: refusing{Context: ctx}, connected: connected}, transport, url, "{}")
				}
				if err := ask(func() {}); err != nil {
					t.Fatal(err)
				}
				first := <-conns
				var chosen atomic.Int64
				var sending sync.WaitGroup
				for range together {
					sending.Go(func() {
						err := ask(func() {
							if chosen.Add(1) == together {
								full(first)
								first.Ping()
							}
							<-known
						})
						if err != nil {
							t.Errorf("a request ends with %v", err)
						}
					})
				}
				sending.Wait()
				if n := s.Arrived(); n != 1+together || chosen.Load() <= together {
					t.Errorf("%d requests arrived, want %d; they chose connections %d times, want more than %d", n, 1+together, chosen.Load(), together)
				}
			})
		}
	}
}
