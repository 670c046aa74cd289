package translate

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// Schemas, of whose regular expressions those with "bad" are not taken.
func TestFitPatterns(t *testing.T) {
	for name, tt := range map[string]struct{ schema, want string }{
		"none":                         {`{"type":"string","description":"(?attern"}`, ""},
		"a fine one":                   {`{"pattern":"^(?:a)$" }`, ""},
		"one":                          {`{"type":"string","pattern":"(?bad\\"}`, `{"type":"string","description":"{pattern: \"(?bad\\\\\"}"}`},
		"described":                    {`{"description":"A name","pattern":"(?bad","type":"string"}`, `{"type":"string","description":"A name\n\n{pattern: \"(?bad\"}"}`},
		"of a property":                {`{"properties":{"a":{"type":"integer"}, "b":{"pattern":"(?bad"}},"required":["a"]}`, `{"properties":{"a":{"type":"integer"},"b":{"description":"{pattern: \"(?bad\"}"}},"required":["a"]}`},
		"a property that is called so": {`{"properties":{"pattern":{"type":"string","default":"(?bad"}}}`, ""},
		"of items":                     {`{"items":{"pattern":"(?bad"}}`, `{"items":{"description":"{pattern: \"(?bad\"}"}}`},
		"of each item":                 {`{"items":[{"pattern":"(?bad"},true]}`, `{"items":[{"description":"{pattern: \"(?bad\"}"},true]}`},
		"of one of several":            {`{"anyOf":[{"type":"null"},{"pattern":"(?bad"}]}`, `{"anyOf":[{"type":"null"},{"description":"{pattern: \"(?bad\"}"}]}`},
		"of names":                     {`{"propertyNames":{"pattern":"(?bad"}}`, `{"propertyNames":{"description":"{pattern: \"(?bad\"}"}}`},
		"of a definition":              {`{"$defs":{"d":{"contains":{"pattern":"(?bad"}}}}`, `{"$defs":{"d":{"contains":{"description":"{pattern: \"(?bad\"}"}}}}`},
		// Without it, nothing would be allowed.
		"of what may not be":         {`{"type":"string","not":{"pattern":"(?bad"}}`, `{"type":"string","description":"{not: {\"pattern\":\"(?bad\"}}"}`},
		"of a condition":             {`{"if":{"properties":{"a":{"pattern":"(?bad"}}},"then":{"required":["b"]},"pattern":"(?bad"}`, `{"then":{"required":["b"]},"description":"{if: {\"properties\":{\"a\":{\"pattern\":\"(?bad\"}}}, pattern: \"(?bad\"}"}`},
		"deep in what may not be":    {`{"not":{"anyOf":[{"not":{"pattern":"(?bad"}}]}}`, `{"description":"{not: {\"anyOf\":[{\"not\":{\"pattern\":\"(?bad\"}}]}}"}`},
		"a fine one that may not be": {`{"not":{"pattern":"\\d"}}`, ""},
		"an odd class":               {`{"pattern":"[^bad]"}`, `{"description":"{pattern: \"[^bad]\"}"}`},
		"names by one":               {`{"patternProperties":{"(?bad":{},"b":{"pattern":"(?bad"}}}`, `{"patternProperties":{"b":{"description":"{pattern: \"(?bad\"}"}}}`},
		"in what is no schema":       {`{"default":{"pattern":"(?bad"},"enum":[{"pattern":"(?bad"}],"examples":[{"pattern":"(?bad"}],"x-y":{"pattern":"(?bad"}}`, ""},
		"no text":                    {`{"pattern":{"(?bad":1},"items":{"pattern":7}}`, ""},
		"no object":                  {`["pattern(?bad"]`, ""},
	} {
		got, moved := FitPatterns(jsontext.Value(tt.schema), func(pattern string) bool { return !strings.Contains(pattern, "bad") })
		want := tt.want
		if want == "" {
			want = tt.schema
		}
		if string(got) != want || moved != (tt.want != "") {
			t.Errorf("%s: %s, moved %t", name, got, moved)
		}
	}
}
