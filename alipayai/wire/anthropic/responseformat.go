package anthropic

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// responseFormat reads response_format. A schema that is known to be taken, after what [grammar.fit] does to it, goes to
// output_config.format, which holds the model to it, whether OpenAI would have been strict about it or not. There is no
// counterpart of json_object, nor of other schemas: the model is asked in words.
func (r *request) responseFormat(v jsontext.Value) error {
	const path = "response_format"
	var typ string
	var format jsontext.Value
	err := translate.Object(path, v, func(name string, v jsontext.Value) error {
		switch name {
		case "type":
			typ = translate.Unquote(v)
		case "json_schema":
			format = v
		default:
			r.left.Leave(path, name, v)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case typ == "text":
		return nil
	case typ == "json_object":
		r.asked = anyObject
		r.left.LeaveOut(path)
		return nil
	case typ != "json_schema":
		r.left.LeaveOut(path)
		return nil
	case len(format) == 0:
		return translate.Missing(path+".json_schema", "an object")
	}
	var schema jsontext.Value
	err = translate.Object(path+".json_schema", format, func(name string, v jsontext.Value) error {
		switch name {
		case "schema":
			schema = v
		case "name", "strict": // a label, and what is done anyway
		default:
			r.left.Leave(path+".json_schema", name, v)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var moved []string
	if r.format, moved = r.grammar.fit(schema); r.format == nil {
		r.asked = schema
		if schema.Kind() != '{' {
			r.asked = anyObject
		}
		r.left.LeaveOut(path)
	}
	for _, word := range moved {
		r.left.LeaveOut(path + ".json_schema.schema." + word)
	}
	return nil
}

// anyObject is the schema of every object.
var anyObject = jsontext.Value("{}")

// askForJSON gives the system's text that asks for an object of that schema. Clients parse the answer as it comes.
func askForJSON(schema jsontext.Value) []byte {
	words := "Answer with one JSON object that has neither words nor a code fence around it"
	if len(bytes.Trim(schema, "{} \t\r\n")) > 0 {
		words += ", and that fits this JSON schema: " + string(schema)
	} else {
		words += "."
	}
	return append(translate.Quote([]byte(`{"type":"text","text":`), words), '}')
}
