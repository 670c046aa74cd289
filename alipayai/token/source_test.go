package token

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// fetcherFunc is a Fetcher made of a function.
type fetcherFunc func(ctx context.Context, refreshToken string) (Token, error)

func (f fetcherFunc) Fetch(ctx context.Context, refreshToken string) (Token, error) {
	return f(ctx, refreshToken)
}

// newSource gives a source with an empty cell.
func newSource(fetch fetcherFunc) *Source {
	return &Source{Cell: new(Cell), Fetcher: fetch, Now: time.Now}
}

// freshToken is a token that begins to live now.
func freshToken(access string, life time.Duration) Token {
	now := time.Now()
	return Token{Access: access, Issued: now, Expiry: now.Add(life)}
}

// wantToken asks for a token and demands that it is want, without any waiting.
func wantToken(t *testing.T, s *Source, want string) {
	t.Helper()
	start := time.Now()
	got, err := s.Token(t.Context())
	if err != nil || got != want {
		t.Errorf("token %q, want %q (%v)", got, want, err)
	}
	if waited := time.Since(start); waited > 0 {
		t.Errorf("waited %v for a token that was there", waited)
	}
}

func TestTokenIsFetchedOnceForAllCallers(t *testing.T) {
	sim := newSimulator(t, sandbox.Config{})
	s := &Source{Cell: new(Cell), Fetcher: sim.grant(), Now: time.Now}
	sim.set(sandbox.Fault{Kind: sandbox.Latency, Path: "/oauth2/token", Delay: 100 * time.Millisecond})
	const callers = 200
	tokens := make(chan string, callers)
	var begin, all sync.WaitGroup
	begin.Add(1)
	for range callers {
		all.Go(func() {
			begin.Wait()
			token, err := s.Token(t.Context())
			if err != nil {
				t.Error(err)
			}
			tokens <- token
		})
	}
	begin.Done()
	all.Wait()
	close(tokens)
	distinct := make(map[string]int)
	for token := range tokens {
		distinct[token]++
	}
	if len(distinct) != 1 {
		t.Errorf("%d callers got %d tokens", callers, len(distinct))
	}
	if n := sim.Stats().TokenFetches["client_credentials"]; n != 1 {
		t.Errorf("%d callers caused %d fetches", callers, n)
	}
}

func TestTokenIsRenewedInTheBackground(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		const life = 30 * time.Minute
		var fetched []time.Time
		s := newSource(func(context.Context, string) (Token, error) {
			fetched = append(fetched, time.Now())
			return freshToken(fmt.Sprint(len(fetched)), life), nil
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		start := time.Now()
		go func() { s.Run(ctx); close(ended) }()
		time.Sleep(20 * life)
		stop()
		<-ended
		if len(fetched) < 20 || !fetched[0].Equal(start) {
			t.Fatalf("%d fetches, the first after %v", len(fetched), fetched[0].Sub(start))
		}
		least, most := life, time.Duration(0)
		for i := 1; i < len(fetched); i++ {
			gap := fetched[i].Sub(fetched[i-1])
			least, most = min(least, gap), max(most, gap)
		}
		if least < life*3/4 || most > life*4/5 {
			t.Errorf("renewed after %v to %v, want within 75 %% to 80 %% of %v", least, most, life)
		}
		if least == most {
			t.Error("renewed at the same age every time, want jitter")
		}
	})
}

func TestTokenCallersNeverWaitWhileTheOldOneIsValid(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		const life = 30 * time.Minute
		var calls atomic.Int64
		s := newSource(func(ctx context.Context, _ string) (Token, error) {
			if calls.Add(1) == 1 {
				return freshToken("old", life), nil
			}
			<-ctx.Done() // hangs until its time is over
			return Token{}, ErrUnavailable
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { s.Run(ctx); close(ended) }()
		synctest.Wait()
		for range int(life/time.Second) - 6 { // it is not sent in its last five seconds
			time.Sleep(time.Second)
			wantToken(t, s, "old")
		}
		if calls.Load() < 2 {
			t.Error("no renewal was in flight: the test shows nothing")
		}
		stop()
		<-ended
		time.Sleep(fetchTimeout)
	})
}

func TestTokenFetchSurvivesALeavingCaller(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		calls := 0
		s := newSource(func(ctx context.Context, _ string) (Token, error) {
			calls++
			select {
			case <-ctx.Done():
				return Token{}, ctx.Err()
			case <-time.After(2 * time.Second):
				return freshToken("shared", time.Hour), nil
			}
		})
		left := errors.New("the caller left")
		leaving, leave := context.WithCancelCause(t.Context())
		first, second := make(chan error), make(chan string)
		go func() { _, err := s.Token(leaving); first <- err }()
		synctest.Wait()
		go func() { token, _ := s.Token(t.Context()); second <- token }()
		time.Sleep(time.Second)
		leave(left)
		if err := <-first; !errors.Is(err, left) || !errors.Is(err, ErrUnavailable) {
			t.Errorf("the caller that left got %v", err)
		}
		if token := <-second; token != "shared" {
			t.Errorf("the caller that stayed got %q", token)
		}
		if calls != 1 {
			t.Errorf("%d fetches, want 1", calls)
		}
	})
}

// A reload makes a second source over the cell of the first.
func TestTokenCellIsSharedAcrossAReload(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		calls := 0
		fetch := func(context.Context, string) (Token, error) {
			calls++
			time.Sleep(time.Second)
			return freshToken("shared", time.Hour), nil
		}
		before := newSource(fetch)
		after := newSource(fetch)
		after.Cell = before.Cell
		got := make(chan string, 2)
		for _, s := range []*Source{before, after} {
			go func() { token, _ := s.Token(t.Context()); got <- token }()
		}
		if a, b := <-got, <-got; a != "shared" || b != "shared" {
			t.Errorf("got %q and %q", a, b)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { after.Run(ctx); close(ended) }()
		time.Sleep(10 * time.Minute)
		if calls != 1 {
			t.Errorf("%d fetches, want 1: the token lives on", calls)
		}
		stop()
		<-ended
	})
}

func TestTokenDropForgetsThatTokenOnly(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		calls := 0
		s := newSource(func(context.Context, string) (Token, error) {
			calls++
			return freshToken(fmt.Sprint("token-", calls), time.Hour), nil
		})
		wantToken(t, s, "token-1")
		s.Drop("token-0")
		wantToken(t, s, "token-1")
		s.Drop("token-1")
		wantToken(t, s, "token-2")
		s.Drop("token-1") // a late refusal of the one before
		wantToken(t, s, "token-2")
		if calls != 2 {
			t.Errorf("%d fetches, want 2", calls)
		}
	})
}

func TestTokenIsReplacedAfterADropWithoutCallers(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		calls := 0
		s := newSource(func(context.Context, string) (Token, error) {
			calls++
			return freshToken(fmt.Sprint("token-", calls), time.Hour), nil
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { s.Run(ctx); close(ended) }()
		synctest.Wait()
		s.Drop("token-1")
		time.Sleep(time.Minute)
		synctest.Wait()
		if live, ok := s.Cell.Peek(); !ok || live.Access != "token-2" {
			t.Errorf("a minute after the drop the cell holds %v", live)
		}
		stop()
		<-ended
	})
}
