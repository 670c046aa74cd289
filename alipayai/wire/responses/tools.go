package responses

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// tool is one that is offered.
type tool struct {
	name, namespace string
	custom, search  bool
	// wire is its name in chat completions' form, and function what it is there.
	wire     string
	function []byte
}

// offered are the tools of a request.
type offered struct {
	tools  []tool
	choice []byte // the member, if there is one

	byName map[fullName]*tool
	byWire map[string]*tool
	names  wire.Distinct // those in chat completions' form
}

// fullName is what a client calls a tool by.
type fullName struct{ namespace, name string }

// find gives the tool of that name in chat completions' form; nil for none.
func (o *offered) find(wire string) *tool { return o.byWire[wire] }

// of gives the tool of that name; nil for none.
func (o *offered) of(namespace, name string) *tool { return o.byName[fullName{namespace, name}] }

// only has the tools alone, each once.
func (o *offered) only(tools []tool) {
	o.tools, o.byName, o.byWire = nil, nil, nil
	for _, t := range tools {
		if o.find(t.wire) == nil {
			o.add(t)
		}
	}
}

func (o *offered) add(t tool) {
	if o.byName == nil {
		o.byName, o.byWire = make(map[fullName]*tool), make(map[string]*tool)
	}
	o.tools = append(o.tools, t)
	o.byName[fullName{t.namespace, t.name}], o.byWire[t.wire] = &t, &t
}

// wireName is the name of a tool in chat completions' form, whether it is offered or not.
func (o *offered) wireName(namespace, name string) string {
	if t := o.of(namespace, name); t != nil {
		return t.wire
	}
	return flat(namespace, name)
}

// maxName is how many characters the name of a function may have.
const maxName = 64

// flat puts the name of a namespace before that of its tool.
func flat(namespace, name string) string {
	if namespace == "" {
		return name
	}
	whole := strings.TrimSuffix(namespace, "__") + "__" + name
	if len(whole) > maxName {
		return hashed(whole)
	}
	return whole
}

// hashed gives a name of its own that keeps the beginning of another.
func hashed(name string) string {
	sum := sha256.Sum256([]byte(name))
	return name[:min(len(name), maxName-13)] + "_" + hex.EncodeToString(sum[:6])
}

// append appends the tools, and which of them is to be called.
func (o *offered) append(b []byte, serial bool) []byte {
	if len(o.tools) == 0 {
		return b
	}
	b = append(b, `,"tools":[`...)
	for i := range o.tools {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, o.tools[i].function...)
	}
	b = append(append(b, ']'), o.choice...)
	if serial {
		b = append(b, `,"parallel_tool_calls":false`...)
	}
	return b
}

// size is about how many bytes append appends.
func (o *offered) size() int {
	n := len(o.choice)
	for i := range o.tools {
		n += len(o.tools[i].function) + len(",")
	}
	return n
}

// runByClient are types of tools that the client runs, and that models know without a schema; acting those that the provider
// runs and that may act. What other types do is not known, but for those that only look.
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

// tool reads the tool that stands at path, in a namespace.
func (c *client) tool(path, namespace string, v jsontext.Value) error {
	var kind, execution string
	t := tool{namespace: namespace}
	var description, parameters, strict, format, tools jsontext.Value
	var others []string
	err := translate.Object(path, v, func(member string, v jsontext.Value) (err error) {
		if v.Kind() == 'n' {
			return nil
		}
		switch member {
		case "type":
			kind, err = translate.String(path+".type", v)
		case "name":
			t.name, err = translate.String(path+".name", v)
		case "description":
			description = v
		case "parameters":
			parameters = v
		case "strict":
			strict = v
		case "format":
			format = v
		case "tools":
			tools = v
		case "execution":
			execution = translate.Unquote(v)
		case "output_schema", "prompt_cache_breakpoint":
		case "defer_loading", "async":
			if v.Kind() == 't' {
				others = append(others, member)
			}
		case "allowed_callers":
			if strings.TrimSpace(string(v)) != `["direct"]` {
				others = append(others, member)
			}
		default:
			others = append(others, member)
		}
		return err
	})
	if t.search = kind == searchTool && execution == byClient; t.search {
		t.name = searchTool
	}
	switch {
	case err != nil:
		return err
	case kind == "":
		return translate.Missing(path+".type", "a string")
	case kind != "function" && kind != "custom" && kind != "namespace" && !t.search:
		c.hosted = c.hosted || !slices.Contains(runByClient, kind) && !slices.Contains(onlyLooks, kind)
		c.left.LeaveOut("tools." + wire.Visible(kind))
		return nil
	case t.name == "":
		return translate.Missing(path+".name", "a non-empty string")
	case kind == "namespace":
		if namespace != "" {
			return translate.Invalid(path+".type", "a function or a custom tool")
		}
		return translate.Array(path+".tools", tools, func(path string, v jsontext.Value) error { return c.tool(path, t.name, v) })
	case c.offered.of(namespace, t.name) != nil: // additional_tools may repeat one
		return nil
	}
	for _, other := range others {
		c.left.LeaveOut("tools." + wire.Visible(other))
	}
	t.wire = c.offered.names.Take(flat(namespace, t.name), func(taken string) string { return hashed(taken + ".") })
	t.custom = kind == "custom"
	f := translate.Quote([]byte(`{"type":"function","function":{"name":`), t.wire)
	if t.custom {
		f, err = appendCustom(f, path, description, format)
	} else {
		f, err = appendFunction(f, path, description, parameters, strict)
	}
	t.function = append(f, "}}"...)
	c.offered.add(t)
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
