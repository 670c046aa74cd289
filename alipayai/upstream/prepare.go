package upstream

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/credentials"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
	"github.com/caddy-alipayai/gateway/failover"
)

// Prepare checks the provider and works out what every call needs. It does no
// input or output.
func (p *Provider) Prepare() error {
	if err := checkBase(p.BaseURL); err != nil {
		return err
	}
	for option, values := range map[string][]string{
		"name": {p.Name}, "region": {p.Region}, "models": p.Models,
		"model": slices.Concat([]string{p.Model}, slices.Collect(maps.Keys(p.ModelMap)), slices.Collect(maps.Values(p.ModelMap))),
	} {
		if slices.ContainsFunc(values, hasControl) {
			return fmt.Errorf("%s has a line break or another control character in it", option)
		}
	}
	if err := p.prepareTimes(); err != nil {
		return err
	}
	if err := p.prepareChoices(); err != nil {
		return err
	}
	if err := p.prepareForms(); err != nil {
		return err
	}
	if p.Credentials == nil {
		p.Credentials = new(credentials.Filter)
		if p.Tokens != nil && p.Tokens.Cell != nil {
			p.Credentials.Watch(p.Tokens.Cell)
		}
	}
	p.rules = slices.Concat(p.Codes, p.Profile.Codes)
	if p.Hold == nil {
		p.Hold = new(Hold)
	}
	if err := p.prepareHeaders(); err != nil {
		return err
	}
	if p.Budget == nil {
		p.Budget = new(failover.Budget)
	}
	if p.Verify == VerifyRequire && !p.Profile.Signs() {
		return fmt.Errorf("verify_response require: answers of profile %s are not signed", p.Profile.Name)
	}
	p.account = p.Name + "@" + p.BaseURL.Host
	if p.Responses && p.AnswerForm.Translates() {
		return errors.New("api responses: answer says of chat completions where their content stands; take one of them out")
	}
	if err := p.prepareAddresses(); err != nil {
		return err
	}
	p.Shape = p.shapeOf()
	return nil
}

// prepareTimes sets how long the provider may take.
func (p *Provider) prepareTimes() error {
	if p.Timeout == 0 {
		p.Timeout = DefaultTimeout
	}
	if p.Timeout < 0 {
		return errors.New("timeout is negative; write it like 15s")
	}
	if p.StreamTimeout == 0 {
		p.StreamTimeout = 2 * p.Timeout
	}
	if p.StreamTimeout < 0 {
		return errors.New("stream_timeout is negative; write it like 30s")
	}
	return nil
}

// prepareChoices sets the words that are not given, and refuses those that there are not.
func (p *Provider) prepareChoices() error {
	switch p.Verify {
	case "":
		p.Verify = VerifyIfPresent
	case VerifyOff, VerifyIfPresent, VerifyRequire:
	default:
		return fmt.Errorf("verify_response %q is unknown; use off, if_present or require", string(p.Verify))
	}
	switch p.OnUnsupported {
	case "":
		p.OnUnsupported = OnUnsupportedWarn
	case OnUnsupportedWarn, OnUnsupportedDrop, OnUnsupportedReject:
	default:
		return fmt.Errorf("on_unsupported %q is unknown; use reject, warn or drop", string(p.OnUnsupported))
	}
	for _, rule := range p.Codes {
		if err := rule.Check(); err != nil {
			return err
		}
	}
	return nil
}

// prepareForms makes what requests and answers are read and written with.
func (p *Provider) prepareForms() error {
	switch {
	case p.Dialect != "" && p.Profile.Format != wire.OpenAI:
		return fmt.Errorf("dialect goes with OpenAI's format, and profile %s speaks another", p.Profile.Name)
	case p.Format == nil && p.Profile.Format == wire.OpenAI:
		p.Dialect = cmp.Or(p.Dialect, p.Profile.Dialect, openai.NoDialect)
		dialect, err := openai.LookupDialect(p.Dialect)
		if err != nil {
			return err
		}
		p.Format = openai.Format{Dialect: dialect}
	case p.Format == nil || p.Format.Name() != p.Profile.Format:
		return fmt.Errorf("profile %s needs the format %s", p.Profile.Name, p.Profile.Format)
	}
	if p.AnswerFields != nil {
		if p.Profile.Format != wire.OpenAI {
			return fmt.Errorf("answer goes with OpenAI's format, and profile %s speaks another", p.Profile.Name)
		}
		form, err := wire.NewAnswerForm(*p.AnswerFields)
		if err != nil {
			return fmt.Errorf("answer: %w", err)
		}
		p.AnswerForm = form
	}
	if p.RequestFields != nil {
		if p.Profile.Format != wire.OpenAI {
			return fmt.Errorf("request goes with OpenAI's format, and profile %s speaks another", p.Profile.Name)
		}
		around, err := newEnvelope(*p.RequestFields)
		if err != nil {
			return fmt.Errorf("request: %w", err)
		}
		p.envelope, p.nonce = around, around.nonce
	}
	return nil
}

// checkBase refuses what is no address.
func checkBase(u *url.URL) error {
	if u != nil && isSocket(u) {
		return errors.New("base_url is a unix socket, by which providers are not reached; let the server listen on loopback, and write it like http://127.0.0.1:8000")
	}
	if u == nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("base_url is missing or not absolute; write it like https://api.example.com")
	}
	if err := CheckServer(u); err != nil {
		return fmt.Errorf("base_url %w", err)
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return errors.New("base_url takes no user, query or fragment")
	}
	return nil
}

// isSocket reports whether a URL is the path of a unix socket, in one of the forms that other programs take: unix//run/x.sock, as
// Caddy's reverse_proxy does (caddyserver.com/docs/conventions#network-addresses), unix:///run/x.sock, http://unix//run/x.sock and
// http+unix://…
func isSocket(u *url.URL) bool {
	network, _, _ := strings.Cut(u.Path, "/")
	return strings.HasPrefix(u.Scheme, "unix") || strings.HasSuffix(u.Scheme, "+unix") || u.Scheme == "" && (network == "unix" || network == "unix+h2c") ||
		u.Hostname() == "unix" && strings.HasPrefix(u.Path, "//")
}

// CheckServer refuses the host and port of an address that there cannot be. A host that is empty, which no URL of HTTP has
// (RFC 9110, section 4.2.1), would be this machine.
func CheckServer(u *url.URL) error {
	if u.Hostname() == "" {
		return errors.New("names no host; write it like https://api.example.com")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("has the port %s; ports are numbers from 1 to 65535", port)
		}
	}
	return nil
}

// targetsAt joins the paths of the endpoints to an address.
func (p *Provider) targetsAt(base *url.URL) (map[Endpoint]target, error) {
	targets := make(map[Endpoint]target, len(p.Profile.Paths))
	for endpoint, path := range p.Profile.Paths {
		if own, ok := p.Paths[endpoint]; ok {
			path = own
		}
		if !strings.HasPrefix(path, "/") {
			return nil, fmt.Errorf("path of %s does not begin with a slash", endpoint)
		}
		path = p.Profile.Kind().Target(p.ClientID, path)
		u, err := url.Parse(strings.TrimSuffix(base.String(), "/") + path)
		if err != nil || u.Host != base.Host || u.Fragment != "" {
			return nil, fmt.Errorf("path of %s cannot be joined to base_url", endpoint)
		}
		targets[endpoint] = target{url: u, requestTarget: u.RequestURI()}
	}
	if p.Responses {
		return targets, p.addResponses(targets)
	}
	return targets, nil
}

// addResponses puts the Responses API beside the path of chat completions.
func (p *Provider) addResponses(targets map[Endpoint]target) error {
	const chat = "/chat/completions"
	at, ok := targets[EndpointChat]
	if !ok || p.Format.Name() != wire.OpenAI || !strings.HasSuffix(at.url.Path, chat) {
		return fmt.Errorf("api responses needs a provider of OpenAI's form, whose path of chat ends in %s", chat)
	}
	for endpoint, path := range map[Endpoint]string{
		EndpointResponses: "/responses", EndpointInputTokens: "/responses/input_tokens", EndpointCompact: "/responses/compact",
	} {
		u := *at.url
		u.Path, u.RawPath = strings.TrimSuffix(u.Path, chat)+path, ""
		targets[endpoint] = target{url: &u, requestTarget: u.RequestURI()}
	}
	return nil
}

// prepareHeaders works out which fields hold the id and the token, and refuses a
// layout that would put another value into one of them.
func (p *Provider) prepareHeaders() error {
	p.IDHeader = cmp.Or(p.IDHeader, "Idempotency-Key")
	if p.TokenHeader == "" {
		p.TokenHeader, p.TokenPrefix = "Authorization", "Bearer "
	}
	if p.Scheme == nil {
		return nil
	}
	scheme := p.Scheme.Traits()
	p.nonce = p.nonce || scheme.Nonce
	if p.Verify == VerifyRequire && scheme.IgnoresAnswers {
		return errors.New("verify_response require: signature says nothing of answers; add an answer block to it")
	}
	takesToken := p.Tokens != nil || p.Profile.TakesToken // a draft has none yet
	for _, name := range scheme.Headers {
		switch {
		case p.Users != nil && name == p.UserHeader:
			return fmt.Errorf("signature: header %s holds users' access tokens", name)
		case takesToken && name == p.TokenHeader:
			return fmt.Errorf("signature: header %s holds the access token", name)
		case name == p.IDHeader || composed[name] || p.Header[name] != nil:
			return fmt.Errorf("signature: header %s has another value already", name)
		}
	}
	for _, name := range scheme.SignedHeaders {
		if !composed[name] && name != p.IDHeader && p.Header[name] == nil && (!takesToken || name != p.TokenHeader) {
			return fmt.Errorf("signature: header %s is signed, but not sent; sent are %s, and those of option header",
				name, strings.Join(append(slices.Sorted(maps.Keys(composed)), p.IDHeader, p.TokenHeader), ", "))
		}
	}
	return nil
}

// composed are the fields, besides, that the gateway itself sets. Those that describe
// a body are not there where there is none, and a layout then signs an empty value.
var composed = map[string]bool{"Accept": true, "Accept-Encoding": true, "Content-Type": true, "User-Agent": true}

// shapeOf is over all of the provider that shapes its answers, but for the model,
// which depends on the request.
func (p *Provider) shapeOf() replay.Key {
	parts := []string{p.Name, p.Profile.Name, p.Format.Name(), p.BaseURL.String(), p.ClientID, p.Dialect, string(p.OnUnsupported)}
	for _, fields := range []any{p.AnswerFields, p.RequestFields} {
		text, _ := json.Marshal(fields) // words and numbers always marshal
		parts = append(parts, string(text))
	}
	for _, endpoint := range slices.Sorted(maps.Keys(p.targets)) {
		parts = append(parts, string(endpoint), p.targets[endpoint].requestTarget)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Header)) {
		values := replay.NewKey(p.Header[name]...)
		parts = append(parts, name, string(values[:]))
	}
	return replay.NewKey(parts...)
}
