package anthropic

import (
	"bytes"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// fit gives the schema in a form that the API takes beside those taken before, and takes it; nil where there is none. One
// that is taken as it is keeps its exact text. Of others, what the API cannot hold the model to moves to the description,
// as Anthropic's SDKs do it; moved names those words that promise something.
func (g *grammar) fit(schema jsontext.Value) (fitted jsontext.Value, moved []string) {
	if g.takes(schema) {
		return schema, nil
	}
	var f fitter
	fitted, err := f.schema(schema)
	if err != nil || !g.takes(fitted) {
		return nil, nil
	}
	slices.Sort(f.moved)
	return fitted, slices.Compact(f.moved)
}

// fitTool is fit for a tool that is to be strict.
func (g *grammar) fitTool(schema jsontext.Value) (fitted jsontext.Value, moved []string) {
	if g.tools >= maxStrictTools {
		return nil, nil
	}
	if fitted, moved = g.fit(schema); fitted != nil {
		g.tools++
	}
	return fitted, moved
}

// fitter brings a schema into the form of transformJSONSchema (lib/transform-json-schema.ts of Anthropic's TypeScript SDK;
// lib/_parse/_transform.py of the Python SDK is alike but for details). testdata/schemas/sdk.json has what that function
// gives. There are three differences, each where the SDK's schema would be refused, or could not be met:
//
//   - "definitions", where OpenAI's SDK for TypeScript puts what zod's schemas share, is "$defs" by its older name;
//   - the words of a type also belong to a list of types with it in it: ["object","null"] is what OpenAI's strict mode
//     has for an object that may be missing;
//   - an object of any keys, as z.record gives it, has no such form: closed, it would always be empty.
type fitter struct{ moved []string }

// annotations are words that promise nothing: that they move needs no naming.
var annotations = []string{
	"$anchor", "$comment", "$id", "default", "deprecated", "example", "examples", "readOnly", "writeOnly",
}

// rest are the members of a schema that have no place yet.
type rest []restMember

type restMember struct {
	name  string
	value jsontext.Value
}

// pop takes the member of that name out; nil for none.
func (r *rest) pop(name string) jsontext.Value {
	i := slices.IndexFunc(*r, func(m restMember) bool { return m.name == name })
	if i < 0 {
		return nil
	}
	v := (*r)[i].value
	*r = slices.Delete(*r, i, i+1)
	return v
}

// popIf is pop where the value is one that the API takes. Others go to the end, as the SDK has them.
func (r *rest) popIf(name string, fine func(v jsontext.Value) bool) jsontext.Value {
	v := r.pop(name)
	if v != nil && !fine(v) {
		*r = append(*r, restMember{name, v})
		v = nil
	}
	return v
}

// schema gives one schema in the API's form, with those within it. It fails with [errUnfit] where it has none.
func (f *fitter) schema(v jsontext.Value) (jsontext.Value, error) {
	var left rest
	if err := translate.Members(v, func(name string, v jsontext.Value) error {
		left = append(left, restMember{name, v})
		return nil
	}); err != nil {
		return nil, errUnfit
	}
	var out memberWriter
	defs := left.pop("$defs")
	if older := left.pop("definitions"); older != nil && defs != nil {
		return nil, errUnfit
	} else if older != nil {
		defs = older
	}
	if err := out.add("$defs", defs, f.properties); err != nil {
		return nil, err
	}
	if ref := left.pop("$ref"); ref != nil {
		name := translate.Unquote(ref)
		if older, ok := strings.CutPrefix(name, "#/definitions/"); ok {
			name = "#/$defs/" + older
		}
		return out.member("$ref", translate.Quote(nil, name)).close(), nil
	}
	left.pop("$schema") // the dialect's name, which limits nothing
	types, err := f.kind(&left, &out)
	if err != nil {
		return nil, err
	}
	description := left.pop("description")
	out.member("title", left.pop("title"))
	if err := f.words(types, &left, &out); err != nil {
		return nil, err
	}
	return out.member("description", f.describe(description, left)).close(), nil
}

// kind writes what says which values there are: literals, alternatives, or else the type, which it gives.
func (f *fitter) kind(left *rest, out *memberWriter) (types []string, err error) {
	enum := left.popIf("enum", literals)
	constant := left.popIf("const", literal)
	declared := left.pop("type")
	out.member("enum", enum).member("const", constant)
	// One of the three is kept; like the SDK's, this forgets the others.
	alternatives, name := left.pop("anyOf"), "anyOf"
	oneOf, allOf := left.pop("oneOf"), left.pop("allOf")
	switch {
	case alternatives != nil:
	case oneOf != nil:
		alternatives = oneOf
	case allOf != nil:
		alternatives, name = allOf, "allOf"
	}
	if enum == nil && constant == nil {
		if types = typeNames(declared); len(types) == 0 && alternatives == nil {
			return nil, errUnfit
		}
		if alternatives == nil {
			out.member("type", declared)
		}
	}
	return types, out.add(name, alternatives, f.list)
}

// words writes what further words of the types the API takes.
func (f *fitter) words(types []string, left *rest, out *memberWriter) error {
	if slices.Contains(types, "object") {
		properties, more := left.pop("properties"), left.pop("additionalProperties")
		closed, empty := more.Kind() == 'f', len(bytes.Trim(properties, "{} \t\r\n")) == 0
		switch {
		case properties == nil && closed:
			properties = jsontext.Value("{}")
		case properties == nil, empty && more != nil && !closed:
			return errUnfit
		case more != nil && !closed:
			f.moved = append(f.moved, "additionalProperties")
		}
		if err := out.add("properties", properties, f.properties); err != nil {
			return err
		}
		out.member("additionalProperties", jsontext.Value("false")).member("required", left.pop("required"))
	}
	if slices.Contains(types, "string") {
		out.member("format", left.popIf("format", func(v jsontext.Value) bool { return slices.Contains(stringFormats, translate.Unquote(v)) }))
	}
	if slices.Contains(types, "array") {
		if err := out.add("items", left.pop("items"), f.schema); err != nil {
			return err
		}
		out.member("minItems", left.popIf("minItems", func(v jsontext.Value) bool { return string(v) == "0" || string(v) == "1" }))
	}
	return nil
}

// properties gives an object of schemas in the API's form.
func (f *fitter) properties(v jsontext.Value) (jsontext.Value, error) {
	var out memberWriter
	err := translate.Members(v, func(name string, v jsontext.Value) error { return out.add(name, v, f.schema) })
	return out.close(), err
}

// list gives an array of schemas in the API's form.
func (f *fitter) list(v jsontext.Value) (jsontext.Value, error) {
	var all []byte
	err := translate.Elements(v, func(_ int, v jsontext.Value) error {
		one, err := f.schema(v)
		all = translate.Join(all, one)
		return err
	})
	return slices.Concat([]byte("["), all, []byte("]")), err
}

// describe gives the description with what has no other place, in the SDK's words; nil for none.
func (f *fitter) describe(description jsontext.Value, left rest) jsontext.Value {
	if len(left) == 0 {
		return description
	}
	var text strings.Builder
	if said := translate.Unquote(description); said != "" {
		text.WriteString(said + "\n\n")
	}
	separator := "{"
	for _, m := range left {
		value, _ := jsontext.AppendFormat(nil, m.value, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) // has been read before
		text.WriteString(separator + m.name + ": " + string(value))
		separator = ", "
		if !slices.Contains(annotations, m.name) {
			f.moved = append(f.moved, wire.Visible(m.name))
		}
	}
	return translate.Quote(nil, text.String()+"}")
}

// literal reports whether v is neither an object nor an array.
func literal(v jsontext.Value) bool { return scalar(v) == nil }

// literals reports whether v is an array of such, with one at least.
func literals(v jsontext.Value) bool {
	n := 0
	err := translate.Elements(v, func(_ int, v jsontext.Value) error {
		n++
		return scalar(v)
	})
	return err == nil && n > 0
}

// typeNames are the types that "type" names, by one or by a list.
func typeNames(v jsontext.Value) (names []string) {
	if v.Kind() == '"' {
		return []string{translate.Unquote(v)}
	}
	_ = translate.Elements(v, func(_ int, v jsontext.Value) error { // none where it is no array
		names = append(names, translate.Unquote(v))
		return nil
	})
	return names
}

// memberWriter writes an object.
type memberWriter struct{ text []byte }

// member adds a member; none for nil.
func (w *memberWriter) member(name string, v jsontext.Value) *memberWriter {
	if v != nil {
		w.text = translate.Join(w.text, slices.Concat(translate.Quote(nil, name), []byte(":"), v))
	}
	return w
}

// add adds what change makes of a member; none for nil.
func (w *memberWriter) add(name string, v jsontext.Value, change func(jsontext.Value) (jsontext.Value, error)) error {
	if v == nil {
		return nil
	}
	changed, err := change(v)
	if err != nil {
		return errUnfit
	}
	w.member(name, changed)
	return nil
}

func (w *memberWriter) close() jsontext.Value {
	return slices.Concat([]byte("{"), w.text, []byte("}"))
}
