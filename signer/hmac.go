package signer

import (
	"crypto/hmac"
	"crypto/sha512"
	"errors"
	"hash"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
)

// HMACKey is a secret, ready to sign: it pools hash states that have taken the secret in already, which
// leaves a quarter of the work for short messages. It never prints its secret.
type HMACKey struct {
	states *[hashes]sync.Pool
	secret []byte
	// last is the key that was derived last of it: one serves a day.
	last *atomic.Pointer[derivedKey]
}

// hmacState is all the scratch memory that one signature needs.
type hmacState struct {
	hash hash.Hash
	buf  []byte
	sum  [sha512.Size]byte // room for any
}

// NewHMACKey returns a key of any size; ParseHMACKey is the one with a minimum. It copies secret.
func NewHMACKey(secret []byte) *HMACKey {
	secret = slices.Clone(secret)
	k := &HMACKey{states: new([hashes]sync.Pool), secret: secret, last: new(atomic.Pointer[derivedKey])}
	for by := range hashes {
		k.states[by].New = func() any {
			return &hmacState{hash: hmac.New(by.new(), secret), buf: make([]byte, 0, 512)}
		}
	}
	return k
}

// String hides the secret from logs and errors.
func (*HMACKey) String() string { return "[hmac key]" }

// GoString hides the secret from %#v.
func (*HMACKey) GoString() string { return "[hmac key]" }

func (k *HMACKey) get(by macHash) *hmacState    { return k.states[by].Get().(*hmacState) }
func (k *HMACKey) put(by macHash, s *hmacState) { s.hash.Reset(); k.states[by].Put(s) }

// mac returns the MAC over the head in s.buf and the body. It lives until the state is used again.
func (s *hmacState) mac(body []byte) []byte {
	s.hash.Write(s.buf)
	s.hash.Write(body)
	return s.hash.Sum(s.sum[:0])
}

// HMACConfig configures an hmac-sha256 scheme.
type HMACConfig struct {
	ClientID string          // without dots, which separate the parts of what is signed
	Keys     *Ring[*HMACKey] // the shared secrets, which sign and verify both directions
	Headers  Headers
}

// HMAC is the hmac-sha256 scheme:
//
//	Client-Id: <client id>
//	Request-Time: <Unix milliseconds>
//	Signature: algorithm=HMAC-SHA256,keyVersion=<n>,signature=<urlencode(base64(mac))>
//
//	mac = HMAC-SHA256(secret, "<METHOD> <path[?query]>\n<client id>.<time>.<raw body>")
//
// No public contract of the Alipay AI API exists. The layout is that of Ant's global APIs with an HMAC in the
// place of the RSA signature; the names of the headers are configurable. It is injective: different messages
// have different canonical strings.
type HMAC struct {
	ofVendor
	layout clientLayout
	keys   *Ring[*HMACKey]
}

// NameHMAC is the name of the scheme [HMAC].
const NameHMAC = "hmac-sha256"

var kindHMAC = &Kind{Name: NameHMAC, Key: KeySecret, New: func(c Config) (Scheme, error) {
	return made(NewHMAC(HMACConfig{ClientID: c.ClientID, Keys: c.Secrets}))
}}

// NewHMAC checks c and returns its scheme. Errors name the option.
func NewHMAC(c HMACConfig) (*HMAC, error) {
	layout, err := newClientLayout(c.ClientID, AlgorithmHMAC, c.Headers, isDigits)
	if err != nil {
		return nil, err
	}
	if c.Keys == nil {
		return nil, errors.New("keys: hmac-sha256 needs at least one")
	}
	return &HMAC{ofVendor{}, layout, c.Keys}, nil
}

// Sign implements Scheme.
func (s *HMAC) Sign(m Message) (Signed, error) {
	return s.sign(m, m.Target, s.layout.headers.RequestTime)
}

// SignResponse does the server's part of VerifyResponse: m.Body is the answer's body, m.Method and m.Target are
// those of the request, m.Time is the Response-Time.
func (s *HMAC) SignResponse(m Message) (Signed, error) {
	return s.sign(m, m.path(), s.layout.headers.ResponseTime)
}

func (s *HMAC) sign(m Message, target, timeName string) (Signed, error) {
	if err := m.check(); err != nil {
		return Signed{}, err
	}
	ms, err := m.millis()
	if err != nil {
		return Signed{}, err
	}
	version, key := s.keys.Signing()
	state := key.get(macSHA256)
	defer key.put(macSHA256, state)

	var digits [20]byte
	time := strconv.AppendInt(digits[:0], ms, 10)
	state.buf = s.layout.appendHead(state.buf[:0], m.Method, target, time)
	mac := state.mac(m.Body)

	// Both values are parts of one string: one allocation.
	state.buf = append(state.buf[:0], time...)
	state.buf = Signature{AlgorithmHMAC, version, mac}.Append(state.buf)
	values := string(state.buf)
	return Signed{
		Fields: s.layout.fields(m.Room, timeName, values[:len(time)], values[len(time):]),
		Target: m.Target,
		Body:   m.Body,

		KeyVersion: version,
	}, nil
}

// Canonical implements Scheme.
func (s *HMAC) Canonical(m Message) (string, error) {
	if err := m.check(); err != nil {
		return "", err
	}
	ms, err := m.millis()
	if err != nil {
		return "", err
	}
	head := s.layout.appendHead(nil, m.Method, m.Target, strconv.AppendInt(nil, ms, 10))
	return string(append(head, m.Body...)), nil
}

// VerifyRequest implements Scheme.
func (s *HMAC) VerifyRequest(m Message, h http.Header) error {
	return s.verify(m, m.Target, h, s.layout.headers.RequestTime, true)
}

// VerifyResponse implements Scheme. The signature covers the request's path without its query.
func (s *HMAC) VerifyResponse(m Message, h http.Header) error {
	return s.verify(m, m.path(), h, s.layout.headers.ResponseTime, false)
}

// Reflects implements Scheme.
func (s *HMAC) Reflects(request, answer http.Header) bool { return s.layout.reflects(request, answer) }

// AnswerField implements Scheme.
func (s *HMAC) AnswerField() string { return s.layout.headers.Signature }

func (s *HMAC) verify(m Message, target string, h http.Header, timeName string, needID bool) error {
	if err := m.check(); err != nil {
		return err
	}
	time, signature, err := s.layout.open(h, timeName, needID)
	if err != nil {
		return err
	}
	key, ok := s.keys.Get(signature.KeyVersion)
	if !ok {
		return unknownVersion(signature.KeyVersion)
	}
	state := key.get(macSHA256)
	defer key.put(macSHA256, state)
	state.buf = s.layout.appendHead(state.buf[:0], m.Method, target, []byte(time))
	if !hmac.Equal(state.mac(m.Body), signature.Value) {
		return ErrBadSignature
	}
	return nil
}
