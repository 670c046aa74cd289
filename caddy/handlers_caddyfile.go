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

func parseProxy(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	p := new(Proxy)
	return p, p.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile reads the directive. Syntax:
//
//	alipayai_proxy [<matcher>] <providers...> {
//		allow_cross_region
//		max_body   <size>
//		max_answer <size>
//		deadline   <duration>
//		limit      <tenant>|* {
//			requests_per_second <number>
//			burst               <number>
//			tokens_per_minute   <number>
//			concurrent          <number>
//		}
//		weight     <tenant>|* <number>
//		priority   <tenant>|* high|normal|low
//	}
//
// limit, weight and priority may be repeated, once for each tenant.
func (h *Proxy) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if err := list(d, &h.Providers); err != nil {
		return err
	}
	return block(d, []string{"limit", "weight", "priority"}, func(option string) error {
		switch option {
		case "limit":
			return h.unmarshalLimit(d)
		case "weight":
			return h.unmarshalWeight(d)
		case "priority":
			return named(d, &h.Priorities)
		case "allow_cross_region":
			return enable(d, &h.AllowCrossRegion)
		case "max_body":
			return size(d, &h.MaxBody)
		case "max_answer":
			return size(d, &h.MaxAnswer)
		case "deadline":
			return duration(d, &h.Deadline)
		}
		return unrecognized(d, "alipayai_proxy", option)
	})
}

func (h *Proxy) unmarshalLimit(d *caddyfile.Dispenser) error {
	var tenant string
	if err := text(d, &tenant); err != nil {
		return err
	}
	if _, ok := h.Limits[tenant]; ok {
		return d.Errf("limit of tenant %s is given twice", tenant)
	}
	var l TenantLimit
	err := block(d, nil, func(option string) error {
		switch option {
		case "requests_per_second":
			var value string
			if err := text(d, &value); err != nil {
				return err
			}
			rate, err := strconv.ParseFloat(value, 64)
			if err != nil || !(rate > 0) || rate > 1e6 {
				return d.Errf("requests_per_second %q is not a positive number", value)
			}
			l.RequestsPerSecond = rate
			return nil
		case "burst":
			return number(d, &l.Burst)
		case "tokens_per_minute":
			return number(d, &l.TokensPerMinute)
		case "concurrent":
			return number(d, &l.Concurrent)
		}
		return unrecognized(d, "limit", option)
	})
	if err == nil && l == (TenantLimit{}) {
		return d.Errf("limit of tenant %s is empty", tenant)
	}
	if h.Limits == nil {
		h.Limits = make(map[string]TenantLimit)
	}
	h.Limits[tenant] = l
	return err
}

func (h *Proxy) unmarshalWeight(d *caddyfile.Dispenser) error {
	var tenant, value string
	if err := args(d, &tenant, &value); err != nil {
		return err
	}
	if _, ok := h.Weights[tenant]; ok {
		return d.Errf("weight of tenant %s is given twice", tenant)
	}
	var weight int
	if err := parseNumber(d, "weight", value, &weight); err != nil {
		return err
	}
	if h.Weights == nil {
		h.Weights = make(map[string]int)
	}
	h.Weights[tenant] = weight
	return nil
}

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
		return unrecognized(d, "alipayai_auth", option)
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
//		mode                  sandbox|production
//		app                   <client_id> {
//			key           <version> <key>
//			oauth_secret  <secret>
//			refresh_token <token>
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
		return unrecognized(d, "alipayai_sandbox", option)
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
		}
		return unrecognized(d, "app", option)
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
		case "http":
			if d.CountRemainingArgs() > 0 {
				// It would make the block count for nothing.
				d.NextArg()
				return d.ArgErr()
			}
			t.HTTP = new(reverseproxy.HTTPTransport)
			return t.HTTP.UnmarshalCaddyfile(d.NewFromNextSegment())
		}
		return unrecognized(d, "transport alipayai", option)
	})
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*Proxy)(nil)
	_ caddyfile.Unmarshaler = (*KeysAuth)(nil)
	_ caddyfile.Unmarshaler = (*SandboxHandler)(nil)
	_ caddyfile.Unmarshaler = (*SigningTransport)(nil)
)
