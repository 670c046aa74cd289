package stored

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"path"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/internal/seal"
)

// RefreshTokens keeps the newest refresh token of one grant, encrypted,
// in a storage, which every replica may share. It is a [token.RefreshStore].
type RefreshTokens struct {
	storage certmagic.Storage
	key     string // in the storage
	seal    *seal.Seal
}

// NewRefreshTokens makes the store of the grant that began with the token
// first. A new first token, after a person has authorised anew, begins a new
// grant: what was kept for the old one is not looked at again.
func NewRefreshTokens(storage certmagic.Storage, sealing *seal.Seal, url, clientID, first string) (*RefreshTokens, error) {
	if sealing == nil {
		return nil, errors.New("refresh_token needs the global option encryption_key: the tokens that replace it are kept encrypted with that")
	}
	id := replay.NewKey(url, clientID, first)
	return &RefreshTokens{
		storage: storage,
		key:     path.Join("alipayai", "refresh_tokens", hex.EncodeToString(id[:16])),
		seal:    sealing,
	}, nil
}

// Load implements token.RefreshStore.
func (s *RefreshTokens) Load(ctx context.Context) (token.Token, error) {
	sealed, err := s.storage.Load(ctx, s.key)
	if errors.Is(err, fs.ErrNotExist) {
		return token.Token{}, nil
	}
	if err != nil {
		return token.Token{}, err
	}
	return token.Open(s.seal, s.key, sealed)
}

// Store implements token.RefreshStore. It leaves out the access token:
// only Refresh and Issued count when it is loaded.
func (s *RefreshTokens) Store(ctx context.Context, t token.Token) error {
	t.Access = ""
	return s.storage.Store(ctx, s.key, token.Seal(s.seal, s.key, t))
}

// Lock implements token.RefreshStore, by the storage's own lock.
func (s *RefreshTokens) Lock(ctx context.Context) (unlock func(), err error) {
	if err := s.storage.Lock(ctx, s.key); err != nil {
		return nil, err
	}
	return func() {
		// The storage itself frees the lock of a process that is gone.
		_ = s.storage.Unlock(context.WithoutCancel(ctx), s.key)
	}, nil
}

// Interface guards
var _ token.RefreshStore = (*RefreshTokens)(nil)
