package alipaycaddy

import (
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/dustin/go-humanize"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("alipayai", parseApp)
	httpcaddyfile.RegisterHandlerDirective("alipayai_auth", parseAuth)
	httpcaddyfile.RegisterHandlerDirective("alipayai_proxy", parseProxy)
	httpcaddyfile.RegisterHandlerDirective("alipayai_sandbox", parseSandbox)
	// Authentication comes where Caddy has its own; the others answer
	// requests, as reverse_proxy does.
	httpcaddyfile.RegisterDirectiveOrder("alipayai_auth", httpcaddyfile.After, "basic_auth")
	httpcaddyfile.RegisterDirectiveOrder("alipayai_proxy", httpcaddyfile.Before, "reverse_proxy")
	httpcaddyfile.RegisterDirectiveOrder("alipayai_sandbox", httpcaddyfile.Before, "reverse_proxy")
}

// block reads a block's options, each at most once unless it may repeat.
func block(d *caddyfile.Dispenser, repeatable []string, option func(name string) error) error {
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		if seen[name] && !slices.Contains(repeatable, name) {
			return d.Errf("%s is given twice", name)
		}
		seen[name] = true
		if err := option(name); err != nil {
			return err
		}
	}
	return nil
}

// args reads exactly the given arguments, and no more.
func args(d *caddyfile.Dispenser, to ...*string) error {
	given := d.RemainingArgs()
	if len(given) != len(to) {
		return d.ArgErr()
	}
	for i, value := range given {
		if value == "" {
			return d.Err("an argument is empty")
		}
		*to[i] = value
	}
	return nil
}

// text reads one argument.
func text(d *caddyfile.Dispenser, to *string) error { return args(d, to) }

// enable reads an option that has no arguments.
func enable(d *caddyfile.Dispenser, to *bool) error {
	*to = true
	return args(d)
}

// duration reads a positive duration.
func duration(d *caddyfile.Dispenser, to *caddy.Duration) error {
	option := d.Val()
	var value string
	if err := text(d, &value); err != nil {
		return err
	}
	return parseDuration(d, option, value, to)
}

func parseDuration(d *caddyfile.Dispenser, option, value string, to *caddy.Duration) error {
	parsed, err := caddy.ParseDuration(value)
	if err != nil || parsed <= 0 {
		return d.Errf("%s %q is not a positive duration; write it like 15s", option, value)
	}
	*to = caddy.Duration(parsed)
	return nil
}

// number reads a number from 1.
func number(d *caddyfile.Dispenser, to *int) error {
	option := d.Val()
	var value string
	if err := text(d, &value); err != nil {
		return err
	}
	return parseNumber(d, option, value, to)
}

func parseNumber(d *caddyfile.Dispenser, option, value string, to *int) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return d.Errf("%s %q is not a number from 1", option, value)
	}
	*to = n
	return nil
}

// size reads a positive number of bytes.
func size(d *caddyfile.Dispenser, to *int64) error {
	option := d.Val()
	var value string
	if err := text(d, &value); err != nil {
		return err
	}
	parsed, err := humanize.ParseBytes(value)
	if err != nil || parsed == 0 || parsed > 1<<40 {
		return d.Errf("%s %q is not a size; write it like 4MiB", option, value)
	}
	*to = int64(parsed)
	return nil
}

// versioned reads a key's version and its value.
func versioned(d *caddyfile.Dispenser, to *map[int]string) error {
	option := d.Val()
	var version, value string
	if err := args(d, &version, &value); err != nil {
		return d.Errf("write %s <version> <key>", option)
	}
	n, err := strconv.Atoi(version)
	if err != nil || n < 1 {
		return d.Errf("%s version %q is not a number from 1", option, version)
	}
	if _, ok := (*to)[n]; ok {
		return d.Errf("%s %d is given twice", option, n)
	}
	if *to == nil {
		*to = make(map[int]string)
	}
	(*to)[n] = value
	return nil
}

// named reads a name and its value.
func named(d *caddyfile.Dispenser, to *map[string]string) error {
	option := d.Val()
	var name, value string
	if err := args(d, &name, &value); err != nil {
		return err
	}
	if _, ok := (*to)[name]; ok {
		return d.Errf("%s %s is given twice", option, name)
	}
	if *to == nil {
		*to = make(map[string]string)
	}
	(*to)[name] = value
	return nil
}

// list reads one argument or more.
func list(d *caddyfile.Dispenser, to *[]string) error {
	if *to = d.RemainingArgs(); len(*to) == 0 {
		return d.ArgErr()
	}
	return nil
}

// unrecognized is the error for an option that does not exist, where those do
// that are known.
func unrecognized(d *caddyfile.Dispenser, directive, option string, known ...string) error {
	if len(known) == 0 {
		return d.Errf("unrecognized option %q of %s, which has none", option, directive)
	}
	return d.Errf("unrecognized option %q of %s; use %s", option, directive, strings.Join(known, ", "))
}
