package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

var errEndpointDown = fmt.Errorf("%w: status 503, code \"server_error\"", ErrUnavailable)

func TestTokenBacksOffFromAFailingEndpoint(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		var asked []time.Time
		s := newSource(func(context.Context, string) (Token, error) {
			asked = append(asked, time.Now())
			return Token{}, errEndpointDown
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { s.Run(ctx); close(ended) }()
		// Callers come all the time, and must not make it worse.
		for range 20 {
			go func() {
				waiting, leave := context.WithTimeout(t.Context(), 100*time.Second)
				defer leave()
				if token, err := s.Token(waiting); err == nil {
					t.Errorf("got the token %q", token)
				}
			}()
		}
		time.Sleep(2 * time.Minute)
		stop()
		<-ended
		var gaps []time.Duration
		for i := 1; i < len(asked); i++ {
			gaps = append(gaps, asked[i].Sub(asked[i-1]))
		}
		want := []time.Duration{
			250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second,
			8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second,
		}
		if !slices.Equal(gaps, want) {
			t.Errorf("pauses %v, want %v", gaps, want)
		}
	})
}

func TestTokenServesOnWhileTheEndpointFails(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		const life = 30 * time.Minute
		var calls atomic.Int64
		var broken atomic.Bool
		s := newSource(func(context.Context, string) (Token, error) {
			n := calls.Add(1)
			if broken.Load() {
				return Token{}, errEndpointDown
			}
			return freshToken(fmt.Sprint("token-", n), life), nil
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { s.Run(ctx); close(ended) }()
		synctest.Wait()
		broken.Store(true)
		time.Sleep(life - 10*time.Second)
		if n := calls.Load(); n < 5 {
			t.Fatalf("%d fetches: the endpoint was not tried again", n)
		}
		wantToken(t, s, "token-1")

		time.Sleep(20 * time.Second)
		start := time.Now()
		waiting, leave := context.WithTimeout(t.Context(), 2*time.Second)
		defer leave()
		_, err := s.Token(waiting)
		if waited := time.Since(start); waited > 2*time.Second {
			t.Errorf("waited %v, longer than the caller's deadline", waited)
		}
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "status 503") {
			t.Errorf("the error does not say its reason: %v", err)
		}

		broken.Store(false)
		waiting, leave = context.WithTimeout(t.Context(), 31*time.Second)
		defer leave()
		if token, err := s.Token(waiting); err != nil || token == "token-1" {
			t.Errorf("after the endpoint's return: %q, %v", token, err)
		}
		stop()
		<-ended
	})
}

func TestTokenOfAHangingEndpoint(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := newSource(func(ctx context.Context, _ string) (Token, error) {
			<-ctx.Done()
			return Token{}, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
		})
		start := time.Now()
		waiting, leave := context.WithTimeoutCause(t.Context(), 3*time.Second, failure.ErrDeadline)
		defer leave()
		_, err := s.Token(waiting)
		if waited := time.Since(start); waited != 3*time.Second {
			t.Errorf("waited %v", waited)
		}
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, failure.ErrDeadline) {
			t.Errorf("got %v", err)
		}
		time.Sleep(fetchTimeout)
	})
}

func TestTokenRefusalIsToldAtOnce(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		calls := 0
		s := newSource(func(context.Context, string) (Token, error) {
			calls++
			return Token{}, fmt.Errorf("%w: status 401, code \"invalid_client\"", ErrRefused)
		})
		start := time.Now()
		for range 3 { // the later ones during the pause after the first
			if _, err := s.Token(t.Context()); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "invalid_client") {
				t.Errorf("got %v", err)
			}
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("waited %v for a definite no", waited)
		}
		if calls != 1 {
			t.Errorf("%d fetches at once, want 1", calls)
		}
	})
}

// A token that has expired when it arrives must not lead to endless requests.
func TestTokenThatArrivesExpired(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		var calls atomic.Int64
		s := newSource(func(context.Context, string) (Token, error) {
			calls.Add(1)
			token := freshToken("late", time.Second)
			time.Sleep(time.Second)
			return token, nil
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { s.Run(ctx); close(ended) }()
		waiting, leave := context.WithTimeout(t.Context(), time.Minute)
		defer leave()
		if _, err := s.Token(waiting); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "expired") {
			t.Errorf("got %v", err)
		}
		if n := calls.Load(); n > 10 {
			t.Errorf("%d fetches in a minute, want pauses between them", n)
		}
		stop()
		<-ended
		time.Sleep(fetchTimeout)
	})
}

func TestTokenOfAShortLife(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		calls := 0
		s := newSource(func(context.Context, string) (Token, error) {
			calls++
			return freshToken(fmt.Sprint(calls), time.Second), nil
		})
		wantToken(t, s, "1") // although it lives shorter than the usual margin
		time.Sleep(890 * time.Millisecond)
		wantToken(t, s, "1")
		time.Sleep(20 * time.Millisecond)
		wantToken(t, s, "2")
	})
}
