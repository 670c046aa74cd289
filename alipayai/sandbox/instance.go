package sandbox

import (
	"encoding/json"
	"math"
	"strings"
)

// schema is what instances are made by: the part of JSON Schema that OpenAI's
// structured outputs have, and the bounds that a value has to keep.
type schema struct {
	Type       any                `json:"type"` // a name or a list of them
	Const      json.RawMessage    `json:"const"`
	Enum       []json.RawMessage  `json:"enum"`
	Properties map[string]*schema `json:"properties"`
	Required   []string           `json:"required"`
	Items      *schema            `json:"items"`
	MinItems   int                `json:"minItems"`
	Minimum    *float64           `json:"minimum"`
	Above      *float64           `json:"exclusiveMinimum"`
	Maximum    *float64           `json:"maximum"`
	MinLength  int                `json:"minLength"`
	MaxLength  *int               `json:"maxLength"`
	Format     string             `json:"format"`
	AnyOf      []*schema          `json:"anyOf"`
	OneOf      []*schema          `json:"oneOf"`
	AllOf      []*schema          `json:"allOf"`
	Ref        string             `json:"$ref"`
	Defs       map[string]*schema `json:"$defs"`
	Old        map[string]*schema `json:"definitions"`
}

// UnmarshalJSON takes true and false, and keywords of other forms, for a schema
// that says nothing.
func (s *schema) UnmarshalJSON(data []byte) error {
	type plain schema
	var p plain
	if json.Unmarshal(data, &p) == nil {
		*s = schema(p)
	}
	return nil
}

// deepest bounds schemas that name themselves.
const deepest = 16

// instance makes JSON that fits a schema, with what it requires and no more;
// strings get the prompt. Its content depends on both only.
func instance(text json.RawMessage, prompt string) string {
	root := new(schema)
	_ = root.UnmarshalJSON(text)
	if root.kind() == "" {
		root.Type = "object" // as arguments and structured outputs are
	}
	b, err := json.Marshal(root.make(root, prompt, 0))
	if err != nil {
		panic(err) // raw values came out of valid JSON
	}
	return string(b)
}

// kind is the type: of several the first that is not null.
func (s *schema) kind() string {
	switch t := s.Type.(type) {
	case string:
		return t
	case []any:
		for _, each := range t {
			if name, ok := each.(string); ok && name != "null" {
				return name
			}
		}
		return "null"
	}
	switch {
	case s.Properties != nil || s.Required != nil:
		return "object"
	case s.Items != nil:
		return "array"
	}
	return ""
}

func (s *schema) make(root *schema, prompt string, depth int) any {
	if s == nil || depth > deepest {
		return nil
	}
	if target := root.find(s.Ref); target != nil {
		return target.make(root, prompt, depth+1)
	}
	for _, choices := range [][]*schema{s.AnyOf, s.OneOf, s.AllOf} {
		if len(choices) > 0 && s.kind() == "" {
			return choices[0].make(root, prompt, depth+1)
		}
	}
	switch {
	case len(s.Const) > 0:
		return s.Const
	case len(s.Enum) > 0:
		return s.Enum[0]
	}
	switch s.kind() {
	case "object":
		object := make(map[string]any, len(s.Required))
		for _, name := range s.Required {
			property := s.Properties[name]
			if property == nil {
				property = &schema{Type: "string"}
			}
			object[name] = property.make(root, prompt, depth+1)
		}
		return object
	case "array":
		array := make([]any, min(max(s.MinItems, 0), 64))
		for i := range array {
			array[i] = s.Items.make(root, prompt, depth+1)
		}
		return array
	case "integer", "number":
		return s.number()
	case "boolean":
		return true
	case "null":
		return nil
	}
	return s.string(prompt)
}

// find gives the schema that a reference within the root names, or nil.
func (s *schema) find(ref string) *schema {
	if ref == "#" {
		return s
	}
	if name, ok := strings.CutPrefix(ref, "#/$defs/"); ok {
		return s.Defs[name]
	}
	name, _ := strings.CutPrefix(ref, "#/definitions/")
	return s.Old[name]
}

// number is 1, or the whole number next to it that is within the bounds.
func (s *schema) number() float64 {
	n := 1.0
	if s.Maximum != nil {
		n = min(n, math.Floor(*s.Maximum))
	}
	if s.Minimum != nil {
		n = max(n, math.Ceil(*s.Minimum))
	}
	if s.Above != nil {
		n = max(n, math.Floor(*s.Above)+1)
	}
	return n
}

func (s *schema) string(prompt string) string {
	switch s.Format {
	case "date-time":
		return "2026-01-01T00:00:00Z"
	case "date":
		return "2026-01-01"
	case "time":
		return "00:00:00Z"
	case "email":
		return "shop@example.com"
	case "uuid":
		return "00000000-0000-4000-8000-000000000000"
	case "uri":
		return "https://example.com/"
	}
	text := []rune(clip(prompt))
	for len(text) < min(s.MinLength, 1024) {
		text = append(text, '.')
	}
	if s.MaxLength != nil && *s.MaxLength >= 0 && len(text) > *s.MaxLength {
		text = text[:*s.MaxLength]
	}
	return string(text)
}

// renamed gives the members of an object other names, as [Config.APIVersion] has it.
func renamed(object string) string {
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(object), &members) != nil {
		return object // of no object
	}
	other := make(map[string]json.RawMessage, len(members))
	for name, value := range members {
		other[name+"_v2"] = value
	}
	return string(mustJSON(other))
}
