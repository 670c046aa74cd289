package token

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// slowly is a diary whose endpoint and store take their time, as much as they may.
type slowly struct{ *diary }

func (s slowly) Fetch(ctx context.Context, refresh string) (Token, error) {
	t, err := s.diary.Fetch(ctx, refresh) // rotated by now
	<-time.After(fetchTimeout - time.Millisecond)
	return t, err
}

func (s slowly) Store(ctx context.Context, t Token) error {
	<-time.After(keepTimeout - time.Millisecond)
	return s.diary.Store(ctx, t)
}

// At the end of the process a refresh token that is being redeemed, whoever has begun that, is waited for: its successor is
// stored by then.
func TestExitWaitsForTheNextRefreshToken(t *testing.T) {
	for name, begin := range map[string]func(ctx context.Context, s *Source){
		"in the background": func(ctx context.Context, s *Source) { s.Run(ctx) },
		"ahead":             func(_ context.Context, s *Source) { s.RefreshAhead() },
		"by a call":         func(ctx context.Context, s *Source) { _, _ = s.Token(ctx) },
		"by a call that is gone": func(ctx context.Context, s *Source) {
			gone, cancel := context.WithCancel(ctx)
			cancel()
			_, _ = s.Token(gone)
		},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				d := &diary{rotated: []string{"second"}}
				s := d.source()
				s.Redemptions = new(Redemptions)
				s.Fetcher, s.Store = slowly{d}, slowly{d}
				ctx, cancel := context.WithCancel(t.Context())
				go begin(ctx, s)
				testwait.Pass(time.Second) // the endpoint has rotated
				cancel()
				exit, done := context.WithTimeout(t.Context(), ExitTime)
				defer done()
				if err := s.Redemptions.Close(exit); err != nil {
					t.Error(err)
				}
				d.want(t, "load", "fetch with first", "store second")
				synctest.Wait()
			})
		})
	}
}

// After that no refresh token is redeemed, and what is stored stays free for the next process. Tokens that cost no refresh
// token are fetched.
func TestNoneIsRedeemedAtTheExit(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		d := &diary{rotated: []string{"second"}}
		s := d.source()
		s.Redemptions = new(Redemptions)
		if err := s.Redemptions.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Token(ctx); !errors.Is(err, ErrUnavailable) {
			t.Errorf("error %v", err)
		}
		for _, entry := range d.entries {
			if entry != "load" {
				t.Errorf("it happened: %s", entry)
			}
		}
		if d.locked {
			t.Error("what is stored is locked still")
		}
		plain := newSource(func(context.Context, string) (Token, error) { return freshToken("access", time.Hour), nil })
		plain.Redemptions = s.Redemptions
		wantToken(t, plain, "access")
	})
}

// It waits no longer than it may, and a second Close waits as well.
func TestExitGivesUp(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		r := new(Redemptions)
		if !r.begin() {
			t.Fatal("refused")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		time.AfterFunc(time.Second, r.end)
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
