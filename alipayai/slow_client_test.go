package alipayai_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// reluctant is a client that takes its time to read each piece that it is sent, on a connection that knows deadlines.
type reluctant struct {
	http.ResponseWriter
	pause time.Duration
	// by is when writing fails; zero for never. asked counts how often it was set.
	by    time.Time
	asked int
}

func (r *reluctant) SetWriteDeadline(by time.Time) error {
	r.by = by
	r.asked++
	return nil
}

func (r *reluctant) Write(b []byte) (int, error) {
	if left := time.Until(r.by); !r.by.IsZero() && r.pause >= left {
		time.Sleep(left)
		return 0, os.ErrDeadlineExceeded
	}
	time.Sleep(r.pause)
	return r.ResponseWriter.Write(b)
}

func (r *reluctant) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// slowly makes the clients reluctant, and gives the last of them.
func (s *scripted) slowly(pause time.Duration) func() *reluctant {
	var last *reluctant
	s.through = func(w http.ResponseWriter) http.ResponseWriter {
		last = &reluctant{ResponseWriter: w, pause: pause}
		return last
	}
	return func() *reluctant { return last }
}

// A client that does not read is let go after a minute, and so is the provider.
func TestClientThatDoesNotRead(t *testing.T) {
	for name, body := range map[string]turn{"at all": wholeStream, "for long": pausing} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{body}})
				s.slowly(time.Hour)
				began := time.Now()
				s.call(streamBody("hello"))
				took := time.Since(began)
				if took < alipayai.ClientTimeout-time.Second || took > alipayai.ClientTimeout+2*time.Second {
					t.Errorf("let go after %v", took)
				}
				if o := s.outcome(); o.Status != failure.ClientClosedRequest || o.Code != failure.CodeClientGone || !o.Aborted {
					t.Errorf("outcome %+v", o)
				}
			})
		})
	}
}

// One that reads slowly is served, however long it takes, and then its connection has no deadline: the next request on it
// may come at any time.
func TestClientThatReadsSlowly(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{chatty(20, time.Second)}})
		last := s.slowly(alipayai.ClientTimeout - 2*time.Second)
		got := s.call(streamBody("hello"))
		if got.status != http.StatusOK || !strings.HasSuffix(got.body, "data: [DONE]\n\n") {
			t.Errorf("%d %s", got.status, got.body)
		}
		if by := last().by; !by.IsZero() {
			t.Errorf("the connection is left with a deadline, %v from now", time.Until(by))
		}
	})
}

// Deadlines are not set for every event.
func TestWriteDeadlinesAreSetNowAndThen(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{chatty(1000, 10*time.Millisecond)}})
		last := s.slowly(0)
		s.call(streamBody("hello"))
		if n := last().asked; n < 3 || n > 20 {
			t.Errorf("the deadline was set %d times within 10s", n)
		}
	})
}

// chatty streams so many events, with a pause before each.
func chatty(events int, pause time.Duration) turn {
	return func(req *http.Request) (*http.Response, error) {
		resp, err := wholeStream(req)
		resp.Body = &dripping{ctx: req.Context(), pause: pause, events: events}
		return resp, err
	}
}

// The claim is kept for as long as a slow client and a slow provider may take together, from the first event on.
func TestSlowClientKeepsItsClaim(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{chatty(5, 14*time.Second)}}, claiming, first(func(p *upstream.Provider) { p.StreamTimeout = 15 * time.Second }))
		s.slowly(alipayai.ClientTimeout - time.Second)
		var before reply
		ended := make(chan struct{})
		go func() { defer close(ended); before = s.call(streamBody("hello"), keyed...) }()
		synctest.Wait()
		s.through = nil
		for going := true; going; {
			time.Sleep(500 * time.Millisecond)
			got := s.call(streamBody("hello"), keyed...)
			select {
			case <-ended:
				going = false
			default:
				// From the last event on the answer is whole, though this client has yet to read it.
				if got.header.Get("Idempotent-Replayed") == "" {
					wantError(t, got, http.StatusConflict, failure.CodeIdempotencyInFlight)
				}
			}
		}
		if got := s.call(streamBody("hello"), keyed...); got.body != before.body || got.header.Get("Idempotent-Replayed") != "true" {
			t.Errorf("%d %v %s", got.status, got.header, got.body)
		}
		s.wantCalls(1)
	})
}
