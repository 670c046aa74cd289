package anthropic

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// TestSchemasAsTheSDK holds what schemas become against what Anthropic's SDK makes of them.
func TestSchemasAsTheSDK(t *testing.T) {
	text, err := os.ReadFile("testdata/schemas/sdk.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded struct {
		Source string
		Cases  map[string]struct{ Schema, Transformed json.RawMessage }
	}
	if err := json.Unmarshal(text, &recorded); err != nil {
		t.Fatal(err)
	}
	for name, test := range recorded.Cases {
		t.Run(name, func(t *testing.T) {
			var f fitter
			got, err := f.schema(jsontext.Value(test.Schema))
			if refused := string(test.Transformed) == "null"; refused || err != nil {
				if !refused || err == nil {
					t.Fatalf("%s, %v; %s gives %s", got, err, recorded.Source, test.Transformed)
				}
				return
			}
			if !sameJSON(t, got, test.Transformed) {
				t.Errorf("%s\n%s gives %s", got, recorded.Source, test.Transformed)
			}
		})
	}
}

// TestSchemasOtherwise has the schemas that the SDK's function would spoil.
func TestSchemasOtherwise(t *testing.T) {
	for name, test := range map[string]struct{ schema, want string }{
		"definitions by their older name": {
			`{"type":"object","properties":{"a":{"$ref":"#/definitions/a"}},"definitions":{"a":{"type":"string","minLength":1}}}`,
			`{"$defs":{"a":{"type":"string","description":"{minLength: 1}"}},"type":"object","properties":{"a":{"$ref":"#/$defs/a"}},"additionalProperties":false}`,
		},
		"an object that may be null": {
			`{"type":"object","properties":{"a":{"type":["object","null"],"properties":{"b":{"type":"integer","minimum":1}}}}}`,
			`{"type":"object","properties":{"a":{"type":["object","null"],"properties":{"b":{"type":"integer","description":"{minimum: 1}"}},"additionalProperties":false}},"additionalProperties":false}`,
		},
		"a list that may be null": {
			`{"type":"object","properties":{"a":{"type":["array","null"],"items":{"type":"string","maxLength":1},"minItems":2}}}`,
			`{"type":"object","properties":{"a":{"type":["array","null"],"items":{"type":"string","description":"{maxLength: 1}"},"description":"{minItems: 2}"}},"additionalProperties":false}`,
		},
		"a record":             {`{"type":"object","properties":{"a":{"type":"object","propertyNames":{"type":"string"},"additionalProperties":{"type":"number"}}}}`, ""},
		"any object":           {`{"type":"object"}`, ""},
		"any object, said":     {`{"type":"object","additionalProperties":true}`, ""},
		"an object of nothing": {`{"type":"object","additionalProperties":false}`, `{"type":"object","properties":{},"additionalProperties":false}`},
		"both names":           {`{"type":"object","$defs":{},"definitions":{}}`, ""},
		"a tuple's older form": {`{"type":"object","properties":{"a":{"type":"array","items":[{"type":"string"}]}}}`, ""},
		"no schema within":     {`{"type":"object","properties":{"a":true}}`, ""},
		"no properties":        {`{"type":"object","properties":[]}`, ""},
		"no type's name":       {`{"type":{}}`, ""},
		"a repeated word":      {`{"type":"object","type":"string"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var f fitter
			got, err := f.schema(jsontext.Value(test.schema))
			if test.want == "" {
				if err == nil {
					t.Fatalf("got %s", got)
				}
				return
			}
			if err != nil || !sameJSON(t, got, []byte(test.want)) {
				t.Errorf("%s, %v\nwant %s", got, err, test.want)
			}
		})
	}
}

// TestSchemasThatAreFitted has what reaches the API, and what is named.
func TestSchemasThatAreFitted(t *testing.T) {
	const bounded = `{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"n":{"type":"integer","minimum":1,"default":2}},"required":["n"]}`
	const fitted = `{"type":"object","properties":{"n":{"type":"integer","description":"{minimum: 1, default: 2}"}},"additionalProperties":false,"required":["n"]}`
	const record = `{"type":"object","properties":{"r":{"type":"object","additionalProperties":{"type":"string","maxLength":9}}}}`
	format := func(schema string) string {
		return `"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":` + schema + `}}`
	}
	tool := func(schema, strict string) string {
		return `"tools":[{"type":"function","function":{"name":"f","strict":` + strict + `,"parameters":` + schema + `}}]`
	}
	for name, test := range map[string]struct {
		fields       string
		format, tool string // the schemas that are sent; empty: none
		strict       bool
		left         []string
	}{
		"a format":           {fields: format(bounded), format: fitted, left: []string{"response_format.json_schema.schema.minimum"}},
		"a format of a kind": {fields: format(record), left: []string{"response_format"}},
		"a strict tool":      {fields: tool(bounded, "true"), tool: fitted, strict: true, left: []string{"tools.function.parameters.minimum"}},
		"any other tool":     {fields: tool(bounded, "false"), tool: bounded},
		"a tool of a kind":   {fields: tool(record, "true"), tool: record, left: []string{"tools.function.strict"}},
	} {
		t.Run(name, func(t *testing.T) {
			encoded, err := new(Format).EncodeRequest(ask(t, `{"model":"m","messages":[{"role":"user","content":"hi"}],`+test.fields+`}`))
			if err != nil {
				t.Fatal(err)
			}
			var sent struct {
				Tools []struct {
					InputSchema json.RawMessage `json:"input_schema"`
					Strict      bool
				}
				OutputConfig struct {
					Format struct{ Schema json.RawMessage }
				} `json:"output_config"`
			}
			if err := json.Unmarshal(encoded.Body, &sent); err != nil {
				t.Fatal(err)
			}
			if got := sent.OutputConfig.Format.Schema; !sameJSON(t, got, []byte(test.format)) {
				t.Errorf("format %s, want %s", got, test.format)
			}
			if len(sent.Tools) == 1 {
				if got := sent.Tools[0]; !sameJSON(t, got.InputSchema, []byte(test.tool)) || got.Strict != test.strict {
					t.Errorf("tool %s, strict %t; want %s, %t", got.InputSchema, got.Strict, test.tool, test.strict)
				}
			}
			if !slices.Equal(encoded.Unsupported, test.left) {
				t.Errorf("left out %v, want %v", encoded.Unsupported, test.left)
			}
		})
	}
}

// sameJSON reports whether two values are the same, or both missing.
func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		t.Fatalf("%v: %s", err, a)
	}
	if err := json.Unmarshal(b, &y); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return reflect.DeepEqual(x, y)
}
