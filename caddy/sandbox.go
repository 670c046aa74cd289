package alipaycaddy

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

func init() {
	caddy.RegisterModule(new(SandboxHandler))
}

// SandboxHandler is a simulated Alipay AI API, with every fault that the real
// one has and statistics of what reached it. It is for development and tests.
type SandboxHandler struct {
	// `sandbox`, or `production`, which also blocks non-compliant prompts, as
	// the real environments differ. Default: `sandbox`
	Mode string `json:"mode,omitempty"`

	// The apps that may call, by client id. Default: the built-in demo app.
	Apps map[string]SandboxApp `json:"apps,omitempty"`

	// How long access tokens live. Default: `30m`
	TokenLife caddy.Duration `json:"token_life,omitempty"`

	// Whether a refresh token is replaced when it is used. Default: false
	RotateRefreshTokens bool `json:"rotate_refresh_tokens,omitempty"`

	// The most requests of one app in any sliding second; negative for no cap.
	// Default: `50`
	RequestsPerSecond int `json:"requests_per_second,omitempty"`

	// The models served. Default: `alipay-fin-1`, `alipay-fin-mini`, `alipay-embed-1`
	Models []string `json:"models,omitempty"`

	// Tells simulators with the same options apart: those with the same name
	// and options are one, with one set of tokens, faults and statistics, and
	// live on through a reload. Default: none.
	Name string `json:"name,omitempty"`

	server  *sandbox.Server
	release func()
}

// simulator is the pooled server of one set of options.
type simulator struct {
	once   sync.Once
	server *sandbox.Server
	err    error
}

// SandboxApp is one client of the simulated API. Its credentials are good for
// the simulator only.
type SandboxApp struct {
	// The HMAC keys by version. By placeholder. Required.
	Keys map[int]string `json:"keys,omitempty"`

	// The OAuth client secret. By placeholder. Required.
	OAuthSecret string `json:"oauth_secret,omitempty"`

	// A refresh token that is good from the start. By placeholder. Default: none.
	RefreshToken string `json:"refresh_token,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*SandboxHandler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.alipayai_sandbox",
		New: func() caddy.Module { return new(SandboxHandler) },
	}
}

// Provision sets up the simulator.
func (h *SandboxHandler) Provision(ctx caddy.Context) error {
	app, err := loadApp(ctx)
	if err != nil {
		return err
	}
	options, err := json.Marshal(h)
	if err != nil {
		return err
	}
	config := sandbox.Config{
		Mode:                sandbox.Mode(h.Mode),
		TokenLife:           time.Duration(h.TokenLife),
		RotateRefreshTokens: h.RotateRefreshTokens,
		RequestsPerSecond:   h.RequestsPerSecond,
		Models:              h.Models,
	}
	s := newSecrets(app.InsecureLiterals)
	// The apps' credentials as they resolve are part of what tells simulators apart.
	identity := []string{string(options)}
	for _, id := range slices.Sorted(maps.Keys(h.Apps)) {
		built, err := h.Apps[id].build(id, s)
		if err != nil {
			return fmt.Errorf("app %s: %w", id, err)
		}
		config.Apps = append(config.Apps, built)
		identity = append(identity, fmt.Sprint(built))
	}
	shared, release := acquire[simulator]("sandbox", identity...)
	h.release = release
	shared.once.Do(func() { shared.server, shared.err = sandbox.New(config) })
	h.server = shared.server
	return shared.err
}

// Cleanup gives back the pooled simulator.
func (h *SandboxHandler) Cleanup() error {
	if h.release != nil {
		h.release()
	}
	return nil
}

func (a SandboxApp) build(id string, s secrets) (sandbox.App, error) {
	app := sandbox.App{ClientID: id, Keys: make(map[int][]byte, len(a.Keys))}
	if len(a.Keys) == 0 {
		return app, errors.New("key is missing; write key <version> {env.NAME}")
	}
	for version, value := range a.Keys {
		key, err := s.resolve(fmt.Sprintf("key %d", version), value)
		if err != nil {
			return app, err
		}
		app.Keys[version] = []byte(key)
	}
	var err error
	if app.OAuthSecret, err = s.resolve("oauth_secret", a.OAuthSecret); err != nil {
		return app, err
	}
	if a.RefreshToken != "" {
		app.RefreshToken, err = s.resolve("refresh_token", a.RefreshToken)
	}
	return app, err
}

// ServeHTTP answers as the Alipay AI API would.
func (h *SandboxHandler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	h.server.ServeHTTP(w, r)
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*SandboxHandler)(nil)
	_ caddy.CleanerUpper          = (*SandboxHandler)(nil)
	_ caddyhttp.MiddlewareHandler = (*SandboxHandler)(nil)
)
