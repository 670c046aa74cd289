package anthropic

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// inputSchema gives the schema that stands at path as the API takes it: of type "object", and without anyOf, oneOf and
// allOf at the top ("input_schema does not support oneOf, allOf, or anyOf at the top level"), for which it would refuse
// the whole request. They move to the description, where the model reads them, in the words of Anthropic's SDKs
// (transform_schema of the Python SDK, lib/_parse/_transform.py). A schema that is fine keeps its exact text.
func (r *request) inputSchema(path string, v jsontext.Value) (jsontext.Value, error) {
	const typeObject = `"object"`
	var kept, moved []byte
	var description, typ jsontext.Value
	nulls := false
	err := translate.Object(path, v, func(name string, v jsontext.Value) error {
		switch name {
		case "type":
			typ = v
			return nil
		case "description":
			description = v
			return nil
		case "properties", "required":
			if v.Kind() == 'n' { // as libraries write what there is none of
				nulls = true
				return nil
			}
		case "anyOf", "oneOf", "allOf":
			if moved != nil {
				moved = append(moved, ", "...)
			}
			moved = append(append(append(moved, name...), ": "...), v...)
			r.left.LeaveOut(path + "." + name)
			return nil
		}
		kept = translate.Join(kept, append(append(translate.Quote(nil, name), ':'), v...))
		return nil
	})
	if err != nil {
		return nil, err
	}
	switch {
	case moved != nil || nulls:
	case string(typ) == typeObject:
		return v, nil
	case typ == nil && kept == nil && description == nil:
		return append(jsontext.Value(`{"type":"object"`), v[1:]...), nil
	case typ == nil:
		return append(jsontext.Value(`{"type":"object",`), v[1:]...), nil
	}
	if list := typ.Clone(); typ != nil && string(typ) != typeObject && (list.Compact() != nil || string(list) != `["object"]`) {
		r.left.LeaveOut(path + ".type")
	}
	schema := translate.Join([]byte(`{"type":"object"`), kept)
	switch text := translate.Unquote(description); {
	case moved != nil && text != "":
		schema = translate.Quote(append(schema, `,"description":`...), text+"\n\n{"+string(moved)+"}")
	case moved != nil:
		schema = translate.Quote(append(schema, `,"description":`...), "{"+string(moved)+"}")
	case description != nil:
		schema = append(append(schema, `,"description":`...), description...)
	}
	return append(schema, '}'), nil
}
