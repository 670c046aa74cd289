package translate

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// ObjectSchema is how vendors want the schema of a tool's arguments who take one of an object alone.
type ObjectSchema struct {
	// Without are the words that may not stand at its top.
	Without []string
	// Properties says that it must have properties, be there none.
	Properties bool
}

// Fit gives the schema that stands at path as the vendor takes it: of type "object", and without the words that it may not
// have at the top, which move to the description, where the model reads them, in the words of Anthropic's SDKs
// (transform_schema of the Python SDK, lib/_parse/_transform.py). A schema that is fine keeps its exact text. left are the
// names of what moved, and "type" for another type than that.
func (o ObjectSchema) Fit(path string, v jsontext.Value) (fitted jsontext.Value, left []string, err error) {
	const typeObject = `"object"`
	var kept, moved []byte
	var description, typ jsontext.Value
	nulls, properties := false, false
	err = Object(path, v, func(name string, v jsontext.Value) error {
		switch {
		case name == "type":
			typ = v
			return nil
		case name == "description":
			description = v
			return nil
		case (name == "properties" || name == "required") && v.Kind() == 'n': // as libraries write what there is none of
			nulls = true
			return nil
		case slices.Contains(o.Without, name):
			if moved != nil {
				moved = append(moved, ", "...)
			}
			moved = append(append(append(moved, name...), ": "...), v...)
			left = append(left, name)
			return nil
		}
		properties = properties || name == "properties"
		kept = Join(kept, append(append(Quote(nil, name), ':'), v...))
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	bare := o.Properties && !properties
	switch {
	case moved != nil || nulls || bare:
	case string(typ) == typeObject:
		return v, nil, nil
	case typ == nil && kept == nil && description == nil:
		return append(jsontext.Value(`{"type":"object"`), v[1:]...), nil, nil
	case typ == nil:
		return append(jsontext.Value(`{"type":"object",`), v[1:]...), nil, nil
	}
	if list := typ.Clone(); typ != nil && string(typ) != typeObject && (list.Compact() != nil || string(list) != `["object"]`) {
		left = append(left, "type")
	}
	if bare {
		kept = Join(kept, []byte(`"properties":{}`))
	}
	schema := Join([]byte(`{"type":"object"`), kept)
	switch text := Unquote(description); {
	case moved != nil && text != "":
		schema = Quote(append(schema, `,"description":`...), text+"\n\n{"+string(moved)+"}")
	case moved != nil:
		schema = Quote(append(schema, `,"description":`...), "{"+string(moved)+"}")
	case description != nil:
		schema = append(append(schema, `,"description":`...), description...)
	}
	return append(schema, '}'), left, nil
}
