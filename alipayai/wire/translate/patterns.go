package translate

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// Where schemas stand in a schema: by themselves, in a list, and by names of a client's own.
var (
	innerSchema = set("items", "additionalProperties", "unevaluatedProperties", "unevaluatedItems", "additionalItems", "propertyNames", "contains",
		"contentSchema", "not", "if", "then", "else")
	listedSchemas = set("anyOf", "oneOf", "allOf", "prefixItems", "items")
	namedSchemas  = set("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
)

func set(names ...string) map[string]bool {
	s := make(map[string]bool, len(names))
	for _, name := range names {
		s[name] = true
	}
	return s
}

// FitPatterns gives a JSON schema with those regular expressions alone of which may says that the vendor takes them. Others move to the
// description of what they limit, where the model reads them, as [ObjectSchema.Fit] moves words, with the not or if that they stand in;
// properties that they name are left out. A schema that is fine keeps its exact text. moved reports whether one is not.
func FitPatterns(schema jsontext.Value, may func(pattern string) bool) (fitted jsontext.Value, moved bool) {
	if !bytes.Contains(schema, []byte(`attern`)) {
		return schema, false // nor one that is spelt otherwise
	}
	p := patterns{may: may}
	fitted = p.schema(schema)
	return fitted, p.moved
}

type patterns struct {
	may   func(pattern string) bool
	moved bool
}

// schema gives a schema, or what stands in its place.
func (p *patterns) schema(v jsontext.Value) jsontext.Value {
	if v.Kind() != '{' {
		return v
	}
	var kept, refused []byte
	var description jsontext.Value
	changed := false
	refuse := func(name string, v jsontext.Value) {
		if refused != nil {
			refused = append(refused, ", "...)
		}
		refused = append(append(refused, name+": "...), v...)
	}
	err := Generated(v, func(name string, v jsontext.Value) error {
		switch {
		case name == "description":
			description = v
			return nil
		case name == "pattern" && v.Kind() == '"' && !p.may(Unquote(v)):
			refuse(name, v)
			return nil
		}
		inner := p.member(name, v)
		if (name == "not" || name == "if") && !bytes.Equal(inner, v) { // without it they would speak of all there is
			refuse(name, v)
			return nil
		}
		changed = changed || !bytes.Equal(inner, v)
		kept = Join(kept, append(append(Quote(nil, name), ':'), inner...))
		return nil
	})
	if err != nil || !changed && refused == nil {
		return v
	}
	if refused != nil {
		p.moved = true
		text := Unquote(description)
		if text != "" {
			text += "\n\n"
		}
		description = Quote(nil, text+"{"+string(refused)+"}")
	}
	if description != nil {
		kept = Join(kept, append([]byte(`"description":`), description...))
	}
	return append(append([]byte{'{'}, kept...), '}')
}

// member gives the value of a member of a schema, with the schemas that stand there.
func (p *patterns) member(name string, v jsontext.Value) jsontext.Value {
	var inner []byte
	changed := false
	add := func(before []byte, v, fitted jsontext.Value) {
		changed = changed || !bytes.Equal(v, fitted)
		inner = Join(inner, append(before, fitted...))
	}
	switch {
	case listedSchemas[name] && v.Kind() == '[':
		err := Elements(v, func(_ int, v jsontext.Value) error {
			add(nil, v, p.schema(v))
			return nil
		})
		if err != nil || !changed {
			return v
		}
		return append(append([]byte{'['}, inner...), ']')
	case namedSchemas[name] && v.Kind() == '{':
		err := Generated(v, func(of string, v jsontext.Value) error {
			if name == "patternProperties" && !p.may(of) {
				p.moved, changed = true, true
				return nil
			}
			add(append(Quote(nil, of), ':'), v, p.schema(v))
			return nil
		})
		if err != nil || !changed {
			return v
		}
		return append(append([]byte{'{'}, inner...), '}')
	case innerSchema[name]:
		return p.schema(v)
	}
	return v
}
