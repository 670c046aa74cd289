package sandbox

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// grammar counts what the schemas of a request are compiled to that the API
// holds the model to: that of output_config.format and those of strict tools. The
// limits are those of Anthropic's guide on structured outputs, and the messages
// are worded as the API's own are. Schemas that refer back to themselves are not
// found out here.
type grammar struct{ tools, optional, unions int }

// unsupportedWords are the words of JSON Schema that the API refuses, by type.
var unsupportedWords = map[string][]string{
	"integer": {"exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"},
	"number":  {"exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"},
	"string":  {"maxLength", "minLength"},
	"array":   {"maxItems", "uniqueItems"},
	"object":  {"maxProperties", "minProperties", "patternProperties"},
}

// read reads the schema that is a field of o, and what is in it.
func (g *grammar) read(o object, name string, raw json.RawMessage) {
	var schema struct {
		Type       json.RawMessage
		Properties map[string]json.RawMessage
		Required   []string
		Closed     *bool                      `json:"additionalProperties"`
		Defs       map[string]json.RawMessage `json:"$defs"`
		Items      json.RawMessage
		MinItems   int
		AnyOf      []json.RawMessage
	}
	var words map[string]json.RawMessage
	if json.Unmarshal(raw, &words) != nil || words == nil || json.Unmarshal(raw, &schema) != nil {
		o.wrong(name, "Invalid schema")
		return
	}
	types, one := []string(nil), ""
	switch {
	case json.Unmarshal(schema.Type, &one) == nil:
		types = []string{one}
	case json.Unmarshal(schema.Type, &types) == nil, len(schema.AnyOf) > 0:
		g.unions++
	}
	for _, typ := range types {
		known := func(word string) bool { return !slices.Contains(unsupportedWords[typ], word) }
		switch bad := slices.DeleteFunc(slices.Sorted(maps.Keys(words)), known); {
		case len(bad) == 1:
			o.wrong(name, "For '%s' type, property '%s' is not supported", typ, bad[0])
		case len(bad) > 1:
			o.wrong(name, "For '%s' type, properties %s are not supported", typ, strings.Join(bad, ", "))
		case typ == "array" && schema.MinItems > 1:
			o.wrong(name, "For 'array' type, 'minItems' values other than 0 or 1 are not supported")
		case typ == "object" && (schema.Closed == nil || *schema.Closed):
			o.wrong(name, "For 'object' type, 'additionalProperties' must be explicitly set to false")
		}
	}
	for _, property := range slices.Sorted(maps.Keys(schema.Properties)) {
		if !slices.Contains(schema.Required, property) {
			g.optional++
		}
		g.read(o, name, schema.Properties[property])
	}
	for _, definition := range slices.Sorted(maps.Keys(schema.Defs)) {
		g.read(o, name, schema.Defs[definition])
	}
	for _, variant := range schema.AnyOf {
		g.read(o, name, variant)
	}
	if len(schema.Items) > 0 {
		g.read(o, name, schema.Items)
	}
}

// check holds the request to the limits.
func (g *grammar) check(o object) {
	switch {
	case g.tools > 20:
		o.wrong("", "Too many strict tools (%d). The maximum number of strict tools supported is 20.", g.tools)
	case g.optional > 24:
		o.wrong("", "Schemas contains too many optional parameters (%d), which would make grammar compilation inefficient. "+
			"Reduce the number of optional parameters in your tool schemas (limit: 24).", g.optional)
	case g.unions > 16:
		o.wrong("", "Schemas contains too many parameters with union types (%d parameters with type arrays or anyOf). "+
			"This causes exponential grammar compilation.", g.unions)
	}
}

// readOutputConfig reads how the answer is to be.
func readOutputConfig(o object, q *ask, g *grammar, prefilled bool) {
	if !o.has("output_config") {
		return
	}
	c := o.child("output_config", o.fields["output_config"], "effort", "format")
	c.word("effort", "low", "medium", "high", "xhigh", "max")
	if !c.has("format") {
		return
	}
	if prefilled {
		c.wrong("format", "prefilling the assistant's message is not supported with JSON outputs")
	}
	f := c.child("format", c.fields["format"], "type", "schema")
	if !f.has("type") {
		f.wrong("type", "Field required")
	}
	f.word("type", "json_schema")
	var schema map[string]json.RawMessage
	f.required("schema", "object", &schema)
	g.read(f, "schema", f.fields["schema"])
	q.schema = f.fields["schema"]
}
