package alipaycaddy

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// unmarshalBlock reads a provider's block.
func (p *Provider) unmarshalBlock(d *caddyfile.Dispenser) error {
	return block(d, "provider",
		option{form: "profile <profile>", read: text(&p.Profile)},
		option{form: "base_url <url> [<region>], as base_url https://cn.example.com cn", read: p.unmarshalBaseURL, repeats: true},
		option{form: "environment sandbox|production", read: text(&p.Environment)},
		option{form: "client_id <id>", read: text(&p.ClientID)},
		option{form: "key <version> <key>", read: named(&p.Keys, version), repeats: true},
		option{form: "keys dir <path>", read: p.unmarshalKeys},
		option{form: "signature { ... }", read: readSignature(&p.Signature)},
		option{form: "id_header <name>", read: text(&p.IDHeader)},
		option{form: "public_key <version> <key>", read: named(&p.PublicKeys, version), repeats: true},
		option{form: "app_certificate <pem>", read: text(&p.AppCertificate)},
		option{form: "root_certificates <pem>", read: text(&p.RootCertificates)},
		option{form: "app_auth_token <token>", read: text(&p.AppAuthToken)},
		option{form: "api_key <key>", read: text(&p.APIKey)},
		option{form: "token <url> [<secret>]", read: p.unmarshalToken},
		option{form: "user_token [<url> [<secret>]]", read: p.unmarshalUserToken},
		option{form: "models <names...>", read: list(&p.Models)},
		option{form: "model [<asked>] <to>", read: p.unmarshalModel, repeats: true},
		option{form: "path chat|embeddings|models|moderations <path>", read: named(&p.Paths, word), repeats: true},
		option{form: "header <name> <value>", read: named(&p.Headers, word), repeats: true},
		option{form: "limit <requests> <window> [<guard>], such as limit 50 1s, or limit off", read: p.unmarshalLimit},
		option{form: "queue { ... }", read: p.unmarshalQueue},
		option{form: "region <region>", read: p.unmarshalRegion},
		option{form: "timeout <duration>", read: duration(&p.Timeout)},
		option{form: "stream_timeout <duration>", read: duration(&p.StreamTimeout)},
		option{form: "verify_response off|if_present|require", read: text(&p.VerifyResponse)},
		option{form: "on <code-pattern> <action>, as on ACQ.* system_error", repeats: true, read: func(d *caddyfile.Dispenser) error {
			var rule CodeRule
			if err := args(d, &rule.Pattern, &rule.Action); err != nil {
				return err
			}
			p.Codes = append(p.Codes, rule)
			return nil
		}},
		option{form: "request { ... }", read: p.unmarshalRequest},
		option{form: "answer { ... }", read: p.unmarshalAnswer},
		option{form: "dialect <dialect>", read: text(&p.Dialect)},
		option{form: "api responses", read: text(&p.API)},
		option{form: "on_unsupported reject|warn|drop", read: text(&p.OnUnsupported)},
		option{form: "agent <id>", read: p.unmarshalAgent},
		option{form: "price <model>|* { ... }", read: p.unmarshalPrice, repeats: true},
		option{form: "pool <min> <max>, such as pool 10 30", read: p.unmarshalPool},
		option{form: "transport <module> { ... }", read: p.unmarshalTransport},
	)
}

// unmarshalModel reads `model <to>` or `model <asked> <to>`.
func (p *Provider) unmarshalModel(d *caddyfile.Dispenser) error {
	if d.CountRemainingArgs() == 2 {
		return named(&p.ModelMap, word)(d)
	}
	if p.Model != "" {
		return d.Err("model for all names is given twice")
	}
	return args(d, &p.Model)
}

// unmarshalLimit reads `limit <requests> <window> [<guard>]` or `limit off`.
func (p *Provider) unmarshalLimit(d *caddyfile.Dispenser) error {
	p.Limit = new(Limit)
	given := d.RemainingArgs()
	if len(given) == 1 && given[0] == "off" {
		p.Limit.Off = true
		return nil
	}
	if len(given) != 2 && len(given) != 3 {
		return errArguments
	}
	if err := parseNumber(d, "limit", given[0], &p.Limit.Requests); err != nil {
		return err
	}
	if err := parseDuration(d, "limit's window", given[1], &p.Limit.Window); err != nil {
		return err
	}
	if len(given) == 3 {
		if err := parseDuration(d, "limit's guard", given[2], &p.Limit.Guard); err != nil {
			return err
		}
	}
	if err := p.Limit.check(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// unmarshalQueue reads the queue option.
func (p *Provider) unmarshalQueue(d *caddyfile.Dispenser) error {
	if err := args(d); err != nil {
		return err
	}
	p.Queue = new(Queue)
	return block(d, "queue",
		option{form: "max_wait <duration>", read: duration(&p.Queue.MaxWait)},
		option{form: "max_count <number>", read: number(&p.Queue.MaxCount)},
		option{form: "max_bytes <size>", read: size(&p.Queue.MaxBytes)},
	)
}

// unmarshalTransport reads any of Caddy's reverse_proxy transports.
func (p *Provider) unmarshalTransport(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return errArguments
	}
	protocol := d.Val()
	id := "http.reverse_proxy.transport." + protocol
	module, err := caddyfile.UnmarshalModule(d, id)
	if err != nil {
		return err
	}
	if _, ok := module.(http.RoundTripper); !ok {
		return d.Errf("module %s (%T) is not a RoundTripper", id, module)
	}
	p.TransportRaw = caddyconfig.JSONModuleObject(module, "protocol", protocol, nil)
	return nil
}

// unmarshalToken reads `token <url> [<secret>]` and its block.
func (p *Provider) unmarshalToken(d *caddyfile.Dispenser) error {
	p.Token = new(Token)
	given := []*string{&p.Token.URL, &p.Token.Secret}
	if d.CountRemainingArgs() == 1 {
		given = given[:1]
	}
	if err := args(d, given...); err != nil {
		return err
	}
	err := block(d, "token", append(p.Token.options(),
		option{form: "refresh_token <token>", read: text(&p.Token.RefreshToken)},
		option{form: "query <name>, as query access_token", read: text(&p.Token.Query)})...)
	if err == nil && p.Token.Secret == "" && !p.Token.Sign {
		return d.Err("the secret is missing; write token <url> <secret>, or sign in its block")
	}
	return err
}

// options are those of an endpoint for tokens.
func (t *Token) options() []option {
	return []option{
		{form: "sign", read: enable(&t.Sign)},
		{form: "client_id <id>", read: text(&t.ClientID)},
		{form: "auth basic|form|json|query", read: text(&t.Auth)},
		{form: "scope <scope>", read: text(&t.Scope)},
		{form: "header <name> [<prefix>], as header X-Access-Token, or header Authorization Token", read: t.unmarshalHeader},
		{form: "field grant_type|client_id|client_secret|refresh_token|scope <name>, as field client_id appId", read: named(&t.Fields, word), repeats: true},
		{form: "param <name> <value>", read: named(&t.Params, word), repeats: true},
		{form: "answer { ... }", read: t.unmarshalAnswer},
	}
}

// unmarshalHeader reads `header <name> [<prefix>]`.
func (t *Token) unmarshalHeader(d *caddyfile.Dispenser) error {
	if d.CountRemainingArgs() == 1 {
		return args(d, &t.Header)
	}
	return args(d, &t.Header, &t.Prefix)
}

// unmarshalAgent reads `agent <id>` and its block.
func (p *Provider) unmarshalAgent(d *caddyfile.Dispenser) error {
	p.Agent = new(Agent)
	if err := args(d, &p.Agent.ID); err != nil {
		return err
	}
	return block(d, "agent",
		option{form: "config_version <version>", read: text(&p.Agent.ConfigVersion)},
		option{form: "thinking", read: enable(&p.Agent.Thinking)},
	)
}
