package alipayai_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/signer"
)

// dialer replaces how p connects.
func dialer(dial func(n int64, ctx context.Context, network, address string) (net.Conn, error)) func(*alipayai.Gateway) {
	return first(func(p *upstream.Provider) {
		var dials atomic.Int64
		p.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			return dial(dials.Add(1), ctx, network, address)
		}
	})
}

// Calls that are held up while they connect must not arrive on top of those that leave a window later.
func TestSlowDialsDoNotBunchUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const perWindow = 20
		k := newCap(perWindow, time.Second)
		r := newRig(t, sandbox.Config{}, capped(k),
			dialer(func(n int64, ctx context.Context, network, address string) (net.Conn, error) {
				if n > 1 && n <= 1+perWindow {
					// All of the first window, until the next is used up.
					held := time.NewTimer(1450 * time.Millisecond)
					defer held.Stop()
					select {
					case <-held.C:
					case <-ctx.Done():
					}
				}
				return networkOf(t).DialContext(ctx, network, address)
			}))
		if _, err := r.provider.Tokens.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.provider.Transport.(*http.Transport).DisableKeepAlives = true // or they would take over each other's connections
		for i, got := range r.burst(50) {
			if got.status != http.StatusOK {
				t.Errorf("call %d: %d %s %v", i, got.status, got.body, got.err)
			}
		}
		if n := r.arrived.most(chatPath, time.Second); n > perWindow {
			t.Errorf("%d arrivals in a second, want at most %d", n, perWindow)
		}
		if n := len(r.arrived.at(chatPath)); n != 50 {
			t.Errorf("%d arrivals, want 50", n)
		}
	})
}

// What never got a connection has used no permit: with two in the window, the third dial still takes one.
func TestUnconnectedAttemptsGiveTheirSlotBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		k := newCap(2, time.Hour)
		k.MaxWait = time.Second
		r := newRig(t, sandbox.Config{}, capped(k))
		if _, err := r.provider.Tokens.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		transport := r.provider.Transport.(*http.Transport)
		transport.CloseIdleConnections()
		transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("no route to host")
		}
		for range 3 {
			wantError(t, r.chat("unreachable"), http.StatusBadGateway, failure.CodeUnreachable)
		}
		if n := len(r.seen.permitted()); n != 9 {
			t.Errorf("%d permits, want 9 of 3 calls", n)
		}
		transport.DialContext = networkOf(t).DialContext
		for range 2 {
			if got := r.chat("hello"); got.status != http.StatusOK {
				t.Errorf("%d %s", got.status, got.body)
			}
		}
		wantError(t, r.chat("one too many"), http.StatusTooManyRequests, "queue_deadline")
	})
}

// A slot that is given back is there for who waits at once, though a later one was booked for it.
func TestSlotGivenBackServesTheQueue(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		refuse := make(chan struct{})
		r := newRig(t, sandbox.Config{}, capped(newCap(1, 8*time.Second)))
		if _, err := r.provider.Tokens.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		transport := r.provider.Transport.(*http.Transport)
		transport.CloseIdleConnections()
		var dials atomic.Int64
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			if dials.Add(1) == 1 {
				select {
				case <-refuse:
				case <-ctx.Done():
				}
				return nil, context.Canceled
			}
			return networkOf(t).DialContext(ctx, network, address)
		}
		ctx, leave := context.WithCancel(t.Context())
		began := time.Now()
		gone := r.inBackground(ctx, chatBody("leaves while it connects"))
		waitFor(t, "the dial", func() bool { return dials.Load() == 1 })
		waiting := r.inBackground(t.Context(), chatBody("waits"))
		waitFor(t, "the call to wait", func() bool { return r.waiting() == 1 })
		leave()
		close(refuse)
		receive(t, gone, "the client")
		if got := receive(t, waiting, "the call that waits"); got.status != http.StatusOK {
			t.Errorf("%d %s", got.status, got.body)
		}
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("it waited %v, longer than for the slot given back", took)
		}
	})
}

// A request that cannot be signed uses no permit.
func TestUnsignedRequestGivesItsSlotBack(t *testing.T) {
	k := newCap(1, time.Hour)
	r := newRig(t, sandbox.Config{}, capped(k))
	signs := r.provider.Scheme
	r.provider.Scheme = unsignable{new(signer.HMAC)}
	wantError(t, r.chat("hello"), http.StatusServiceUnavailable, failure.CodeSigningFailed)
	r.provider.Scheme = signs
	if got := r.chat("hello"); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
}
