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
	return &Auth{Authentication: caddyauth.Authentication{
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
		return d.Err("write alipayai_auth [<matcher>] { ... }")
	}
	return block(d, "alipayai_auth",
		option{form: "key <tenant> sha256:<hex>", repeats: true, read: func(d *caddyfile.Dispenser) error {
			var tenant, hash string
			if err := args(d, &tenant, &hash); err != nil {
				return err
			}
			if k.Keys == nil {
				k.Keys = make(map[string][]string)
			}
			k.Keys[tenant] = append(k.Keys[tenant], hash)
			return nil
		}},
		option{form: "file <path>", read: text(&k.File)},
	)
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
//		dialect               <dialect>
//		mode                  sandbox|production
//		app                   <client_id> { ... }
//		token_life            <duration>
//		rotate_refresh_tokens
//		requests_per_second   <number>|unlimited
//		models                <names...>
//		variant               <names...>
//		api_version           1|2
//	}
func (h *SandboxHandler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if d.NextArg() {
		return d.Err("write alipayai_sandbox [<matcher>] { ... }")
	}
	return block(d, "alipayai_sandbox",
		option{form: "name <name>", read: text(&h.Name)},
		option{form: "format openai|anthropic|nextbuilder", read: text(&h.Format)},
		option{form: "dialect <dialect>", read: text(&h.Dialect)},
		option{form: "mode sandbox|production", read: text(&h.Mode)},
		option{form: "app <client_id> { ... }", read: h.unmarshalApp, repeats: true},
		option{form: "token_life <duration>", read: duration(&h.TokenLife)},
		option{form: "rotate_refresh_tokens", read: enable(&h.RotateRefreshTokens)},
		option{form: "requests_per_second <number>|unlimited", read: single(&h.RequestsPerSecond, func(d *caddyfile.Dispenser, name, value string, to *int) error {
			if value == "unlimited" {
				*to = -1
				return nil
			}
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return d.Errf("%s %q is neither a number from 1 nor unlimited", name, value)
			}
			*to = n
			return nil
		})},
		option{form: "models <names...>", read: list(&h.Models)},
		option{form: "variant <names...>, as variant hex paths", read: list(&h.Variants)},
		option{form: "api_version 1|2", read: number(&h.APIVersion)},
	)
}

func (h *SandboxHandler) unmarshalApp(d *caddyfile.Dispenser) error {
	var id string
	if err := args(d, &id); err != nil {
		return err
	}
	if _, ok := h.Apps[id]; ok {
		return d.Errf("app %s is given twice", id)
	}
	var app SandboxApp
	err := block(d, "app",
		option{form: "key <version> <key>", read: named(&app.Keys, version), repeats: true},
		option{form: "oauth_secret <secret>", read: text(&app.OAuthSecret)},
		option{form: "refresh_token <token>", read: text(&app.RefreshToken)},
		option{form: "api_key <key>", read: text(&app.APIKey)},
		option{form: "public_key <key>", read: text(&app.PublicKey)},
		option{form: "signature { ... }", read: readSignature(&app.Signature)},
		option{form: "request { ... }", read: readRequest(&app.Request)},
		option{form: "answer { ... }", read: readAnswer(&app.Answer)},
		option{form: "token_answer { ... }", read: readTokenAnswer("token_answer", &app.TokenAnswer)},
		option{form: "token_sign", read: enable(&app.TokenSign)},
	)
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
//		keep_signature
//		http { ... }
//	}
func (t *SigningTransport) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	if err := args(d, &t.Provider); err != nil {
		return written(d, "transport alipayai <provider>", err)
	}
	return block(d, "transport alipayai",
		option{form: "paths <paths...>", read: list(&t.Paths)},
		option{form: "methods <names...>", read: list(&t.Methods)},
		option{form: "allow_anonymous", read: enable(&t.AllowAnonymous)},
		option{form: "max_body <size>", read: size(&t.MaxBody)},
		option{form: "deadline <duration>", read: duration(&t.Deadline)},
		option{form: "keep_signature", read: enable(&t.KeepSignature)},
		option{form: "http { ... }", read: func(d *caddyfile.Dispenser) error {
			if d.CountRemainingArgs() > 0 {
				// It would make the block count for nothing.
				return errArguments
			}
			t.HTTP = new(reverseproxy.HTTPTransport)
			return t.HTTP.UnmarshalCaddyfile(d.NewFromNextSegment())
		}},
	)
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*KeysAuth)(nil)
	_ caddyfile.Unmarshaler = (*SandboxHandler)(nil)
	_ caddyfile.Unmarshaler = (*SigningTransport)(nil)
)
