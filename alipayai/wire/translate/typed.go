package translate

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// TypedSchema is how Moonshot wants the schema of a tool's arguments: each place has its type where it is decided, and is an object.
// A type beside anyOf or $ref, a list for items and true for a schema are refused: docs/mfjs-spec.md and the cases of
// https://github.com/MoonshotAI/walle, what its service answers in https://github.com/MoonshotAI/kimi-code/issues/2661,
// https://github.com/can1357/oh-my-pi/pull/5980, and what it takes in their place in https://github.com/vercel/ai/pull/18921.
type TypedSchema struct{}

// Fit gives the schema that stands at path as the vendor takes it. A schema that is fine keeps its exact text. left are the names
// of what limited the arguments and does so no more.
func (TypedSchema) Fit(path string, v jsontext.Value) (fitted jsontext.Value, left []string, err error) {
	f := schemaFitter{path: path}
	fitted, err = f.schema(v, true)
	if err != nil || !f.changed {
		return v, nil, err
	}
	return fitted, f.left, nil
}

// schemaFitter fits one schema.
type schemaFitter struct {
	path    string
	changed bool
	left    []string
}

// keyword is a member of a schema.
type keyword struct {
	name  string
	value jsontext.Value
}

// leave notes that a keyword limits nothing any more.
func (f *schemaFitter) leave(name string) {
	f.changed = true
	if !slices.Contains(f.left, name) {
		f.left = append(f.left, name)
	}
}

// schema fits the schema of one place; top says that it is that of all arguments.
func (f *schemaFitter) schema(v jsontext.Value, top bool) (jsontext.Value, error) {
	switch v.Kind() {
	case 'f':
		f.leave("false")
		return jsontext.Value("{}"), nil
	case 't':
		f.changed = true
		return jsontext.Value("{}"), nil
	case '{':
	default:
		return v, nil
	}
	var all []keyword
	err := Object(f.path, v, func(name string, v jsontext.Value) error {
		if name == "items" && v.Kind() == '[' {
			name, f.changed = "prefixItems", true
		}
		fitted, err := f.inside(name, v)
		all = append(all, keyword{name, fitted})
		return err
	})
	if err != nil {
		return nil, err
	}
	all = f.typed(all)
	if top && !has(all, "type", "anyOf", "$ref") {
		f.changed = true
		all = append([]keyword{{"type", jsontext.Value(`"object"`)}}, all...)
	}
	return schemaOf(all), nil
}

// inside fits what a keyword has of schemas.
func (f *schemaFitter) inside(name string, v jsontext.Value) (jsontext.Value, error) {
	switch name {
	case "items":
		return f.schema(v, false)
	case "additionalProperties":
		if v.Kind() == '{' {
			return f.schema(v, false)
		}
	case "properties", "$defs", "definitions":
		if v.Kind() != '{' {
			return v, nil
		}
		var all []keyword
		err := Object(f.path, v, func(name string, v jsontext.Value) error {
			fitted, err := f.schema(v, false)
			all = append(all, keyword{name, fitted})
			return err
		})
		return schemaOf(all), err
	case "anyOf", "oneOf", "allOf", "prefixItems":
		if v.Kind() != '[' {
			return v, nil
		}
		var list []byte
		err := Elements(v, func(_ int, v jsontext.Value) error {
			fitted, err := f.schema(v, false)
			list = Join(list, fitted)
			return err
		})
		return slices.Concat([]byte("["), list, []byte("]")), err
	}
	return v, nil
}

// notes are the keywords that may stand beside any other.
var notes = []string{"$schema", "$id", "$defs", "definitions", "title", "description", "default", "examples", "$comment"}

// typed has the type of a place where it is decided: behind a $ref, or in each of anyOf. Where anyOf only adds to what stands beside
// it, such as what is required, it moves to the description.
func (f *schemaFitter) typed(all []keyword) []keyword {
	beside := func(decides string) []keyword {
		return slices.DeleteFunc(slices.Clone(all), func(k keyword) bool { return k.name == decides || slices.Contains(notes, k.name) })
	}
	if has(all, "$ref") {
		for _, k := range beside("$ref") {
			if k.name != "type" {
				f.leave(k.name)
			}
			f.changed = true
			all = without(all, k.name)
		}
		return all
	}
	others := beside("anyOf")
	if !has(all, "anyOf") || len(others) == 0 {
		return all
	}
	f.changed = true
	at := slices.IndexFunc(all, func(k keyword) bool { return k.name == "anyOf" })
	if len(others) == 1 && others[0].name == "type" {
		if anyOf, ok := branches(all[at].value, others[0].value); ok {
			all[at].value = anyOf
			return without(all, "type")
		}
	}
	f.leave("anyOf")
	return described(without(all, "anyOf"), all[at])
}

// branches gives the list with a type in each of it, that of the whole where it has none of its own; ok is false where one has
// neither, or cannot have it.
func branches(list, typ jsontext.Value) (typed jsontext.Value, ok bool) {
	var out []byte
	ok = true
	err := Elements(list, func(_ int, v jsontext.Value) error {
		var own []keyword
		if v.Kind() != '{' || Object("", v, func(name string, v jsontext.Value) error {
			own = append(own, keyword{name, v})
			return nil
		}) != nil {
			ok = false
			return nil
		}
		if !has(own, "type", "$ref", "anyOf") {
			ok = ok && typ.Kind() == '"' && len(own) > 0 && (!has(own, "required") || has(own, "properties"))
			v = schemaOf(append([]keyword{{"type", typ}}, own...))
		}
		out = Join(out, v)
		return nil
	})
	return slices.Concat([]byte("["), out, []byte("]")), ok && err == nil && len(out) > 0
}

// described has a keyword in the description, where the model reads it, as [ObjectSchema] does.
func described(all []keyword, moved keyword) []keyword {
	text := "{" + moved.name + ": " + string(moved.value) + "}"
	for i, k := range all {
		if said := Unquote(k.value); k.name == "description" && said != "" {
			all[i].value = Quote(nil, said+"\n\n"+text)
			return all
		}
	}
	return append(without(all, "description"), keyword{"description", Quote(nil, text)})
}

func has(all []keyword, names ...string) bool {
	return slices.ContainsFunc(all, func(k keyword) bool { return slices.Contains(names, k.name) })
}

func without(all []keyword, name string) []keyword {
	return slices.DeleteFunc(slices.Clone(all), func(k keyword) bool { return k.name == name })
}

// schemaOf writes the schema that has all of them.
func schemaOf(all []keyword) jsontext.Value {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, k := range all {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(Quote(nil, k.name))
		b.WriteByte(':')
		b.Write(k.value)
	}
	b.WriteByte('}')
	return b.Bytes()
}
