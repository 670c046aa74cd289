package alipaycaddy

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-alipayai/gateway/alipayai/outgoing"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/anthropic"
	"github.com/caddy-alipayai/gateway/alipayai/wire/nextbuilder"
	"github.com/caddy-alipayai/gateway/failover"
)

// buildProvider makes the domain's provider of its configuration.
func (u *upstreams) buildProvider(ctx caddy.Context, name string, c *Provider, uses credentialUses) (*upstream.Provider, error) {
	p, keys, err := u.describe(name, c, uses)
	if err != nil {
		return nil, err
	}
	p.Clock = acquireFor[upstream.Clock](&u.acquired, "clock", p.BaseURL.Host)
	p.Budget = acquireFor[failover.Budget](&u.acquired, "budget", p.BaseURL.Host, p.ClientID, name)

	if p.Transport, err = c.transport(ctx); err != nil {
		return nil, err
	}
	u.acquired.add(func() { closeIdle(p.Transport) })
	if err := u.openPool(p, c); err != nil {
		return nil, err
	}
	u.holdAccount(p, keys.account)
	if err := u.buildTokens(ctx, p, c, uses); err != nil {
		return nil, err
	}
	if err := u.buildUsers(ctx, p, c.UserToken, uses); err != nil {
		return nil, err
	}
	if err := u.buildCap(p, c); err != nil {
		return nil, err
	}
	u.openRoutes(p)
	if err := p.Prepare(); err != nil {
		return nil, err
	}
	if err := u.openCalendar(ctx, p, c, keys); err != nil {
		return nil, err
	}
	return p, nil
}

// setForm sets what the provider speaks, and what is around it.
func (p *Provider) setForm(to *upstream.Provider, s secrets) (err error) {
	if to.Format, err = p.format(s, to.Profile); err != nil {
		return err
	}
	if to.RequestFields, err = p.Request.fields(); err != nil {
		return err
	}
	if to.StreamHeader, err = p.Request.streamHeader(); err != nil {
		return err
	}
	to.AnswerFields, err = p.Answer.fields()
	return err
}

// setPlace sets where the provider is, and as whom and in which environment the gateway is there.
func (p *Provider) setPlace(to *upstream.Provider, s secrets) (err error) {
	profile, base := to.Profile, to.Profile.BaseURL
	if p.BaseURL != "" {
		if base, err = s.public("base_url", p.BaseURL); err != nil {
			return err
		}
	}
	if base == "" {
		return fmt.Errorf("base_url is missing; profile %s has no address of its own", profile.Name)
	}
	if p.ClientID != "" {
		if to.ClientID, err = s.public("client_id", p.ClientID); err != nil {
			return err
		}
	}
	if to.BaseURL, err = parseBase(profile, base); err != nil {
		return err
	}
	if err := p.addresses(to, s); err != nil {
		return err
	}
	if profile.Simulated && profile.Signs() {
		to.ClientID = cmp.Or(to.ClientID, sandbox.DemoClientID)
	}
	if to.ClientID == "" && profile.Signs() && p.Signature == nil {
		return fmt.Errorf("client_id is missing: profile %s signs with it; write client_id <id>, with the id that the platform has given the app", profile.Name)
	}
	for endpoint, path := range p.Paths {
		if _, ok := profile.Paths[upstream.Endpoint(endpoint)]; !ok {
			return fmt.Errorf("path %q is unknown; use chat, embeddings, models or moderations", endpoint)
		}
		to.Paths[upstream.Endpoint(endpoint)] = path
	}
	if to.Environment, err = upstream.CheckEnvironment(upstream.Environment(p.Environment), profile.Name, to.BaseURL, to.ClientID); err != nil {
		return err
	}
	for _, address := range to.Addresses {
		if _, err := upstream.CheckEnvironment(to.Environment, profile.Name, address.URL, to.ClientID); err != nil {
			return err
		}
	}
	return nil
}

// setHeader sets the fields that requests have besides their signature, and where a token stands among them.
func (p *Provider) setHeader(to *upstream.Provider, s secrets) (err error) {
	if to.Header, err = p.header(s, to.Profile.Header); err != nil {
		return err
	}
	if p.IDHeader != "" {
		if to.IDHeader, err = ownHeader("id_header", p.IDHeader); err != nil {
			return err
		}
	}
	if p.Token != nil {
		return p.Token.present(to)
	}
	return nil
}

// apiResponses is the one word for [Provider.API].
const apiResponses = "responses"

// format gives what the upstream speaks.
func (p *Provider) format(s secrets, profile upstream.Profile) (wire.Format, error) {
	if p.API != "" && p.API != apiResponses {
		return nil, fmt.Errorf("api %q is unknown; use responses", p.API)
	}
	if (p.Agent != nil) != profile.Agent {
		return nil, errors.New("agent goes with profile nextbuilder, and that needs it: agent <id>")
	}
	switch profile.Format {
	case wire.Anthropic:
		return new(anthropic.Format), nil
	case wire.NextBuilder:
		id, err := s.public("agent", p.Agent.ID)
		if err != nil {
			return nil, err
		}
		for _, value := range []string{id, p.Agent.ConfigVersion} {
			if err := checkHeaderValue("agent", value); err != nil {
				return nil, err
			}
		}
		return nextbuilder.Format{AgentID: id, ConfigVersion: p.Agent.ConfigVersion, Thinking: p.Agent.Thinking}, nil
	}
	return nil, nil // OpenAI's, which Prepare sets
}

// header resolves the fixed header fields.
func (p *Provider) header(s secrets, preset map[string]string) (http.Header, error) {
	h := make(http.Header, len(preset)+len(p.Headers))
	for name, value := range preset {
		h.Set(name, value)
	}
	given := make(map[string]bool, len(p.Headers))
	for _, name := range slices.Sorted(maps.Keys(p.Headers)) {
		option, value := "header "+name, p.Headers[name]
		switch field := http.CanonicalHeaderKey(name); {
		case !httpguts.ValidHeaderFieldName(name):
			return nil, fmt.Errorf("header %q is no name of a header; write it like X-Team", name)
		case reserved(name):
			return nil, fmt.Errorf("%s is set by the gateway itself", option)
		case given[field]:
			return nil, fmt.Errorf("%s is given twice, in other letters", option)
		default:
			given[field] = true
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

// ownHeader gives the canonical name of a header field that an option names, and
// refuses those that have another meaning.
func ownHeader(option, name string) (string, error) {
	if !httpguts.ValidHeaderFieldName(name) {
		return "", fmt.Errorf("%s %q is no name of a header", option, name)
	}
	name = http.CanonicalHeaderKey(name)
	if reserved(name) && name != "Authorization" && name != "Idempotency-Key" {
		return "", fmt.Errorf("%s: %s has a meaning of its own; use another", option, name)
	}
	return name, nil
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
		"Alipay-App-Auth-Token", "Alipay-Root-Cert-Sn",
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
	p.transportKey = string(p.TransportRaw)
	var chosen struct {
		Protocol string `json:"protocol"`
	}
	switch err := json.Unmarshal(p.TransportRaw, &chosen); {
	case err != nil || chosen.Protocol == "":
		return nil, errors.New(`transport names no module; write an object with its "protocol", as {"protocol": "http"}`)
	case chosen.Protocol == signingProtocol:
		return nil, errors.New("transport alipayai is for reverse_proxy: a provider's requests are signed already; use transport http")
	}
	mod, err := ctx.LoadModule(p, "TransportRaw")
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	if h, ok := mod.(*reverseproxy.HTTPTransport); ok {
		return connectionsOf(h), nil
	}
	return mod.(http.RoundTripper), nil
}

// connectionsOf gives what carries requests with the settings of h, which is
// provisioned, and keeps no silent HTTP/2 connection in use. HTTP/3 stays
// Caddy's: QUIC ends idle connections by itself (RFC 9000, section 10.1). Who
// is done with it calls closeIdle.
func connectionsOf(h *reverseproxy.HTTPTransport) http.RoundTripper {
	if slices.Contains(h.Versions, "3") {
		return h
	}
	return outgoing.NewTransport(h.Transport)
}

// closeIdle closes the connections that no request is on. Those that are under
// way close theirs when they end.
func closeIdle(connections http.RoundTripper) {
	if c, ok := connections.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// credentialUses remembers which environment each credential belongs to, by
// its hash: a key of the sandbox must not sign for production.
type credentialUses map[[32]byte]*upstream.Provider

// newCredentialUses knows the simulator's credentials already: they are public.
func newCredentialUses() credentialUses {
	uses := make(credentialUses)
	simulator := &upstream.Provider{Name: "sandbox (the simulator)", Environment: upstream.Sandbox}
	uses[hashAll([]string{sandbox.DemoOAuthSecret})] = simulator
	uses[hashAll([]string{sandbox.DemoAPIKey})] = simulator
	for _, key := range sandbox.DemoKeys() {
		uses[hashAll([]string{string(key)})] = simulator
	}
	return uses
}

// add records that p uses the credential, and refuses a second environment.
func (u credentialUses) add(p *upstream.Provider, option string, credential []byte) error {
	key := hashAll([]string{string(credential)})
	if other, ok := u[key]; ok && other.Environment != p.Environment {
		return fmt.Errorf("%s is the same as one of provider %s: one is for %s, the other for %s",
			option, other.Name, p.Environment, other.Environment)
	}
	u[key] = p
	return nil
}
