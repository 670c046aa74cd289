package upstream

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/internal/testwait"
	"github.com/caddy-alipayai/gateway/limiter"
	"github.com/caddy-alipayai/gateway/signer"
)

// timed is a scheme that only notes when it is to have signed.
type timed struct {
	signer.Scheme
	at time.Time
}

func (s *timed) Sign(m signer.Message) (signer.Signed, error) {
	s.at = m.Time
	return signer.Signed{}, nil
}

func (*timed) Traits() signer.Traits            { return signer.Traits{} }
func (*timed) SentSignature(http.Header) string { return "" }
func (*timed) AnswerField() string              { return "" }

// late has tokens that take a second.
type late struct{ UserTokens }

func (late) Fetch(context.Context, string) (token.Token, error) {
	testwait.Pass(time.Second)
	return token.Token{Access: "of the provider", Expiry: time.Now().Add(time.Hour)}, nil
}

func (late) Token(context.Context, string, string) (string, error) {
	testwait.Pass(time.Second)
	return "of the user", nil
}

// heldUntil is what other replicas hold until then.
type heldUntil time.Time

func (heldUntil) Extend(time.Time, time.Duration, string) {}

func (u heldUntil) Left(now time.Time, _ string) time.Duration { return max(time.Time(u).Sub(now), 0) }

// A signature is as old as the last wait before a connection is looked for, of whatever that was, and not as old as the request.
func TestSignedAfterEachWait(t *testing.T) {
	const second = time.Second
	for name, waits := range map[string]struct {
		on   func(*Provider, *Request)
		want time.Duration
	}{
		"nothing": {func(*Provider, *Request) {}, 0},
		"a hold":  {func(p *Provider, _ *Request) { p.SharedHold = heldUntil(time.Now().Add(second)) }, second},
		"the access token": {func(p *Provider, _ *Request) {
			p.Tokens = &token.Source{Cell: new(token.Cell), Fetcher: late{}, Now: time.Now}
		}, second},
		"the user's token": {func(p *Provider, r *Request) { p.Users, r.Tenant, r.User = late{}, "acme", "one" }, second},
		"the rate cap": {func(p *Provider, _ *Request) {
			window := limiter.NewMemoryWindow(time.Now)
			p.Cap = &Cap{
				Limit: limiter.Limit{Requests: 1, Per: second}, Window: window, Queue: limiter.NewQueue(window, time.Now),
				MaxWait: time.Minute, MaxCount: 10, MaxBytes: 1 << 20,
			}
			p.Cap.Throttled(second)
		}, second},
		"whether it may leave": {func(_ *Provider, r *Request) {
			cleared := make(chan struct{})
			r.Cleared = cleared
			time.AfterFunc(second, func() { close(cleared) })
		}, second},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				scheme := new(timed)
				p := &Provider{
					Profile: known(t, "alipay"), BaseURL: &url.URL{Scheme: "http", Host: "upstream.test"}, Timeout: time.Minute,
					Clock: new(Clock), Hold: new(Hold), Transport: &slowly{connected: func() {}}, Scheme: scheme,
				}
				r := &Request{Endpoint: EndpointChat, ID: "one", Body: []byte(`{}`), Deadline: time.Now().Add(time.Minute), Caller: silent{}}
				waits.on(p, r)
				if err := p.Prepare(); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				x, f := p.Send(t.Context(), r)
				if f != nil {
					t.Fatalf("%+v", f)
				}
				x.End()
				if got, took := scheme.at.Sub(began), time.Since(began); got < waits.want || got > took || took > waits.want+HoldSpread {
					t.Errorf("signed %v after it began, and sent after %v; want %v", got, took, waits.want)
				}
			})
		})
	}
}
