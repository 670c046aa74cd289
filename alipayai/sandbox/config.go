package sandbox

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Mode tells which of the API's two environments is simulated.
type Mode string

// The two modes. Only [Production] blocks non-compliant prompts, as the real
// environments differ; everything else is the same in both.
const (
	Sandbox    Mode = "sandbox"
	Production Mode = "production"
)

// ExpiresForm is how the token endpoint writes expires_in. Servers differ, and
// a client has to read every form.
type ExpiresForm string

// The forms of expires_in: 1800, "1800", and not there at all.
const (
	ExpiresNumber  ExpiresForm = "number"
	ExpiresString  ExpiresForm = "string"
	ExpiresOmitted ExpiresForm = "omitted"
)

// Credentials of the app that a simulator without [Config.Apps] knows. They are
// public, and good for nothing but a simulator. [DemoKeys] has the HMAC keys.
const (
	DemoClientID     = "SANDBOX_DEMO"
	DemoOAuthSecret  = "sandbox-demo-oauth-secret"
	DemoRefreshToken = "sandbox-demo-refresh-token"
)

// DemoKeys returns the demo app's HMAC keys by version. Each call returns a new map.
func DemoKeys() map[int][]byte {
	return map[int][]byte{1: []byte("sandbox-demo-hmac-key-1")}
}

const (
	defaultTokenLife = 30 * time.Minute
	defaultRate      = 50
	minKeyBytes      = 16
)

// Default model ids, served when [Config.Models] is empty.
const (
	modelChat  = "alipay-fin-1"
	modelMini  = "alipay-fin-mini"
	modelEmbed = "alipay-embed-1"
)

// ErrConfig is wrapped by every error of [New].
var ErrConfig = errors.New("sandbox: bad configuration")

// App is one client of the API.
type App struct {
	// ClientID is the value of Client-Id. It must not contain a dot or a control
	// character, which would make the signed string ambiguous.
	ClientID string
	// Keys are the HMAC keys by version (1 or more), at least 16 bytes each. All verify.
	Keys map[int][]byte
	// OAuthSecret is the client secret at /oauth2/token. Required.
	OAuthSecret string
	// RefreshToken, when set, is a refresh token that is good from the start, as
	// if a person had authorised the app already.
	RefreshToken string
}

// Config sets up a [Server]. The zero value is a sandbox with the demo app.
type Config struct {
	// Mode is Sandbox unless set.
	Mode Mode
	// Apps lists the clients; empty means the demo app alone.
	Apps []App
	// TokenLife is the life of an access token. Default 30 minutes.
	TokenLife time.Duration
	// ExpiresIn is the form of expires_in at /oauth2/token. Default ExpiresNumber.
	ExpiresIn ExpiresForm
	// RotateRefreshTokens replaces a refresh token each time it is used: the old
	// one dies as the new one is issued.
	RotateRefreshTokens bool
	// RequestsPerSecond is the cap of one app in any sliding second. 0 means 50,
	// a negative number means no cap (for benchmarks).
	RequestsPerSecond int
	// Models lists the model ids served. Default alipay-fin-1, alipay-fin-mini
	// and alipay-embed-1.
	Models []string
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// OnRequest, when set, sees every request to the API and its token endpoints
	// with its body, before it is judged. It must not keep or change either.
	OnRequest func(r *http.Request, body []byte)
}

// withDefaults fills in what was left out and refuses what cannot work, naming the field.
func (cfg Config) withDefaults() (Config, error) {
	if cfg.Mode == "" {
		cfg.Mode = Sandbox
	}
	if cfg.Mode != Sandbox && cfg.Mode != Production {
		return cfg, fmt.Errorf("%w: Mode %q: want %q or %q", ErrConfig, cfg.Mode, Sandbox, Production)
	}
	if cfg.TokenLife == 0 {
		cfg.TokenLife = defaultTokenLife
	}
	if cfg.TokenLife < time.Second {
		return cfg, fmt.Errorf("%w: TokenLife %v: want at least 1s, since expires_in counts seconds", ErrConfig, cfg.TokenLife)
	}
	switch cfg.ExpiresIn {
	case "":
		cfg.ExpiresIn = ExpiresNumber
	case ExpiresNumber, ExpiresString, ExpiresOmitted:
	default:
		return cfg, fmt.Errorf("%w: ExpiresIn %q: want %q, %q or %q",
			ErrConfig, cfg.ExpiresIn, ExpiresNumber, ExpiresString, ExpiresOmitted)
	}
	if cfg.RequestsPerSecond == 0 {
		cfg.RequestsPerSecond = defaultRate
	}
	if len(cfg.Models) == 0 {
		cfg.Models = []string{modelChat, modelMini, modelEmbed}
	}
	for i, m := range cfg.Models {
		if m == "" {
			return cfg, fmt.Errorf("%w: Models[%d] is empty", ErrConfig, i)
		}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if len(cfg.Apps) == 0 {
		cfg.Apps = []App{{
			ClientID:     DemoClientID,
			Keys:         DemoKeys(),
			OAuthSecret:  DemoOAuthSecret,
			RefreshToken: DemoRefreshToken,
		}}
	}
	seen := make(map[string]bool, len(cfg.Apps))
	for i, a := range cfg.Apps {
		if field, reason := a.check(); field != "" {
			return cfg, fmt.Errorf("%w: Apps[%d].%s%s", ErrConfig, i, field, reason)
		}
		if seen[a.ClientID] {
			return cfg, fmt.Errorf("%w: Apps[%d].ClientID %q is listed twice", ErrConfig, i, a.ClientID)
		}
		seen[a.ClientID] = true
	}
	return cfg, nil
}

// check gives the field that cannot work and why, to be put behind the app's place.
func (a App) check() (field, reason string) {
	if a.ClientID == "" {
		return "ClientID", " is empty"
	}
	if strings.ContainsFunc(a.ClientID, func(r rune) bool { return r == '.' || r < ' ' || r == 0x7f }) {
		return "ClientID", fmt.Sprintf(" %q: want no dot and no control character", a.ClientID)
	}
	if len(a.Keys) == 0 {
		return "Keys", " is empty: want one key at least"
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
	if a.OAuthSecret == "" {
		return "OAuthSecret", " is empty"
	}
	return "", ""
}
