package responses

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// runByClient are types of tools that the client runs, and that models know without a schema; onlyLooks those that the provider
// runs and that change nothing. Whatever other types do may act.
var (
	runByClient = []string{"local_shell", "shell", "apply_patch", "computer", "computer_use_preview", searchTool}
	onlyLooks   = []string{"web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11", "file_search", "image_generation"}
)

// readTools reads the tools that are offered, wherever they stand, and which of them is to be called.
func (c *client) readTools() error {
	read := func(path string, v jsontext.Value) error { return c.tool(path, "", v) }
	if c.tools != nil {
		if err := translate.Array("tools", c.tools, read); err != nil {
			return err
		}
	}
	for _, more := range c.moreTools {
		if err := translate.Array("input.additional_tools", more, read); err != nil {
			return err
		}
	}
	if c.choice == nil {
		return nil
	}
	return c.toolChoice(c.choice)
}

// writtenTool is a tool as the request has it.
type writtenTool struct {
	path, kind, name, execution                    string
	description, parameters, strict, format, tools jsontext.Value
	// others are further members that say something.
	others []string
}

// member reads one of its members.
func (t *writtenTool) member(member string, v jsontext.Value) (err error) {
	if v.Kind() == 'n' {
		return nil
	}
	switch member {
	case "type":
		t.kind, err = translate.String(t.path+".type", v)
	case "name":
		t.name, err = translate.String(t.path+".name", v)
	case "description":
		t.description = v
	case "parameters":
		t.parameters = v
	case "strict":
		t.strict = v
	case "format":
		t.format = v
	case "tools":
		t.tools = v
	case "execution":
		t.execution = translate.Unquote(v)
	case "output_schema", "prompt_cache_breakpoint":
	case "defer_loading", "async":
		if v.Kind() == 't' {
			t.others = append(t.others, member)
		}
	case "allowed_callers":
		if strings.TrimSpace(string(v)) != `["direct"]` {
			t.others = append(t.others, member)
		}
	default:
		t.others = append(t.others, member)
	}
	return err
}

// isSearch says that it is the search among tools that the client runs.
func (t *writtenTool) isSearch() bool { return t.kind == searchTool && t.execution == byClient }

// tool reads the tool that stands at path, in a namespace.
func (c *client) tool(path, namespace string, v jsontext.Value) error {
	t := writtenTool{path: path}
	err := translate.Object(path, v, t.member)
	if t.isSearch() {
		t.name = searchTool
	}
	switch {
	case err != nil:
		return err
	case t.kind == "":
		return translate.Missing(path+".type", "a string")
	case t.kind != "function" && t.kind != "custom" && t.kind != "namespace" && !t.isSearch():
		c.hosted = c.hosted || !slices.Contains(runByClient, t.kind) && !slices.Contains(onlyLooks, t.kind)
		c.left.LeaveOut("tools." + wire.Visible(t.kind))
		return nil
	case t.name == "":
		return translate.Missing(path+".name", "a non-empty string")
	case t.kind == "namespace":
		if namespace != "" {
			return translate.Invalid(path+".type", "a function or a custom tool")
		}
		return translate.Array(path+".tools", t.tools, func(path string, v jsontext.Value) error { return c.tool(path, t.name, v) })
	case c.offered.of(namespace, t.name) != nil: // additional_tools may repeat one
		return nil
	}
	return c.offer(&t, namespace)
}

// offer adds a tool to those that are offered, and says what of it is left out.
func (c *client) offer(t *writtenTool, namespace string) error {
	for _, other := range t.others {
		c.left.LeaveOut("tools." + wire.Visible(other))
	}
	offered := tool{namespace: namespace, name: t.name, custom: t.kind == "custom", search: t.isSearch()}
	offered.wire = c.offered.names.Take(flat(namespace, t.name), func(taken string) string { return hashed(taken + ".") })
	f := translate.Quote([]byte(`{"type":"function","function":{"name":`), offered.wire)
	var err error
	if offered.custom {
		f, err = appendCustom(f, t.path, t.description, t.format)
	} else {
		f, err = appendFunction(f, t.path, t.description, t.parameters, t.strict)
	}
	offered.function = append(f, "}}"...)
	c.offered.add(offered)
	return err
}

func appendFunction(f []byte, path string, description, parameters, strict jsontext.Value) ([]byte, error) {
	if description.Kind() == '"' {
		f = append(append(f, `,"description":`...), description...)
	}
	switch parameters.Kind() {
	case '{':
		f = append(append(f, `,"parameters":`...), parameters...)
	case jsontext.KindInvalid:
		f = append(f, `,"parameters":{"type":"object","properties":{}}`...)
	default:
		return f, translate.WrongType(path+".parameters", "an object")
	}
	if strict.Kind() == 't' {
		f = append(f, `,"strict":true`...)
	}
	return f, nil
}

// appendCustom appends a function of one text. What a grammar wants of it is told in words: no upstream of chat completions'
// form holds to one.
func appendCustom(f []byte, path string, description, format jsontext.Value) ([]byte, error) {
	words := translate.Unquote(description)
	if format != nil {
		var kind, syntax, definition string
		err := translate.Object(path+".format", format, func(name string, v jsontext.Value) error {
			switch name {
			case "type":
				kind = translate.Unquote(v)
			case "syntax":
				syntax = translate.Unquote(v)
			case "definition":
				definition = translate.Unquote(v)
			}
			return nil
		})
		if err != nil {
			return f, err
		}
		if kind == "grammar" {
			words = strings.TrimLeft(words+"\n\nThe input must keep to this grammar ("+syntax+"):\n"+definition, "\n")
		}
	}
	if words != "" {
		f = translate.Quote(append(f, `,"description":`...), words)
	}
	return append(f, `,"parameters":{"type":"object","properties":{"`+customArgument+`":{"type":"string","description":"The input of the tool, as it is."}},"required":["`+
		customArgument+`"],"additionalProperties":false}`...), nil
}

// named is a tool that a choice names.
type named struct{ kind, name, namespace, mode string }

func readNamed(path string, v jsontext.Value) (n named, tools jsontext.Value, err error) {
	err = translate.Object(path, v, func(member string, v jsontext.Value) (err error) {
		switch member {
		case "type":
			n.kind, err = translate.String(path+".type", v)
		case "name":
			n.name = translate.Unquote(v)
		case "namespace":
			n.namespace = translate.Unquote(v)
		case "mode":
			n.mode = translate.Unquote(v)
		case "tools":
			tools = v
		}
		return err
	})
	return n, tools, err
}

// toolChoice reads which tool is to be called.
func (c *client) toolChoice(v jsontext.Value) error {
	if v.Kind() == '"' {
		switch word := translate.Unquote(v); word {
		case "none", "auto", "required":
			c.offered.choice = []byte(`,"tool_choice":"` + word + `"`)
			return nil
		}
		return translate.Invalid("tool_choice", "none, auto, required or an object")
	}
	if v.Kind() != '{' {
		return translate.WrongType("tool_choice", "a string or an object")
	}
	n, tools, err := readNamed("tool_choice", v)
	switch {
	case err != nil:
		return err
	case n.kind == "function" || n.kind == "custom":
		t := c.offered.of(n.namespace, n.name)
		if t == nil {
			return translate.Invalid("tool_choice.name", "the name of a tool that is offered")
		}
		c.offered.choice = append(translate.Quote([]byte(`,"tool_choice":{"type":"function","function":{"name":`), t.wire), "}}"...)
		return nil
	case n.kind == "allowed_tools":
		return c.allowedTools(n.mode, tools)
	case n.kind == "none" || n.kind == "auto" || n.kind == "required": // words, as objects of the Messages API's have them
		c.offered.choice = []byte(`,"tool_choice":"` + n.kind + `"`)
		return nil
	}
	c.left.LeaveOut("tool_choice." + wire.Visible(n.kind))
	return nil
}

// allowedTools offers no other tools than those that may be called.
func (c *client) allowedTools(mode string, tools jsontext.Value) error {
	if mode != "auto" && mode != "required" {
		return translate.Invalid("tool_choice.mode", "auto or required")
	}
	var allowed []tool
	in := make(map[string][]tool) // by their namespaces, of those that are not allowed yet as a whole
	for _, t := range c.offered.tools {
		in[t.namespace] = append(in[t.namespace], t)
	}
	err := translate.Array("tool_choice.tools", tools, func(path string, v jsontext.Value) error {
		n, _, err := readNamed(path, v)
		switch {
		case err != nil:
			return err
		case n.kind == "namespace":
			allowed = append(allowed, in[n.name]...)
			delete(in, n.name)
		case n.kind == searchTool:
			if t := c.offered.of("", searchTool); t != nil {
				allowed = append(allowed, *t)
			}
		case n.kind == "function" || n.kind == "custom":
			t := c.offered.of(n.namespace, n.name)
			if t == nil {
				return translate.Invalid(path+".name", "the name of a tool that is offered")
			}
			allowed = append(allowed, *t)
		}
		return nil
	})
	c.offered.only(allowed)
	c.offered.choice = []byte(`,"tool_choice":"` + mode + `"`)
	return err
}
