package alipaycaddy

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"path"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/internal/seal"
)

// refreshTokenStore keeps the newest refresh token of one grant, encrypted,
// in Caddy's storage, which every replica may share.
type refreshTokenStore struct {
	storage certmagic.Storage
	key     string // in the storage
	seal    *seal.Seal
}

// newRefreshTokenStore makes the store of the grant that began with the token
// first. A new first token, after a person has authorised anew, begins a new
// grant: what was kept for the old one is not looked at again.
func newRefreshTokenStore(storage certmagic.Storage, sealing *seal.Seal, url, clientID, first string) (*refreshTokenStore, error) {
	if sealing == nil {
		return nil, errors.New("refresh_token needs the global option encryption_key: the tokens that replace it are kept encrypted with that")
	}
	id := hashAll([]string{url, clientID, first})
	return &refreshTokenStore{
		storage: storage,
		key:     path.Join("alipayai", "refresh_tokens", hex.EncodeToString(id[:16])),
		seal:    sealing,
	}, nil
}

// newSeal gives what tokens are encrypted with; nil without encryption_key.
func newSeal(s secrets, key string) (*seal.Seal, error) {
	if key == "" {
		return nil, nil
	}
	text, err := s.resolve("encryption_key", key)
	if err != nil {
		return nil, err
	}
	return parseEncryptionKey(text)
}

// parseEncryptionKey reads 32 bytes in hexadecimal digits or base64.
func parseEncryptionKey(text string) (*seal.Seal, error) {
	key, err := hex.DecodeString(text)
	if err != nil {
		key, err = base64.StdEncoding.DecodeString(text)
	}
	if err != nil || len(key) != 32 {
		return nil, errors.New("encryption_key must be 32 bytes, as 64 hexadecimal digits or in base64; `openssl rand -hex 32` makes one")
	}
	return seal.New([32]byte(key))
}

// Load implements token.RefreshStore.
func (s *refreshTokenStore) Load(ctx context.Context) (token.Token, error) {
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
func (s *refreshTokenStore) Store(ctx context.Context, t token.Token) error {
	t.Access = ""
	return s.storage.Store(ctx, s.key, token.Seal(s.seal, s.key, t))
}

// Lock implements token.RefreshStore, by the storage's own lock.
func (s *refreshTokenStore) Lock(ctx context.Context) (unlock func(), err error) {
	if err := s.storage.Lock(ctx, s.key); err != nil {
		return nil, err
	}
	return func() {
		// The storage itself frees the lock of a process that is gone.
		_ = s.storage.Unlock(context.WithoutCancel(ctx), s.key)
	}, nil
}
