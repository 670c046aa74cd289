package alipaycaddy

import (
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

func parseAuth(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	keys := new(KeysAuth)
	if err := keys.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return &Auth{caddyauth.Authentication{
		ProvidersRaw: caddy.ModuleMap{"alipayai_keys": caddyconfig.JSON(keys, nil)},
	}}, nil
}

// UnmarshalCaddyfile reads the directive. Syntax:
//
//	alipayai_auth [<matcher>] {
//		key  <tenant> <hash>
//		file <path>
//	}
//
// key may be repeated, also for the same tenant.
func (k *KeysAuth) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if d.NextArg() {
		return d.ArgErr()
	}
	return block(d, []string{"key"}, func(option string) error {
		switch option {
		case "key":
			var tenant, hash string
			if err := args(d, &tenant, &hash); err != nil {
				return d.Err("write key <tenant> sha256:<hex>")
			}
			if k.Keys == nil {
				k.Keys = make(map[string][]string)
			}
			k.Keys[tenant] = append(k.Keys[tenant], hash)
			return nil
		case "file":
			return text(d, &k.File)
		}
		return unrecognized(d, "alipayai_auth", option, "key", "file")
	})
}

func parseSandbox(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	s := new(SandboxHandler)
	return s, s.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile reads the directive. Syntax:
//
//	alipayai_sandbox [<matcher>] {
//		name                  <name>
//		format                openai|anthropic|nextbuilder
//		mode                  sandbox|production
//		app                   <client_id> {
//			key           <version> <key>
//			oauth_secret  <secret>
//			refresh_token <token>
//			api_key       <key>
//			public_key    <key>
//		}
//		token_life            <duration>
//		rotate_refresh_tokens
//		requests_per_second   <number>|unlimited
//		models                <names...>
//	}
func (h *SandboxHandler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if d.NextArg() {
		return d.ArgErr()
	}
	return block(d, []string{"app"}, func(option string) error {
		switch option {
		case "name":
			return text(d, &h.Name)
		case "format":
			return text(d, &h.Format)
		case "mode":
			return text(d, &h.Mode)
		case "app":
			return h.unmarshalApp(d)
		case "token_life":
			return duration(d, &h.TokenLife)
		case "rotate_refresh_tokens":
			return enable(d, &h.RotateRefreshTokens)
		case "requests_per_second":
			var value string
			if err := text(d, &value); err != nil {
				return err
			}
			if value == "unlimited" {
				h.RequestsPerSecond = -1
				return nil
			}
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return d.Errf("requests_per_second %q is neither a number from 1 nor unlimited", value)
			}
			h.RequestsPerSecond = n
			return nil
		case "models":
			return list(d, &h.Models)
		}
		return unrecognized(d, "alipayai_sandbox", option,
			"name", "format", "mode", "app", "token_life", "rotate_refresh_tokens",
			"requests_per_second", "models")
	})
}

func (h *SandboxHandler) unmarshalApp(d *caddyfile.Dispenser) error {
	var id string
	if err := text(d, &id); err != nil {
		return err
	}
	if _, ok := h.Apps[id]; ok {
		return d.Errf("app %s is given twice", id)
	}
	var app SandboxApp
	err := block(d, []string{"key"}, func(option string) error {
		switch option {
		case "key":
			return versioned(d, &app.Keys)
		case "oauth_secret":
			return text(d, &app.OAuthSecret)
		case "refresh_token":
			return text(d, &app.RefreshToken)
		case "api_key":
			return text(d, &app.APIKey)
		case "public_key":
			return text(d, &app.PublicKey)
		}
		return unrecognized(d, "app", option, "key", "oauth_secret", "refresh_token", "api_key", "public_key")
	})
	if h.Apps == nil {
		h.Apps = make(map[string]SandboxApp)
	}
	h.Apps[id] = app
	return err
}

// UnmarshalCaddyfile reads the transport inside reverse_proxy. Syntax:
//
//	transport alipayai <provider> {
//		paths           <paths...>
//		methods         <names...>
//		allow_anonymous
//		max_body        <size>
//		deadline        <duration>
//		http {
//			... as in transport http
//		}
//	}
func (t *SigningTransport) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	if err := text(d, &t.Provider); err != nil {
		return err
	}
	return block(d, nil, func(option string) error {
		switch option {
		case "paths":
			return list(d, &t.Paths)
		case "methods":
			return list(d, &t.Methods)
		case "allow_anonymous":
			return enable(d, &t.AllowAnonymous)
		case "max_body":
			return size(d, &t.MaxBody)
		case "deadline":
			return duration(d, &t.Deadline)
		case "http":
			if d.CountRemainingArgs() > 0 {
				// It would make the block count for nothing.
				d.NextArg()
				return d.ArgErr()
			}
			t.HTTP = new(reverseproxy.HTTPTransport)
			return t.HTTP.UnmarshalCaddyfile(d.NewFromNextSegment())
		}
		return unrecognized(d, "transport alipayai", option, "paths", "methods", "allow_anonymous", "max_body", "deadline", "http")
	})
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*KeysAuth)(nil)
	_ caddyfile.Unmarshaler = (*SandboxHandler)(nil)
	_ caddyfile.Unmarshaler = (*SigningTransport)(nil)
)
