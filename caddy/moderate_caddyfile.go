package alipaycaddy

import (
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-alipayai/gateway/alipayai/moderate"
)

func parseModerate(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	m := new(Moderate)
	return m, m.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile reads the directive. Syntax:
//
//	alipayai_moderate [<matcher>] <moderator> {
//		max_body <size>
//	}
func (h *Moderate) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if err := args(d, &h.Moderator); err != nil {
		return written(d, "alipayai_moderate [<matcher>] <moderator>", err)
	}
	return block(d, "alipayai_moderate", option{form: "max_body <size>", read: size(&h.MaxBody)})
}

// unmarshalModerator reads one `moderator`.
func (a *App) unmarshalModerator(d *caddyfile.Dispenser) error {
	var name string
	if err := args(d, &name); err != nil {
		return err
	}
	if err := moderate.CheckName(name); err != nil {
		return d.WrapErr(err)
	}
	if _, ok := a.Moderators[name]; ok {
		return d.Errf("moderator %s is declared twice", name)
	}
	m, policy := new(Moderator), ""
	err := block(d, "moderator",
		option{form: "rules file <path>, or rules builtin china", read: m.unmarshalRules, repeats: true},
		option{form: "words <words...>", repeats: true, read: func(d *caddyfile.Dispenser) error {
			var words []string
			err := list(&words)(d)
			m.Words = append(m.Words, words...)
			return err
		}},
		option{form: "pattern <RE2>", repeats: true, read: func(d *caddyfile.Dispenser) error {
			var expression string
			err := args(d, &expression)
			m.Patterns = append(m.Patterns, expression)
			return err
		}},
		option{form: "model <provider> [<model>] [form chat|qwen3guard|llama_guard|moderations]", read: m.unmarshalModel},
		option{form: "policy <text>", read: text(&policy)},
		option{form: "timeout <duration>", read: duration(&m.Timeout)},
		option{form: "on_error open|closed", read: text(&m.OnError)},
		option{form: "on_block refuse|route", read: text(&m.OnBlock)},
		option{form: "cache <ttl> [<entries>], or cache off", read: cacheOption(&m.CacheTTL, &m.CacheEntries, &m.CacheOff)},
		option{form: "output <characters>, or output off", read: m.unmarshalOutput},
	)
	if err != nil {
		return err
	}
	if policy != "" {
		if m.Model == nil {
			return d.Errf("moderator %s has a policy, but no model that could read it", name)
		}
		m.Model.Policy = policy
	}
	if err := m.check(); err != nil {
		return d.Errf("moderator %s: %v", name, err)
	}
	if a.Moderators == nil {
		a.Moderators = make(map[string]*Moderator)
	}
	a.Moderators[name] = m
	return nil
}

func (m *Moderator) unmarshalRules(d *caddyfile.Dispenser) error {
	var kind, value string
	if err := args(d, &kind, &value); err != nil {
		return err
	}
	switch kind {
	case "file":
		m.RuleFiles = append(m.RuleFiles, value)
	case "builtin":
		m.BuiltinRules = append(m.BuiltinRules, value)
	default:
		return errArguments
	}
	return nil
}

func (m *Moderator) unmarshalModel(d *caddyfile.Dispenser) error {
	given := d.RemainingArgs()
	m.Model = new(ModeratorModel)
	if n := len(given); n >= 3 && given[n-2] == "form" {
		m.Model.Form, given = given[n-1], given[:n-2]
	}
	switch len(given) {
	case 2:
		m.Model.Model = given[1]
		fallthrough
	case 1:
		m.Model.Provider = given[0]
		return nil
	}
	return errArguments
}

// cacheOption reads `cache <ttl> [<entries>]`, or `cache off`.
func cacheOption(ttl *caddy.Duration, entries *int, off *bool) func(d *caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		given := d.RemainingArgs()
		if len(given) == 1 && given[0] == "off" {
			*off = true
			return nil
		}
		if len(given) != 1 && len(given) != 2 {
			return errArguments
		}
		if len(given) == 2 {
			if err := parseNumber(d, "cache: entries", given[1], entries); err != nil {
				return err
			}
		}
		return parseDuration(d, "cache", given[0], ttl)
	}
}

func (m *Moderator) unmarshalOutput(d *caddyfile.Dispenser) error {
	var value string
	if err := args(d, &value); err != nil {
		return err
	}
	if value == "off" {
		m.OutputOff = true
		return nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > maxOutputWindow {
		return d.Errf("output %q is neither a number of characters from 1 to %d nor off", value, maxOutputWindow)
	}
	m.OutputWindow = n
	return nil
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*Moderate)(nil)
	_ caddy.Module          = (*Moderate)(nil)
)
