package translate

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// A schema that Moonshot refuses says as much in a form that it takes, and what it does not say any more is named. One that is
// taken stays as it is, to the byte.
func TestTypedSchemas(t *testing.T) {
	of := func(property string) string { return `{"type":"object","properties":{"p":` + property + `}}` }
	for name, c := range map[string]struct{ schema, want, left string }{
		"taken":             {`{ "type": "object", "properties": {"p": {"anyOf":[{"type":"string"},{"type":"null"}], "description":"d"}} }`, "", ""},
		"several types":     {of(`{"type":["string","null"]}`), "", ""},
		"a definition":      {`{"type":"object","properties":{"p":{"$ref":"#/$defs/a","description":"d"}},"$defs":{"a":{"type":"string"}}}`, "", ""},
		"no type":           {`{}`, `{"type":"object"}`, ""},
		"no type, but more": {`{"properties":{}}`, `{"type":"object","properties":{}}`, ""},
		// https://github.com/MoonshotAI/kimi-code/issues/2661
		"notion's": {
			`{"type":"object","description":"d","anyOf":[{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]},{"type":"object"}]}`,
			`{"description":"d","anyOf":[{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]},{"type":"object"}]}`, "",
		},
		// https://github.com/nicobailon/pi-subagents/issues/126
		"a list of types": {of(`{"type":["string","array"],"anyOf":[{"type":"array","items":{"type":"string"}},{"type":"string"}]}`), of(`{"anyOf":[{"type":"array","items":{"type":"string"}},{"type":"string"}]}`), ""},
		// https://github.com/oOo0oOo/lean-lsp-mcp/issues/213
		"enums":                {of(`{"type":"string","anyOf":[{"enum":["a"]},{"type":"null"}]}`), of(`{"anyOf":[{"type":"string","enum":["a"]},{"type":"null"}]}`), ""},
		"enums of several":     {of(`{"type":["string","null"],"anyOf":[{"enum":["a"]}]}`), of(`{"type":["string","null"],"description":"{anyOf: [{\"enum\":[\"a\"]}]}"}`), "anyOf"},
		"nested":               {of(`{"type":"object","anyOf":[{"type":"object","properties":{"q":{"type":"string","anyOf":[{"type":"string"}]}}}]}`), of(`{"anyOf":[{"type":"object","properties":{"q":{"anyOf":[{"type":"string"}]}}}]}`), ""},
		"in an array":          {of(`{"type":"array","items":{"type":"string","anyOf":[{"type":"string"}]}}`), of(`{"type":"array","items":{"anyOf":[{"type":"string"}]}}`), ""},
		"a reference, in one":  {of(`{"type":"object","anyOf":[{"$ref":"#/$defs/a"}]}`), of(`{"anyOf":[{"$ref":"#/$defs/a"}]}`), ""},
		"an enum of no branch": {of(`{"anyOf":[{"enum":["a"]}]}`), "", ""},
		// https://github.com/openclaw/openclaw/issues/113130
		"apollo's": {
			of(`{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}},"anyOf":[{"required":["a"]},{"required":["b"]}],"description":"d"}`),
			of(`{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}},"description":"d\n\n{anyOf: [{\"required\":[\"a\"]},{\"required\":[\"b\"]}]}"}`), "anyOf",
		},
		"required alone":      {of(`{"type":"object","anyOf":[{"required":["a"]}]}`), of(`{"type":"object","description":"{anyOf: [{\"required\":[\"a\"]}]}"}`), "anyOf"},
		"a reference's type":  {of(`{"type":"string","$ref":"#/$defs/a"}`), of(`{"$ref":"#/$defs/a"}`), ""},
		"a reference's limit": {of(`{"$ref":"#/$defs/a","minLength":1,"title":"t"}`), of(`{"$ref":"#/$defs/a","title":"t"}`), "minLength"},
		"tuples":              {of(`{"type":"array","items":[{"type":"string"},true]}`), of(`{"type":"array","prefixItems":[{"type":"string"},{}]}`), ""},
		// https://github.com/can1357/oh-my-pi/pull/5980
		"true":               {of(`true`), of(`{}`), ""},
		"false":              {of(`false`), of(`{}`), "false"},
		"closed":             {`{"type":"object","properties":{},"additionalProperties":false}`, "", ""},
		"others":             {`{"type":"object","additionalProperties":{"type":"string","anyOf":[{"type":"string"}]}}`, `{"type":"object","additionalProperties":{"anyOf":[{"type":"string"}]}}`, ""},
		"in a definition":    {`{"type":"object","$defs":{"a":{"type":"string","anyOf":[{"type":"string"}]}}}`, `{"type":"object","$defs":{"a":{"anyOf":[{"type":"string"}]}}}`, ""},
		"of another form":    {of(`{"type":"string","anyOf":"x"}`), of(`{"type":"string","description":"{anyOf: \"x\"}"}`), "anyOf"},
		"no branches":        {of(`{"type":"string","anyOf":[]}`), of(`{"type":"string","description":"{anyOf: []}"}`), "anyOf"},
		"properties of none": {`{"type":"object","properties":[],"items":7}`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			want := c.want
			if want == "" {
				want = c.schema
			}
			got, left, err := TypedSchema{}.Fit("p", jsontext.Value(c.schema))
			if err != nil || string(got) != want || strings.Join(left, ",") != c.left {
				t.Errorf("%v\n got %s, left %v\nwant %s, left %s", err, got, left, want, c.left)
			}
			again, left, err := TypedSchema{}.Fit("p", slices.Clone(got))
			if err != nil || string(again) != want || len(left) > 0 {
				t.Errorf("once more: %v, %s, left %v", err, again, left)
			}
		})
	}
}
