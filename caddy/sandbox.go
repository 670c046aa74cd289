package alipaycaddy

import (
	"cmp"
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

// SandboxHandler is a simulated Alipay AI API, or one of those that calls fall
// over to, with every fault that the real ones have and statistics of what
// reached it. It is for development and tests.
type SandboxHandler struct {
	// The API that is simulated: `openai`, which is the Alipay AI API, OpenAI's
	// with Ant's signatures; `anthropic`, the Messages API; or `nextbuilder`, the
	// streaming agent API of the Open Platform. Default: `openai`
	Format string `json:"format,omitempty"`

	// The vendor of OpenAI's form as strictly as which requests are judged:
	// `deepseek`, `glm`, `google`, `legacy`, `mistral`, `moonshot`, `openai`, `qwen` or `vllm`; only format
	// `openai` has it. Default: none, what is not read is ignored.
	Dialect string `json:"dialect,omitempty"`

	// `sandbox`, or `production`, which also blocks non-compliant prompts, as
	// the real environments differ; only format `openai` has it. Default: `sandbox`
	Mode string `json:"mode,omitempty"`

	// The apps that may call, by client id, or for format `anthropic` by any name.
	// Default: the built-in demo app, which format `nextbuilder` does not have.
	Apps map[string]SandboxApp `json:"apps,omitempty"`

	// How long access tokens live; only format `openai` has them. Default: `30m`
	TokenLife caddy.Duration `json:"token_life,omitempty"`

	// Whether a refresh token is replaced when it is used; only format `openai`
	// has them. Default: false
	RotateRefreshTokens bool `json:"rotate_refresh_tokens,omitempty"`

	// The most requests of one app in any sliding second; `-1` for no cap.
	// Default: `50`
	RequestsPerSecond int `json:"requests_per_second,omitempty"`

	// The models served, or the agents of format `nextbuilder`.
	// Default: `alipay-fin-1`, `alipay-fin-mini` and `alipay-embed-1`;
	// `claude-haiku-4-5`, `claude-sonnet-4-5` and `claude-opus-4-8` for format `anthropic`;
	// `sandbox-agent` for `nextbuilder`
	Models []string `json:"models,omitempty"`

	// The ways in which the API departs from what the profile `alipay` takes it to
	// be, for trying out the options that say so: `layout`, `hex`, `seconds`,
	// `token_json`, `token_post`, `token_header`, `paths`, `errors`, `http1`,
	// `skew`, `envelope`, `error_names`, `token_answer`, `wrapped`, `lines`, `named_events`,
	// `base`, `http2`, `header_case`, `zone`, `sha512` and `digest`. Only format `openai` has them. Default: none.
	Variants []string `json:"variants,omitempty"`

	// The version of the API, `1` or `2`, which makes a mistake as updates of models do: where
	// it calls a tool, the parameters have other names. Default: `1`
	APIVersion int `json:"api_version,omitempty"`

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
// the simulator only, and are those of its format.
type SandboxApp struct {
	// The HMAC keys by version. By placeholder. Required for format `openai`.
	Keys map[int]string `json:"keys,omitempty" placeholder:"whole"`

	// The OAuth client secret. By placeholder. Required for format `openai`, but with
	// `token_sign`.
	OAuthSecret string `json:"oauth_secret,omitempty" placeholder:"whole"`

	// A refresh token of format `openai` that is good from the start. By
	// placeholder. Default: none.
	RefreshToken string `json:"refresh_token,omitempty" placeholder:"whole"`

	// The value of X-Api-Key. By placeholder. Required for format `anthropic`.
	APIKey string `json:"api_key,omitempty" placeholder:"whole"`

	// How the app signs, where its contract differs from the layout of the Alipay AI
	// API: as in a provider, with the app's `keys`. `tolerance` bounds the time of
	// requests here; its default is `5m`. For format `openai`. Default: the API's own.
	Signature *Signature `json:"signature,omitempty"`

	// What is around the app's requests, as in a provider: they must have all of it and
	// nothing else, times within five minutes, and a nonce only once. For format
	// `openai`. Default: nothing.
	Request *Request `json:"request,omitempty"`

	// How its answers look, as a provider would have to say it: of lists, the first is
	// written; `content` and what goes with it are for providers alone. For format `openai`. Default: the API's own.
	Answer *Answer `json:"answer,omitempty"`

	// How answers with tokens look, as a provider's `token` would have to say it. For
	// format `openai`. Default: as in RFC 6749.
	TokenAnswer *TokenAnswer `json:"token_answer,omitempty"`

	// Whether requests for tokens must be signed as the others are; the client secret
	// is not wanted then. For format `openai`. Default: false
	TokenSign bool `json:"token_sign,omitempty"`

	// The RSA public key that verifies the app's signatures, as PEM or as the
	// base64 between its lines; it may be a placeholder. Required for format `nextbuilder`.
	PublicKey string `json:"public_key,omitempty" placeholder:"whole"`
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
	if err := checkValues(h); err != nil {
		return err
	}
	if h.RequestsPerSecond < -1 {
		return fmt.Errorf("requests_per_second is %d, and a rate cannot be negative; write -1 for no cap", h.RequestsPerSecond)
	}
	options, err := json.Marshal(h)
	if err != nil {
		return err
	}
	config := sandbox.Config{
		Format:              cmp.Or(sandbox.Format(h.Format), sandbox.OpenAI),
		Dialect:             sandbox.Dialect(h.Dialect),
		Mode:                sandbox.Mode(h.Mode),
		TokenLife:           time.Duration(h.TokenLife),
		RotateRefreshTokens: h.RotateRefreshTokens,
		RequestsPerSecond:   h.RequestsPerSecond,
		Models:              h.Models,
		APIVersion:          h.APIVersion,
	}
	for _, variant := range h.Variants {
		config.Variants = append(config.Variants, sandbox.Variant(variant))
	}
	s := app.secrets
	// The apps' credentials as they resolve are part of what tells simulators apart.
	identity := []string{string(options)}
	for _, id := range slices.Sorted(maps.Keys(h.Apps)) {
		built, err := h.Apps[id].build(id, config.Format, s)
		if err != nil {
			return fmt.Errorf("app %s: %w", id, err)
		}
		identity = append(identity, fmt.Sprint(built))
		if err := h.Apps[id].agree(&built); err != nil {
			return fmt.Errorf("app %s: %w", id, err)
		}
		config.Apps = append(config.Apps, built)
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

// build resolves the credentials that a format wants, and refuses others.
func (a SandboxApp) build(id string, format sandbox.Format, s secrets) (sandbox.App, error) {
	app := sandbox.App{ClientID: id, Keys: make(map[int][]byte, len(a.Keys))}
	switch signs := format == sandbox.OpenAI; {
	case signs && len(a.Keys) == 0:
		return app, errors.New("key is missing; write key <version> {env.NAME}")
	case !signs && len(a.Keys) > 0:
		return app, fmt.Errorf("key is not used by format %s", format)
	}
	for version, value := range a.Keys {
		key, err := s.resolve(fmt.Sprintf("key %d", version), value)
		if err != nil {
			return app, err
		}
		app.Keys[version] = []byte(key)
	}
	for _, option := range []struct {
		name, value string
		format      sandbox.Format
		required    bool
		resolve     func(option, value string) (string, error)
		into        *string
	}{
		{"oauth_secret", a.OAuthSecret, sandbox.OpenAI, !a.TokenSign, s.resolve, &app.OAuthSecret},
		{"refresh_token", a.RefreshToken, sandbox.OpenAI, false, s.resolve, &app.RefreshToken},
		{"api_key", a.APIKey, sandbox.Anthropic, true, s.resolve, &app.APIKey},
		{"public_key", a.PublicKey, sandbox.NextBuilder, true, s.public, &app.PublicKey},
	} {
		switch given := option.value != ""; {
		case given && option.format != format:
			return app, fmt.Errorf("%s is not used by format %s", option.name, format)
		case given || option.required && option.format == format:
			var err error
			if *option.into, err = option.resolve(option.name, option.value); err != nil {
				return app, err
			}
		}
	}
	return app, nil
}

// ServeHTTP answers as the API that is simulated would.
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
