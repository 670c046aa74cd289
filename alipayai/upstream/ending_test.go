package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/outgoing"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// begun makes an exchange of a client's, with nothing but its context.
func begun(client context.Context) *Exchange {
	x := &Exchange{client: client}
	x.begin()
	return x
}

// key is a client's value in its context.
type key struct{}

// However an exchange ends, all that wait for its context hear it, and know why.
func TestExchangeContext(t *testing.T) {
	left := errors.New("the client has left")
	for name, test := range map[string]struct {
		end   func(x *Exchange, leave context.CancelCauseFunc)
		cause error
	}{
		"by itself":       {func(x *Exchange, _ context.CancelCauseFunc) { x.End() }, ErrEnded},
		"by its watchdog": {func(x *Exchange, _ context.CancelCauseFunc) { x.Watch.Arm(time.Second, failure.ErrNoHead) }, failure.ErrNoHead},
		"by its client":   {func(_ *Exchange, leave context.CancelCauseFunc) { leave(left) }, left},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				client, leave := context.WithCancelCause(context.WithValue(t.Context(), key{}, "value"))
				defer leave(nil)
				x := begun(client)
				defer x.End()
				ctx := x.Context()
				child, cancel := context.WithTimeout(ctx, time.Hour)
				defer cancel()
				gone, cancelGone := context.WithCancel(ctx)
				cancelGone()
				ran := make(map[string]int)
				var mu sync.Mutex
				count := func(what string) func() {
					return func() {
						mu.Lock()
						defer mu.Unlock()
						ran[what]++
					}
				}
				context.AfterFunc(ctx, count("after"))
				if stop := context.AfterFunc(ctx, count("stopped")); !stop() {
					t.Error("a func that has not run cannot be stopped")
				}
				x.ctx.closeAtEnd(count("closed"))
				synctest.Wait()
				if ctx.Err() != nil || child.Err() != nil || gone.Err() == nil || ctx.Value(key{}) != "value" {
					t.Fatalf("before its end: %v, its child %v, value %v", ctx.Err(), child.Err(), ctx.Value(key{}))
				}

				test.end(x, leave)
				<-ctx.Done()
				<-child.Done()
				synctest.Wait()
				x.ctx.end(errors.New("too late"))
				context.AfterFunc(ctx, count("after it"))
				x.ctx.closeAtEnd(count("closed after it"))
				synctest.Wait()
				for of, ctx := range map[string]context.Context{"exchange": ctx, "child": child} {
					if !errors.Is(ctx.Err(), context.Canceled) || !errors.Is(context.Cause(ctx), test.cause) {
						t.Errorf("%s: error %v, cause %v; want %v", of, ctx.Err(), context.Cause(ctx), test.cause)
					}
				}
				mu.Lock()
				defer mu.Unlock()
				if ran["after"] != 1 || ran["closed"] != 1 || ran["after it"] != 1 || ran["closed after it"] != 1 || ran["stopped"] != 0 {
					t.Errorf("ran %v", ran)
				}
				if x.ctx.keepOpen() {
					t.Error("what was closed is kept open")
				}
			})
		})
	}
}

// An exchange whose client has left, or whose time has run out, says so by the client's own error.
func TestExchangeContextHasItsClientsError(t *testing.T) {
	left, leave := context.WithCancel(t.Context())
	leave()
	late, end := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer end()
	for name, client := range map[string]context.Context{"left": left, "late": late} {
		x := begun(client)
		<-x.Context().Done()
		if err := x.Context().Err(); err != client.Err() { //nolint:errorlint // as callers may compare it
			t.Errorf("%s: %v, want %v", name, err, client.Err())
		}
		x.End()
	}
}

// A connection that was taken off in time is not closed.
func TestExchangeContextKeepsOpen(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		x := begun(t.Context())
		x.ctx.closeAtEnd(func() { t.Error("closed") })
		if !x.ctx.keepOpen() || x.ctx.keepOpen() {
			t.Error("it is taken off once")
		}
		x.End()
		synctest.Wait()
	})
}

// An exchange leaves nothing with its client's context, and what waits for it starts no goroutines.
func TestExchangeContextIsLight(t *testing.T) {
	client, leave := context.WithCancel(t.Context())
	defer leave()
	before := runtime.NumGoroutine()
	var exchanges []*Exchange
	var children []context.Context
	for range 100 {
		x := begun(client)
		exchanges = append(exchanges, x)
		child, cancel := context.WithCancel(x.Context())
		defer cancel()
		children = append(children, child)
	}
	if n := runtime.NumGoroutine(); n >= before+100 {
		t.Errorf("%d goroutines, before %d", n, before)
	}
	for _, x := range exchanges {
		x.End()
	}
	for _, child := range children {
		<-child.Done() // what ends them allocates, on goroutines of its own
	}
	if n := testing.AllocsPerRun(100, func() { begun(client).End() }); n > 4 {
		t.Errorf("%v allocations, one of them the exchange's", n)
	}
	if s, ok := exchanges[0].Context().Value(outgoing.SenderKey{}).(outgoing.Sender); !ok || s != outgoing.Sender((*sender)(exchanges[0])) {
		t.Error("the context does not know its sender")
	}
}

// An upstream that hears that a request is given up may still answer. A failure that it reports then is that of a request
// that may have executed; an answer is one, as it is to a process that was not running when it came.
func TestAnswerAfterTheEnd(t *testing.T) {
	for name, test := range map[string]struct {
		leaves time.Duration // of the client; 0 for never
		status int
		code   string // empty for an answer
	}{
		"a failure after the time for an answer": {status: http.StatusServiceUnavailable, code: failure.CodeTimeout},
		"a failure after the client has left":    {leaves: time.Second, status: http.StatusServiceUnavailable, code: failure.CodeClientGone},
		"a refusal after the time":               {status: http.StatusTooManyRequests, code: failure.CodeTimeout},
		"an answer after the time":               {status: http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				var closed bool
				p := &Provider{
					Profile: known(t, "openai"), BaseURL: &url.URL{Scheme: "http", Host: "upstream.test"}, Timeout: 10 * time.Second,
					Clock: new(Clock), Hold: new(Hold),
					Transport: transport(func(req *http.Request) (*http.Response, error) {
						<-req.Context().Done()
						body := closing{strings.NewReader(`{"error":{"code":"overloaded"}}`), &closed}
						return &http.Response{StatusCode: test.status, Header: make(http.Header), Body: body, Request: req}, nil
					}),
				}
				if err := p.Prepare(); err != nil {
					t.Fatal(err)
				}
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				if test.leaves > 0 {
					time.AfterFunc(test.leaves, leave)
				}
				x, f := p.Send(ctx, &Request{Endpoint: EndpointChat, ID: "x", Body: []byte("{}"), Deadline: time.Now().Add(time.Minute), Caller: silent{}})
				if test.code == "" {
					if f != nil || closed {
						t.Fatalf("failure %+v, the answer is closed: %v", f, closed)
					}
					x.End()
					return
				}
				if f == nil || f.Code != test.code || !f.Sent || f.FromUpstream {
					t.Errorf("failure %+v, want %s of a request that was sent", f, test.code)
				}
				if !closed {
					t.Error("the answer is not closed")
				}
			})
		})
	}
}

// closing is a body that notes its end.
type closing struct {
	io.Reader
	closed *bool
}

func (c closing) Close() error {
	*c.closed = true
	return nil
}
