package alipayai_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// timedFlushes are when a stream was flushed, since its call.
type timedFlushes struct {
	http.ResponseWriter
	began time.Time
	at    []time.Duration
}

func (f *timedFlushes) FlushError() error {
	f.at = append(f.at, time.Since(f.began))
	return nil
}

// Events that come one by one are passed on at once. Those of a burst are passed on
// together, within two milliseconds.
func TestBurstsOfAStream(t *testing.T) {
	const tick = 10 * time.Microsecond
	every := func(pause time.Duration, n int) (events []later) {
		for range n {
			events = append(events, later{pause, deltaEvent})
		}
		return events
	}
	for name, test := range map[string]struct {
		pause time.Duration
		n     int
		most  int           // flushes
		late  time.Duration // than the last event, at most
	}{
		"one by one":    {2 * time.Millisecond, 20, 23, 0},
		"a short burst": {tick, 20, 23, time.Millisecond},
		"a long burst":  {tick, 1000, 30, 2 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				events := append(every(test.pause, test.n), later{0, finishEvent}, later{0, "[DONE]"})
				s := perform(t, [][]turn{{gathering(events)}})
				f := &timedFlushes{began: time.Now()}
				s.through = func(w http.ResponseWriter) http.ResponseWriter {
					f.ResponseWriter = w
					return f
				}
				got := s.call(streamBody("hello"))
				if n := strings.Count(got.body, "data: "); n != len(events) || !strings.HasSuffix(got.body, "[DONE]\n\n") {
					t.Fatalf("%d events, want %d: %s", n, len(events), got.body)
				}
				due := time.Duration(test.n) * test.pause
				last := f.at[len(f.at)-1]
				if len(f.at) > test.most || f.at[0] != test.pause || last > due+test.late {
					t.Errorf("%d flushes, the first after %v and the last after %v, want at most %d, after %v and by %v",
						len(f.at), f.at[0], last, test.most, test.pause, due+test.late)
				}
			})
		})
	}
}

// gathering streams events, each so long after the one before whether it is read or not.
func gathering(events []later) turn {
	return func(req *http.Request) (*http.Response, error) {
		resp, err := wholeStream(req)
		resp.Body = &gatheredBody{left: events, last: time.Now()}
		return resp, err
	}
}

type gatheredBody struct {
	left []later
	last time.Time // when the event before came
}

func (g *gatheredBody) Read(b []byte) (n int, _ error) {
	for len(g.left) > 0 {
		due := g.last.Add(g.left[0].after)
		if wait := time.Until(due); wait > 0 {
			if n > 0 {
				break
			}
			time.Sleep(wait)
		}
		event := "data: " + g.left[0].event + "\n\n"
		if len(b)-n < len(event) {
			break
		}
		n += copy(b[n:], event)
		g.left, g.last = g.left[1:], due
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (*gatheredBody) Close() error { return nil }
