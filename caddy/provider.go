package alipaycaddy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// Provider declares one upstream: where it is, how requests to it are signed,
// and which models it serves.
type Provider struct {
	// The kind of upstream, which sets the address, the paths and the way of
	// signing: `alipay`, `openapi-v3`, `openapi-v2`, `global`, `sandbox` (the
	// simulator, with built-in demo keys, on loopback only), or one of the
	// presets `ant_ling`, `openai`, `deepseek`, `mistral`, `qwen`,
	// `openrouter`, `tokenmix`, `litellm`, `portkey`, `ollama`. Required.
	Profile string `json:"profile,omitempty"`

	// The upstream's address, such as `https://api.example.com`, or a
	// placeholder. Default: the profile's. The profile `alipay` has none.
	BaseURL string `json:"base_url,omitempty"`

	// `sandbox` or `production`. Credentials and hosts of one are refused
	// together with those of the other. Default: derived from host and client id.
	Environment string `json:"environment,omitempty"`

	// The app id or client id that requests are signed for; it may be a
	// placeholder. Required by the profiles that sign, except for `sandbox`.
	ClientID string `json:"client_id,omitempty"`

	// The signing keys by version; the highest signs. HMAC secrets of at least
	// 16 bytes, or RSA private keys as PEM or bare base64. By placeholder.
	// Default: those of `keys_dir`, and the demo keys for profile `sandbox`
	Keys map[int]string `json:"keys,omitempty"`

	// A folder that holds one file per key version, named by it (`1`, `2.pem`).
	// It is read anew within two seconds of a change. Replaces `keys`.
	// Default: none.
	KeysDir string `json:"keys_dir,omitempty"`

	// The RSA public keys that the upstream's answers are verified with, by
	// version, as PEM, bare base64 or certificate. Profiles `openapi-v3`,
	// `openapi-v2` and `global`. Default: none, and answers are not verified.
	PublicKeys map[int]string `json:"public_keys,omitempty"`

	// The app's certificate as PEM, for the Open Platform's certificate mode.
	// Once it has expired, the provider is unavailable. Default: none.
	AppCertificate string `json:"app_certificate,omitempty"`

	// Alipay's root certificates as PEM, for the certificate mode. Required
	// with `app_certificate`.
	RootCertificates string `json:"root_certificates,omitempty"`

	// The merchant's token of the Open Platform, sent as
	// `alipay-app-auth-token` and signed with the request. By placeholder.
	// Default: none.
	AppAuthToken string `json:"app_auth_token,omitempty"`

	// The API key of a preset. By placeholder. Required by every preset but
	// `ollama`.
	APIKey string `json:"api_key,omitempty"`

	// Where OAuth access tokens are had. Required by profile `alipay`. Default:
	// the simulator's own endpoint for profile `sandbox`
	Token *Token `json:"token,omitempty"`

	// The models that the provider serves, by the names clients use. Default: any.
	Models []string `json:"models,omitempty"`

	// The upstream's model for every model asked for that `model_map` does not
	// name. Default: the one asked for.
	Model string `json:"model,omitempty"`

	// The upstream's models by the clients' names. Default: none.
	ModelMap map[string]string `json:"model_map,omitempty"`

	// The paths of `chat`, `embeddings` and `models`, which are appended to the
	// base URL. Default: the profile's.
	Paths map[string]string `json:"paths,omitempty"`

	// Header fields sent with every request. Values may be placeholders.
	// Default: none.
	Headers map[string]string `json:"headers,omitempty"`

	// The upstream's rate cap, shared by all that use the same host and client
	// id. Default: 50 requests in `1s` for the profiles `alipay` and `sandbox`,
	// none for others.
	Limit *Limit `json:"limit,omitempty"`

	// What waits for the cap. Default: see its fields.
	Queue *Queue `json:"queue,omitempty"`

	// Where the provider's data stays, such as `cn`. A proxy refuses providers
	// of different regions unless it allows them. Default: none.
	Region string `json:"region,omitempty"`

	// How long the upstream may take to the head of its answer, to a stream's
	// first content, and between a stream's events. Default: `15s`
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// What to do about an answer's signature: `off`, `if_present` or
	// `require`. Streams are never verified. Default: `if_present`, and `off`
	// where `public_keys` are needed but missing.
	VerifyResponse string `json:"verify_response,omitempty"`

	// How to connect. Default: `{"protocol": "http"}`, keeping up to 256 idle
	// connections.
	TransportRaw json.RawMessage `json:"transport,omitempty" caddy:"namespace=http.reverse_proxy.transport inline_key=protocol"`
}

// buildProvider makes the domain's provider of its configuration.
func (a *App) buildProvider(ctx caddy.Context, name string, c *Provider, uses credentialUses, store *storeState) (*alipayai.Provider, error) {
	if c == nil {
		return nil, errors.New("is null; declare at least its profile")
	}
	profile, err := alipayai.LookupProfile(c.Profile)
	if err != nil {
		return nil, err
	}
	p := &alipayai.Provider{
		Name: name, Profile: profile, Region: c.Region,
		Models: c.Models, Model: c.Model, ModelMap: c.ModelMap,
		Timeout: time.Duration(c.Timeout), Verify: alipayai.VerifyMode(c.VerifyResponse),
		Paths: make(map[alipayai.Endpoint]string, len(c.Paths)),
	}
	resolver := newSecrets(a.InsecureLiterals)
	base := profile.BaseURL
	if c.BaseURL != "" {
		if base, err = resolver.public("base_url", c.BaseURL); err != nil {
			return nil, err
		}
	}
	if base == "" {
		return nil, fmt.Errorf("base_url is missing; profile %s has no address of its own", profile.Name)
	}
	if c.ClientID != "" {
		if p.ClientID, err = resolver.public("client_id", c.ClientID); err != nil {
			return nil, err
		}
	}
	if p.BaseURL, err = url.Parse(base); err != nil {
		return nil, errors.New("base_url is not a URL; write it like https://api.example.com")
	}
	if profile.Name == "sandbox" {
		if !alipayai.IsLoopback(p.BaseURL.Hostname()) {
			return nil, fmt.Errorf("base_url: profile sandbox has public demo keys and is for loopback hosts only, not %s", p.BaseURL.Hostname())
		}
		if p.ClientID == "" {
			p.ClientID = sandbox.DemoClientID
		}
	}
	for endpoint, path := range c.Paths {
		if _, ok := profile.Paths[alipayai.Endpoint(endpoint)]; !ok {
			return nil, fmt.Errorf("path %q is unknown; use chat, embeddings or models", endpoint)
		}
		p.Paths[alipayai.Endpoint(endpoint)] = path
	}
	if p.Environment, err = alipayai.CheckEnvironment(alipayai.Environment(c.Environment), profile.Name, p.BaseURL, p.ClientID); err != nil {
		return nil, err
	}
	if p.Header, err = c.header(resolver); err != nil {
		return nil, err
	}
	clock, release := acquire[alipayai.Clock]("clock", p.BaseURL.Host)
	a.releases = append(a.releases, release)
	p.Clock = clock

	if p.Transport, err = c.transport(ctx); err != nil {
		return nil, err
	}
	keys := keyLoader{app: a, config: c, provider: p, secrets: resolver, uses: uses}
	if err := keys.load(); err != nil {
		return nil, err
	}
	if err := a.buildTokens(ctx, p, c, resolver, uses, store); err != nil {
		return nil, err
	}
	if err := a.buildCap(p, c, store); err != nil {
		return nil, err
	}
	if err := p.Prepare(); err != nil {
		return nil, err
	}
	return p, nil
}

// header resolves the fixed header fields.
func (p *Provider) header(s secrets) (http.Header, error) {
	h := make(http.Header, len(p.Headers))
	for name, value := range p.Headers {
		option := "header " + name
		if reserved(name) {
			return nil, fmt.Errorf("%s is set by the gateway itself", option)
		}
		if hasPlaceholder(value) || isSecretName(name) {
			var err error
			if value, err = s.fill(option, value); err != nil {
				return nil, err
			}
		}
		if err := checkHeaderValue(option, value); err != nil {
			return nil, err
		}
		h.Set(name, value)
	}
	return h, nil
}

// isSecretName reports whether a header field's name says that its value is a
// secret, which must not stand in the configuration.
func isSecretName(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"key", "token", "secret", "auth", "password", "cookie"}, func(word string) bool {
		return strings.Contains(name, word)
	})
}

// reserved are the header fields whose values decide how a request is framed,
// signed or answered.
func reserved(name string) bool {
	return slices.Contains([]string{
		"Authorization", "Client-Id", "Request-Time", "Signature", "Content-Type", "Content-Length",
		"Transfer-Encoding", "Connection", "Host", "Accept", "Accept-Encoding", "Idempotency-Key",
	}, http.CanonicalHeaderKey(name))
}

// defaultIdleConns is how many idle connections are kept to a provider. All
// its calls go to one host, and a connection more is cheaper than the
// handshake that it saves; Caddy's own default of 32 is for many hosts.
const defaultIdleConns = 256

// transport loads the connection module.
func (p *Provider) transport(ctx caddy.Context) (http.RoundTripper, error) {
	if p.TransportRaw == nil {
		p.TransportRaw = caddyconfig.JSONModuleObject(&reverseproxy.HTTPTransport{
			KeepAlive: &reverseproxy.KeepAlive{MaxIdleConnsPerHost: defaultIdleConns},
		}, "protocol", "http", nil)
	}
	mod, err := ctx.LoadModule(p, "TransportRaw")
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	return mod.(http.RoundTripper), nil
}

// credentialUses remembers which environment each credential belongs to, by
// its hash: a key of the sandbox must not sign for production.
type credentialUses map[[32]byte]*alipayai.Provider

// newCredentialUses knows the simulator's credentials already: they are public.
func newCredentialUses() credentialUses {
	uses := make(credentialUses)
	simulator := &alipayai.Provider{Name: "sandbox (the simulator)", Environment: alipayai.Sandbox}
	uses[hashAll([]string{sandbox.DemoOAuthSecret})] = simulator
	for _, key := range sandbox.DemoKeys() {
		uses[hashAll([]string{string(key)})] = simulator
	}
	return uses
}

// add records that p uses the credential, and refuses a second environment.
func (u credentialUses) add(p *alipayai.Provider, option string, credential []byte) error {
	key := hashAll([]string{string(credential)})
	if other, ok := u[key]; ok && other.Environment != p.Environment {
		return fmt.Errorf("%s is the same as one of provider %s: one is for %s, the other for %s",
			option, other.Name, p.Environment, other.Environment)
	}
	u[key] = p
	return nil
}
