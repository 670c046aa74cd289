package token

import (
	"encoding/json"
	"time"

	"github.com/caddy-alipayai/gateway/internal/seal"
)

// sealedToken is what is encrypted of a token.
type sealedToken struct {
	Access  string    `json:"access,omitempty"`
	Refresh string    `json:"refresh,omitempty"`
	Issued  time.Time `json:"issued"`
	Expiry  time.Time `json:"expiry"`

	RefreshExpiry time.Time `json:"refresh_expiry,omitzero"`
}

// Seal encrypts t with place as associated data (AAD): it opens at the same place only.
func Seal(s *seal.Seal, place string, t Token) []byte {
	text, err := json.Marshal(sealedToken(t))
	if err != nil {
		panic(err) // strings and times of this era always marshal
	}
	return s.Seal(place, text)
}

// Open decrypts what Seal returned for the same place, or fails with
// seal.ErrSealed.
func Open(s *seal.Seal, place string, sealed []byte) (Token, error) {
	text, err := s.Open(place, sealed)
	if err != nil {
		return Token{}, err
	}
	var t sealedToken
	if json.Unmarshal(text, &t) != nil {
		return Token{}, seal.ErrSealed
	}
	return Token(t), nil
}
