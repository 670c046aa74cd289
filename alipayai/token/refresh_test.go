package token

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// diary is a token endpoint that rotates refresh tokens and a store for them.
// Both write down what happens, in one list.
type diary struct {
	cell *Cell

	mu      sync.Mutex
	entries []string
	stored  Token
	locked  bool
	// rotated names the tokens that the endpoint gives out, one after the other.
	rotated []string
	// loadErr and storeErr are what the store fails with.
	loadErr, storeErr error
}

func (d *diary) note(entry string) {
	if live, ok := d.cell.Peek(); ok {
		entry += " while " + live.Access + " serves"
	}
	d.entries = append(d.entries, entry)
}

func (d *diary) Fetch(_ context.Context, refreshToken string) (Token, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.note("fetch with " + refreshToken)
	token := freshToken("access-of-"+refreshToken, 30*time.Minute)
	if len(d.rotated) > 0 {
		token.Refresh, d.rotated = d.rotated[0], d.rotated[1:]
	}
	return token, nil
}

func (d *diary) Load(context.Context) (Token, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.note("load")
	return d.stored, d.loadErr
}

func (d *diary) Store(_ context.Context, t Token) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.note("store " + t.Refresh)
	if d.storeErr != nil {
		return d.storeErr
	}
	d.stored = t
	return nil
}

// Lock fails where it would have to wait: these tests have one replica.
func (d *diary) Lock(context.Context) (func(), error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.locked {
		return nil, errors.New("it is locked already")
	}
	d.locked = true
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.locked = false
	}, nil
}

func (d *diary) fail(load, store error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.loadErr, d.storeErr = load, store
}

// source is a process that starts: with an empty cell, and the first refresh token configured.
func (d *diary) source() *Source {
	d.cell = new(Cell)
	return &Source{Cell: d.cell, Fetcher: d, Store: d, RefreshToken: "first", Now: time.Now}
}

func (d *diary) want(t *testing.T, entries ...string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.entries, entries) {
		t.Errorf("it happened:\n  %s\nwant:\n  %s", strings.Join(d.entries, "\n  "), strings.Join(entries, "\n  "))
	}
	d.entries = nil
}

func TestRotatedRefreshTokenIsStoredBeforeUse(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		d := &diary{rotated: []string{"second", "third"}}
		s := d.source()
		wantToken(t, s, "access-of-first")
		// "while … serves" is missing at the store: no caller had the token yet.
		d.want(t, "load", "fetch with first", "store second")

		time.Sleep(30 * time.Minute)
		wantToken(t, s, "access-of-second")
		d.want(t, "load while access-of-first serves", "fetch with second while access-of-first serves", "store third while access-of-first serves")
	})
}

func TestRefreshTokenThatDoesNotRotateIsNotStored(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		d := &diary{rotated: []string{"first"}}
		s := d.source()
		wantToken(t, s, "access-of-first")
		s.Drop("access-of-first")
		wantToken(t, s, "access-of-first")
		d.want(t, "load", "fetch with first", "load", "fetch with first")
	})
}

func TestRefreshTokenSurvivesACrash(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		d := &diary{rotated: []string{"second"}}
		wantToken(t, d.source(), "access-of-first")
		d.want(t, "load", "fetch with first", "store second")
		// A new process, configured with the token that is dead by now.
		wantToken(t, d.source(), "access-of-second")
		d.want(t, "load", "fetch with second")
	})
}

func TestRefreshTokenThatCannotBeStored(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		full := errors.New("no space left")
		d := &diary{rotated: []string{"second"}}
		s := d.source()
		d.fail(nil, full)
		waiting, leave := context.WithTimeout(t.Context(), 700*time.Millisecond)
		defer leave()
		_, err := s.Token(waiting)
		if !errors.Is(err, full) || !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		if strings.Contains(err.Error(), "second") {
			t.Errorf("the error contains the token: %v", err)
		}
		// The only living one is neither lost nor used: what is tried again is to store it.
		d.want(t, "load", "fetch with first", "store second", "store second")
		if !d.locked {
			t.Error("others may redeem the token that is dead by now")
		}

		d.fail(nil, nil)
		if token, err := s.Token(t.Context()); err != nil || token != "access-of-first" {
			t.Errorf("got %q, %v", token, err)
		}
		d.want(t, "store second")
		s.Drop("access-of-first")
		wantToken(t, s, "access-of-second")
		d.want(t, "load", "fetch with second")
	})
}

func TestRefreshTokenHeldLongerThanItsAccessTokenLives(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		d := &diary{rotated: []string{"second"}}
		s := d.source()
		d.fail(nil, errors.New("no space left"))
		waiting, leave := context.WithTimeout(t.Context(), time.Hour)
		defer leave()
		if _, err := s.Token(waiting); err == nil {
			t.Fatal("no error although nothing can be stored")
		}
		d.fail(nil, nil)
		if token, err := s.Token(t.Context()); err != nil || token != "access-of-second" {
			t.Errorf("got %q, %v", token, err)
		}
	})
}

func TestRefreshTokenThatCannotBeLoaded(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		away := errors.New("storage is away")
		d := &diary{}
		s := d.source()
		d.fail(away, nil)
		waiting, leave := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer leave()
		if _, err := s.Token(waiting); !errors.Is(err, away) || !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		// The configured token may be dead: it must not be tried on a guess.
		d.want(t, "load")
		d.fail(nil, nil)
		if token, err := s.Token(t.Context()); err != nil || token != "access-of-first" {
			t.Errorf("got %q, %v", token, err)
		}
	})
}

// The simulator kills a refresh token as it gives out the next.
func TestRotationAgainstTheSimulator(t *testing.T) {
	store := new(memoryStore)
	sim := newSimulator(t, sandbox.Config{RotateRefreshTokens: true})
	source := func() *Source {
		return &Source{Cell: new(Cell), Fetcher: sim.grant(), RefreshToken: sandbox.DemoRefreshToken, Store: store, Now: time.Now}
	}
	s := source()
	for range 3 {
		if _, err := s.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		token, _ := s.Cell.Peek()
		if token.Refresh == "" || token.Refresh != store.token.Refresh {
			t.Error("the stored refresh token is not the newest")
		}
		s.Drop(token.Access)
	}
	restarted := source()
	if _, err := restarted.Token(t.Context()); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if n := sim.Stats().TokenFetches["refresh_token"]; n != 4 {
		t.Errorf("%d fetches, want 4", n)
	}
}

// memoryStore is a store that replicas share.
type memoryStore struct {
	turn  chan struct{} // of one, where there are several replicas
	token Token
	err   error // of storing
}

func (m *memoryStore) Load(context.Context) (Token, error) { return m.token, nil }

func (m *memoryStore) Store(_ context.Context, t Token) error {
	if m.err == nil {
		m.token = t
	}
	return m.err
}

func (m *memoryStore) Lock(ctx context.Context) (func(), error) {
	if m.turn == nil {
		return func() {}, nil
	}
	select {
	case m.turn <- struct{}{}:
		return func() { <-m.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
