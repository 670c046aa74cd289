package alipaycaddy

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// unmarshalBlock reads a provider's block. Syntax:
//
//	provider <name> {
//		profile            <profile>
//		base_url           <url>
//		environment        sandbox|production
//		client_id          <id>
//		key                <version> <key>
//		keys dir           <path>
//		public_key         <version> <key>
//		app_certificate    <pem>
//		root_certificates  <pem>
//		app_auth_token     <token>
//		api_key            <key>
//		token              <url> <secret> {
//			client_id     <id>
//			scope         <scope>
//			refresh_token <token>
//		}
//		models             <names...>
//		model              [<asked>] <to>
//		path               chat|embeddings|models <path>
//		header             <name> <value>
//		limit              <requests> <window> [<guard>] | off
//		queue {
//			max_wait  <duration>
//			max_count <number>
//			max_bytes <size>
//		}
//		region             <region>
//		timeout            <duration>
//		stream_timeout     <duration>
//		verify_response    off|if_present|require
//		on                 <code-pattern> <action>
//		on_unsupported     reject|warn|drop
//		agent              <id> {
//			config_version <version>
//			thinking
//		}
//		transport          <module> {
//			...
//		}
//	}
//
// key, public_key, model, path, header and on may be repeated.
func (p *Provider) unmarshalBlock(d *caddyfile.Dispenser) error {
	repeatable := []string{"key", "public_key", "model", "path", "header", "on"}
	return block(d, repeatable, func(option string) error {
		switch option {
		case "profile":
			return text(d, &p.Profile)
		case "base_url":
			return text(d, &p.BaseURL)
		case "environment":
			return text(d, &p.Environment)
		case "client_id":
			return text(d, &p.ClientID)
		case "key":
			return versioned(d, &p.Keys)
		case "keys":
			var dir string
			if err := args(d, &dir, &p.KeysDir); err != nil || dir != "dir" {
				return d.Err("write keys dir <path>")
			}
			return nil
		case "public_key":
			return versioned(d, &p.PublicKeys)
		case "app_certificate":
			return text(d, &p.AppCertificate)
		case "root_certificates":
			return text(d, &p.RootCertificates)
		case "app_auth_token":
			return text(d, &p.AppAuthToken)
		case "api_key":
			return text(d, &p.APIKey)
		case "token":
			p.Token = new(Token)
			return p.Token.unmarshal(d)
		case "models":
			return list(d, &p.Models)
		case "model":
			return p.unmarshalModel(d)
		case "path":
			return named(d, &p.Paths)
		case "header":
			return named(d, &p.Headers)
		case "limit":
			return p.unmarshalLimit(d)
		case "queue":
			p.Queue = new(Queue)
			return p.Queue.unmarshal(d)
		case "region":
			return text(d, &p.Region)
		case "timeout":
			return duration(d, &p.Timeout)
		case "stream_timeout":
			return duration(d, &p.StreamTimeout)
		case "verify_response":
			return text(d, &p.VerifyResponse)
		case "on":
			var rule CodeRule
			if err := args(d, &rule.Pattern, &rule.Action); err != nil {
				return d.Err("write on <code-pattern> <action>, as on ACQ.* system_error")
			}
			p.Codes = append(p.Codes, rule)
			return nil
		case "on_unsupported":
			return text(d, &p.OnUnsupported)
		case "agent":
			p.Agent = new(Agent)
			return p.Agent.unmarshal(d)
		case "transport":
			return p.unmarshalTransport(d)
		}
		return unrecognized(d, "provider", option,
			"profile", "base_url", "environment", "client_id", "key", "keys", "public_key",
			"app_certificate", "root_certificates", "app_auth_token", "api_key", "token", "models",
			"model", "path", "header", "limit", "queue", "region", "timeout", "stream_timeout",
			"verify_response", "on", "on_unsupported", "agent", "transport")
	})
}

// unmarshalModel reads `model <to>` or `model <asked> <to>`.
func (p *Provider) unmarshalModel(d *caddyfile.Dispenser) error {
	if d.CountRemainingArgs() == 2 {
		return named(d, &p.ModelMap)
	}
	if p.Model != "" {
		return d.Err("model for all names is given twice")
	}
	return text(d, &p.Model)
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
		return d.Err("write limit <requests> <window> [<guard>], such as limit 50 1s, or limit off")
	}
	if err := parseNumber(d, "limit", given[0], &p.Limit.Requests); err != nil {
		return err
	}
	if err := parseDuration(d, "limit's window", given[1], &p.Limit.Window); err != nil {
		return err
	}
	if len(given) == 3 {
		return parseDuration(d, "limit's guard", given[2], &p.Limit.Guard)
	}
	return nil
}

// unmarshal reads the queue option.
func (q *Queue) unmarshal(d *caddyfile.Dispenser) error {
	if err := args(d); err != nil {
		return err
	}
	return block(d, nil, func(option string) error {
		switch option {
		case "max_wait":
			return duration(d, &q.MaxWait)
		case "max_count":
			return number(d, &q.MaxCount)
		case "max_bytes":
			return size(d, &q.MaxBytes)
		}
		return unrecognized(d, "queue", option, "max_wait", "max_count", "max_bytes")
	})
}

// unmarshalTransport reads any of Caddy's reverse_proxy transports.
func (p *Provider) unmarshalTransport(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.ArgErr()
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

// unmarshal reads the token option.
func (t *Token) unmarshal(d *caddyfile.Dispenser) error {
	if err := args(d, &t.URL, &t.Secret); err != nil {
		return d.Err("write token <url> <secret>")
	}
	return block(d, nil, func(option string) error {
		switch option {
		case "client_id":
			return text(d, &t.ClientID)
		case "scope":
			return text(d, &t.Scope)
		case "refresh_token":
			return text(d, &t.RefreshToken)
		}
		return unrecognized(d, "token", option, "client_id", "scope", "refresh_token")
	})
}

// unmarshal reads `agent <id>` and its block.
func (a *Agent) unmarshal(d *caddyfile.Dispenser) error {
	if err := text(d, &a.ID); err != nil {
		return err
	}
	return block(d, nil, func(option string) error {
		switch option {
		case "config_version":
			return text(d, &a.ConfigVersion)
		case "thinking":
			return enable(d, &a.Thinking)
		}
		return unrecognized(d, "agent", option, "config_version", "thinking")
	})
}
