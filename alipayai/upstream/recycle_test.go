package upstream

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/outgoing"
)

// silent is a caller that permits everything.
type silent struct{}

func (silent) Permitted(*Provider, time.Duration)                {}
func (silent) Rejected(*Provider, string)                        {}
func (silent) SigningFailed(*Provider)                           {}
func (silent) Leaving(*Provider, *http.Request) *failure.Failure { return nil }

// answering makes a provider of a server, with one connection that has idled.
func answering(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) *Provider {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Seen", r.Header.Get("Idempotency-Key"))
		_, _ = io.WriteString(w, "whole")
	}))
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := outgoing.NewTransport(new(http.Transport))
	t.Cleanup(transport.CloseIdleConnections)
	p := &Provider{Profile: known(t, "openai"), BaseURL: base, Clock: new(Clock), Hold: new(Hold), Transport: transport}
	if err := p.Prepare(); err != nil {
		t.Fatal(err)
	}
	first := sendTo(t.Context(), t, p, "first")
	if _, err := io.ReadAll(first.Response.Body); err != nil {
		t.Fatal(err)
	}
	first.End()
	if first.atRest() {
		t.Error("what a dialler has seen counts as at rest")
	}
	if wrap != nil {
		p.Transport = wrap(transport)
	}
	return p
}

func sendTo(ctx context.Context, t *testing.T, p *Provider, id string) *Exchange {
	t.Helper()
	x, f := p.Send(ctx, &Request{
		Endpoint: EndpointChat, ID: id, Body: []byte(`{}`), Deadline: time.Now().Add(time.Minute), Caller: silent{},
	})
	if f != nil {
		t.Fatal(f)
	}
	return x
}

// throughNetHTTP sends what has a trailer, which only net/http does.
type throughNetHTTP struct{ http.RoundTripper }

func (t throughNetHTTP) RoundTrip(req *http.Request) (*http.Response, error) {
	req.Trailer = http.Header{"X-Trailer": nil}
	return t.RoundTripper.RoundTrip(req)
}

// An exchange carries another request only where nothing else can use it any more.
func TestExchangeAtRest(t *testing.T) {
	read := func(x *Exchange) { _, _ = io.ReadAll(x.Response.Body) }
	for name, test := range map[string]struct {
		wrap func(http.RoundTripper) http.RoundTripper
		use  func(x *Exchange, leave context.CancelFunc)
		want bool
	}{
		"read whole":            {use: func(x *Exchange, _ context.CancelFunc) { read(x) }, want: true},
		"armed anew":            {use: func(x *Exchange, _ context.CancelFunc) { x.Watch.Arm(time.Hour, failure.ErrNoMore); read(x) }, want: true},
		"asked for its end":     {use: func(x *Exchange, _ context.CancelFunc) { read(x); _ = x.Context().Err() }, want: true},
		"not read":              {use: func(*Exchange, context.CancelFunc) {}},
		"closed early":          {use: func(x *Exchange, _ context.CancelFunc) { _ = x.Response.Body.Close() }},
		"its end is waited for": {use: func(x *Exchange, _ context.CancelFunc) { read(x); x.Context().Done() }},
		"has a child": {use: func(x *Exchange, _ context.CancelFunc) {
			read(x)
			_, cancel := context.WithCancel(x.Context())
			cancel()
		}},
		"the client has left": {use: func(x *Exchange, leave context.CancelFunc) { read(x); leave() }},
		"the watchdog has run": {use: func(x *Exchange, _ context.CancelFunc) {
			x.Watch.Arm(0, failure.ErrNoMore)
			<-x.Context().Done()
		}},
		"by net/http": {
			wrap: func(rt http.RoundTripper) http.RoundTripper { return throughNetHTTP{rt} },
			use:  func(x *Exchange, _ context.CancelFunc) { read(x) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := answering(t, test.wrap)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			x := sendTo(ctx, t, p, "second")
			if x.atRest() {
				t.Error("at rest before it has ended")
			}
			test.use(x, leave)
			if x.atRest() {
				t.Error("at rest before it has ended")
			}
			x.End()
			x.End()
			if got := x.atRest(); got != test.want {
				t.Errorf("at rest: %v, want %v", got, test.want)
			}
		})
	}
}

// What an exchange was for does not show when it is for another request.
func TestExchangeIsClearedForTheNext(t *testing.T) {
	p := answering(t, nil)
	x := sendTo(t.Context(), t, p, "second")
	_, _ = io.ReadAll(x.Response.Body)
	x.End()
	request, answer := x.Request.Header, x.Response.Header
	x.clear()
	if len(request) > 0 || len(answer) > 0 || x.Request != nil || x.Response != nil || x.body.Len() > 0 || x.client != nil || x.ctx.client != nil {
		t.Errorf("left: %v, %v and %+v", request, answer, x)
	}
	if x.atRest() {
		t.Error("at rest before it was used again")
	}
	for _, id := range []string{"third", "fourth"} {
		x.provider, x.client, x.now = p, t.Context(), time.Now
		x.begin()
		if f := x.send(&Request{Endpoint: EndpointChat, ID: id, Body: []byte(`{}`), Deadline: time.Now().Add(time.Minute), Caller: silent{}}); f != nil {
			t.Fatal(f)
		}
		if seen := x.Response.Header["X-Seen"]; len(seen) != 1 || seen[0] != id {
			t.Errorf("the server saw %v, want %s", seen, id)
		}
		_, _ = io.ReadAll(x.Response.Body)
		x.End()
		if !x.atRest() {
			t.Error("not at rest")
		}
		x.clear()
	}
}

// Whatever an exchange has come to hold, nothing of it is there for the next request: neither that it has left or was
// answered, nor a token.
func TestClearedExchangeHoldsNothing(t *testing.T) {
	x := sendTo(t.Context(), t, answering(t, nil), "second")
	_, _ = io.ReadAll(x.Response.Body)
	x.permit.cap, x.permit.slot.At, x.permit.latest = new(Cap), time.Now(), time.Now()
	x.permit.answering.Store(true)
	x.token, x.model, x.user, x.keyVersion, x.translated = "token", "model", "user", 2, true
	x.skew, x.connecting, x.unrefusable, x.at = time.Hour, true, true, time.Now()
	x.own[1], x.signed[3], x.fields[3].Value = "token", "signature", "signature"
	x.End()
	x.clear()
	kept := map[string]bool{"header": len(x.header) == 0, "body": x.body.Len() == 0, "Watch.timer": true, "Watch.wake": true}
	var check func(of reflect.Value, prefix string)
	check = func(of reflect.Value, prefix string) {
		for i := range of.NumField() {
			name, field := prefix+of.Type().Field(i).Name, of.Field(i)
			switch {
			case field.IsZero() || kept[name]:
			case field.Kind() == reflect.Struct && field.Type().PkgPath() == of.Type().PkgPath():
				check(field, name+".")
			default:
				t.Errorf("%s is still set", name)
			}
		}
	}
	check(reflect.ValueOf(x).Elem(), "")
}
