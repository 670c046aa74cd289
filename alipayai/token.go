package alipayai

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// tokenMargin is the life a token must still have to be sent, at most a
	// tenth of it: it has to survive the way to the server.
	tokenMargin = 5 * time.Second
	// fetchTimeout bounds one request to a token endpoint.
	fetchTimeout = 10 * time.Second
	// refreshAt is the part of a token's life after which it is renewed, less
	// up to refreshJitter, so that replicas do not come all at once.
	refreshAt, refreshJitter = 0.8, 0.05
)

// RefreshTokenStore keeps a rotated refresh token where a crash cannot lose
// it. Load gives "" when nothing is stored.
type RefreshTokenStore interface {
	Load(ctx context.Context) (refreshToken string, err error)
	Store(ctx context.Context, refreshToken string) error
}

// Fetcher gets one token from an endpoint, as Grant does.
type Fetcher interface {
	Fetch(ctx context.Context, refreshToken string) (Token, error)
}

// TokenSource keeps one client's access token alive. Callers never wait while
// the old token is valid; however many wait, one request is under way.
type TokenSource struct {
	// Cell holds the token. Sources of an old and a new configuration share it.
	Cell *TokenCell
	// Fetcher gets tokens.
	Fetcher Fetcher
	// RefreshToken is the first refresh token of a refresh_token grant; empty
	// for client_credentials.
	RefreshToken string
	// Store keeps rotated refresh tokens; nil with client_credentials.
	Store RefreshTokenStore
	// Now is the local time.
	Now func() time.Time
	// OnFetch, if set, is told of every fetch's end.
	OnFetch func(err error)
}

// String hides the refresh token.
func (s TokenSource) String() string { return "[token source]" }

// GoString hides the refresh token.
func (s TokenSource) GoString() string { return s.String() }

// Token gives an access token that is valid for some seconds more. When there
// is none it waits for one, until ctx is done; the error then wraps the reason
// (ErrTokenRefused, ErrTokenUnavailable) and ctx's cause.
func (s *TokenSource) Token(ctx context.Context) (string, error) {
	for {
		now := s.Now()
		if t := s.Cell.live.Load(); t != nil && t.valid(now) {
			return t.Access, nil
		}
		flight, err := s.fetch(now)
		if flight == nil {
			if errors.Is(err, ErrTokenRefused) {
				return "", err
			}
			// The endpoint is left alone for a moment: wait for its end.
			select {
			case <-ctx.Done():
				return "", s.gaveUp(ctx, err)
			case <-time.After(s.Cell.pause(now)):
			}
			continue
		}
		select {
		case <-ctx.Done():
			return "", s.gaveUp(ctx, s.Cell.lastError())
		case <-flight:
			if err := s.Cell.lastError(); errors.Is(err, ErrTokenRefused) {
				return "", err
			}
		}
	}
}

func (s *TokenSource) gaveUp(ctx context.Context, last error) error {
	if last == nil {
		last = ErrTokenUnavailable
	}
	return fmt.Errorf("%w (waited: %w)", last, context.Cause(ctx))
}

// Drop forgets an access token that the API refused.
func (s *TokenSource) Drop(access string) { s.Cell.drop(access) }

// Run renews the token in the background, at about 80 % of its life, until
// ctx is done. It fetches the first one at once.
func (s *TokenSource) Run(ctx context.Context) {
	for {
		wait := s.untilRefresh(s.Now())
		if wait <= 0 {
			flight, _ := s.fetch(s.Now())
			if flight != nil {
				select {
				case <-ctx.Done():
					return
				case <-flight:
				}
			}
			wait = s.Cell.pause(s.Now())
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// untilRefresh is how long the live token needs no renewal.
func (s *TokenSource) untilRefresh(now time.Time) time.Duration {
	t, ok := s.Cell.Peek()
	if !ok {
		return 0
	}
	life := t.Expiry.Sub(t.Issued)
	part := refreshAt - refreshJitter*rand.Float64()
	// A token dropped by a caller is noticed within a minute at the latest.
	return min(t.Issued.Add(time.Duration(part*float64(life))).Sub(now), time.Minute)
}

// fetch starts a request unless one is under way, and gives what to wait for.
func (s *TokenSource) fetch(now time.Time) (chan struct{}, error) {
	flight, mine, err := s.Cell.begin(now)
	if mine {
		// Detached from every caller: one that leaves must not end the
		// request that the others wait for.
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
			defer cancel()
			t, err := s.renew(ctx)
			now := s.Now()
			if err == nil && !t.valid(now) {
				// A failure like others: it would be asked for without a pause.
				err = fmt.Errorf("%w: the token it gave has expired already", ErrTokenUnavailable)
			}
			s.Cell.end(t, err, now)
			if s.OnFetch != nil {
				s.OnFetch(err)
			}
		}()
	}
	return flight, err
}

// renew makes one request. A rotated refresh token is stored before it and the
// new access token are used: the old one is dead by then, and a crash in
// between would need a person to authorise again.
func (s *TokenSource) renew(ctx context.Context) (Token, error) {
	if s.RefreshToken == "" {
		return s.Fetcher.Fetch(ctx, "")
	}
	t, held := s.Cell.unstored()
	if !held {
		refresh, err := s.currentRefreshToken(ctx)
		if err != nil {
			return Token{}, err
		}
		t, err = s.Fetcher.Fetch(ctx, refresh)
		if err != nil || t.Refresh == "" || t.Refresh == refresh {
			return t, err
		}
	}
	// A rotated token that cannot be stored is still the only living one:
	// the cell holds it until it can.
	if err := s.Store.Store(ctx, t.Refresh); err != nil {
		s.Cell.hold(t)
		return Token{}, fmt.Errorf("%w: storing the rotated refresh token: %w", ErrTokenUnavailable, err)
	}
	s.Cell.keepRefreshToken(t.Refresh)
	return t, nil
}

func (s *TokenSource) currentRefreshToken(ctx context.Context) (string, error) {
	if t := s.Cell.refreshToken(); t != "" {
		return t, nil
	}
	stored, err := s.Store.Load(ctx)
	if err != nil {
		return "", fmt.Errorf("%w: loading the stored refresh token: %w", ErrTokenUnavailable, err)
	}
	if stored == "" {
		stored = s.RefreshToken
	}
	s.Cell.keepRefreshToken(stored)
	return stored, nil
}
