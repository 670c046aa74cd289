package anthropic

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// responseFormat reads response_format. A schema that is known to be taken, after what [grammar.fit] does to it, goes to
// output_config.format, which holds the model to it, whether OpenAI would have been strict about it or not. There is no
// counterpart of json_object.
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
		r.left.LeaveOut(path)
	}
	for _, word := range moved {
		r.left.LeaveOut(path + ".json_schema.schema." + word)
	}
	return nil
}
