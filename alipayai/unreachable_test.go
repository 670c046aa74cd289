package alipayai_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/heldport"
	"github.com/caddy-alipayai/gateway/signer"
)

// unreachable makes providers at an address where nothing listens.
func unreachable(t *testing.T) func() *upstream.Provider {
	t.Helper()
	address := heldport.Addr(t)
	return func() *upstream.Provider { return plainProvider(t, "http://"+address) }
}

func TestUnreachableProvider(t *testing.T) {
	for name, body := range map[string]string{"JSON": chatBody("hello"), "stream": streamBody("hello")} {
		t.Run(name, func(t *testing.T) {
			p := unreachable(t)()
			var dials atomic.Int64
			p.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				dials.Add(1)
				return new(net.Dialer).DialContext(ctx, network, address)
			}
			r := startGateway(t, p)
			got := r.post("/v1/chat/completions", body)
			message := wantError(t, got, http.StatusBadGateway, failure.CodeUnreachable)
			if got.header.Get("X-Should-Retry") != "false" {
				t.Error("the client is to repeat what was repeated already")
			}
			if strings.Contains(message, p.BaseURL.Host) {
				t.Errorf("the message tells an internal address: %s", message)
			}
			if n := dials.Load(); n != alipayai.MaxAttempts {
				t.Errorf("%d dials, want %d", n, alipayai.MaxAttempts)
			}
			if got.header.Get("X-Alipayai-Attempts") != "3" {
				t.Errorf("header %v", got.header)
			}
			if o := r.outcome(); o.Attempts != alipayai.MaxAttempts || o.Status != 502 || o.Code != failure.CodeUnreachable || o.FirstByte != 0 {
				t.Errorf("outcome %+v", o)
			}
			if want := slices.Repeat([]string{"plain:" + failure.CodeUnreachable}, 3); !slices.Equal(r.seen.attempted(), want) {
				t.Errorf("attempts %v", r.seen.attempted())
			}
		})
	}
}

// A provider that is away for a moment is there for the same call's next attempt.
func TestProviderThatComesBack(t *testing.T) {
	var dials atomic.Int64
	r := newRig(t, sandbox.Config{}, first(func(p *upstream.Provider) {
		p.Tokens.Cell.Set(token.Token{}) // the token is asked for by the second dial
		p.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			if dials.Add(1) < 3 {
				return nil, errors.New("no route to host")
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		}
		p.Tokens.Fetcher = fetch(func(ctx context.Context, refresh string) (token.Token, error) {
			own := demoGrant(p)
			own.Transport = newTransport(t)
			return own.Fetch(ctx, refresh)
		})
	}))
	if got := r.chat("hello"); got.status != http.StatusOK || got.header.Get("X-Alipayai-Attempts") != "3" {
		t.Errorf("%d %s, %v", got.status, got.body, got.header)
	}
	if n := len(r.arrived.at("/v1/chat/completions")); n != 1 {
		t.Errorf("%d calls arrived", n)
	}
}

// A provider that answers no SYN is given up in time.
func TestDialThatHangs(t *testing.T) {
	p := unreachable(t)()
	p.Timeout = 50 * time.Millisecond
	p.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	r := startGateway(t, p)
	got := r.chat("hello")
	wantError(t, got, http.StatusGatewayTimeout, failure.CodeTimeout)
	if got.header.Get("X-Should-Retry") != "" {
		t.Error("tells the client not to retry what never was sent")
	}
}

func TestUnavailableProvider(t *testing.T) {
	expired := errors.New("its certificate expired on 2026-01-01")
	r := newRig(t, sandbox.Config{}, first(func(p *upstream.Provider) {
		p.Unavailable = func(now time.Time) error {
			if now.IsZero() {
				t.Error("asked without the time")
			}
			return expired
		}
	}))
	for _, got := range []reply{r.chat("hello"), r.stream("hello"), r.do(t.Context(), http.MethodGet, "/v1/models", "")} {
		message := wantError(t, got, http.StatusServiceUnavailable, failure.CodeProviderUnavailable)
		if !strings.Contains(message, expired.Error()) || !strings.Contains(message, "alipay") {
			t.Errorf("message %q does not say which and why", message)
		}
		if o := r.outcome(); o.Status != 503 || o.Code != failure.CodeProviderUnavailable || o.Attempts != 0 || o.Provider != "alipay" {
			t.Errorf("outcome %+v", o)
		}
	}
	if n := r.sim.Stats().Requests; n != 0 {
		t.Errorf("%d requests went out", n)
	}
}

// A message that cannot be signed never leaves.
func TestSigningThatFails(t *testing.T) {
	r := newRig(t, sandbox.Config{}, first(func(p *upstream.Provider) { p.Scheme = unsignable{new(signer.HMAC)} }))
	message := wantError(t, r.chat("hello"), http.StatusServiceUnavailable, failure.CodeSigningFailed)
	if !strings.Contains(message, "cannot sign") || strings.Contains(message, "no keys") {
		t.Errorf("message %q", message)
	}
	if !slices.Equal(r.seen.signing, []string{"alipay"}) {
		t.Errorf("the observer got %v", r.seen.signing)
	}
	if n := len(r.arrived.at("/v1/chat/completions")); n != 0 {
		t.Errorf("%d calls went out unsigned", n)
	}
	if o := r.outcome(); o.Attempts != 0 || o.Code != failure.CodeSigningFailed {
		t.Errorf("outcome %+v", o)
	}
}

// unsignable is a scheme without keys.
type unsignable struct{ signer.Scheme }

func (unsignable) Sign(signer.Message) (signer.Signed, error) {
	return signer.Signed{}, signer.ErrNoKeys
}
