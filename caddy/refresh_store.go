package alipaycaddy

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
)

// refreshTokenStore keeps the newest refresh token of one grant, encrypted,
// in Caddy's storage, which every replica may share.
type refreshTokenStore struct {
	storage certmagic.Storage
	key     string // in the storage
	aead    cipher.AEAD
}

// refreshTokenStore makes the store of the grant that began with the token
// first. A new first token, after a person has authorised anew, begins a new
// grant: what was kept for the old one is not looked at again.
func (a *App) refreshTokenStore(ctx caddy.Context, s secrets, url, clientID, first string) (*refreshTokenStore, error) {
	if a.TokenKey == "" {
		return nil, errors.New("refresh_token needs the global option token_key: the tokens that replace it are kept encrypted with that")
	}
	text, err := s.resolve("token_key", a.TokenKey)
	if err != nil {
		return nil, err
	}
	aead, err := parseTokenKey(text)
	if err != nil {
		return nil, err
	}
	id := hashAll([]string{url, clientID, first})
	return &refreshTokenStore{
		storage: ctx.Storage(),
		key:     path.Join("alipayai", "refresh_tokens", hex.EncodeToString(id[:16])),
		aead:    aead,
	}, nil
}

// parseTokenKey reads 32 bytes in hexadecimal digits or base64.
func parseTokenKey(text string) (cipher.AEAD, error) {
	key, err := hex.DecodeString(text)
	if err != nil {
		key, err = base64.StdEncoding.DecodeString(text)
	}
	if err != nil || len(key) != 32 {
		return nil, errors.New("token_key must be 32 bytes, as 64 hexadecimal digits or in base64; `openssl rand -hex 32` makes one")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("token_key: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Load gives the stored token, and "" when there is none.
func (s *refreshTokenStore) Load(ctx context.Context) (string, error) {
	sealed, err := s.storage.Load(ctx, s.key)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	// The place is authenticated too: a record cannot be moved to another grant.
	token, err := s.aead.Open(nil, nil, sealed, []byte(s.key))
	if err != nil {
		return "", errors.New("it cannot be decrypted with token_key")
	}
	return string(token), nil
}

// Store replaces the stored token.
func (s *refreshTokenStore) Store(ctx context.Context, token string) error {
	return s.storage.Store(ctx, s.key, s.aead.Seal(nil, nil, []byte(token), []byte(s.key)))
}
