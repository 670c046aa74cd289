package sandbox

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// App is one client of the API. Which credentials it has depends on the format:
// Keys and OAuthSecret for [OpenAI], APIKey for [Anthropic], PublicKey for
// [NextBuilder].
type App struct {
	// ClientID is the value of Client-Id, or the app_id of [NextBuilder]; with
	// [Anthropic] it only names the app in statistics and faults. It must not
	// contain a dot, a comma, an equals sign or a control character, which would
	// make a signed string ambiguous.
	ClientID string
	// Keys are the HMAC keys by version (1 or more), at least 16 bytes each. All verify.
	Keys map[int][]byte
	// OAuthSecret is the client secret at /oauth2/token. Optional with TokenSigned.
	OAuthSecret string
	// RefreshToken, when set, is a refresh token that is good from the start, as
	// if a person had authorised the app already.
	RefreshToken string
	// APIKey is the value of X-Api-Key.
	APIKey string
	// PublicKey is the RSA key that verifies the app's signatures: PEM, or the
	// base64 between its lines, as Alipay's tools write it. 2048 bits at least.
	PublicKey string
	// Contract is how the app signs, in the place of the API's own layout, with Keys of the contract's own.
	// Optional, for [OpenAI] alone.
	Contract Contract
	// Request takes what is around the app's requests off them; nil where there is nothing. Answer is how its answers look,
	// nil for the API's own, and TokenAnswer how the token endpoint's do. TokenSigned wants requests for tokens signed as the others are, and no OAuthSecret with them.
	// Optional, for [OpenAI] alone.
	Request     Opener
	Answer      *AnswerShape
	TokenAnswer *TokenShape
	TokenSigned bool
}

const (
	minKeyBytes = 16
	minRSABits  = 2048
)

// check gives the field that cannot work and why, to be put behind the app's place.
func (a App) check(spoken Format) (field, reason string) {
	if a.ClientID == "" {
		return "ClientID", " is empty"
	}
	if strings.ContainsFunc(a.ClientID, func(r rune) bool { return strings.ContainsRune(".,=", r) || r < ' ' || r == 0x7f }) {
		return "ClientID", fmt.Sprintf(" %q: want no dot, comma, equals sign or control character", a.ClientID)
	}
	required, optional := formats[spoken].credentials()
	for _, c := range []struct {
		field string
		set   bool
	}{
		{"Keys", len(a.Keys) > 0}, {"OAuthSecret", a.OAuthSecret != ""}, {"RefreshToken", a.RefreshToken != ""},
		{"APIKey", a.APIKey != ""}, {"PublicKey", a.PublicKey != ""}, {"Contract", a.Contract != nil},
		{"Request", a.Request != nil}, {"Answer", a.Answer != nil}, {"TokenAnswer", a.TokenAnswer != nil}, {"TokenSigned", a.TokenSigned},
	} {
		needed := slices.Contains(required, c.field) && (c.field != "OAuthSecret" || !a.TokenSigned)
		if needed && !c.set {
			return c.field, " is empty: required by format " + string(spoken)
		}
		if c.set && !slices.Contains(required, c.field) && !slices.Contains(optional, c.field) {
			return c.field, ": not used by format " + string(spoken)
		}
	}
	for version, key := range a.Keys {
		field := fmt.Sprintf("Keys[%d]", version)
		if version < 1 {
			return field, ": want a version of 1 or more"
		}
		if len(key) < minKeyBytes {
			return field, fmt.Sprintf(" has %d bytes: want %d at least", len(key), minKeyBytes)
		}
	}
	if a.PublicKey != "" {
		if _, err := parsePublicKey(a.PublicKey); err != nil {
			return "PublicKey", ": " + err.Error()
		}
	}
	return "", ""
}

// parsePublicKey reads an RSA public key in PKIX form.
func parsePublicKey(text string) (*rsa.PublicKey, error) {
	text = strings.TrimSpace(text)
	der, err := base64.StdEncoding.DecodeString(text)
	if block, _ := pem.Decode([]byte(text)); block != nil {
		der, err = block.Bytes, nil
	}
	if err != nil {
		return nil, errors.New("want PEM, or its base64 alone")
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	key, ok := parsed.(*rsa.PublicKey)
	if err != nil || !ok {
		return nil, errors.New("want an RSA public key in PKIX form")
	}
	if bits := key.N.BitLen(); bits < minRSABits {
		return nil, fmt.Errorf("has %d bits: want %d at least", bits, minRSABits)
	}
	return key, nil
}

// demoApp is the app that is known where none is configured.
func demoApp(spoken Format) (App, bool) {
	switch spoken {
	case OpenAI:
		return App{
			ClientID: DemoClientID, Keys: DemoKeys(), OAuthSecret: DemoOAuthSecret, RefreshToken: DemoRefreshToken,
		}, true
	case Anthropic:
		return App{ClientID: DemoClientID, APIKey: DemoAPIKey}, true
	}
	return App{}, false
}
