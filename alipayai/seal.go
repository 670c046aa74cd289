package alipayai

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"time"
)

// TokenSeal encrypts tokens that are kept outside of the process, by
// AES-256-GCM with random nonces. It is safe for concurrent use.
type TokenSeal struct{ aead cipher.AEAD }

// NewTokenSeal makes the seal of a key.
func NewTokenSeal(key [32]byte) (*TokenSeal, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &TokenSeal{aead}, nil
}

// sealedToken is what is encrypted.
type sealedToken struct {
	Access  string    `json:"access,omitempty"`
	Refresh string    `json:"refresh,omitempty"`
	Issued  time.Time `json:"issued"`
	Expiry  time.Time `json:"expiry"`
}

// Seal encrypts t for one place, which is authenticated: a record cannot be
// moved to another client's.
func (s *TokenSeal) Seal(place string, t Token) []byte {
	text, err := json.Marshal(sealedToken(t))
	if err != nil {
		panic(err) // strings and times of this era always marshal
	}
	return s.aead.Seal(nil, nil, text, []byte(place))
}

// Open decrypts what Seal gave for the same place, or fails with ErrTokenSealed.
func (s *TokenSeal) Open(place string, sealed []byte) (Token, error) {
	text, err := s.aead.Open(nil, nil, sealed, []byte(place))
	if err != nil {
		return Token{}, ErrTokenSealed
	}
	var t sealedToken
	if json.Unmarshal(text, &t) != nil {
		return Token{}, ErrTokenSealed
	}
	return Token(t), nil
}

// String hides the key.
func (s *TokenSeal) String() string { return "[token seal]" }

// GoString hides the key.
func (s *TokenSeal) GoString() string { return s.String() }
