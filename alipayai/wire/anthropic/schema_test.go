package anthropic

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// closedObject is the schema of an object with properties of which all are required.
func closedObject(properties ...string) string {
	var all, required []string
	for i, schema := range properties {
		all = append(all, fmt.Sprintf(`"p%d":%s`, i, schema))
		required = append(required, fmt.Sprintf(`"p%d"`, i))
	}
	return `{"type":"object","properties":{` + strings.Join(all, ",") + `},"required":[` + strings.Join(required, ",") +
		`],"additionalProperties":false}`
}

// openEnded is the schema of an object of which no property is required.
func openEnded(n int) string {
	schema := closedObject(strings.Split(strings.Repeat(`{"type":"string"};`, n), ";")[:n]...)
	head, _, _ := strings.Cut(schema, `"required"`)
	return head + `"additionalProperties":false}`
}

func TestSchemas(t *testing.T) {
	const text, nullable = `{"type":"string"}`, `{"type":["string","null"]}`
	defs := func(ref, definitions string) string {
		return `{"$defs":{` + definitions + `},"type":"object","properties":{"a":{"$ref":"` + ref + `"}},"required":["a"],"additionalProperties":false}`
	}
	repeat := func(schema string, n int) string {
		return closedObject(strings.Split(strings.Repeat(schema+";", n), ";")[:n]...)
	}
	// doubling is a schema that refers 2 to the power of 64 times to a string.
	doubling := `"d64":` + text
	for i := range 64 {
		doubling += fmt.Sprintf(`,"d%d":`, i) + closedObject(fmt.Sprintf(`{"$ref":"#/$defs/d%d"}`, i+1), fmt.Sprintf(`{"$ref":"#/$defs/d%d"}`, i+1))
	}
	tests := map[string]struct {
		schema string
		want   bool
	}{
		"empty object":             {`{"type":"object","additionalProperties":false}`, true},
		"texts":                    {`{"title":"t","description":"d","type":"object","additionalProperties":false}`, true},
		"all types":                {closedObject(text, `{"type":"integer"}`, `{"type":"number"}`, `{"type":"boolean"}`, `{"type":"null"}`, nullable), true},
		"array":                    {closedObject(`{"type":"array","minItems":1,"items":` + closedObject(text) + `}`), true},
		"enum, const":              {closedObject(`{"type":"string","enum":["a","b"]}`, `{"enum":[1,null]}`, `{"type":"string","const":"a"}`), true},
		"format":                   {closedObject(`{"type":"string","format":"date-time"}`), true},
		"anyOf":                    {closedObject(`{"anyOf":[` + text + `,` + closedObject(text) + `]}`), true},
		"definition":               {defs("#/$defs/d", `"d":{"type":"string"}`), true},
		"definition of another":    {defs("#/$defs/d", `"d":`+closedObject(`{"$ref":"#/$defs/e"}`, `{"$ref":"#/$defs/e"}`)+`,"e":`+text), true},
		"many uses of a few":       {defs("#/$defs/d0", doubling), true},
		"optional at the limit":    {openEnded(24), true},
		"unions at the limit":      {repeat(nullable, 16), true},
		"nothing":                  {``, false},
		"null":                     {`null`, false},
		"true":                     {`true`, false},
		"no type":                  {`{"additionalProperties":false}`, false},
		"array alone":              {`{"type":"array","items":` + text + `}`, false},
		"object or null":           {`{"type":["object","null"],"additionalProperties":false}`, false},
		"open":                     {`{"type":"object","properties":{}}`, false},
		"open, said":               {`{"type":"object","additionalProperties":true}`, false},
		"dictionary":               {`{"type":"object","additionalProperties":` + text + `}`, false},
		"open within":              {closedObject(`{"type":"object"}`), false},
		"anything within":          {closedObject(`{}`), false},
		"false within":             {closedObject(`false`), false},
		"unknown type":             {closedObject(`{"type":"date"}`), false},
		"type that is none":        {closedObject(`{"type":{}}`), false},
		"minimum":                  {closedObject(`{"type":"integer","minimum":0}`), false},
		"maxLength":                {closedObject(`{"type":"string","maxLength":9}`), false},
		"pattern":                  {closedObject(`{"type":"string","pattern":"(?=a)"}`), false},
		"unknown format":           {closedObject(`{"type":"string","format":"iri"}`), false},
		"minItems":                 {closedObject(`{"type":"array","items":` + text + `,"minItems":2}`), false},
		"maxItems":                 {closedObject(`{"type":"array","items":` + text + `,"maxItems":2}`), false},
		"enum of objects":          {closedObject(`{"enum":[{}]}`), false},
		"enum of two types":        {closedObject(`{"type":["string","null"],"enum":["a",null]}`), false},
		"const of an array":        {closedObject(`{"type":"array","const":[]}`), false},
		"allOf":                    {closedObject(`{"allOf":[` + text + `]}`), false},
		"oneOf":                    {closedObject(`{"oneOf":[` + text + `]}`), false},
		"not":                      {closedObject(`{"type":"string","not":{"const":"a"}}`), false},
		"deep in anyOf":            {closedObject(`{"anyOf":[` + text + `,{"type":"integer","maximum":1}]}`), false},
		"recursion by the root":    {defs("#", ``), false},
		"recursion":                {defs("#/$defs/d", `"d":`+closedObject(`{"$ref":"#/$defs/e"}`)+`,"e":`+closedObject(`{"$ref":"#/$defs/d"}`)), false},
		"reference to nothing":     {defs("#/$defs/d", ``), false},
		"reference elsewhere":      {defs("https://example.com/d", ``), false},
		"reference and more":       {`{"$defs":{"d":` + text + `},"type":"object","properties":{"a":{"$ref":"#/$defs/d","description":"x"}},"required":["a"],"additionalProperties":false}`, false},
		"unfit definition":         {defs("#/$defs/d", `"d":{"type":"integer","minimum":0}`), false},
		"definition not used":      {defs("#/$defs/d", `"d":`+text+`,"e":{"type":"integer","minimum":0}`), false},
		"definitions within":       {closedObject(`{"$defs":{},"type":"string"}`), false},
		"one optional too many":    {openEnded(25), false},
		"one union too many":       {repeat(nullable, 17), false},
		"one anyOf too many":       {repeat(`{"anyOf":[`+text+`]}`, 17), false},
		"unions of a definition":   {`{"$defs":{"d":` + nullable + `},` + repeat(`{"$ref":"#/$defs/d"}`, 17)[1:], false},
		"optional of a definition": {`{"$defs":{"d":` + openEnded(13) + `},` + repeat(`{"$ref":"#/$defs/d"}`, 2)[1:], false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.schema != "" && !jsontext.Value(tt.schema).IsValid() {
				t.Fatalf("not JSON: %s", tt.schema)
			}
			var g grammar
			if got := g.takes(jsontext.Value(tt.schema)); got != tt.want {
				t.Errorf("got %v, want %v: %s", got, tt.want, tt.schema)
			}
			if !tt.want && g != (grammar{}) {
				t.Errorf("a schema that is not taken counts: %+v", g)
			}
		})
	}
}

func TestSchemasTogether(t *testing.T) {
	tool := func(schema string) string {
		return `{"type":"function","function":{"name":"NAME","strict":true,"parameters":` + schema + `}}`
	}
	format := func(schema string) string {
		return `,"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":` + schema + `}}`
	}
	empty := closedObject()
	tests := map[string]struct {
		fields string
		strict int  // how many tools are
		format bool // goes with the request
		left   string
	}{
		"both":                    {`,"tools":[` + tool(empty) + `]` + format(empty), 1, true, ""},
		"as many tools as may be": {`,"tools":[` + strings.Repeat(tool(empty)+`,`, 19) + tool(empty) + `]`, 20, false, ""},
		"one tool more":           {`,"tools":[` + strings.Repeat(tool(empty)+`,`, 20) + tool(empty) + `]`, 20, false, "tools.function.strict"},
		"tools share the limit":   {`,"tools":[` + tool(openEnded(20)) + `,` + tool(openEnded(5)) + `,` + tool(openEnded(4)) + `]`, 2, false, "tools.function.strict"},
		"the format shares it":    {`,"tools":[` + tool(openEnded(20)) + `]` + format(openEnded(5)), 1, false, "response_format"},
		"the format came first":   {format(openEnded(5)) + `,"tools":[` + tool(openEnded(20)) + `]`, 0, true, "tools.function.strict"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for i := range strings.Count(tt.fields, "NAME") {
				tt.fields = strings.Replace(tt.fields, "NAME", "f"+strconv.Itoa(i), 1)
			}
			got, left := encode(t, `{"model":"m","messages":[{"role":"user","content":"hi"}]`+tt.fields+`}`)
			if n := strings.Count(got, `"strict":true`); n != tt.strict || strings.Contains(got, `"output_config"`) != tt.format {
				t.Errorf("%d strict tools: %s", n, got)
			}
			checkLeft(t, left, tt.left)
		})
	}
}

func TestSchemaStopsAtPrefill(t *testing.T) {
	got, left := encode(t, `{"model":"m","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"{"}],
		"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":`+closedObject()+`}}}`)
	if strings.Contains(got, "output_config") {
		t.Errorf("a schema beside a prefill: %s", got)
	}
	checkLeft(t, left, "response_format")
}
