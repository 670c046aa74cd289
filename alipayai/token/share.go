package token

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-alipayai/gateway/internal/seal"
)

const (
	// leaseLife is how long a replica may be the one that asks for a token.
	// Another one after that is no harm, and sooner than calls give up.
	leaseLife = 3 * time.Second
	// refreshLeaseLife is that where a refresh token is redeemed: lockTimeout,
	// fetchTimeout and keepTimeout fit in.
	refreshLeaseLife = 20 * time.Second
	// leasePoll is how often the others look for what it brings.
	leasePoll = 100 * time.Millisecond
)

// ErrStore is a shared store that cannot be reached.
var ErrStore = errors.New("store of the shared token is unavailable")

// Share is where replicas have one client's token in common, and agree on
// who asks for the next. Its errors are ErrStore and seal.ErrSealed, and
// hold no token.
type Share interface {
	// Load gives the token that was stored last, without Access if that was
	// dropped; the zero Token when there is none.
	Load(ctx context.Context) (Token, error)
	// Store shares t for the rest of its life.
	Store(ctx context.Context, t Token) error
	// Drop forgets the access token for all if it is still this one.
	Drop(ctx context.Context, access string) error
	// Lease takes the right to ask, for life at most; ok is false while
	// another replica has it. Who has it already has it for life from now.
	Lease(ctx context.Context, life time.Duration) (release func(), ok bool, err error)
}

// lead waits until this replica is the one that may ask the endpoint for a token.
// It returns the function that ends that, and the token that is shared at the
// time. release is nil if shared is a newer live token, and the endpoint need not
// be asked.
//
// While the store is away each replica leads, since a token more does no harm.
// With a refresh token, which must be redeemed only once, it fails instead.
func (s *Source) lead() (release func(), shared Token, err error) {
	noRelease := func() {}
	if s.Share == nil {
		return noRelease, Token{}, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), refreshLeaseLife+fetchTimeout)
	defer cancel()
	for {
		release, shared, err = s.tryLead(ctx)
		s.shareSaid(err)
		switch {
		case err != nil && s.RefreshToken == "":
			return noRelease, Token{}, nil
		case err != nil:
			return nil, Token{}, fmt.Errorf("%w: %w", ErrUnavailable, bare(err))
		case release != nil:
			return release, shared, nil
		case s.Cell.wants(shared, s.Now()):
			return nil, shared, nil
		}
		if live, ok := s.fresh(s.Now()); ok {
			return nil, live, nil
		}
		select {
		case <-time.After(leasePoll):
		case <-ctx.Done():
			if s.RefreshToken == "" {
				return noRelease, Token{}, nil
			}
			return nil, Token{}, fmt.Errorf("%w: other replicas keep asking in vain", ErrUnavailable)
		}
	}
}

// tryLead takes the lease if it is free and then loads the shared token. The order
// matters: the holder before may have stored a token until it released the lease.
// release is nil if another replica has the lease or no token need be fetched.
func (s *Source) tryLead(ctx context.Context) (release func(), shared Token, err error) {
	if refused := s.Cell.lastRefused(); refused != "" {
		if err := s.Share.Drop(ctx, refused); err != nil {
			return nil, Token{}, err
		}
	}
	life := leaseLife
	if s.RefreshToken != "" {
		life = refreshLeaseLife
	}
	release, ok, err := s.Share.Lease(ctx, life)
	if err != nil {
		return nil, Token{}, err
	}
	shared, err = s.Share.Load(ctx)
	switch {
	case !ok:
		release = nil
	case err != nil || s.Cell.wants(shared, s.Now()):
		release()
		release = nil
	default:
		if _, ok := s.fresh(s.Now()); ok { // it was offered to the cell since this began
			release()
			release = nil
		}
	}
	return release, shared, err
}

// fresh gives the live token if it needs no renewal yet.
func (s *Source) fresh(now time.Time) (Token, bool) {
	t, ok := s.Cell.Peek()
	return t, ok && t.valid(now) && now.Before(t.Issued.Add(time.Duration((refreshAt-refreshJitter)*float64(t.Expiry.Sub(t.Issued)))))
}

// share gives the other replicas a token.
func (s *Source) share(ctx context.Context, t Token) error {
	if s.Share == nil {
		return nil
	}
	err := s.Share.Store(ctx, t)
	s.shareSaid(err)
	return bare(err)
}

// bare takes from a share's error what is for OnShare only, such as addresses:
// callers may show theirs to clients.
func bare(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, seal.ErrSealed):
		return seal.ErrSealed
	default:
		return ErrStore
	}
}

// shareSaid reports a change of the store's state to OnShare.
func (s *Source) shareSaid(err error) {
	if s.Cell.shareChanged(err) && s.OnShare != nil {
		s.OnShare(err)
	}
}
