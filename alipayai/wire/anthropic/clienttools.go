package anthropic

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// Tools by their types: those that the client runs, some of which only Anthropic's models know the schema of.
//
// Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview
var runByClient = []string{"bash_", "text_editor_", "computer_", "memory_"}

// searchesTools begins the types of tools that Anthropic runs, but that only look for others among those offered.
const searchesTools = "tool_search_tool_"

// clientTool is a tool of a request as it is written.
type clientTool struct {
	kind                                     string
	name, description, schema, strict, cache jsontext.Value
	// others are further members that say something.
	others []string
}

// member reads one of its members.
func (t *clientTool) member(member string, v jsontext.Value) error {
	switch member {
	case "type":
		if word := translate.Unquote(v); word != "" { // https://github.com/envoyproxy/ai-gateway/pull/1953
			t.kind = word
		}
	case "name":
		t.name = v
	case "description":
		t.description = v
	case "input_schema":
		t.schema = v
	case "strict":
		t.strict = v
	case "cache_control":
		t.cache = v
	case "eager_input_streaming":
	case "defer_loading":
		if v.Kind() == 't' {
			t.others = append(t.others, member)
		}
	case "allowed_callers":
		if strings.TrimSpace(string(v)) != `["direct"]` {
			t.others = append(t.others, member)
		}
	default:
		if v.Kind() != 'n' {
			t.others = append(t.others, member)
		}
	}
	return nil
}

// tool reads the tool that stands at path.
func (c *client) tool(path string, v jsontext.Value) error {
	t := clientTool{kind: "custom"}
	if err := translate.Object(path, v, t.member); err != nil {
		return err
	}
	if t.kind != "custom" {
		client := slices.ContainsFunc(runByClient, func(prefix string) bool { return strings.HasPrefix(t.kind, prefix) })
		c.hosted = c.hosted || !client && !strings.HasPrefix(t.kind, searchesTools)
		c.left.LeaveOut("tools." + wire.Visible(t.kind))
		c.unoffered = append(c.unoffered, translate.Unquote(t.name))
		return nil
	}
	if _, err := translate.String(path+".name", t.name); err != nil {
		return err
	}
	if t.schema.Kind() != '{' {
		return translate.Missing(path+".input_schema", "an object")
	}
	for _, other := range t.others {
		c.left.LeaveOut("tools." + wire.Visible(other))
	}
	c.tools = translate.Join(c.tools, c.asFunction(&t))
	return nil
}

// asFunction writes a tool as OpenAI's API has it.
func (c *client) asFunction(t *clientTool) []byte {
	f := append(append([]byte(`{"type":"function","function":{"name":`), t.name...), `,"parameters":`...)
	f = append(f, t.schema...)
	if t.description.Kind() == '"' {
		f = append(append(f, `,"description":`...), t.description...)
	}
	if t.strict.Kind() == 't' {
		if isStrict(t.schema) {
			f = append(f, `,"strict":true`...)
		} else {
			c.left.LeaveOut("tools.strict")
		}
	}
	return append(c.marked(append(f, '}'), t.cache), '}')
}

// toolChoice reads which tool is to be called.
func (c *client) toolChoice(v jsontext.Value) error {
	var kind string
	var name jsontext.Value
	parallel := true
	err := translate.Object("tool_choice", v, func(member string, v jsontext.Value) (err error) {
		switch member {
		case "type":
			kind, err = translate.String("tool_choice.type", v)
		case "name":
			name = v
		case "disable_parallel_tool_use":
			var one bool
			one, err = translate.Boolean("tool_choice.disable_parallel_tool_use", v)
			parallel = !one
		default:
			c.left.Leave("tool_choice", member, v)
		}
		return err
	})
	if err != nil {
		return err
	}
	choice := `,"tool_choice":`
	switch kind {
	case "auto", "none":
		choice += `"` + kind + `"`
	case "any":
		choice += `"required"`
	case "tool":
		if _, err := translate.String("tool_choice.name", name); err != nil {
			return err
		}
		choice += `{"type":"function","function":{"name":` + string(name) + `}}`
	default:
		return translate.Invalid("tool_choice.type", "auto, any, tool or none")
	}
	c.choice, c.serial = append(c.choice, choice...), !parallel
	if kind == "tool" {
		c.chosen = translate.Unquote(name)
	}
	return nil
}

// choices gives the members that say which of the tools are to be called, where tools are offered. The choice of one that was left
// out is left out with it: "Tool choice 'function' not found in 'tools' parameter" is what OpenAI says of Claude Code's for the web
// (https://github.com/maximhq/bifrost/issues/3596, https://github.com/lidge-jun/opencodex/issues/1426).
func (c *client) choices() (members []byte) {
	if len(c.tools) == 0 {
		return nil
	}
	if c.chosen != "" && slices.Contains(c.unoffered, c.chosen) {
		c.left.LeaveOut("tool_choice.tool")
	} else {
		members = c.choice
	}
	if c.serial {
		members = append(members, `,"parallel_tool_calls":false`...)
	}
	return members
}

// maxStrictDepth is how deep isStrict looks.
const maxStrictDepth = 32

// isStrict reports whether OpenAI's API takes a schema as strict: each object closed, and all of its properties required.
// Anthropic's takes others too. For one that is not, OpenAI would refuse the whole request.
//
// Source: https://platform.openai.com/docs/guides/structured-outputs, "Supported schemas"
func isStrict(schema jsontext.Value) bool { return strictSchema(schema, maxStrictDepth) }

func strictSchema(v jsontext.Value, depth int) bool {
	if v.Kind() != '{' || depth == 0 {
		return false
	}
	var properties []string
	required := make(map[string]bool)
	isObject, closed, fine := false, false, true
	err := translate.Members(v, func(name string, v jsontext.Value) error {
		switch name {
		case "type":
			isObject = isObject || translate.Unquote(v) == "object"
			if v.Kind() == '[' {
				isObject = isObject || slices.Contains(typeNames(v), "object")
			}
		case "properties", "$defs", "definitions":
			isObject = isObject || name == "properties"
			return translate.Object(name, v, func(property string, v jsontext.Value) error {
				if name == "properties" {
					properties = append(properties, property)
				}
				fine = fine && strictSchema(v, depth-1)
				return nil
			})
		case "required":
			return translate.Elements(v, func(_ int, v jsontext.Value) error {
				required[translate.Unquote(v)] = true
				return nil
			})
		case "additionalProperties":
			closed = v.Kind() == 'f'
		case "items":
			fine = fine && strictSchema(v, depth-1)
		case "anyOf":
			return translate.Elements(v, func(_ int, v jsontext.Value) error {
				fine = fine && strictSchema(v, depth-1)
				return nil
			})
		case "oneOf", "allOf", "not", "if", "then", "else", "patternProperties", "dependentRequired", "dependentSchemas",
			"prefixItems", "contains", "propertyNames", "unevaluatedProperties":
			fine = false
		}
		return nil
	})
	if err != nil || !fine {
		return false
	}
	if !isObject {
		return true
	}
	return closed && !slices.ContainsFunc(properties, func(p string) bool { return !required[p] })
}
