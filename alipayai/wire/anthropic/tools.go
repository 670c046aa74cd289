package anthropic

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// tool reads the tool that stands at path. Only functions are known to both.
func (r *request) tool(path string, v jsontext.Value) error {
	var typ string
	var function, cache jsontext.Value
	err := translate.Object(path, v, func(name string, v jsontext.Value) error {
		switch name {
		case "type":
			typ = translate.Unquote(v)
		case "function":
			function = v
		case "cache_control":
			cache = v
		case "custom": // told by the type
		default:
			r.left.Leave(path, name, v)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case typ == "custom":
		r.left.LeaveOut(path + ".custom")
		return nil
	case typ != "function":
		r.left.LeaveOut(path + ".type")
		return nil
	case len(function) == 0:
		return translate.Missing(path+".function", "an object")
	}
	return r.function(path+".function", function, path, cache)
}

// offered is a tool of the request's.
type offered struct {
	name string
	text []byte
}

// settleTools takes the tools that are sent, no others than the request allows.
func (r *request) settleTools() {
	for _, t := range r.offered {
		if r.choice.allowed == nil || r.choice.allowed[t.name] {
			r.tools = translate.Join(r.tools, t.text)
		}
	}
}

// function reads the function that stands at path. What describes it keeps its exact text.
func (r *request) function(path string, v jsontext.Value, cacheAt string, cache jsontext.Value) error {
	var name, description jsontext.Value
	schema := jsontext.Value(`{"type":"object"}`)
	strict := false
	err := translate.Object(path, v, func(member string, v jsontext.Value) (err error) {
		switch {
		case v.Kind() == 'n':
		case member == "name":
			name = v
		case member == "description":
			_, err = translate.String(path+".description", v)
			description = v
		case member == "parameters":
			schema, err = r.inputSchema(path+".parameters", v)
		case member == "strict":
			strict, err = translate.Boolean(path+".strict", v)
		case member == "cache_control":
			cacheAt, cache = path, v
		default:
			r.left.Leave(path, member, v)
		}
		return err
	})
	if err != nil {
		return err
	}
	if name, err = r.toolName(path+".name", name); err != nil {
		return err
	}
	known := translate.Unquote(name)
	if r.named[known] { // "Tool names must be unique"
		r.left.LeaveOut(path + ".name")
		return nil
	}
	if r.named == nil {
		r.named = make(map[string]bool)
	}
	r.named[known] = true
	tool := append([]byte(`{"name":`), name...)
	if len(description) > len(`""`) {
		tool = append(append(tool, `,"description":`...), description...)
	}
	if strict {
		schema, strict = r.strictSchema(path, schema)
	}
	tool = append(append(tool, `,"input_schema":`...), schema...)
	if strict {
		tool = append(tool, `,"strict":true`...)
	}
	r.offered = append(r.offered, offered{known, r.cache(cacheAt, append(tool, '}'), cache)})
	return nil
}

// strictSchema fits the schema of the tool at path to what the API compiles, and says what of it is left out. strict is false
// where it cannot be: a tool that need not be strict is offered with any schema.
func (r *request) strictSchema(path string, schema jsontext.Value) (_ jsontext.Value, strict bool) {
	var fitted jsontext.Value
	var moved []string
	if takesSchemas(r.ask.UpstreamModel) {
		fitted, moved = r.grammar.fitTool(schema)
	}
	if strict = fitted != nil; strict {
		schema = fitted
	} else {
		r.left.LeaveOut(path + ".strict")
	}
	for _, word := range moved {
		r.left.LeaveOut(path + ".parameters." + word)
	}
	return schema, strict
}

// choice is which tools the answer may or must call.
type choice struct {
	typ        string         // Anthropic's word; empty: not said
	name       jsontext.Value // of the tool, where typ is "tool"
	oneAtATime bool
	allowed    map[string]bool // the tools that may be called; nil for all
}

func (c choice) demands() bool { return c.typ == "any" || c.typ == "tool" }

// append writes the choice unless it is the default.
func (c choice) append(dst []byte) []byte {
	if c.typ == "" || c.typ == "auto" {
		if !c.oneAtATime {
			return dst
		}
		c.typ = "auto"
	}
	dst = append(append(append(dst, `,"tool_choice":{"type":"`...), c.typ...), '"')
	if c.typ == "tool" {
		dst = append(append(dst, `,"name":`...), c.name...)
	}
	if c.oneAtATime && c.typ != "none" {
		dst = append(dst, `,"disable_parallel_tool_use":true`...)
	}
	return append(dst, '}')
}

// toolChoice reads tool_choice.
func (r *request) toolChoice(v jsontext.Value) error {
	if v.Kind() == '"' {
		switch translate.Unquote(v) {
		case "none", "auto":
			r.choice.typ = translate.Unquote(v)
		case "required", "any": // Mistral's
			r.choice.typ = "any"
		default:
			return translate.Invalid("tool_choice", "none, auto, required or an object that names a function")
		}
		return nil
	}
	if v.Kind() != '{' {
		return translate.WrongType("tool_choice", "a string or an object")
	}
	var typ string
	var function, allowed jsontext.Value
	err := translate.Members(v, func(name string, v jsontext.Value) error {
		switch name {
		case "type":
			typ = translate.Unquote(v)
		case "function":
			function = v
		case "allowed_tools":
			allowed = v
		case "custom": // told by the type
		default:
			r.left.Leave("tool_choice", name, v)
		}
		return nil
	})
	if err != nil {
		return err
	}
	switch typ {
	case "function":
		return r.chooseFunction("tool_choice.function", function)
	case "allowed_tools":
		return r.allowTools("tool_choice.allowed_tools", allowed)
	case "custom":
		r.left.LeaveOut("tool_choice." + typ)
	default:
		r.left.LeaveOut("tool_choice.type")
	}
	return nil
}

// chooseFunction reads which function must be called.
func (r *request) chooseFunction(path string, v jsontext.Value) error {
	r.choice.typ = "tool"
	if len(v) == 0 {
		return translate.Missing(path, "an object")
	}
	err := translate.Object(path, v, func(name string, v jsontext.Value) error {
		if name == "name" {
			r.choice.name = v
		} else {
			r.left.Leave(path, name, v)
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.choice.name, err = r.toolName(path+".name", r.choice.name)
	return err
}

// allowTools reads which tools may be called, of which the API is offered no others.
func (r *request) allowTools(path string, v jsontext.Value) error {
	if len(v) == 0 {
		return translate.Missing(path, "an object")
	}
	r.choice.typ, r.choice.allowed = "auto", make(map[string]bool)
	return translate.Object(path, v, func(name string, v jsontext.Value) error {
		switch name {
		case "mode":
			if translate.Unquote(v) == "required" {
				r.choice.typ = "any"
			}
		case "tools":
			return translate.Array(path+".tools", v, r.allowTool)
		default:
			r.left.Leave(path, name, v)
		}
		return nil
	})
}

func (r *request) allowTool(path string, v jsontext.Value) error {
	return translate.Object(path, v, func(name string, v jsontext.Value) error {
		if name != "function" {
			return nil // its type, or a tool that is no function
		}
		return translate.Object(path+".function", v, func(name string, v jsontext.Value) error {
			if name != "name" {
				return nil
			}
			fitted, err := r.toolName(path+".function.name", v)
			r.choice.allowed[translate.Unquote(fitted)] = true
			return err
		})
	})
}

// toolNames is the form of names, by the API's own error: "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'".
var toolNames = wire.ToolName{Most: 128}

// toolName reads a tool's name, and gives it in the API's form.
func (r *request) toolName(path string, v jsontext.Value) (jsontext.Value, error) {
	name, err := translate.String(path, v)
	if err != nil {
		return nil, err
	}
	if fit := r.names.Fit(&toolNames, name); fit != name {
		return translate.Quote(nil, fit), nil
	}
	return v, nil
}
