// Package seal encrypts what is kept outside of the process.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"errors"
)

// ErrSealed is the error for data that was encrypted with another key, or with
// another place as associated data (AAD), or that was damaged.
var ErrSealed = errors.New("what is kept cannot be decrypted with encryption_key")

// Seal encrypts what is kept outside of the process, by AES-256-GCM with random
// nonces. It is safe for concurrent use.
type Seal struct {
	aead     cipher.AEAD
	identity string
}

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
	hash := sha256.Sum256(append([]byte("identity of a key: "), key[:]...))
	return &Seal{aead, string(hash[:])}, nil
}

// Identity is the same for seals of the same key, and empty for none. It is for the memory of the process alone.
func (s *Seal) Identity() string {
	if s == nil {
		return ""
	}
	return s.identity
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
