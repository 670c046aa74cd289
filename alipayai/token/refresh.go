package token

import (
	"context"
	"fmt"
	"time"
)

const (
	// lockTimeout bounds the wait for the stored refresh token.
	lockTimeout = 5 * time.Second
	// keepTimeout bounds the keeping of a rotated one.
	keepTimeout = 3 * time.Second
)

// RefreshStore keeps a rotated refresh token where a crash cannot lose
// it. Replicas that redeem one after the other share it.
type RefreshStore interface {
	// Load gives what was stored last, of which Refresh and Issued count; the
	// zero Token when nothing is stored.
	Load(ctx context.Context) (Token, error)
	// Store replaces it.
	Store(ctx context.Context, t Token) error
	// Lock keeps all others from redeeming what is stored. It waits for
	// its turn until ctx is done.
	Lock(ctx context.Context) (unlock func(), err error)
}

// refresh redeems the newest refresh token. The one that replaces it is kept
// before it and the new access token are used: the old one is dead by then, and
// a crash in between would need a person to authorise again. asked says whether
// the endpoint was asked.
func (s *Source) refresh(shared Token) (t Token, asked bool, err error) {
	t, unlock, held := s.Cell.takePending()
	if !held {
		var before Token
		if before, unlock, err = s.newest(shared); err != nil {
			return Token{}, false, err
		}
		if !s.Redemptions.begin() {
			unlock()
			return Token{}, false, errExit
		}
		defer s.Redemptions.end()
		// All of its time for the request: an answer that is cut off may be the
		// only one with the next refresh token.
		ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
		defer cancel()
		t, err = s.Fetcher.Fetch(ctx, before.Refresh)
		if err != nil {
			unlock()
			return Token{}, true, err
		}
		// Which of two refresh tokens is dead is told by when they were issued, by clocks of replicas that may differ, or
		// of one that was set back: the one that replaces another is the later one.
		if !t.Issued.After(before.Issued) {
			t.Issued = before.Issued.Add(1)
		}
		if asked = true; t.Refresh == "" || t.Refresh == before.Refresh {
			t.Refresh = before.Refresh
			_ = s.share(ctx, t) // the others can get one like it
			unlock()
			return t, true, nil
		}
	}
	if err := s.keep(t); err != nil {
		// It is the only valid one now: the cell keeps it as pending until it can
		// be stored. Until then no replica may redeem its predecessor.
		s.Cell.setPending(t, unlock)
		return Token{}, asked, fmt.Errorf("%w: storing the rotated refresh token: %w", ErrUnavailable, err)
	}
	s.Cell.clearPending()
	unlock()
	return t, asked, nil
}

// newest locks the stored refresh token and gives the one to redeem. The store,
// the share and the cell may differ: any of them can have lost the last one.
func (s *Source) newest(shared Token) (newest Token, unlock func(), err error) {
	ctx, cancel := context.WithTimeout(context.Background(), lockTimeout)
	defer cancel()
	if unlock, err = s.Store.Lock(ctx); err != nil {
		return Token{}, nil, fmt.Errorf("%w: locking the stored refresh token: %w", ErrUnavailable, err)
	}
	stored, err := s.Store.Load(ctx)
	if err != nil {
		unlock()
		return Token{}, nil, fmt.Errorf("%w: loading the stored refresh token: %w", ErrUnavailable, err)
	}
	newest = Token{Refresh: s.RefreshToken}
	for _, t := range []Token{stored, shared, s.Cell.lastPair()} {
		if t.Refresh != "" && t.Issued.After(newest.Issued) {
			newest = t
		}
	}
	return newest, unlock, nil
}

// keep stores a rotated refresh token, for the other replicas first: they are
// the ones that could redeem its predecessor after a crash in between.
func (s *Source) keep(t Token) error {
	ctx, cancel := context.WithTimeout(context.Background(), keepTimeout)
	defer cancel()
	if err := s.share(ctx, t); err != nil {
		return err
	}
	return s.Store.Store(ctx, t)
}
