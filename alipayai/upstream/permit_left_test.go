package upstream

import (
	"context"
	"crypto/tls"
	"io"
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

// negotiated is a connection over TLS that speaks that protocol.
type negotiated struct {
	net.Conn
	protocol string
}

func (c negotiated) ConnectionState() tls.ConnectionState {
	return tls.ConnectionState{NegotiatedProtocol: c.protocol}
}

// A request is sent anew after its connection broke only where the upstream has closed that while it idled. What else breaks
// may have executed.
func TestConnectionFoundClosed(t *testing.T) {
	for name, test := range map[string]struct {
		conn  net.Conn
		fresh bool
		then  func(*sender)
		after time.Duration
		want  bool
	}{
		"idled":                        {want: true},
		"idled, written":               {then: (*sender).Written, want: true},
		"within a second":              {after: time.Second - 1, want: true},
		"a second later":               {after: time.Second},
		"made for it":                  {fresh: true},
		"an answer has begun":          {then: (*sender).Answering},
		"carries several":              {then: (*sender).Multiplexed},
		"carries several by its state": {conn: negotiated{protocol: "h2"}},
		"one over TLS":                 {conn: negotiated{protocol: "http/1.1"}, want: true},
		"another one, made for it":     {then: func(x *sender) { _ = x.Connected(nil, false) }},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				x := new(sender)
				if err := x.Connected(test.conn, !test.fresh); err != nil {
					t.Fatal(err)
				}
				if test.then != nil {
					test.then(x)
				}
				if got := x.permit.foundClosed(time.Now().Add(test.after)); got != test.want {
					t.Errorf("found closed: %v, want %v", got, test.want)
				}
				if !x.permit.left() {
					t.Error("it counts as one that has not left")
				}
			})
		})
	}
}

// kept is a transport with a connection that has idled, on which no answer comes.
type kept func(ctx context.Context) error

func (k kept) RoundTrip(req *http.Request) (*http.Response, error) {
	conn, other := net.Pipe()
	_ = other.Close()
	httptrace.ContextClientTrace(req.Context()).GotConn(httptrace.GotConnInfo{Conn: conn, WasIdle: true})
	return nil, k(req.Context())
}

// Only a connection that broke by itself was found closed, and not a wait that was given up, however soon.
func TestGivenUpIsNotFoundClosed(t *testing.T) {
	ended := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	for name, test := range map[string]struct {
		on              kept
		timeout, leaves time.Duration
		code            string
		stale           bool
	}{
		"it breaks":         {func(context.Context) error { return io.EOF }, time.Minute, time.Minute, failure.CodeTruncated, true},
		"no answer in time": {ended, 500 * time.Millisecond, time.Minute, failure.CodeTimeout, false},
		"the client leaves": {ended, time.Minute, 500 * time.Millisecond, failure.CodeClientGone, false},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				p := &Provider{
					Profile: known(t, "openai"), BaseURL: &url.URL{Scheme: "http", Host: "upstream.test"}, Timeout: test.timeout,
					Clock: new(Clock), Hold: new(Hold), Transport: test.on,
				}
				if err := p.Prepare(); err != nil {
					t.Fatal(err)
				}
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				time.AfterFunc(test.leaves, leave)
				_, f := p.Send(ctx, &Request{Endpoint: EndpointChat, ID: "one", Body: []byte(`{}`), Caller: silent{}, Deadline: time.Now().Add(time.Hour)})
				if f == nil || f.Code != test.code || !f.Sent || f.StaleConnection != test.stale {
					t.Errorf("failure %+v, want %s, found closed %v", f, test.code, test.stale)
				}
			})
		})
	}
}

// A permit counts from when its request is written, where that is later than its slot by more than an eighth of the guard.
func TestPermitCountsFromTheWriting(t *testing.T) {
	for name, test := range map[string]struct {
		guard, late, moves time.Duration
	}{
		"at once":                        {80 * time.Millisecond, 0, 0},
		"an eighth of the guard":         {80 * time.Millisecond, 10 * time.Millisecond, 0},
		"later":                          {80 * time.Millisecond, 11 * time.Millisecond, 11 * time.Millisecond},
		"a millisecond, without a guard": {0, time.Millisecond, 0},
		"later, without a guard":         {0, 2 * time.Millisecond, 2 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				k := oneAt(time.Second, test.guard)
				x := new(sender)
				if err := x.permit.reserve(t.Context(), &Provider{Cap: k}, new(Request)); err != nil {
					t.Fatal(err)
				}
				slot := x.permit.slot.At
				testwait.Pass(test.late)
				x.Written()
				if next, want := k.Window.Next(k.Limit, time.Now()), slot.Add(test.moves+k.Limit.Span()); !next.Equal(want) {
					t.Errorf("the next slot is %v after this one, want %v", next.Sub(slot), want.Sub(slot))
				}
			})
		})
	}
}

// oneAt is a cap of one request at a time.
func oneAt(per, guard time.Duration) *Cap {
	window := limiter.NewMemoryWindow(time.Now)
	return &Cap{
		Limit: limiter.Limit{Requests: 1, Per: per, Guard: guard}, Window: window, Queue: limiter.NewQueue(window, time.Now),
		MaxWait: time.Minute, MaxCount: 10, MaxBytes: 1 << 20,
	}
}

// A slot that the window has taken back is not used, however young it is.
func TestRevokedSlotIsStale(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		k := oneAt(time.Second, 20*time.Millisecond)
		var d permit
		if err := d.reserve(t.Context(), &Provider{Cap: k}, new(Request)); err != nil {
			t.Fatal(err)
		}
		if d.stale(time.Now()) {
			t.Error("stale at once")
		}
		k.Throttled(time.Minute)
		if !d.stale(time.Now()) {
			t.Error("good for a window that was closed")
		}
	})
}

// counting is a caller that notes what it hears.
type counting struct{ permitted, rejected, leaving int }

func (c *counting) Permitted(*Provider, time.Duration) { c.permitted++ }
func (c *counting) Rejected(*Provider, string)         { c.rejected++ }
func (c *counting) SigningFailed(*Provider)            {}
func (c *counting) Leaving(*Provider, *http.Request) *failure.Failure {
	c.leaving++
	return nil
}

// A request that ends before it is known whether it may leave has not left, and takes no slot from others.
func TestEndsBeforeItIsCleared(t *testing.T) {
	for name, k := range map[string]func() *Cap{
		"within a cap":  func() *Cap { return oneAt(time.Minute, DefaultGuard) },
		"without a cap": func() *Cap { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				rt := &slowly{connected: func() {}}
				p := &Provider{
					Profile: known(t, "openai"), BaseURL: &url.URL{Scheme: "http", Host: "upstream.test"}, Timeout: 10 * time.Second,
					Clock: new(Clock), Hold: new(Hold), Cap: k(), Transport: rt,
				}
				if err := p.Prepare(); err != nil {
					t.Fatal(err)
				}
				ctx, leave := context.WithTimeout(t.Context(), 3*time.Second)
				defer leave()
				caller := new(counting)
				_, f := p.Send(ctx, &Request{
					Endpoint: EndpointChat, ID: "held", Body: []byte(`{}`), Caller: caller, Deadline: time.Now().Add(time.Minute), Cleared: make(chan struct{}),
				})
				if f == nil || f.Sent || *caller != (counting{rejected: 1}) || !rt.written.IsZero() {
					t.Errorf("failure %+v; its caller heard %+v", f, *caller)
				}
				if p.Cap == nil {
					return
				}
				if next := p.Cap.Window.Next(p.Cap.Limit, time.Now()); next.After(time.Now()) {
					t.Errorf("the next slot is %v away", time.Until(next))
				}
			})
		})
	}
}
