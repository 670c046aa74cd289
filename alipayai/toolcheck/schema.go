package toolcheck

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	// maxSchema and maxNodes bound a schema that is checked, in bytes and objects, and
	// maxDepth how deep these nest.
	maxSchema = 64 << 10
	maxNodes  = 1000
	maxDepth  = 64
	// maxCost bounds one check: in about as many comparisons.
	maxCost = 30_000
)

var (
	errUncheckable = errors.New("the schema is not one that is checked")
	errTooCostly   = errors.New("the check takes too long")
)

// schema is a compiled schema, which checks one value at a time.
type schema struct {
	mu       sync.Mutex
	compiled *jsonschema.Schema
	cost     int
	program  int // of its patterns
}

// compile compiles a schema, or fails with errUncheckable.
func compile(text []byte) (*schema, error) {
	if len(text) > maxSchema {
		return nil, errUncheckable
	}
	var doc any
	if json.Unmarshal(text, &doc) != nil {
		return nil, errUncheckable
	}
	s := new(schema)
	c := jsonschema.NewCompiler()
	c.UseLoader(refuse{})
	c.UseRegexpEngine(s.pattern)
	c.DefaultDraft(draftOf(doc))
	c.AssertFormat()
	w := walker{costs: make(map[int]bool), places: map[string]bool{"#": true}}
	if !w.schema(doc, "#", 1) || !w.resolves() {
		return nil, errUncheckable
	}
	for n := range w.costs {
		c.RegisterFormat(&jsonschema.Format{Name: costOf(n), Validate: func(v any) error { return s.spend(n, v) }})
	}
	const name = "schema:tool" // of no scheme that anything loads
	if c.AddResource(name, doc) != nil {
		return nil, errUncheckable
	}
	var err error
	if s.compiled, err = compileGuarded(c, name); err != nil {
		return nil, errUncheckable
	}
	return s, nil
}

// compileGuarded compiles what the library may not expect.
func compileGuarded(c *jsonschema.Compiler, name string) (s *jsonschema.Schema, err error) {
	defer func() {
		if recover() != nil {
			err = errUncheckable
		}
	}()
	return c.Compile(name)
}

// refuse loads nothing.
type refuse struct{}

// Load implements jsonschema.URLLoader.
func (refuse) Load(string) (any, error) { return nil, errUncheckable }

// draftOf is the draft that the schema names, or else the latest.
func draftOf(doc any) *jsonschema.Draft {
	o, _ := doc.(map[string]any)
	named, _ := o["$schema"].(string)
	for name, draft := range map[string]*jsonschema.Draft{
		"draft-04": jsonschema.Draft4, "draft-06": jsonschema.Draft6, "draft-07": jsonschema.Draft7, "2019-09": jsonschema.Draft2019,
	} {
		if strings.Contains(named, name) {
			return draft
		}
	}
	return jsonschema.Draft2020
}

// check reports whether v is as the schema has it. It fails with errTooCostly.
func (s *schema) check(v any) (ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		if recover() != nil { // of spend, or what the library did not expect
			err = errTooCostly
		}
	}()
	s.cost = 0
	return s.compiled.Validate(v) == nil, nil
}

// spend counts a visit of a schema with n things in it at v. A chain of references doubles
// what is visited with each, and nothing of the library would end that.
func (s *schema) spend(n int, v any) error {
	size := 0
	switch v := v.(type) {
	case map[string]any:
		size = len(v)
	case []any:
		size = len(v)
	case string:
		size = len(v) / 64
	}
	s.pay((1 + n) * (1 + size))
	return nil
}

func (s *schema) pay(cost int) {
	if s.cost += cost; s.cost > maxCost {
		panic(errTooCostly)
	}
}

// costOf is the format by which a schema with n things in it is counted.
func costOf(n int) string { return "cost-" + strconv.Itoa(n) }

// walker makes a schema one whose visits are counted: each of its schemas gets a format that
// does. A format is looked at before all that a schema refers to or contains. Those of the
// schema itself are taken out: they are notes in the present draft.
type walker struct {
	nodes  int
	costs  map[int]bool
	places map[string]bool // JSON pointers of the schemas
	refs   []string
}

// Keywords whose members are schemas by name, and those that hold values.
var (
	named  = []string{"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"}
	values = []string{"const", "enum", "default", "examples", "example", "required", "dependentRequired", "type"}
	// identities make references mean something else than their pointers say.
	identities = []string{"$schema", "$id", "id", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$vocabulary", "format", "$comment"}
	// dynamic are references that depend on how they are reached.
	dynamic = []string{"$dynamicRef", "$recursiveRef"}
)

// schema walks the schema at a place, and reports whether it is one that can be checked.
func (w *walker) schema(v any, at string, depth int) bool {
	switch v := v.(type) {
	case map[string]any:
		return w.object(v, at, depth)
	case []any:
		if depth > maxDepth {
			return false
		}
		for i, element := range v {
			if !w.schema(element, at+"/"+strconv.Itoa(i), depth+1) {
				return false
			}
		}
	}
	return true
}

func (w *walker) object(o map[string]any, at string, depth int) bool {
	if w.nodes++; w.nodes > maxNodes || depth > maxDepth {
		return false
	}
	w.places[at] = true
	for _, name := range identities {
		delete(o, name)
	}
	n := 0
	for _, name := range slices.Sorted(maps.Keys(o)) {
		member, place := o[name], at+"/"+escape(name)
		switch {
		case slices.Contains(dynamic, name):
			return false
		case name == "$ref":
			ref, ok := member.(string)
			if !ok {
				return false
			}
			w.refs = append(w.refs, ref)
		case slices.Contains(values, name):
			n += sizeOf(member)
			continue
		}
		members, isMap := member.(map[string]any)
		if slices.Contains(named, name) && isMap {
			for key, sub := range members {
				if !w.schema(sub, place+"/"+escape(key), depth+1) {
					return false
				}
			}
		} else if !w.schema(member, place, depth+1) {
			return false
		}
		n += sizeOf(member)
	}
	if len(o) == 0 {
		return true // which takes anything; with a format it would be no such schema
	}
	o["format"] = costOf(n)
	w.costs[n] = true
	return true
}

// sizeOf is how many things a value has in it.
func sizeOf(v any) int {
	switch v := v.(type) {
	case map[string]any:
		return len(v)
	case []any:
		return len(v)
	}
	return 1
}

// resolves reports whether each reference is to a schema that was walked.
func (w *walker) resolves() bool {
	return !slices.ContainsFunc(w.refs, func(ref string) bool { return !w.places[ref] })
}

// escape writes a name as a part of a JSON pointer (RFC 6901) in a fragment of a reference.
func escape(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "%", "%25", " ", "%20").Replace(name)
}

// decode reads arguments: one JSON value and nothing behind it.
func decode(text []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if dec.More() {
		return nil, errors.New("something follows the value")
	}
	return v, nil
}
