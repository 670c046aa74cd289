package suite

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// node is a value of the file, with the name of its field for errors.
type node struct {
	*yaml.Node
	at string
}

// maxDepth is how deep values may nest.
const maxDepth = 32

// document reads content as one YAML document, which is a mapping.
func document(content []byte) (node, error) {
	var doc yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(content))
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return node{}, errors.New("the file is empty; it needs prompts")
	case err != nil:
		return node{}, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return node{}, errors.New("the file has more than one document; write one file for each suite")
	}
	root := node{doc.Content[0], ""}
	return root, root.plain(0)
}

// plain refuses what YAML has beside values: an alias may be a thousand values, and a tag another kind of one.
func (n node) plain(depth int) error {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return n.errorf("anchors and aliases are not taken; write the value out")
	case n.Style&yaml.TaggedStyle != 0:
		return n.errorf("the tag %s is not taken; write a plain value", n.Tag)
	case depth > maxDepth:
		return n.errorf("values nest more than %d deep", maxDepth)
	}
	for _, inner := range n.Content {
		if err := (node{inner, n.at}).plain(depth + 1); err != nil {
			return err
		}
	}
	return nil
}

// errorf is an error that names the line and the field.
func (n node) errorf(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if n.at != "" {
		text = n.at + ": " + text
	}
	return fmt.Errorf("line %d: %s", n.Line, text)
}

// field reads one field of a mapping.
type field = func(node) error

// fields reads a mapping whose fields are those of known, each at most once.
func (n node) fields(known map[string]field) error {
	if n.Kind != yaml.MappingNode {
		return n.errorf("write fields: %s", names(known))
	}
	return n.each(func(name node, value node) error {
		read, ok := known[name.Value]
		if !ok {
			return name.errorf("unknown field; use %s", names(known))
		}
		return read(value)
	})
}

// each calls do for each field of a mapping, by its name.
func (n node) each(do func(name, value node) error) error {
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		at := key.Value
		if n.at != "" {
			at = n.at + "." + at
		}
		name := node{key, at}
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge":
			return n.errorf("the name of a field is a text")
		case seen[key.Value]:
			return name.errorf("is given twice")
		}
		seen[key.Value] = true
		if err := do(name, node{n.Content[i+1], at}); err != nil {
			return err
		}
	}
	return nil
}

func names(known map[string]field) string { return strings.Join(slices.Sorted(maps.Keys(known)), ", ") }

// elements gives the values of a list, of which there is at least one.
func (n node) elements(of string) ([]node, error) {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return nil, n.errorf("write a list of %s", of)
	}
	list := make([]node, len(n.Content))
	for i, inner := range n.Content {
		list[i] = node{inner, n.at + "[" + strconv.Itoa(i) + "]"}
	}
	return list, nil
}

// text reads a text that is not empty.
func (n node) text() (string, error) {
	switch {
	case n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" || n.Value == "":
		return "", n.errorf("write a text")
	case n.ShortTag() != "!!str":
		return "", n.errorf("%s is no text; write it in quotes", n.Value)
	}
	return n.Value, nil
}

// texts reads a text, or a list of texts.
func (n node) texts() (list []string, err error) {
	if n.Kind == yaml.ScalarNode {
		text, err := n.text()
		return []string{text}, err
	}
	nodes, err := n.elements("texts")
	for _, inner := range nodes {
		text, err := inner.text()
		if err != nil {
			return nil, err
		}
		list = append(list, text)
	}
	return list, err
}

// flag reads true or false.
func (n node) flag() (v bool, err error) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || n.Decode(&v) != nil {
		return false, n.errorf("write true or false")
	}
	return v, nil
}

// number reads a whole number from least to most.
func (n node) number(least, most int) (v int, err error) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || n.Decode(&v) != nil || v < least || v > most {
		return 0, n.errorf("write a whole number from %d to %d", least, most)
	}
	return v, nil
}

// decimal reads a number from least to most.
func (n node) decimal(least, most float64) (v float64, err error) {
	tag := n.ShortTag()
	if n.Kind != yaml.ScalarNode || tag != "!!int" && tag != "!!float" || n.Decode(&v) != nil || !(v >= least && v <= most) {
		return 0, n.errorf("write a number from %v to %v", least, most)
	}
	return v, nil
}

// duration reads a time like 30s, up to most.
func (n node) duration(most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || d <= 0 || d > most {
		return 0, n.errorf("write a time like 30s, at most %s", most)
	}
	return d, nil
}

// json reads any value, as JSON.
func (n node) json() (json.RawMessage, error) {
	v, err := n.value()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil, n.errorf("is no JSON value")
	}
	return text, nil
}

// value gives any value as encoding/json has it.
func (n node) value() (v any, err error) {
	switch n.Kind {
	case yaml.MappingNode:
		object := make(map[string]any)
		err := n.each(func(name, value node) error {
			v, err := value.value()
			object[name.Value] = v
			return err
		})
		return object, err
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, inner := range n.Content {
			if list[i], err = (node{inner, n.at + "[" + strconv.Itoa(i) + "]"}).value(); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	switch n.ShortTag() {
	case "!!str", "!!timestamp":
		return n.Value, nil
	case "!!null":
		return nil, nil
	case "!!bool", "!!int", "!!float":
		if err := n.Decode(&v); err != nil {
			return nil, n.errorf("%s is no JSON value", n.Value)
		}
		if f, ok := v.(float64); ok && (math.IsInf(f, 0) || math.IsNaN(f)) {
			return nil, n.errorf("%s is no JSON value", n.Value)
		}
		return v, nil
	}
	return nil, n.errorf("is no JSON value")
}
