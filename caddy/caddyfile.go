package alipaycaddy

import (
	"errors"
	"regexp"
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
	httpcaddyfile.RegisterHandlerDirective("alipayai_errors", parseErrors)
	httpcaddyfile.RegisterHandlerDirective("alipayai_moderate", parseModerate)
	httpcaddyfile.RegisterHandlerDirective("alipayai_oauth", parseOAuth)
	httpcaddyfile.RegisterHandlerDirective("alipayai_proxy", parseProxy)
	httpcaddyfile.RegisterHandlerDirective("alipayai_sandbox", parseSandbox)
	// Authentication comes where Caddy has its own, and moderation behind it; the
	// others answer requests, as reverse_proxy does.
	httpcaddyfile.RegisterDirectiveOrder("alipayai_auth", httpcaddyfile.After, "basic_auth")
	httpcaddyfile.RegisterDirectiveOrder("alipayai_oauth", httpcaddyfile.Before, "request_header")
	httpcaddyfile.RegisterDirectiveOrder("alipayai_moderate", httpcaddyfile.Before, "request_header")
	httpcaddyfile.RegisterDirectiveOrder("alipayai_proxy", httpcaddyfile.Before, "reverse_proxy")
	httpcaddyfile.RegisterDirectiveOrder("alipayai_sandbox", httpcaddyfile.Before, "reverse_proxy")
	httpcaddyfile.RegisterDirectiveOrder("alipayai_errors", httpcaddyfile.Before, "respond")
}

// option is one of a block's.
type option struct {
	// form is how it is written, its name first: what an error tells where the
	// arguments are not those.
	form string
	// read takes the arguments, and the block where there is one. The
	// dispenser stands at the name.
	read func(d *caddyfile.Dispenser) error
	// repeats says that it may be given several times.
	repeats bool
}

func (o option) name() string {
	name, _, _ := strings.Cut(o.form, " ")
	return name
}

// block reads the block of what has that name.
func block(d *caddyfile.Dispenser, of string, options ...option) error {
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := entry(d, of, seen, options); err != nil {
			return err
		}
	}
	return nil
}

// entry reads one option, at whose name the dispenser stands, and notes that it was seen.
func entry(d *caddyfile.Dispenser, of string, seen map[string]bool, options []option) error {
	name := d.Val()
	i := slices.IndexFunc(options, func(o option) bool { return o.name() == name })
	if i < 0 {
		return unrecognized(d, of, name, options)
	}
	if seen[name] && !options[i].repeats {
		return d.Errf("%s is given twice", name)
	}
	seen[name] = true
	if err := written(d, options[i].form, options[i].read(d)); err != nil {
		return err
	}
	return noBlock(d, name)
}

// noBlock refuses a block behind an option that has been read: one that takes a block has read it. Else what stands in it
// would be read as options beside it.
func noBlock(d *caddyfile.Dispenser, name string) error {
	line := d.Line()
	if !d.Next() {
		return nil
	}
	if d.Val() == "{" && d.Line() == line {
		return d.Errf("%s takes no block", name)
	}
	d.Prev()
	return nil
}

// unrecognized is the error for an option that does not exist: it names those that do.
func unrecognized(d *caddyfile.Dispenser, of, name string, options []option) error {
	if len(options) == 0 {
		return d.Errf("unrecognized option %q of %s, which has none", name, of)
	}
	known := make([]string, len(options))
	for i, o := range options {
		known[i] = o.name()
	}
	return d.Errf("unrecognized option %q of %s; use %s", name, of, strings.Join(known, ", "))
}

// errArguments says that an option's arguments are not those of its form.
var errArguments = errors.New("not the form's arguments")

// written makes the error of wrong arguments one that tells the form, and passes on others.
func written(d *caddyfile.Dispenser, form string, err error) error {
	switch {
	case !errors.Is(err, errArguments):
		return err
	case !strings.Contains(form, " "):
		return d.Errf("write %s alone, without arguments", form)
	}
	return d.Errf("write %s", form)
}

// args reads exactly the given arguments, and no more; or errArguments.
func args(d *caddyfile.Dispenser, to ...*string) error {
	given := d.RemainingArgs()
	if len(given) != len(to) || slices.Contains(given, "") {
		return errArguments
	}
	for i, value := range given {
		*to[i] = value
	}
	return nil
}

// text reads one argument.
func text(to *string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error { return args(d, to) }
}

// enable reads an option that has no arguments.
func enable(to *bool) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		*to = true
		return args(d)
	}
}

// list reads one argument or more.
func list(to *[]string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		if *to = d.RemainingArgs(); len(*to) == 0 {
			return errArguments
		}
		return nil
	}
}

// single reads one argument as parse does.
func single[T any](to *T, parse func(d *caddyfile.Dispenser, name, value string, to *T) error) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name, value := d.Val(), ""
		if err := args(d, &value); err != nil {
			return err
		}
		return parse(d, name, value, to)
	}
}

// duration reads a positive duration.
func duration(to *caddy.Duration) func(*caddyfile.Dispenser) error { return durationLike(to, "15s") }

// durationLike reads one that is usually written like example.
func durationLike(to *caddy.Duration, example string) func(*caddyfile.Dispenser) error {
	return single(to, func(d *caddyfile.Dispenser, name, value string, to *caddy.Duration) error {
		return parseDurationLike(d, name, value, example, to)
	})
}

// durationOrOff reads a positive duration, or off.
func durationOrOff(to *caddy.Duration, off *bool) func(*caddyfile.Dispenser) error {
	return single(to, func(d *caddyfile.Dispenser, name, value string, to *caddy.Duration) error {
		if *off = value == "off"; *off {
			return nil
		}
		return parseDuration(d, name, value, to)
	})
}

func parseDuration(d *caddyfile.Dispenser, name, value string, to *caddy.Duration) error {
	return parseDurationLike(d, name, value, "15s", to)
}

func parseDurationLike(d *caddyfile.Dispenser, name, value, example string, to *caddy.Duration) error {
	span, err := caddy.ParseDuration(value)
	if err != nil && overlong.MatchString(value) {
		return d.Errf("%s is %s, more than 100 years; write a shorter time, like 30d", name, value)
	}
	if err != nil || span <= 0 {
		return d.Errf("%s %q is not a positive duration; write it like %s", name, value, example)
	}
	if err := (valueOf{option: name}).checkDuration(span); err != nil {
		return d.WrapErr(err)
	}
	*to = caddy.Duration(span)
	return nil
}

// overlong is the form of a duration, which cannot be parsed where it is longer than the 292 years of a [time.Duration].
var overlong = regexp.MustCompile(`^(?:[0-9]+(?:\.[0-9]*)?(?:ns|us|µs|ms|s|m|h|d))+$`)

// number reads a number from 1.
func number(to *int) func(*caddyfile.Dispenser) error { return single(to, parseNumber) }

func parseNumber(d *caddyfile.Dispenser, name, value string, to *int) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return d.Errf("%s %q is not a number from 1", name, value)
	}
	*to = n
	return nil
}

// parseShare reads a number between 0 and 1.
func parseShare(d *caddyfile.Dispenser, name, value string, to *float64) error {
	share, err := strconv.ParseFloat(value, 64)
	if err != nil || !(share > 0 && share < 1) {
		return d.Errf("%s %q is not a number between 0 and 1", name, value)
	}
	*to = share
	return nil
}

// size reads a positive number of bytes.
func size(to *int64) func(*caddyfile.Dispenser) error { return single(to, parseSize) }

func parseSize(d *caddyfile.Dispenser, name, value string, to *int64) error {
	n, err := humanize.ParseBytes(value)
	if err != nil || n == 0 || n > 1<<40 {
		return d.Errf("%s %q is not a size; write it like 4MiB", name, value)
	}
	*to = int64(n)
	return nil
}

// named reads a key and its value.
func named[K comparable](to *map[K]string, parse func(d *caddyfile.Dispenser, name, key string, to *K) error) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name, key, value := d.Val(), "", ""
		if err := args(d, &key, &value); err != nil {
			return err
		}
		var parsed K
		if err := parse(d, name, key, &parsed); err != nil {
			return err
		}
		if _, ok := (*to)[parsed]; ok {
			return d.Errf("%s %s is given twice", name, key)
		}
		if *to == nil {
			*to = make(map[K]string)
		}
		(*to)[parsed] = value
		return nil
	}
}

// word takes any key of named.
func word(_ *caddyfile.Dispenser, _, key string, to *string) error {
	*to = key
	return nil
}

// version takes keys of named that are numbers from 1.
func version(d *caddyfile.Dispenser, name, key string, to *int) error {
	return parseNumber(d, name+" version", key, to)
}
