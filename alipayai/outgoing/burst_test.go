package outgoing

import (
	"bytes"
	"fmt"
	"io"
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

// read waits for one, and gives all that have come.
func (a *arrivals) read() (n int, err error) {
	if len(a.at) == 0 {
		return 0, io.EOF
	}
	testwait.Pass(a.at[0] - time.Since(a.began))
	for ; len(a.at) > 0 && a.at[0] <= time.Since(a.began); n++ {
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
		"two at a time, at times": {[]time.Duration{5 * ms, 5 * ms, 15 * ms, 15 * ms}, []read{{5 * ms, 2}, {15 * ms, 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				a := &arrivals{time.Now(), tt.at}
				b := burstOf(http.Header{"Content-Type": {"text/event-stream"}}, nil)
				var got []read
				for {
					b.before()
					n, err := a.read()
					b.after()
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
		if got := burstOf(http.Header{"Content-Type": {kind}}, nil) != nil; got != want {
			t.Errorf("%q: %v", kind, got)
		}
	}
	if burstOf(http.Header{}, nil) != nil {
		t.Error("no type is one")
	}
}

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
	for name, start := range map[string]func(http.Handler) *httptest.Server{"plain": httptest.NewServer, "TLS": httptest.NewTLSServer} {
		t.Run(name, func(t *testing.T) {
			s := start(handler)
			defer s.Close()
			connections := NewTransport(s.Client().Transport.(*http.Transport))
			for range 2 {
				resp, err := connections.RoundTrip(newPost(t.Context(), t, s.URL, "{}"))
				if err != nil {
					t.Fatal(err)
				}
				var got, want strings.Builder
				for b := make([]byte, 512); err == nil; {
					var n int
					n, err = resp.Body.Read(b)
					got.Write(b[:n])
					for range bytes.Count(b[:n], []byte("\n\n")) {
						next <- struct{}{}
					}
				}
				_ = resp.Body.Close()
				for i := range events {
					fmt.Fprintf(&want, "data: %d\n\n", i)
				}
				if err != io.EOF || got.String() != want.String() { //nolint:errorlint // it is given as it is
					t.Errorf("%v after %q", err, got.String())
				}
			}
		})
	}
}
