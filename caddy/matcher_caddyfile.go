package alipaycaddy

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// UnmarshalCaddyfile reads the matcher. Syntax:
//
//	@<name> alipayai <condition>
//	@<name> alipayai {
//		endpoint        chat|embeddings|models...
//		model           <patterns...>
//		stream          [true|false]
//		tools           [true|false]
//		images          [true|false]
//		messages        <number>|<range>
//		characters      <number>|<range>
//		last_characters <number>|<range>
//		language        <scripts...>
//		intent          <intents...>
//	}
//
// A range is <n, <=n, >n, >=n, n-m or n; a space may follow the sign.
func (m *MatchCall) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return clauses(d, "alipayai",
		option{form: "endpoint chat|embeddings|models", read: checked(&m.Endpoint, checkEndpoint)},
		option{form: "model <patterns...>, as model alipay-*", read: list(&m.Model)},
		option{form: "stream [true|false]", read: yesOrNo(&m.Stream)},
		option{form: "tools [true|false]", read: yesOrNo(&m.Tools)},
		option{form: "images [true|false]", read: yesOrNo(&m.Images)},
		option{form: "messages <range>, as messages >10", read: spanOf(&m.Messages)},
		option{form: "characters <range>, as characters <200", read: spanOf(&m.Characters)},
		option{form: "last_characters <range>, as last_characters 20-200", read: spanOf(&m.LastCharacters)},
		option{form: "language <scripts...>, as language han", read: checked(&m.Language, checkLanguage)},
		option{form: "intent <intents...>, as intent financial", read: list(&m.Intent)},
	)
}

// clauses reads the options of a matcher: one on its line, or a block of them, and again for each line of the matcher's
// name in a set.
func clauses(d *caddyfile.Dispenser, of string, options ...option) error {
	seen := make(map[string]bool)
	for d.Next() { // the matcher's name
		if d.NextArg() {
			if err := entry(d, of, seen, options); err != nil {
				return err
			}
		}
		for nesting := d.Nesting(); d.NextBlock(nesting); {
			if err := entry(d, of, seen, options); err != nil {
				return err
			}
		}
	}
	return nil
}

// checked reads arguments that check accepts.
func checked(to *[]string, check func(string) error) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		if err := list(to)(d); err != nil {
			return err
		}
		for _, value := range *to {
			if err := check(value); err != nil {
				return d.WrapErr(err)
			}
		}
		return nil
	}
}

// yesOrNo reads an option that is true without an argument.
func yesOrNo(to **bool) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		given := d.RemainingArgs()
		if len(given) > 1 || len(given) == 1 && given[0] != "true" && given[0] != "false" {
			return errArguments
		}
		yes := !slices.Contains(given, "false")
		*to = &yes
		return nil
	}
}

// spanOf reads a range, with spaces or without.
func spanOf(to *string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		*to = strings.Join(d.RemainingArgs(), " ")
		if *to == "" {
			return errArguments
		}
		if _, err := parseSpan(name, *to); err != nil {
			return d.WrapErr(err)
		}
		return nil
	}
}

// Interface guards
var _ caddyfile.Unmarshaler = (*MatchCall)(nil)
