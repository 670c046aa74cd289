// Package token keeps OAuth access tokens alive: fetched ahead of their end, once for
// all callers and, through a shared store, once for all replicas.
package token

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

// Fetcher gets one token from an endpoint, as Grant does.
type Fetcher interface {
	Fetch(ctx context.Context, refreshToken string) (Token, error)
}

// Source keeps one client's access token alive. Callers never wait while
// the old token is valid; for all that wait, one request is in flight.
type Source struct {
	// Cell holds the token. Sources of an old and a new configuration share it.
	Cell *Cell
	// Fetcher gets tokens.
	Fetcher Fetcher
	// RefreshToken is the first refresh token of a refresh_token grant; empty
	// for client_credentials.
	RefreshToken string
	// Store keeps rotated refresh tokens; nil with client_credentials.
	Store RefreshStore
	// Redemptions counts the refresh tokens that are being redeemed, for the end of the process; nil for nothing.
	Redemptions *Redemptions
	// Share is where replicas have the token in common; nil for none.
	Share Share
	// Hold, if set, is called when a token begins to be fetched, and what it gives when that has ended, which may be after all who
	// asked for it: until then Share and Store are used.
	Hold func() (release func())
	// Now is the local time.
	Now func() time.Time
	// OnFetch, if set, is called at every fetch's end.
	OnFetch func(err error)
	// OnShare, if set, is called when Share begins to fail, and with nil when it
	// works again. It gets seal.ErrSealed once.
	OnShare func(err error)
}

// String hides the refresh token.
func (s Source) String() string { return "[token source]" }

// GoString hides the refresh token.
func (s Source) GoString() string { return s.String() }

// Token gives an access token that is valid for some seconds more. When there
// is none it waits for one, until ctx is done; the error then wraps the reason
// (ErrRefused, ErrUnavailable) and ctx's cause.
func (s *Source) Token(ctx context.Context) (string, error) {
	for {
		now := s.Now()
		if access, ok := s.Cell.Live(now); ok {
			return access, nil
		}
		flight, err := s.fetch(now)
		if flight == nil {
			if errors.Is(err, ErrRefused) {
				return "", err
			}
			// The endpoint is not asked for a moment: wait for its end.
			select {
			case <-ctx.Done():
				return "", s.gaveUp(ctx, err)
			case <-time.After(s.Cell.Pause(now)):
			}
			continue
		}
		select {
		case <-ctx.Done():
			return "", s.gaveUp(ctx, s.Cell.LastError())
		case <-flight:
			if err := s.Cell.LastError(); errors.Is(err, ErrRefused) {
				return "", err
			}
		}
	}
}

func (s *Source) gaveUp(ctx context.Context, last error) error {
	if last == nil {
		last = ErrUnavailable
	}
	return fmt.Errorf("%w (waited: %w)", last, context.Cause(ctx))
}

// Drop forgets an access token that the API refused, for all replicas, and reports whether another one may help: see [Cell.Refuse].
func (s *Source) Drop(access string) (another bool) { return s.Cell.Refuse(access, s.Now()) }

// Run renews the token in the background, at about 80 % of its life, until
// ctx is done. It fetches the first one at once.
func (s *Source) Run(ctx context.Context) {
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
			wait = s.Cell.Pause(s.Now())
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// RefreshAhead begins to renew the token if it is time for that, and waits for nothing. It is for
// sources that no Run keeps.
func (s *Source) RefreshAhead() {
	if now := s.Now(); s.untilRefresh(now) <= 0 {
		_, _ = s.fetch(now)
	}
}

// untilRefresh is how long the live token needs no renewal.
func (s *Source) untilRefresh(now time.Time) time.Duration {
	t, ok := s.Cell.Peek()
	if !ok {
		return 0
	}
	life := t.Expiry.Sub(t.Issued)
	part := refreshAt - refreshJitter*rand.Float64()
	// A token dropped by a caller is noticed within a minute at the latest.
	return min(t.Issued.Add(time.Duration(part*float64(life))).Sub(now), time.Minute)
}

// fetch starts a request unless one is in flight, and returns what to wait for.
func (s *Source) fetch(now time.Time) (chan struct{}, error) {
	flight, mine, err := s.Cell.begin(now)
	if mine {
		// Detached from every caller: one that leaves must not end the
		// request that the others wait for.
		release := func() {}
		if s.Hold != nil {
			release = s.Hold()
		}
		go func() {
			defer release()
			t, asked, err := s.renew()
			now := s.Now()
			if err == nil && !t.valid(now) {
				// A failure like others: it would be asked for without a pause.
				err = fmt.Errorf("%w: the token it gave has expired already", ErrUnavailable)
			}
			s.Cell.end(t, asked, err, now)
			// What the store fails with is for OnShare.
			if s.OnFetch != nil && (asked || err != nil && !errors.Is(err, ErrStore)) {
				s.OnFetch(err)
			}
		}()
	}
	return flight, err
}

// renew gets a newer token: one that another replica has got meanwhile, or by a
// request of its own. asked says whether the endpoint was asked.
func (s *Source) renew() (t Token, asked bool, err error) {
	release, shared, err := s.lead()
	if release == nil {
		return shared, false, err
	}
	defer func() {
		// While a pair is held the lease goes on with the next attempt, or
		// ends by itself.
		if _, _, held := s.Cell.takePending(); !held {
			release()
		}
	}()
	if s.RefreshToken != "" {
		return s.refresh(shared)
	}
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	if t, err = s.Fetcher.Fetch(ctx, ""); err == nil {
		_ = s.share(ctx, t) // without it each replica has its own
	}
	return t, true, err
}
