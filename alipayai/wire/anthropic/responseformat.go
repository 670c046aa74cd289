package anthropic

import "github.com/go-json-experiment/json/jsontext"

// responseFormat reads response_format. A schema that is known to be taken, after what [grammar.fit] does to it, goes to
// output_config.format, which holds the model to it, whether OpenAI would have been strict about it or not. There is no
// counterpart of json_object.
func (r *request) responseFormat(v jsontext.Value) error {
	const path = "response_format"
	var typ string
	var format jsontext.Value
	err := object(path, v, func(name string, v jsontext.Value) error {
		switch name {
		case "type":
			typ = unquote(v)
		case "json_schema":
			format = v
		default:
			r.left.leave(path, name, v)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case typ == "text":
		return nil
	case typ != "json_schema":
		r.left.leaveOut(path)
		return nil
	case len(format) == 0:
		return missing(path+".json_schema", "an object")
	}
	var schema jsontext.Value
	err = object(path+".json_schema", format, func(name string, v jsontext.Value) error {
		switch name {
		case "schema":
			schema = v
		case "name", "strict": // a label, and what is done anyway
		default:
			r.left.leave(path+".json_schema", name, v)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var moved []string
	if r.format, moved = r.grammar.fit(schema); r.format == nil {
		r.left.leaveOut(path)
	}
	for _, word := range moved {
		r.left.leaveOut(path + ".json_schema.schema." + word)
	}
	return nil
}
