package signer

import (
	"crypto/hmac"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Credential presents a secret in a header and signs nothing: the schemes bearer and header.
type Credential struct {
	ofVendor
	name   string // of the header
	prefix string // of its value
	keys   *Ring[string]
	extra  []Field
}

// The names of the schemes that a [Credential] may be of.
const (
	NameBearer = "bearer"
	NameHeader = "header"
)

var (
	kindBearer = &Kind{Name: NameBearer, Key: KeyToken, New: func(c Config) (Scheme, error) { return made(NewBearer(c.Tokens)) }}
	kindHeader = &Kind{Name: NameHeader, Key: KeyToken, New: func(c Config) (Scheme, error) {
		return made(NewHeader(HeaderConfig{Name: c.Header, Keys: c.Tokens}))
	}}
)

// NewBearer returns the scheme "Authorization: Bearer <token>" of RFC 6750. ParseToken makes keys for its ring.
func NewBearer(keys *Ring[string]) (*Credential, error) {
	return newCredential(NameBearer, Credential{name: "Authorization", prefix: "Bearer ", keys: keys})
}

// HeaderConfig configures a header scheme.
type HeaderConfig struct {
	Name  string        // of the header that holds the key, e.g. x-api-key
	Keys  *Ring[string] // ParseToken makes them
	Extra []Field       // fixed fields sent as well, e.g. anthropic-version
}

// NewHeader checks c and returns its scheme. Errors name the option.
func NewHeader(c HeaderConfig) (*Credential, error) {
	name, err := headerName("header", c.Name)
	if err != nil {
		return nil, err
	}
	taken := map[string]bool{name: true}
	extra := make([]Field, 0, len(c.Extra))
	for _, f := range c.Extra {
		name, err := headerName("extra header", f.Name)
		if err != nil {
			return nil, err
		}
		if taken[name] {
			return nil, fmt.Errorf("extra header %s: must not be set twice", name)
		}
		taken[name] = true
		if err := checkValue("extra header "+name, f.Value); err != nil {
			return nil, err
		}
		extra = append(extra, Field{name, f.Value})
	}
	return newCredential(NameHeader, Credential{name: name, keys: c.Keys, extra: extra})
}

func newCredential(scheme string, c Credential) (*Credential, error) {
	if c.keys == nil {
		return nil, errors.New("keys: " + scheme + " needs at least one")
	}
	for version, key := range c.keys.All() {
		if _, err := ParseToken([]byte(key)); err != nil {
			return nil, fmt.Errorf("keys: key %d: %w", version, err)
		}
	}
	return &c, nil
}

// Sign implements Scheme. Only the fields matter to it; it takes any message.
func (c *Credential) Sign(m Message) (Signed, error) {
	_, key := c.keys.Signing()
	fields := make([]Field, 1, 1+len(c.extra))
	fields[0] = Field{c.name, c.prefix + key}
	return Signed{Fields: append(fields, c.extra...), Target: m.Target, Body: m.Body}, nil
}

// Canonical returns ErrNoCanonical.
func (*Credential) Canonical(Message) (string, error) { return "", ErrNoCanonical }

// VerifyRequest implements Scheme: the header must hold one of the keys.
func (c *Credential) VerifyRequest(_ Message, h http.Header) error {
	if len(h.Values(c.name)) == 0 {
		return ErrUnsigned
	}
	value, err := single(h, c.name)
	if err != nil {
		return err
	}
	got, ok := strings.CutPrefix(value, c.prefix)
	if !ok {
		return fmt.Errorf("%w: header %s must begin with %q", ErrMalformed, c.name, c.prefix)
	}
	for _, key := range c.keys.All() {
		if hmac.Equal([]byte(got), []byte(key)) {
			return nil
		}
	}
	return ErrBadSignature
}

// VerifyResponse returns ErrUnsigned: such servers sign nothing.
func (*Credential) VerifyResponse(Message, http.Header) error { return ErrUnsigned }

// Reflects implements Scheme.
func (*Credential) Reflects(_, _ http.Header) bool { return false }

// AnswerField implements Scheme.
func (*Credential) AnswerField() string { return "" }
