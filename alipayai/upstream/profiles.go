package upstream

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/nextbuilder"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
	"github.com/caddy-alipayai/gateway/signer"
)

// Endpoint is one of the OpenAI API's calls that the gateway serves.
type Endpoint string

// The endpoints, as metric labels and option names call them.
const (
	EndpointChat        Endpoint = "chat"
	EndpointEmbeddings  Endpoint = "embeddings"
	EndpointModels      Endpoint = "models"
	EndpointModerations Endpoint = "moderations"
	// EndpointCountTokens counts the tokens of a request of the Messages API.
	EndpointCountTokens Endpoint = "count_tokens"
	// EndpointResponses is that of a provider that has the Responses API beside chat completions.
	EndpointResponses Endpoint = "responses"
	// EndpointInputTokens and EndpointCompact are that API's for the tokens of a request, and for a conversation made short.
	EndpointInputTokens Endpoint = "input_tokens"
	EndpointCompact     Endpoint = "compact"
)

// HasChoices reports whether a good answer has choices or data.
func (e Endpoint) HasChoices() bool { return e == EndpointChat || e == EndpointEmbeddings }

// Generates reports whether a good answer is what a model has generated, in the provider's format.
func (e Endpoint) Generates() bool { return e == EndpointChat || e == EndpointCompact }

// Costs reports whether a call is paid for: lists of models and counts of tokens are free.
func (e Endpoint) Costs() bool { return e != EndpointModels && !e.Counts() }

// Counts reports whether a good answer is a number of tokens.
func (e Endpoint) Counts() bool { return e == EndpointCountTokens || e == EndpointInputTokens }

// AnsweredBy reports whether a body has what a good answer of an endpoint that generates nothing has: results of a moderation, a number
// of tokens, or a vector. Servers that take every path for chat completions' answer with one of these, and some have embeddings in which
// there is nothing (https://github.com/hugalafutro/model-hotel/pull/978).
func (e Endpoint) AnsweredBy(body []byte) bool {
	switch {
	case e == EndpointEmbeddings:
		return hasVector(body)
	case e == EndpointModerations:
		var a struct {
			Results []json.RawMessage `json:"results"`
		}
		return json.Unmarshal(body, &a) == nil && a.Results != nil
	case e.Counts():
		var a struct {
			Tokens json.RawMessage `json:"input_tokens"`
		}
		if json.Unmarshal(body, &a) != nil {
			return false
		}
		_, ok := wire.TokenCount([]byte(a.Tokens))
		return ok
	}
	return true
}

// hasVector reports whether one of an answer's embeddings, which is the first of a good one, has something in it, or it has none by that
// name.
func hasVector(body []byte) bool {
	named := false
	for {
		_, rest, found := bytes.Cut(body, []byte(`"embedding"`))
		if !found {
			return !named
		}
		body = rest
		value, isKey := bytes.CutPrefix(bytes.TrimLeft(rest, jsonSpace), []byte(":"))
		named = named || isKey
		if value = bytes.TrimLeft(value, jsonSpace); !isKey || len(value) == 0 {
			continue
		}
		pair := strings.IndexByte(`[{"`, value[0])
		if inside := bytes.TrimLeft(value[1:], jsonSpace); pair >= 0 && len(inside) > 0 && inside[0] != `]}"`[pair] {
			return true
		}
	}
}

const jsonSpace = " \t\r\n"

// Profile is what the gateway knows of a kind of upstream: where it is, how a
// request is authenticated, and under which paths the endpoints are.
type Profile struct {
	Name string
	// BaseURL is the default address, empty where only the user knows it.
	BaseURL string
	// Scheme is the signing scheme's name; empty for none.
	Scheme string
	// KeyHeader is the header of scheme "header".
	KeyHeader string
	// TakesToken says that requests carry an OAuth access token as Bearer.
	TakesToken bool
	// Paths are appended to the base URL's path. Endpoints without one are not
	// served.
	Paths map[Endpoint]string
	// Format is the name of what the upstream speaks.
	Format string
	// Dialect is the name of how it speaks OpenAI's format: see [openai.LookupDialect].
	// Empty for another format.
	Dialect string
	// Model is what every model becomes upstream unless the provider says more, but for those whose names begin with
	// OwnModels: they are the vendor's own.
	Model, OwnModels string
	// Header is sent with every request.
	Header map[string]string
	// LimitsModels says that the vendor's rate limits are of an account and a model,
	// so that a throttled model says nothing of others.
	LimitsModels bool
	// Codes say what words mean that only this vendor uses so; the configured rules
	// come before.
	Codes []failure.Rule
	// Own says that it is for a contract of one's own: what is declared of it makes the rest. See [Profile.With].
	Own bool
	// Agent says that it is an agent: what it answers depends on its session as well, it may act on what it is asked, and
	// it takes no system prompt.
	Agent bool
	// Simulated says that the upstream is a simulator on this machine, whose
	// credentials are public.
	Simulated bool
}

// Kind is what is known of the signing scheme.
func (p Profile) Kind() *signer.Kind { return signer.KindOf(p.Scheme) }

// Signs reports whether requests are signed over their bytes, as against
// carrying a fixed key.
func (p Profile) Signs() bool { return p.Kind().Signs() }

// Declared is what is declared of a provider that proves who asks.
type Declared struct{ Signature, Token, APIKey bool }

// With gives the profile of a contract of one's own as it is declared: a signature signs requests, a token or a key goes with
// them, and without any of them nothing does. Other profiles stay what they are.
func (p Profile) With(d Declared) (Profile, error) {
	if !p.Own {
		return p, nil
	}
	if d.APIKey && (d.Signature || d.Token) {
		return p, errors.New("api_key goes with neither signature nor token: each is who asks")
	}
	p.TakesToken = d.Token
	switch {
	case d.Signature:
		p.Scheme = signer.NameHMAC
	case d.APIKey:
		p.Scheme = signer.NameBearer
	}
	return p, nil
}

// versionedPaths are for base URLs without a version, openAIPaths for those
// that end in it, as the OpenAI SDKs' base URLs do.
var (
	versionedPaths = map[Endpoint]string{
		EndpointChat:       "/v1/chat/completions",
		EndpointEmbeddings: "/v1/embeddings",
		EndpointModels:     "/v1/models",

		EndpointModerations: "/v1/moderations",
	}
	openAIPaths = map[Endpoint]string{
		EndpointChat:       "/chat/completions",
		EndpointEmbeddings: "/embeddings",
		EndpointModels:     "/models",

		EndpointModerations: "/moderations",
	}
)

// profiles holds every profile by name. Tests hold that the field Profile in caddy/provider.go names a new one, that the table of
// caddy/README.md has its row, and that TestProfiles of package alipayai knows whether it signs. Addresses are those of the vendors'
// own documentation. The Alipay AI API has no public byte-level contract: its
// profile puts HMAC-SHA256 into the layout of Ant's global APIs, and all of
// it can be configured.
var profiles = func() map[string]Profile {
	m := make(map[string]Profile)
	for _, p := range []Profile{
		{Name: "alipay", Scheme: signer.NameHMAC, TakesToken: true, Paths: versionedPaths, Dialect: "alipay"},
		{Name: "sandbox", BaseURL: "http://127.0.0.1:8081", Scheme: signer.NameHMAC, TakesToken: true, Paths: versionedPaths, Simulated: true, Dialect: "alipay"},
		{Name: "openapi-v3", BaseURL: "https://openapi.alipay.com", Scheme: signer.NameOpenAPIV3, Paths: versionedPaths, Dialect: "alipay"},
		{Name: "openapi-v2", BaseURL: "https://openapi.alipay.com", Scheme: signer.NameOpenAPIV2, Paths: versionedPaths},
		{Name: "global", BaseURL: "https://open-sea-global.alipay.com", Scheme: signer.NameGlobal, Paths: versionedPaths, Dialect: "alipay"},
		{Name: "ant_ling", BaseURL: "https://api.ant-ling.com/v1", Scheme: signer.NameBearer, Paths: openAIPaths, Codes: antLingCodes, Dialect: "alipay"},
		{Name: "openai", BaseURL: "https://api.openai.com/v1", Scheme: signer.NameBearer, Paths: openAIPaths, LimitsModels: true, Dialect: "openai"},
		anthropicProfile("anthropic", "https://api.anthropic.com/v1", false),
		anthropicProfile("sandbox_anthropic", "http://127.0.0.1:8082/v1", true),
		{Name: "nextbuilder", BaseURL: "https://openapi.alipay.com", Scheme: signer.NameOpenAPIV3, Format: wire.NextBuilder, Agent: true,
			Paths: map[Endpoint]string{EndpointChat: nextbuilder.Path}},
		{Name: "deepseek", BaseURL: "https://api.deepseek.com", Scheme: signer.NameBearer, Paths: openAIPaths, Dialect: "deepseek"},
		{Name: "mistral", BaseURL: "https://api.mistral.ai/v1", Scheme: signer.NameBearer, Paths: openAIPaths, Codes: mistralCodes, Dialect: "mistral"},
		{Name: "qwen", BaseURL: "https://dashscope.aliyuncs.com/compatible-mode/v1", Scheme: signer.NameBearer, Paths: openAIPaths, LimitsModels: true, Codes: qwenCodes, Dialect: "qwen"},
		// https://docs.z.ai/guides/develop/openai/python; the address is that of mainland China, as bigmodel.cn documents it.
		{Name: "glm", BaseURL: "https://open.bigmodel.cn/api/paas/v4", Scheme: signer.NameBearer, Paths: openAIPaths, Dialect: "glm"},
		// https://platform.kimi.ai/docs/api/chat; the address is that outside of mainland China.
		{Name: "moonshot", BaseURL: "https://api.moonshot.ai/v1", Scheme: signer.NameBearer, Paths: openAIPaths, Dialect: "moonshot"},
		// https://ai.google.dev/gemini-api/docs/openai; quotas are PerProjectPerModel:
		// https://github.com/google-gemini/gemini-cli/issues/8437.
		{Name: "google", BaseURL: "https://generativelanguage.googleapis.com/v1beta/openai", Scheme: signer.NameBearer, Paths: openAIPaths, LimitsModels: true, Dialect: "google"},
		{Name: "openrouter", BaseURL: "https://openrouter.ai/api/v1", Scheme: signer.NameBearer, Paths: openAIPaths, LimitsModels: true},
		{Name: "tokenmix", BaseURL: "https://api.tokenmix.ai/v1", Scheme: signer.NameBearer, Paths: openAIPaths},
		{Name: "litellm", BaseURL: "http://127.0.0.1:4000/v1", Scheme: signer.NameBearer, Paths: openAIPaths},
		{Name: "portkey", BaseURL: "https://api.portkey.ai/v1", Scheme: signer.NameHeader, KeyHeader: "x-portkey-api-key", Paths: openAIPaths, Codes: portkeyCodes},
		// https://docs.vllm.ai/en/latest/serving/openai_compatible_server: the key is that of --api-key, and any where it has none.
		{Name: "vllm", BaseURL: "http://127.0.0.1:8000/v1", Scheme: signer.NameBearer, Paths: openAIPaths, Dialect: "legacy"},
		{Name: "own", Own: true, Paths: openAIPaths},
		{Name: "ollama", BaseURL: "http://127.0.0.1:11434/v1", Paths: openAIPaths, Dialect: "legacy"},
	} {
		if p.Format == "" {
			p.Format, p.Dialect = wire.OpenAI, cmp.Or(p.Dialect, openai.NoDialect)
		}
		m[p.Name] = p
	}
	return m
}()

// anthropicProfile is Anthropic's Messages API, as its reference has it.
func anthropicProfile(name, base string, simulated bool) Profile {
	return Profile{
		Name: name, BaseURL: base, Simulated: simulated,
		Scheme: signer.NameHeader, KeyHeader: "x-api-key", Header: map[string]string{"Anthropic-Version": "2023-06-01"},
		Format: wire.Anthropic, LimitsModels: true, Model: "claude-haiku-4-5", OwnModels: "claude-",
		Paths: map[Endpoint]string{EndpointChat: "/messages", EndpointModels: "/models", EndpointCountTokens: "/messages/count_tokens"},
	}
}

// SlowDownHold is how long Ant Ling is throttling after it has answered 503
// with "Slow Down": at least 15 minutes, as its documentation has it.
const SlowDownHold = 15 * time.Minute

// antLingCodes are what Ant Ling says in the message alone.
var antLingCodes = []failure.Rule{
	{Pattern: "*", Status: http.StatusServiceUnavailable, Message: "Slow Down", Class: failure.Throttle, Hold: SlowDownHold},
}

// portkeyCodes are Portkey's statuses: https://portkey.ai/docs/api-reference/inference-api/error-codes.
var portkeyCodes = []failure.Rule{
	{Pattern: "412", Class: failure.AccountExhausted}, // budget exhausted
	{Pattern: "446", Class: failure.Blocked},          // guardrail checks failed
}

// mistralCodes are Mistral's numbers. Those of four digits elsewhere are GLM's, which
// mean something else by them.
var mistralCodes = []failure.Rule{
	{Pattern: "1300", Class: failure.Throttle}, // rate_limited
	{Pattern: "3505", Class: failure.Throttle}, // service_tier_capacity_exceeded
	failure.ByStatus("[0-9][0-9][0-9][0-9]"),   // 1000 is internal_server_error, and internal_error_proxy with a 422
}

// qwenCodes are Qwen's: it has OpenAI's code and words for an empty account where the limit on tokens in a minute is meant. What
// is used up of its free quota and plans, it says by other words (https://github.com/can1357/oh-my-pi/pull/8476,
// https://github.com/openclaw/openclaw/pull/148275).
var qwenCodes = []failure.Rule{
	{Pattern: "insufficient_quota", Status: http.StatusTooManyRequests, Message: "You exceeded your current quota", Class: failure.Throttle},
}

// ProfileNames lists the profiles in order.
func ProfileNames() []string {
	names := make([]string, 0, len(profiles))
	for name := range profiles {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// LookupProfile gives the profile of that name, or an error that lists the
// names there are.
func LookupProfile(name string) (Profile, error) {
	p, ok := profiles[name]
	if name == "" {
		return Profile{}, fmt.Errorf("profile is missing; use one of %s", strings.Join(ProfileNames(), ", "))
	}
	if !ok {
		return Profile{}, fmt.Errorf("profile %q is unknown; use one of %s", name, strings.Join(ProfileNames(), ", "))
	}
	return p, nil
}
