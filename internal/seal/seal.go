// Package seal encrypts what is kept outside of the process.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
)

// ErrSealed is the error for data that was encrypted with another key, or with
// another place as associated data (AAD), or that was damaged.
var ErrSealed = errors.New("what is kept cannot be decrypted with encryption_key")

// Seal encrypts what is kept outside of the process, by AES-256-GCM with random
// nonces. It is safe for concurrent use.
type Seal struct{ aead cipher.AEAD }

// New makes the seal of a key.
func New(key [32]byte) (*Seal, error) {
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

// Seal encrypts plain with place as associated data (AAD): what is sealed for one
// place does not open at another.
func (s *Seal) Seal(place string, plain []byte) []byte {
	return s.aead.Seal(nil, nil, plain, []byte(place))
}

// Open decrypts what Seal returned for the same place, or fails with ErrSealed.
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
