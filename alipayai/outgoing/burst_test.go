package outgoing

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// arrivals are what comes on a connection, each a byte at its time after the first read began.
type arrivals struct {
	began time.Time
	at    []time.Duration
}

// mostRead is how much one read gives.
const mostRead = 4

// read waits for one, and gives all that have come.
func (a *arrivals) read() (n int, err error) {
	if len(a.at) == 0 {
		return 0, io.EOF
	}
	testwait.Pass(a.at[0] - time.Since(a.began))
	for ; n < mostRead && len(a.at) > 0 && a.at[0] <= time.Since(a.began); n++ {
		a.at = a.at[1:]
	}
	return n, nil
}

func TestBurstsAreReadTogether(t *testing.T) {
	const ms, piece = time.Millisecond, 100 * time.Microsecond
	type read struct {
		at    time.Duration
		bytes int
	}
	for name, tt := range map[string]struct {
		at   []time.Duration
		want []read
	}{
		"one by one":              {[]time.Duration{5 * ms, 15 * ms, 16 * ms, 17 * ms}, []read{{5 * ms, 1}, {15 * ms, 1}, {16 * ms, 1}, {17 * ms, 1}}},
		"all at once":             {[]time.Duration{5 * ms, 5 * ms, 5 * ms}, []read{{5 * ms, 3}}},
		"a burst":                 {[]time.Duration{5 * ms, 5*ms + piece, 5*ms + 2*piece, 5*ms + 3*piece}, []read{{5 * ms, 1}, {5*ms + piece, 1}, {6*ms + piece, 2}}},
		"one after a burst":       {[]time.Duration{5 * ms, 5*ms + piece, 9 * ms, 19 * ms}, []read{{5 * ms, 1}, {5*ms + piece, 1}, {9 * ms, 1}, {19 * ms, 1}}},
		"a burst that goes on":    {[]time.Duration{0, piece, 5 * piece, 10 * piece, 15 * piece, 20 * piece}, []read{{0, 1}, {ms, 3}, {2 * ms, 2}}},
		"a burst after a pause":   {[]time.Duration{5 * ms, 5*ms + piece, 20 * ms, 20*ms + piece, 20*ms + 2*piece}, []read{{5 * ms, 1}, {5*ms + piece, 1}, {20 * ms, 1}, {20*ms + piece, 1}, {21*ms + piece, 1}}},
		"more than a read takes":  {[]time.Duration{0, 0, 0, 0, 0, 0, 0, 0, 0, piece, 5 * piece}, []read{{0, 4}, {0, 4}, {0, 1}, {ms, 2}}},
		"two at a time, at times": {[]time.Duration{5 * ms, 5 * ms, 15 * ms, 15 * ms}, []read{{5 * ms, 2}, {15 * ms, 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				a := &arrivals{time.Now(), tt.at}
				b := new(burst).of(http.Header{"Content-Type": {"text/event-stream"}}, nil)
				var got []read
				for {
					b.before()
					n, err := a.read()
					b.after(n == mostRead)
					if err != nil {
						break
					}
					got = append(got, read{time.Since(a.began), n})
				}
				if !reflect.DeepEqual(got, tt.want) {
					t.Errorf("read %v, not %v", got, tt.want)
				}
			})
		})
	}
}

func TestBurstsAreOfEvents(t *testing.T) {
	for kind, want := range map[string]bool{
		"text/event-stream": true, "text/event-stream; charset=utf-8": true, "Text/Event-Stream": true,
		"application/json": false, "": false, "text/event": false,
	} {
		if got := new(burst).of(http.Header{"Content-Type": {kind}}, nil) != nil; got != want {
			t.Errorf("%q: %v", kind, got)
		}
	}
	if new(burst).of(http.Header{}, nil) != nil {
		t.Error("no type is one")
	}
}

// What has come already waits for no pause, however much it is: over TLS each event is a record, which crypto/tls gives out by itself.
func TestBacklogsAreReadWithoutPauses(t *testing.T) {
	const events, bound = 4000, 2 * time.Second // a pause for each would take 4
	sent := make(chan struct{}, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range events {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
		}
		sent <- struct{}{}
	})
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			s := start(handler)
			defer s.Close()
			resp, err := NewTransport(s.Client().Transport.(*http.Transport)).RoundTrip(newPost(t.Context(), t, s.URL, "{}"))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			<-sent
			began := time.Now()
			got, err := io.ReadAll(resp.Body)
			if took := time.Since(began); took > bound || bytes.Count(got, []byte("data: ")) != events || err != nil {
				t.Errorf("%d bytes, %v after %v", len(got), err, took)
			}
		})
	}
}

// servers are those of both kinds of connections.
var servers = map[string]func(http.Handler) *httptest.Server{"plain": httptest.NewServer, "TLS": httptest.NewTLSServer}

// The next event, which is small, comes only when the one before has been read, and right after that: a socket that waited for
// more than one would wait for good. Another answer follows on the same connection.
func TestEventsOfLockstepArrive(t *testing.T) {
	const events = 30
	next := make(chan struct{}, events)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range events {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	})
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			s := start(handler)
			defer s.Close()
			connections := NewTransport(s.Client().Transport.(*http.Transport))
			for range 2 {
				resp, err := connections.RoundTrip(newPost(t.Context(), t, s.URL, "{}"))
				if err != nil {
					t.Fatal(err)
				}
				got, err := readEvents(resp.Body, next)
				_ = resp.Body.Close()
				var want strings.Builder
				for i := range events {
					fmt.Fprintf(&want, "data: %d\n\n", i)
				}
				if err != io.EOF || got != want.String() { //nolint:errorlint // it is given as it is
					t.Errorf("%v after %q", err, got)
				}
			}
		})
	}
}

// readEvents reads a stream to its end, and says of each event that it has come.
func readEvents(body io.Reader, came chan<- struct{}) (string, error) {
	var got strings.Builder
	for b := make([]byte, 512); ; {
		n, err := body.Read(b)
		got.Write(b[:n])
		for range bytes.Count(b[:n], []byte("\n\n")) {
			came <- struct{}{}
		}
		if err != nil {
			return got.String(), err
		}
	}
}

// What ends a stream while a burst is waited for ends it as at any other time, also where the socket holds less than that waits for.
func TestEndsOfBursts(t *testing.T) {
	const events, last = 10, 32 << 10
	abort := func(linger int) func(http.ResponseWriter, context.CancelFunc) {
		return func(w http.ResponseWriter, _ context.CancelFunc) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			if encrypted, ok := conn.(*tls.Conn); ok {
				conn = encrypted.NetConn()
			}
			_ = conn.(*net.TCPConn).SetLinger(linger)
			_ = conn.Close()
		}
	}
	for name, tt := range map[string]struct {
		end  func(w http.ResponseWriter, leave context.CancelFunc)
		want error // nil for each
		gets int
	}{
		"whole": {func(http.ResponseWriter, context.CancelFunc) {}, io.EOF, events},
		"a large event": {func(w http.ResponseWriter, _ context.CancelFunc) {
			fmt.Fprintf(w, "data: %s\n\n", strings.Repeat("x", last))
		}, io.EOF, events + 1},
		"cut":   {abort(-1), io.ErrUnexpectedEOF, events},
		"reset": {abort(0), nil, events},
		"left": {func(w http.ResponseWriter, leave context.CancelFunc) {
			leave()
			for err := error(nil); err == nil; err = http.NewResponseController(w).Flush() {
				fmt.Fprint(w, ": still there\n")
			}
		}, context.Canceled, events},
	} {
		for kind, start := range servers {
			for _, small := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, small %v", name, kind, small), func(t *testing.T) {
					ctx, leave := context.WithCancel(t.Context())
					defer leave()
					next := make(chan struct{}, events+1)
					s := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						_, _ = io.Copy(io.Discard, r.Body)
						w.Header().Set("Content-Type", "text/event-stream")
						for i := range events {
							fmt.Fprintf(w, "data: %d\n\n", i)
							_ = http.NewResponseController(w).Flush()
							<-next
						}
						tt.end(w, leave)
					}))
					defer s.Close()
					base := s.Client().Transport.(*http.Transport)
					base.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
						conn, err := new(net.Dialer).DialContext(ctx, network, address)
						if err == nil && small {
							err = conn.(*net.TCPConn).SetReadBuffer(8 << 10)
						}
						return conn, err
					}
					resp, err := NewTransport(base).RoundTrip(newPost(ctx, t, s.URL, "{}"))
					if err != nil {
						t.Fatal(err)
					}
					var got string
					ended := make(chan error, 1)
					go func() {
						var err error
						got, err = readEvents(resp.Body, next)
						ended <- err
					}()
					err = testwait.Receive(t, 5*time.Second, ended, "the end")
					_ = resp.Body.Close()
					if got := strings.Count(got, "\n\n"); got != tt.gets || tt.want != nil && !errors.Is(err, tt.want) || tt.want == nil && errors.Is(err, io.EOF) {
						t.Errorf("%d events, then %v", got, err)
					}
				})
			}
		}
	}
}
