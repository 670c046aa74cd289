package alipaycaddy

import (
	"encoding/json"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// Provider declares one upstream: where it is, how requests to it are signed,
// and which models it serves.
type Provider struct {
	// The kind of upstream, which sets the address, the paths and the way of
	// signing: `alipay`, `openapi-v3`, `openapi-v2`, `global`, `sandbox` (the
	// simulator, with built-in demo keys, on loopback only), `sandbox_anthropic` (the same of Anthropic's API), or one of the
	// presets `own`, `ant_ling`, `openai`, `anthropic`, `nextbuilder`, `deepseek`, `mistral`, `moonshot`, `qwen`,
	// `glm`, `google`, `openrouter`, `tokenmix`, `litellm`, `portkey`, `vllm`, `ollama`. Required.
	Profile string `json:"profile,omitempty"`

	// The upstream's address, such as `https://api.example.com`, or a
	// placeholder. Default: the profile's. The profile `alipay` has none.
	BaseURL string `json:"base_url,omitempty" placeholder:"whole"`

	// Further addresses of the same app: the fastest that a call's residency permits serves, and another where it fails.
	// One rate cap is for all. Default: none.
	Addresses []Address `json:"addresses,omitempty"`

	// `sandbox` or `production`. Credentials and hosts of one are refused
	// together with those of the other. Default: derived from host and client id.
	Environment string `json:"environment,omitempty"`

	// The app id or client id that requests are signed for; it may be a
	// placeholder. Required by the profiles that sign, except for `sandbox`.
	ClientID string `json:"client_id,omitempty" placeholder:"whole"`

	// The signing keys by version; the highest signs. HMAC secrets of at least
	// 16 bytes, or RSA private keys as PEM or bare base64. By placeholder.
	// Default: those of `keys_dir`, and the demo keys for profile `sandbox`
	Keys map[int]string `json:"keys,omitempty" placeholder:"whole"`

	// A folder that holds one file per key version, named by it (`1`, `2.pem`).
	// It is read anew within two seconds of a change. Replaces `keys`.
	// Default: none.
	KeysDir string `json:"keys_dir,omitempty"`

	// When keys of `keys_dir` are to be rotated, and when a new one signs. Default: at any time, and at once.
	KeyCalendar *KeyCalendar `json:"key_calendar,omitempty"`

	// An HMAC-SHA256 layout of one's own, where the upstream's contract differs from
	// the profile's. Profiles `alipay` and `sandbox`. Default: the profile's.
	Signature *Signature `json:"signature,omitempty"`

	// The header field that holds a call's id, the same for each attempt.
	// Default: `Idempotency-Key`
	IDHeader string `json:"id_header,omitempty"`

	// The RSA public keys that the upstream's answers are verified with, by
	// version, as PEM, bare base64 or certificate. Profiles `openapi-v3`,
	// `openapi-v2` and `global`. They may be placeholders. Default: none, and answers are not verified.
	PublicKeys map[int]string `json:"public_keys,omitempty" placeholder:"whole"`

	// The app's certificate as PEM, for the Open Platform's certificate mode.
	// Once it has expired, the provider is unavailable. It may be a placeholder. Default: none.
	AppCertificate string `json:"app_certificate,omitempty" placeholder:"whole"`

	// Alipay's root certificates as PEM, for the certificate mode; they may be a
	// placeholder. Required with `app_certificate`.
	RootCertificates string `json:"root_certificates,omitempty" placeholder:"whole"`

	// The merchant's token of the Open Platform, sent as
	// `alipay-app-auth-token` and signed with the request. By placeholder.
	// Default: none.
	AppAuthToken string `json:"app_auth_token,omitempty" placeholder:"whole"`

	// The API key of a preset. By placeholder. Required by every preset but
	// `ollama`.
	APIKey string `json:"api_key,omitempty" placeholder:"whole"`

	// Where OAuth access tokens are had. Required by profile `alipay`. Default:
	// the simulator's own endpoint for profile `sandbox`
	Token *Token `json:"token,omitempty"`

	// How tenants' users authorise calls that name them, which then carry the user's own token. Default: all
	// calls carry the provider's.
	UserToken *UserToken `json:"user_token,omitempty"`

	// The models that the provider serves, by the names clients use; those of
	// `model_map` as well. Default: any.
	Models []string `json:"models,omitempty"`

	// The upstream's model for every model asked for that `model_map` does not
	// name. Default: the one asked for.
	Model string `json:"model,omitempty"`

	// The upstream's models by the clients' names. Default: none.
	ModelMap map[string]string `json:"model_map,omitempty"`

	// The paths of `chat`, `embeddings`, `models` and `moderations`, which are appended to
	// the base URL. Default: the profile's.
	Paths map[string]string `json:"paths,omitempty"`

	// Header fields sent with every request. Values may be placeholders.
	// Default: none.
	Headers map[string]string `json:"headers,omitempty" placeholder:"within"`

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
	// first content, and between the parts of a JSON answer. Default: `15s`
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// How long may pass between a stream's events. Default: twice `timeout`
	StreamTimeout caddy.Duration `json:"stream_timeout,omitempty"`

	// What to do about an answer's signature: `off`, `if_present` or
	// `require`. Streams are never verified, and failures need no signature.
	// Default: `if_present`, and `off`
	// where `public_keys` are needed but missing.
	VerifyResponse string `json:"verify_response,omitempty"`

	// What to do about the upstream's failure codes, before what is built in; the
	// first that matches counts. Default: none.
	Codes []CodeRule `json:"codes,omitempty"`

	// How the upstream takes OpenAI's format: `alipay`, `deepseek`, `glm`, `google`, `legacy`,
	// `mistral`, `moonshot`, `openai`, `qwen`, or `none` for requests as they come. Its rules
	// are applied where the gateway chose the upstream or the model, as in a
	// fallback. Default: the profile's, which for gateways is `none`
	Dialect string `json:"dialect,omitempty"`

	// An API that the upstream has beside chat completions: `responses`, OpenAI's
	// Responses API, whose clients' requests go there as they come. Default: none.
	API string `json:"api,omitempty"`

	// What becomes of a request of which the upstream's format or dialect, or OpenAI's form, cannot
	// carry everything over: `reject`, `warn`, which drops it and says so in
	// `X-Alipayai-Unsupported`, or `drop`. Default: `warn`
	OnUnsupported string `json:"on_unsupported,omitempty"`

	// The agent to ask. Required by profile `nextbuilder`.
	Agent *Agent `json:"agent,omitempty"`

	// What is around requests. For profiles of OpenAI's form. Default: nothing.
	Request *Request `json:"request,omitempty"`

	// Where the upstream's answers have what is read of them, as in an envelope of its
	// own. For profiles of OpenAI's form. Default: as in OpenAI's form and those of
	// Ant's interfaces.
	Answer *Answer `json:"answer,omitempty"`

	// What models cost, by the provider's names; `*` stands for each of all others.
	// Default: those of `prices_file`
	Prices map[string]*Price `json:"prices,omitempty"`

	// Keeps connections ready before calls need them. Default: connections are made when
	// calls need them.
	Pool *Pool `json:"pool,omitempty"`

	// How to connect. Default: `{"protocol": "http"}`, keeping up to 256 idle
	// connections.
	TransportRaw json.RawMessage `json:"transport,omitempty" caddy:"namespace=http.reverse_proxy.transport inline_key=protocol"`

	// transportKey is TransportRaw, which Caddy clears when it has loaded the module.
	transportKey string
}

// describe makes of its configuration what a provider is without its connections:
// all that signing a request needs, and its keys.
func (u *upstreams) describe(name string, c *Provider, uses credentialUses) (*upstream.Provider, *keyLoader, error) {
	profile, err := upstream.LookupProfile(c.Profile)
	if err != nil {
		return nil, nil, err
	}
	if profile, err = profile.With(upstream.Declared{Signature: c.Signature != nil, Token: c.Token != nil, APIKey: c.APIKey != ""}); err != nil {
		return nil, nil, err
	}
	p := &upstream.Provider{
		Name: name, Profile: profile, Region: c.Region,
		Models: c.Models, Model: c.Model, ModelMap: c.ModelMap,
		Timeout: time.Duration(c.Timeout), StreamTimeout: time.Duration(c.StreamTimeout), Verify: upstream.VerifyMode(c.VerifyResponse),
		Paths:         make(map[upstream.Endpoint]string, len(c.Paths)),
		Dialect:       c.Dialect,
		Responses:     c.API == apiResponses,
		OnUnsupported: upstream.OnUnsupported(c.OnUnsupported),
		Credentials:   live,
		Residency:     u.residency,
	}
	if p.Model == "" {
		p.Model, p.OwnModels = profile.Model, profile.OwnModels
	}
	for _, rule := range c.Codes {
		p.Codes = append(p.Codes, failure.Rule{Pattern: rule.Pattern, Class: failure.Class(rule.Action)})
	}
	for _, set := range []func(*upstream.Provider, secrets) error{c.setForm, c.setPlace, c.setHeader} {
		if err := set(p, u.secrets); err != nil {
			return nil, nil, err
		}
	}
	keys := &keyLoader{upstreams: u, config: c, provider: p, secrets: u.secrets, uses: uses}
	if err := keys.load(); err != nil {
		return nil, nil, err
	}
	return p, keys, nil
}

// CodeRule says what to do about an upstream's failure code.
type CodeRule struct {
	// The code, with `*` for any characters. Required.
	Pattern string `json:"pattern,omitempty"`

	// `retry`, `refresh_token`, `resign`, `throttle`, `system_error`, `blocked`,
	// `reauthorise`, `account_exhausted` or `fail`. Required.
	Action string `json:"action,omitempty"`
}

// Agent is an agent of the Open Platform's agent API.
type Agent struct {
	// The agent's id; it may be a placeholder. Required.
	ID string `json:"id,omitempty" placeholder:"whole"`

	// A published configuration of the agent. Default: the latest.
	ConfigVersion string `json:"config_version,omitempty"`

	// Asks for the agent's chain of thought, which clients get as
	// `reasoning_content`. Default: false
	Thinking bool `json:"thinking,omitempty"`
}
