package anthropic

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// ChatRequest is a request for chat completions with parts or tools in the form of the Messages API, or in that of Responses.
type ChatRequest struct {
	// Sent is the request as it came, and Canonical the one in OpenAI's form alone.
	Sent, Canonical wire.Request
	// Unsupported names, sorted, what Canonical does not carry.
	Unsupported []string
}

// ParseChatRequest reads a request for chat completions, sent, whose tools, calls or results are in the form of the Messages API,
// as Cursor writes them for models that are called claude, or whose tools are in that of the Responses API, as it writes them for
// OpenAI's, or whose parts are in either's, or whose tool_choice is an object of the former's for what is a word in OpenAI's,
// whichever the form of the tools; false for one that has none. OpenAI's form has other places for these, and a provider that finds them in content parts
// refuses them, or loses them with the thread of the conversation. Everything else stays as it came. Every error is a
// [*wire.RequestError].
//
// See https://github.com/automazeio/vibeproxy/issues/411, https://github.com/BerriAI/litellm/issues/25669,
// https://github.com/askalf/dario/pull/203, of tools https://github.com/BerriAI/litellm/pull/34029,
// https://github.com/icebear0828/codex-proxy/pull/508, and of tool_choice https://github.com/BerriAI/litellm/pull/12168.
func ParseChatRequest(sent wire.Request) (ChatRequest, bool, error) {
	if !sent.FlatTools && !sent.ChoosesTool && !sent.Mixed {
		return ChatRequest{}, false, nil
	}
	c := chatClient{flat: sent.FlatTools}
	c.marks = true // dialects leave them out for who refuses them
	if err := translate.Members(sent.Body, c.member); err != nil {
		return ChatRequest{}, false, translate.RequestError(err)
	}
	if !c.found {
		return ChatRequest{}, false, nil
	}
	canonical, err := wire.ParseChatRequest(c.body(), wire.Limits{})
	return ChatRequest{Sent: sent, Canonical: canonical, Unsupported: c.left.Names()}, true, err
}

// chatClient is such a request on its way to OpenAI's form.
type chatClient struct {
	client
	found    bool // there is something to translate
	flat     bool // tools are in the form of the Responses API
	members  []byte
	parallel bool // there is a member parallel_tool_calls
}

// add adds a member, with a comma before it.
func (c *chatClient) add(name string, v []byte) {
	c.members = append(append(translate.Quote(append(c.members, ','), name), ':'), v...)
}

func (c *chatClient) member(name string, v jsontext.Value) error {
	switch {
	case name == "messages" && v.Kind() == '[':
		return translate.Array(name, v, c.turn)
	case name == "tools" && v.Kind() == '[':
		return translate.Array(name, v, c.offer)
	case name == "tool_choice" && v.Kind() == '{' && slices.Contains([]string{"auto", "any", "tool", "none"}, typeOf(v)):
		c.found = true
		return c.toolChoice(v)
	case name == "tool_choice" && v.Kind() == '{' && typeOf(v) == "required": // a word of OpenAI's in an object of the other's
		c.found = true
		c.choice = append(c.choice, `,"tool_choice":"required"`...)
		return nil
	case name == "tool_choice" && v.Kind() == '{' && c.flat:
		nested, _ := nestedTool(v)
		if typeOf(v) == "allowed_tools" {
			nested = nestedAllowed(v)
		}
		c.choice = append(append(c.choice, `,"tool_choice":`...), nested...)
		return nil
	}
	c.parallel = c.parallel || name == "parallel_tool_calls"
	c.add(name, v)
	return nil
}

// typeOf gives the type that an object names.
func typeOf(v jsontext.Value) (kind string) {
	_ = translate.Generated(v, func(name string, v jsontext.Value) error {
		if name == "type" {
			kind = translate.Unquote(v)
		}
		return nil
	})
	return kind
}

// body writes the request.
func (c *chatClient) body() []byte {
	b := append(append([]byte(`{"messages":[`), c.chat.Messages...), ']')
	if len(c.tools) > 0 {
		b = append(append(append(b, `,"tools":[`...), c.tools...), ']')
	}
	c.serial = c.serial && !c.parallel
	return append(append(append(b, c.choices()...), c.members...), '}')
}

// offer reads the tool that stands at path.
func (c *chatClient) offer(path string, v jsontext.Value) error {
	schema, function := false, false
	_ = translate.Generated(v, func(name string, v jsontext.Value) error {
		schema = schema || name == "input_schema" && v.Kind() == '{'
		function = function || name == "function"
		return nil
	})
	if kind := typeOf(v); schema && !function && (kind == "" || kind == "custom") {
		c.found = true
		return c.tool(path, v)
	}
	nested, flat := nestedTool(v)
	c.found = c.found || flat
	c.tools = translate.Join(c.tools, nested)
	return nil
}

// nestedTool gives a tool of the Responses API's form, or the choice of one, as chat completions have it: what defines it is in a member
// that is called as its type. Anything else stays as it is.
func nestedTool(v jsontext.Value) (nested jsontext.Value, flat bool) {
	kind, named := typeOf(v), false
	var within, beside []byte
	_ = translate.Generated(v, func(name string, v jsontext.Value) error {
		nested = append(append(translate.Quote(nil, name), ':'), v...)
		switch name {
		case "name", "description", "parameters", "strict":
			named = named || name == "name"
			within = translate.Join(within, nested)
		case "format":
			within = translate.Join(within, append([]byte(`"format":`), nestedFormat(v)...))
		case kind:
			kind = "" // it is nested
		case "type":
		default:
			beside = append(append(beside, nested...), ',')
		}
		return nil
	})
	if !named || kind != "function" && kind != "custom" {
		return v, false
	}
	return slices.Concat([]byte(`{`), beside, []byte(`"type":"`+kind+`","`+kind+`":{`), within, []byte("}}")), true
}

// nestedAllowed gives the tools that may be called, in the Responses API's form, as chat completions have them: in a member of their own
// (platform.openai.com/docs/api-reference/chat/create, ChatCompletionAllowedToolChoice). Those that stand there stay as they are.
func nestedAllowed(v jsontext.Value) jsontext.Value {
	mode, tools := jsontext.Value(`"auto"`), jsontext.Value(nil)
	nested := false
	_ = translate.Generated(v, func(name string, v jsontext.Value) error {
		switch name {
		case "mode":
			mode = v
		case "tools":
			tools = v
		case "allowed_tools":
			nested = true
		}
		return nil
	})
	if nested || tools.Kind() != '[' {
		return v
	}
	var list []byte
	_ = translate.Elements(tools, func(_ int, v jsontext.Value) error {
		tool, _ := nestedTool(v)
		list = translate.Join(list, tool)
		return nil
	})
	return slices.Concat([]byte(`{"type":"allowed_tools","allowed_tools":{"mode":`), mode, []byte(`,"tools":[`), list, []byte("]}}"))
}

// nestedFormat gives the format of a custom tool, whose grammar stands in a member of its own in chat completions.
func nestedFormat(v jsontext.Value) jsontext.Value {
	if typeOf(v) != "grammar" {
		return v
	}
	var grammar []byte
	_ = translate.Generated(v, func(name string, v jsontext.Value) error {
		switch name {
		case "syntax", "definition":
			grammar = translate.Join(grammar, append(append(translate.Quote(nil, name), ':'), v...))
		}
		return nil
	})
	if grammar == nil {
		return v
	}
	return slices.Concat([]byte(`{"type":"grammar","grammar":{`), grammar, []byte("}}"))
}

// turn reads the message that stands at path.
func (c *chatClient) turn(path string, v jsontext.Value) error {
	var role string
	var content, calls jsontext.Value
	others := []byte{'{'} // members, each with a comma after it
	_ = translate.Generated(v, func(name string, v jsontext.Value) error {
		switch name {
		case "role":
			role = translate.Unquote(v)
		case "content":
			content = v
			return nil
		case "tool_calls":
			calls = v
			return nil
		}
		others = append(append(append(translate.Quote(others, name), ':'), v...), ',')
		return nil
	})
	block := map[string]string{"user": "tool_result", "assistant": "tool_use"}[role]
	if block == "" || content.Kind() != '[' || !hasPart(content, block) {
		own, err := c.ownParts(path+".content", content)
		if own != nil {
			c.found = true
			v = slices.Concat(others, []byte(`"content":`), own)
			if calls != nil {
				v = append(append(v, `,"tool_calls":`...), calls...)
			}
			v = append(v, '}')
		}
		c.chat.Message("", v, "")
		return err
	}
	c.found = true
	if role == "user" {
		return c.results(path, content, others)
	}
	return c.saidAndCalled(path, content, calls, others)
}

// said adds the part at path to what a message says, in chat completions' form.
func (c *chatClient) said(path string, v jsontext.Value, to *translate.Parts) error {
	own, err := c.ownPart(path, v)
	if own == nil {
		own = v
	}
	to.Add("", own, "")
	return err
}

func hasPart(content jsontext.Value, kind string) (has bool) {
	_ = translate.Elements(content, func(_ int, v jsontext.Value) error {
		has = has || typeOf(v) == kind
		return nil
	})
	return has
}

// asBlock reads a part as Messages has it, for use.
func (c *chatClient) asBlock(path string, v jsontext.Value, use func(clientBlock) error) error {
	dec := translate.Decode(v)
	defer dec.Close()
	b, err := c.block(path, dec)
	if err != nil {
		return err
	}
	return use(b)
}

// results writes what tools gave, each as a message of its own, and then what else the user said in the message at path.
func (c *chatClient) results(path string, content jsontext.Value, others []byte) error {
	var shown, said translate.Parts
	err := translate.Array(path+".content", content, func(path string, v jsontext.Value) error {
		if typeOf(v) != "tool_result" {
			return c.said(path, v, &said)
		}
		return c.asBlock(path, v, func(b clientBlock) error { return c.toolResult(path, b, &shown) })
	})
	if shown.Join(&said); err == nil && !shown.Empty() {
		c.chat.Message(string(others)+`"content":`, shown.Content(), "}")
	}
	return err
}

// saidAndCalled writes the message of the assistant's at path, with the calls that are among its parts beside calls.
func (c *chatClient) saidAndCalled(path string, content, calls jsontext.Value, others []byte) error {
	var said translate.Parts
	var called []byte
	if calls.Kind() == '[' {
		called = append(called, bytes.TrimSpace(calls[1:len(calls)-1])...)
	}
	err := translate.Array(path+".content", content, func(path string, v jsontext.Value) error {
		if typeOf(v) != "tool_use" {
			return c.said(path, v, &said)
		}
		return c.asBlock(path, v, func(b clientBlock) error {
			call, err := toolCall(path, b)
			called = translate.Join(called, call)
			return err
		})
	})
	if err != nil {
		return err
	}
	m := append(others, `"content":`...)
	if said.Empty() {
		m = append(m, "null"...)
	} else {
		m = append(m, said.Content()...)
	}
	c.chat.Message("", append(append(append(m, `,"tool_calls":[`...), called...), ']'), "}")
	return nil
}
