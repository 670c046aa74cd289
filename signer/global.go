package signer

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// GlobalConfig configures a global scheme.
type GlobalConfig struct {
	ClientID string // without dots; an id that begins with SANDBOX_ needs SandboxTarget
	RSAKeys
	// ISO8601 writes times as 2019-05-28T12:12:12+08:00, in the zone of Message.Time, instead of in Unix
	// milliseconds; both are in use.
	ISO8601 bool
}

// Global is the scheme of Ant's global APIs (Antom, Alipay+), as their official SDKs do it:
//
//	Client-Id: <client id>
//	Request-Time: <Unix milliseconds or ISO 8601>
//	Signature: algorithm=RSA256,keyVersion=<n>,signature=<urlencode(base64(signature))>
//
//	signature = RSASSA-PKCS1-v1_5-SHA256("<METHOD> <path[?query]>\n<client id>.<time>.<raw body>")
//
// A time with a fraction of a second would hold the dot that separates it from the body. Sign writes none;
// verifiers take such times, and are safe from the ambiguity because they demand whole ISO 8601 times.
type Global struct {
	ofVendor
	layout  clientLayout
	keys    RSAKeys
	iso8601 bool
}

// NameGlobal is the name of the scheme [Global].
const NameGlobal = "global"

var kindGlobal = &Kind{Name: NameGlobal, Key: KeyRSA, target: SandboxTarget, New: func(c Config) (Scheme, error) {
	return made(NewGlobal(GlobalConfig{ClientID: c.ClientID, RSAKeys: c.RSAKeys}))
}}

// NewGlobal checks c and returns its scheme. Errors name the option.
func NewGlobal(c GlobalConfig) (*Global, error) {
	validTime := func(s string) bool { return isDigits(s) || isISO8601(s) }
	layout, err := newClientLayout(c.ClientID, AlgorithmRSA, Headers{}, validTime)
	if err != nil {
		return nil, err
	}
	if err := c.RSAKeys.check(NameGlobal); err != nil {
		return nil, err
	}
	return &Global{ofVendor{}, layout, c.RSAKeys, c.ISO8601}, nil
}

// SandboxTarget returns the target to send, and so to sign, for a client: for ids that begin with SANDBOX_,
// the first /ams/api of the path becomes /ams/sandbox/api, as in the official SDKs (adjustSandboxUrl).
func SandboxTarget(clientID, target string) string {
	if !strings.HasPrefix(clientID, "SANDBOX_") {
		return target
	}
	path, query, found := strings.Cut(target, "?")
	path = strings.Replace(path, "/ams/api", "/ams/sandbox/api", 1)
	if found {
		return path + "?" + query
	}
	return path
}

// Sign implements Scheme.
func (s *Global) Sign(m Message) (Signed, error) {
	head, at, err := s.head(m)
	if err != nil {
		return Signed{}, err
	}
	version, signature, err := s.keys.sign(head, m.Body)
	if err != nil {
		return Signed{}, err
	}
	value := string(Signature{AlgorithmRSA, version, signature}.Append(nil))
	return Signed{
		Fields: s.layout.fields(m.Room, s.layout.headers.RequestTime, string(at), value),
		Target: m.Target,
		Body:   m.Body,

		KeyVersion: version,
	}, nil
}

// Canonical implements Scheme.
func (s *Global) Canonical(m Message) (string, error) {
	head, _, err := s.head(m)
	return string(append(head, m.Body...)), err
}

// head returns all that is signed before the body, and the time in it.
func (s *Global) head(m Message) (head, at []byte, err error) {
	if err := m.check(); err != nil {
		return nil, nil, err
	}
	ms, err := m.millis()
	if err != nil {
		return nil, nil, err
	}
	if s.iso8601 {
		at = m.Time.AppendFormat(nil, time.RFC3339)
	} else {
		at = strconv.AppendInt(nil, ms, 10)
	}
	return s.layout.appendHead(nil, m.Method, m.Target, at), at, nil
}

// VerifyRequest implements Scheme.
func (s *Global) VerifyRequest(m Message, h http.Header) error {
	if err := m.check(); err != nil {
		return err
	}
	at, signature, err := s.layout.open(h, s.layout.headers.RequestTime, true)
	if err != nil {
		return err
	}
	head := s.layout.appendHead(nil, m.Method, m.Target, []byte(at))
	return s.keys.verifyRequest(signature.KeyVersion, signature.Value, head, m.Body)
}

// VerifyResponse implements Scheme. The signature covers the request's path, with its query in it or without: the Go SDK
// checks over the path (global-open-sdk-go, defaultAlipayClient.go, httpDo), those for Java, Python and PHP over all of
// the target (global-open-sdk-java, BaseAlipayClient.checkRspSign).
func (s *Global) VerifyResponse(m Message, h http.Header) error {
	if err := m.check(); err != nil {
		return err
	}
	at, signature, err := s.layout.open(h, s.layout.headers.ResponseTime, false)
	if err != nil {
		return err
	}
	for _, target := range slices.Compact([]string{m.path(), m.Target}) {
		head := s.layout.appendHead(nil, m.Method, target, []byte(at))
		err = s.keys.verifyResponse(signature.KeyVersion, signature.Value, head, m.Body)
		if !errors.Is(err, ErrBadSignature) {
			return err
		}
	}
	return err
}

// Reflects implements Scheme.
func (s *Global) Reflects(request, answer http.Header) bool {
	return s.layout.reflects(request, answer)
}

// AnswerField implements Scheme.
func (s *Global) AnswerField() string { return s.layout.headers.Signature }
