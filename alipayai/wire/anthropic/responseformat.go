package anthropic

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// responseFormat reads response_format. A schema that is known to be taken, after what [grammar.fit] does to it, goes to
// output_config.format, which holds the model to it, whether OpenAI would have been strict about it or not. There is no
// counterpart of json_object, nor of other schemas: the model is asked in words. A json_object with a schema beside it is how
// llama.cpp (tools/server/README.md of ggml-org/llama.cpp) and others have a schema.
func (r *request) responseFormat(v jsontext.Value) error {
	const path = "response_format"
	var typ string
	var format, beside jsontext.Value
	err := translate.Object(path, v, func(name string, v jsontext.Value) error {
		switch name {
		case "type":
			typ = translate.Unquote(v)
		case "json_schema":
			format = v
		case "schema":
			beside = v
		default:
			r.left.Leave(path, name, v)
		}
		return nil
	})
	if typ == "json_object" && err == nil && beside.Kind() == '{' {
		r.schema(path, path+".schema", beside)
		return nil
	}
	if beside != nil {
		r.left.Leave(path, "schema", beside)
	}
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
	r.schema(path, path+".json_schema.schema", schema)
	return nil
}

// schema has the answer held to a schema where that can be, or else asks for it in words. at is where the schema stands in path.
func (r *request) schema(path, at string, schema jsontext.Value) {
	var moved []string
	if r.format, moved = r.grammar.fit(schema); r.format == nil {
		r.asked = schema
		if schema.Kind() != '{' {
			r.asked = anyObject
		}
		r.left.LeaveOut(path)
	}
	for _, word := range moved {
		r.left.LeaveOut(at + "." + word)
	}
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
