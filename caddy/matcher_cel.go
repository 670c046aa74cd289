package alipaycaddy

import (
	"maps"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types/ref"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// CELLibrary makes the matcher a function of Caddy's expressions, whose argument has the conditions of the Caddyfile, by name:
//
//	expression `alipayai({'intent': ['financial', 'other'], 'characters': '< 200', 'stream': 'true'})`
func (*MatchCall) CELLibrary(ctx caddy.Context) (cel.Library, error) {
	return caddyhttp.CELMatcherImpl("alipayai", "alipayai_request_map", []*cel.Type{caddyhttp.CELTypeJSON},
		func(data ref.Val) (caddyhttp.RequestMatcherWithError, error) {
			conditions, err := caddyhttp.CELValueToMapStrList(data)
			if err != nil {
				return nil, err
			}
			// A condition a line, as in a Caddyfile.
			var tokens []caddyfile.Token
			for line, name := range slices.Sorted(maps.Keys(conditions)) {
				for _, text := range append([]string{"alipayai", name}, conditions[name]...) {
					tokens = append(tokens, caddyfile.Token{File: "expression", Line: line + 1, Text: text})
				}
			}
			m := new(MatchCall)
			if err := m.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)); err != nil {
				return nil, err
			}
			return m, m.Provision(ctx)
		})
}

// Interface guards
var _ caddyhttp.CELLibraryProducer = (*MatchCall)(nil)
