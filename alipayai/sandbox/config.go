package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Mode tells which of the API's two environments is simulated.
type Mode string

// The two modes. Only [Production] blocks non-compliant prompts, as the real
// environments differ; everything else is the same in both. Of the formats only
// [OpenAI] has it.
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
// DemoAPIKey is for format [Anthropic]. Format [NextBuilder] has no demo app,
// since a published private key proves nothing.
const (
	DemoClientID     = "SANDBOX_DEMO"
	DemoOAuthSecret  = "sandbox-demo-oauth-secret"
	DemoRefreshToken = "sandbox-demo-refresh-token"
	DemoAPIKey       = "sk-ant-sandbox-demo"
)

// DemoKeys returns the demo app's HMAC keys by version. Each call returns a new map.
func DemoKeys() map[int][]byte {
	return map[int][]byte{1: []byte("sandbox-demo-hmac-key-1")}
}

const (
	defaultTokenLife = 30 * time.Minute
	defaultRate      = 50
)

// modelsSince is when every model says it was made.
var modelsSince = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// ErrConfig is wrapped by every error of [New].
var ErrConfig = errors.New("sandbox: bad configuration")

// Config sets up a [Server]. The zero value is a sandbox of the Alipay AI API
// with the demo app.
type Config struct {
	// Format is OpenAI unless set.
	Format Format
	// Dialect makes the simulator judge chat requests as strictly as a vendor of
	// OpenAI's form does, with its statuses and errors. None unless set: it then
	// ignores what it does not read. Only format OpenAI has it.
	Dialect Dialect
	// Mode is Sandbox unless set.
	Mode Mode
	// Apps lists the clients; empty means the demo app alone. Format NextBuilder
	// has none and wants one at least.
	Apps []App
	// TokenLife is the life of an access token. Default 30 minutes. Only format
	// OpenAI has tokens: with another, this and the two options below stay unset.
	TokenLife time.Duration
	// ExpiresIn is the form of expires_in at /oauth2/token. Default ExpiresNumber.
	ExpiresIn ExpiresForm
	// RotateRefreshTokens replaces a refresh token each time it is used: the old
	// one dies as the new one is issued.
	RotateRefreshTokens bool
	// RequestsPerSecond is the cap of one app in any sliding second. 0 means 50,
	// a negative number means no cap (for benchmarks).
	RequestsPerSecond int
	// Models lists the ids of the models served, or of the agents of format
	// NextBuilder. Default alipay-fin-1, alipay-fin-mini and alipay-embed-1;
	// claude-haiku-4-5, claude-sonnet-4-5 and claude-opus-4-8 with format Anthropic; sandbox-agent
	// with NextBuilder.
	Models []string
	// Variants are the ways in which the API departs from what doc.go says of it.
	// Only format OpenAI has them. Default none.
	Variants []Variant
	// APIVersion is 1 unless set. Version 2 makes a mistake, as updates of models do: where it
	// calls a tool, the parameters have other names, with _v2 behind them. Everything else is
	// the same in both.
	APIVersion int
	// Users are the persons who may consent at /oauth2/authorize and its like. Default alice and bob.
	Users []string
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// OnRequest, when set, sees every request to the API and its token endpoints
	// with its body, before it is judged. It must not keep or change either.
	OnRequest func(r *http.Request, body []byte)
}

// withDefaults fills in what was left out and refuses what cannot work, naming the field.
func (cfg Config) withDefaults() (Config, error) {
	cfg.Format = cmp.Or(cfg.Format, OpenAI)
	if err := cfg.checkFormat(); err != nil {
		return cfg, err
	}
	cfg.Mode, cfg.APIVersion = cmp.Or(cfg.Mode, Sandbox), cmp.Or(cfg.APIVersion, 1)
	cfg.TokenLife, cfg.ExpiresIn = cmp.Or(cfg.TokenLife, defaultTokenLife), cmp.Or(cfg.ExpiresIn, ExpiresNumber)
	cfg.RequestsPerSecond = cmp.Or(cfg.RequestsPerSecond, defaultRate)
	if len(cfg.Models) == 0 {
		cfg.Models = formats[cfg.Format].models()
	}
	if len(cfg.Users) == 0 {
		cfg.Users = defaultUsers
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := cfg.checkChoices(); err != nil {
		return cfg, err
	}
	if len(cfg.Apps) == 0 {
		demo, ok := demoApp(cfg.Format)
		if !ok {
			return cfg, fmt.Errorf("%w: Apps: format %s has no demo app: want one at least", ErrConfig, cfg.Format)
		}
		cfg.Apps = []App{demo}
	}
	return cfg, cfg.checkApps()
}

// checkFormat refuses a format that there is not, and what it does not have, before defaults that it does not have either.
func (cfg Config) checkFormat() error {
	if formats[cfg.Format] == nil {
		return fmt.Errorf("%w: Format %q: want %q, %q or %q", ErrConfig, cfg.Format, OpenAI, Anthropic, NextBuilder)
	}
	if err := cfg.Dialect.check(cfg.Format); err != nil {
		return err
	}
	if field := cfg.alipayOnly(); field != "" && cfg.Format != OpenAI {
		return fmt.Errorf("%w: %s: format %s has no such thing", ErrConfig, field, cfg.Format)
	}
	return checkVariants(cfg.Variants)
}

// checkChoices refuses values that are none of those that there are.
func (cfg Config) checkChoices() error {
	switch {
	case cfg.Mode != Sandbox && cfg.Mode != Production:
		return fmt.Errorf("%w: Mode %q: want %q or %q", ErrConfig, cfg.Mode, Sandbox, Production)
	case cfg.TokenLife < time.Second:
		return fmt.Errorf("%w: TokenLife %v: want at least 1s, since expires_in counts seconds", ErrConfig, cfg.TokenLife)
	case cfg.ExpiresIn != ExpiresNumber && cfg.ExpiresIn != ExpiresString && cfg.ExpiresIn != ExpiresOmitted:
		return fmt.Errorf("%w: ExpiresIn %q: want %q, %q or %q",
			ErrConfig, cfg.ExpiresIn, ExpiresNumber, ExpiresString, ExpiresOmitted)
	case cfg.APIVersion != 1 && cfg.APIVersion != 2:
		return fmt.Errorf("%w: APIVersion %d: want 1 or 2", ErrConfig, cfg.APIVersion)
	}
	if i := slices.Index(cfg.Models, ""); i >= 0 {
		return fmt.Errorf("%w: Models[%d] is empty", ErrConfig, i)
	}
	return nil
}

// checkApps refuses apps that cannot be told apart, and what [App.check] refuses.
func (cfg Config) checkApps() error {
	seen, keys := make(map[string]bool, len(cfg.Apps)), make(map[string]bool)
	for i, a := range cfg.Apps {
		if field, reason := a.check(cfg.Format); field != "" {
			return fmt.Errorf("%w: Apps[%d].%s%s", ErrConfig, i, field, reason)
		}
		if seen[a.ClientID] {
			return fmt.Errorf("%w: Apps[%d].ClientID %q is listed twice", ErrConfig, i, a.ClientID)
		}
		if a.APIKey != "" && keys[a.APIKey] {
			return fmt.Errorf("%w: Apps[%d].APIKey is another app's", ErrConfig, i)
		}
		seen[a.ClientID], keys[a.APIKey] = true, true
	}
	return nil
}

// alipayOnly names an option that is set and that only the Alipay AI API has.
func (cfg Config) alipayOnly() string {
	switch {
	case cfg.Mode == Production:
		return "Mode"
	case cfg.TokenLife != 0:
		return "TokenLife"
	case cfg.ExpiresIn != "":
		return "ExpiresIn"
	case cfg.RotateRefreshTokens:
		return "RotateRefreshTokens"
	case len(cfg.Variants) > 0:
		return "Variants"
	}
	return ""
}
