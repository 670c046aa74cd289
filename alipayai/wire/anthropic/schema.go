package anthropic

import (
	"errors"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// Anthropic's API can be held to a JSON schema, by output_config.format for what the model says and by strict for the
// arguments of a tool. Both are generally available without a beta header, from Claude Haiku 4.5 on. They take a part of
// JSON Schema only, and another than OpenAI's strict mode does: with a minimum, say, the whole request is refused with
// 400. So a schema is sent as a promise only where all of it is known to be taken. That it is taken cannot be known for
// certain, since the API also bounds the size of what it compiles the schemas to, and does not say how.
//
// Sources: https://platform.claude.com/docs/en/build-with-claude/structured-outputs with its sections on limitations,
// complexity and compatibility, and schemautil.go of Anthropic's Go SDK (v1.84.0), which brings schemas into that form.

// The limits of all schemas of one request together.
const (
	maxStrictTools = 20
	maxOptional    = 24 // properties that are not required
	maxUnions      = 16 // uses of anyOf and of lists of types
)

var (
	schemaTypes   = []string{"object", "array", "string", "integer", "number", "boolean", "null"}
	stringFormats = []string{"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)

// grammar counts what a request's schemas use of the limits.
type grammar struct{ tools, optional, unions int }

// takes reports whether the API takes the schema beside those taken before, and takes it if so.
func (g *grammar) takes(schema jsontext.Value) bool {
	s := schemaReader{grammar: *g, definitions: make(map[string]*definition)}
	if s.root(schema) != nil {
		return false
	}
	*g = s.grammar
	return true
}

// errUnfit says that a schema has something in it that is not known to be taken.
var errUnfit = errors.New("a schema that Anthropic's API may refuse")

// schemaReader reads one schema.
type schemaReader struct {
	grammar
	definitions map[string]*definition // by the $ref that names them
}

// definition is a schema in $defs. Each is read once, and counted wherever it is used.
type definition struct {
	schema     jsontext.Value
	open, read bool
	uses       grammar
}

// count adds to what is used.
func (s *schemaReader) count(optional, unions int) error {
	s.optional += optional
	s.unions += unions
	if s.optional > maxOptional || s.unions > maxUnions {
		return errUnfit
	}
	return nil
}

// root reads the whole schema, which must be of an object.
func (s *schemaReader) root(v jsontext.Value) error {
	n := node{root: true}
	err := translate.Members(v, func(name string, v jsontext.Value) error {
		if name != "$defs" {
			return nil
		}
		return translate.Members(v, func(name string, v jsontext.Value) error {
			s.definitions["#/$defs/"+name] = &definition{schema: v}
			return nil
		})
	})
	if err == nil {
		err = s.schema(&n, v)
	}
	if err != nil || !slices.Equal(n.types, []string{"object"}) {
		return errUnfit
	}
	for _, d := range s.definitions {
		if !d.read { // it would be sent unread
			return errUnfit
		}
	}
	return nil
}

// refer reads the definition that a $ref names. One that leads back to itself is refused, as is one elsewhere.
func (s *schemaReader) refer(ref string) error {
	d := s.definitions[ref]
	switch {
	case d == nil || d.open:
		return errUnfit
	case d.read:
		return s.count(d.uses.optional, d.uses.unions)
	}
	before := s.grammar
	d.open = true
	err := s.inner(d.schema)
	d.open, d.read = false, true
	d.uses = grammar{optional: s.optional - before.optional, unions: s.unions - before.unions}
	return err
}

// node is what one schema says, without those within it.
type node struct {
	root                bool
	ref                 string
	types               []string
	enum, anyOf, closed bool
	properties          jsontext.Value
	required            map[string]bool
	words               int
}

// inner reads a schema within another.
func (s *schemaReader) inner(v jsontext.Value) error { return s.schema(new(node), v) }

// schema reads a schema into n, and those within it.
func (s *schemaReader) schema(n *node, v jsontext.Value) error {
	err := translate.Members(v, func(name string, v jsontext.Value) error {
		n.words++
		return s.word(n, name, v)
	})
	switch {
	case err != nil:
		return err
	case n.ref != "":
		if n.words > 1 { // nothing may stand beside it
			return errUnfit
		}
		return s.refer(n.ref)
	case len(n.types) == 0 && !n.enum && !n.anyOf, // anything goes
		len(n.types) > 1 && n.enum, // values are held against one type
		slices.Contains(n.types, "object") && !n.closed:
		return errUnfit
	}
	if n.anyOf || len(n.types) > 1 {
		if err := s.count(0, 1); err != nil {
			return err
		}
	}
	if n.properties == nil {
		return nil
	}
	return translate.Members(n.properties, func(name string, v jsontext.Value) error {
		if !n.required[name] {
			if err := s.count(1, 0); err != nil {
				return err
			}
		}
		return s.inner(v)
	})
}

// word reads one member of a schema. pattern is none that is known, since the API takes some regular expressions only;
// allOf and oneOf are none, since OpenAI's strict mode does not have them.
func (s *schemaReader) word(n *node, name string, v jsontext.Value) error {
	fits := true
	switch name {
	case "title", "description":
	case "$defs":
		fits = n.root
	case "$ref":
		n.ref = translate.Unquote(v)
		fits = n.ref != ""
	case "type":
		if v.Kind() == '[' {
			return translate.Elements(v, func(_ int, v jsontext.Value) error { return n.is(v) })
		}
		return n.is(v)
	case "enum":
		n.enum = true
		return translate.Elements(v, func(_ int, v jsontext.Value) error { return scalar(v) })
	case "const":
		return scalar(v)
	case "format":
		fits = slices.Contains(stringFormats, translate.Unquote(v))
	case "items":
		return s.inner(v)
	case "minItems":
		fits = string(v) == "0" || string(v) == "1"
	case "anyOf":
		n.anyOf = true
		return translate.Elements(v, func(_ int, v jsontext.Value) error { return s.inner(v) })
	case "properties":
		n.properties = v
	case "required":
		n.required = make(map[string]bool)
		return translate.Elements(v, func(_ int, v jsontext.Value) error {
			n.required[translate.Unquote(v)] = true
			return nil
		})
	case "additionalProperties":
		n.closed = v.Kind() == 'f'
		fits = n.closed
	default:
		fits = false
	}
	if !fits {
		return errUnfit
	}
	return nil
}

// is adds a type.
func (n *node) is(v jsontext.Value) error {
	n.types = append(n.types, translate.Unquote(v))
	if !slices.Contains(schemaTypes, translate.Unquote(v)) {
		return errUnfit
	}
	return nil
}

// scalar holds that v is neither an object nor an array.
func scalar(v jsontext.Value) error {
	if v.Kind() == '{' || v.Kind() == '[' {
		return errUnfit
	}
	return nil
}

// inputForm is the form of a tool's input_schema: "input_schema does not support oneOf, allOf, or anyOf at the top level", for
// which the API would refuse the whole request.
var inputForm = translate.ObjectSchema{Without: []string{"anyOf", "oneOf", "allOf"}}

// inputSchema gives the schema that stands at path as the API takes it.
func (r *request) inputSchema(path string, v jsontext.Value) (jsontext.Value, error) {
	fitted, left, err := inputForm.Fit(path, v)
	for _, name := range left {
		r.left.LeaveOut(path + "." + name)
	}
	return fitted, err
}
