package alipayai

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"time"
)

// ErrSealed is something kept that another key has encrypted, or for another
// place, or that was damaged.
var ErrSealed = errors.New("what is kept cannot be decrypted with encryption_key")

// Seal encrypts what is kept outside of the process, by AES-256-GCM with random
// nonces. It is safe for concurrent use.
type Seal struct{ aead cipher.AEAD }

// NewSeal makes the seal of a key.
func NewSeal(key [32]byte) (*Seal, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &Seal{aead}, nil
}

// Seal encrypts plain for one place, which is authenticated: a record cannot be
// moved to another's.
func (s *Seal) Seal(place string, plain []byte) []byte {
	return s.aead.Seal(nil, nil, plain, []byte(place))
}

// Open decrypts what Seal gave for the same place, or fails with ErrSealed.
func (s *Seal) Open(place string, sealed []byte) ([]byte, error) {
	plain, err := s.aead.Open(nil, nil, sealed, []byte(place))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// String hides the key.
func (s *Seal) String() string { return "[seal]" }

// GoString hides the key.
func (s *Seal) GoString() string { return s.String() }

// sealedToken is what is encrypted of a token.
type sealedToken struct {
	Access  string    `json:"access,omitempty"`
	Refresh string    `json:"refresh,omitempty"`
	Issued  time.Time `json:"issued"`
	Expiry  time.Time `json:"expiry"`
}

// SealToken encrypts t for one place.
func (s *Seal) SealToken(place string, t Token) []byte {
	text, err := json.Marshal(sealedToken(t))
	if err != nil {
		panic(err) // strings and times of this era always marshal
	}
	return s.Seal(place, text)
}

// OpenToken decrypts what SealToken gave for the same place, or fails with
// ErrSealed.
func (s *Seal) OpenToken(place string, sealed []byte) (Token, error) {
	text, err := s.Open(place, sealed)
	if err != nil {
		return Token{}, err
	}
	var t sealedToken
	if json.Unmarshal(text, &t) != nil {
		return Token{}, ErrSealed
	}
	return Token(t), nil
}
