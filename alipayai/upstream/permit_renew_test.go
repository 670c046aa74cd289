package upstream

import (
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/internal/testwait"
	"github.com/caddy-alipayai/gateway/limiter"
)

// slowly is a transport that takes its time to connect, and an upstream that takes its time to answer. It writes nothing
// once the context has ended.
type slowly struct {
	connect, answer time.Duration
	connected       func()
	written         time.Time // zero for never
}

func (*slowly) LooksBeforeWriting() {}

func (s *slowly) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	time.Sleep(s.connect)
	s.connected()
	conn, other := net.Pipe()
	_ = other.Close()
	httptrace.ContextClientTrace(ctx).GotConn(httptrace.GotConnInfo{Conn: conn})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	s.written = time.Now()
	select {
	case <-time.After(s.answer):
		return &http.Response{StatusCode: http.StatusOK, Header: make(http.Header), Body: http.NoBody}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A request whose slot went stale while its connection was made waits for another one. That is a wait for the rate cap: the
// time that the upstream has for its answer begins after it, it is bounded as that of the queue, and a request that
// does not outlast it was not sent.
func TestRenewIsNoWaitForTheAnswer(t *testing.T) {
	const connect = time.Second
	for name, test := range map[string]struct {
		throttle, answer, maxWait time.Duration
		latest, leaveBy, leaves   time.Duration // since it began; 0 for none
		code                      string        // empty for an answer
		ends                      time.Duration // when, since it began
		retryAfter                time.Duration
	}{
		"an answer within its own time":      {throttle: 8 * time.Second, answer: 5 * time.Second, maxWait: 10 * time.Second, ends: 14 * time.Second},
		"an answer out of its own time":      {throttle: 8 * time.Second, answer: time.Minute, maxWait: 10 * time.Second, code: failure.CodeTimeout, ends: 19 * time.Second},
		"no wait allowed, a window at most":  {throttle: time.Second, answer: time.Second, ends: 3 * time.Second},
		"no wait allowed, more than that":    {throttle: 2 * time.Second, code: "queue_deadline", ends: connect, retryAfter: 2 * time.Second},
		"a throttle longer than any wait":    {throttle: time.Minute, maxWait: 10 * time.Second, code: "queue_deadline", ends: connect, retryAfter: time.Minute},
		"a last moment before that":          {throttle: 8 * time.Second, maxWait: 10 * time.Second, latest: 8 * time.Second, code: "queue_deadline", ends: connect, retryAfter: 8 * time.Second},
		"a client that leaves meanwhile":     {throttle: 8 * time.Second, maxWait: 10 * time.Second, leaves: 3 * time.Second, code: failure.CodeClientGone, ends: 3 * time.Second},
		"a wait longer than any answer":      {throttle: 9500 * time.Millisecond, answer: 5 * time.Second, maxWait: 10 * time.Second, ends: 15500 * time.Millisecond},
		"a last moment that is later still":  {throttle: time.Minute, maxWait: 10 * time.Second, latest: 5 * time.Minute, code: "queue_deadline", ends: connect, retryAfter: time.Minute},
		"a time to be connected that holds":  {throttle: time.Second, answer: 10 * time.Second, maxWait: 10 * time.Second, leaveBy: 4 * time.Second, ends: 12 * time.Second},
		"a time to be connected that passes": {throttle: 8 * time.Second, maxWait: 10 * time.Second, leaveBy: 4 * time.Second, code: failure.CodeTimeout, ends: 4 * time.Second, retryAfter: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				window := limiter.NewMemoryWindow(time.Now)
				k := &Cap{
					Limit: limiter.Limit{Requests: 1, Per: time.Second, Guard: DefaultGuard}, Window: window, Queue: limiter.NewQueue(window, time.Now),
					MaxWait: test.maxWait, MaxCount: 10, MaxBytes: 1 << 20,
				}
				rt := &slowly{connect: connect, answer: test.answer, connected: func() { k.Throttled(test.throttle) }}
				p := &Provider{
					Profile: known(t, "openai"), BaseURL: &url.URL{Scheme: "http", Host: "upstream.test"}, Timeout: 10 * time.Second,
					Clock: new(Clock), Hold: new(Hold), Cap: k, Transport: rt,
				}
				if err := p.Prepare(); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				at := func(d time.Duration) (at time.Time) {
					if d > 0 {
						at = began.Add(d)
					}
					return at
				}
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				if test.leaves > 0 {
					time.AfterFunc(test.leaves, leave)
				}
				x, f := p.Send(ctx, &Request{
					Endpoint: EndpointChat, ID: "late", Body: []byte(`{}`), Caller: silent{},
					Deadline: began.Add(time.Minute), Latest: at(test.latest), LeaveBy: at(test.leaveBy),
				})
				if ended := time.Since(began); ended != test.ends {
					t.Errorf("it ended after %v, want %v", ended, test.ends)
				}
				if test.code == "" {
					if f != nil {
						t.Fatalf("%s: %s", f.Code, f.Message)
					}
					x.End()
				} else if f == nil || f.Code != test.code || f.RetryAfter != test.retryAfter || f.Sent == rt.written.IsZero() {
					t.Fatalf("failure %+v, want %s, to be repeated after %v; written at %v", f, test.code, test.retryAfter, rt.written)
				}
				if want := connect + test.throttle; !rt.written.IsZero() && rt.written.Sub(began) != want {
					t.Errorf("written after %v, want %v", rt.written.Sub(began), want)
				}
				time.Sleep(test.throttle)
				if next := window.Next(k.Limit, time.Now()); rt.written.IsZero() && next.After(time.Now()) {
					t.Errorf("what was not sent keeps its slot for %v", time.Until(next))
				}
			})
		})
	}
}

// blindly does not say that it looks before it writes.
type blindly struct{ slowly *slowly }

func (b blindly) RoundTrip(req *http.Request) (*http.Response, error) { return b.slowly.RoundTrip(req) }

// What is refused when there is a connection counts as sent, and keeps its slot, where the transport may write it all the same.
func TestRefusedMayBeWritten(t *testing.T) {
	for name, test := range map[string]struct {
		by   func(*slowly) http.RoundTripper
		sent bool
		code string
	}{
		"it looks":        {func(s *slowly) http.RoundTripper { return s }, false, "queue_deadline"},
		"it is not known": {func(s *slowly) http.RoundTripper { return blindly{s} }, true, failure.CodeTruncated},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				window := limiter.NewMemoryWindow(time.Now)
				k := &Cap{
					Limit: limiter.Limit{Requests: 1, Per: time.Minute, Guard: time.Second}, Window: window, Queue: limiter.NewQueue(window, time.Now),
					MaxCount: 10, MaxBytes: 1 << 20,
				}
				rt := &slowly{connect: 2 * time.Second, connected: func() { k.Throttled(time.Hour) }}
				p := &Provider{
					Profile: known(t, "openai"), BaseURL: &url.URL{Scheme: "http", Host: "upstream.test"}, Timeout: 10 * time.Second,
					Clock: new(Clock), Hold: new(Hold), Cap: k, Transport: test.by(rt),
				}
				if err := p.Prepare(); err != nil {
					t.Fatal(err)
				}
				_, f := p.Send(t.Context(), &Request{
					Endpoint: EndpointChat, ID: "late", Body: []byte(`{}`), Caller: silent{}, Deadline: time.Now().Add(time.Minute),
				})
				if f == nil || f.Sent != test.sent || f.Code != test.code {
					t.Errorf("failure %+v, want %s, sent %v", f, test.code, test.sent)
				}
			})
		})
	}
}
