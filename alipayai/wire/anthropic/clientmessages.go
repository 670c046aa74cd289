package anthropic

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// clientBlock is one block of content, as written.
type clientBlock struct {
	kind                                        string
	text, thinking, signature, source           jsontext.Value
	id, name, input                             jsontext.Value // of a tool_use
	toolName                                    jsontext.Value // of a tool_reference
	toolUseID, content, isError, title, context jsontext.Value
	cache                                       jsontext.Value
	citations                                   jsontext.Value // what a text cites
}

// block reads the block that stands at path.
func (c *client) block(path string, dec *translate.Decoder) (clientBlock, error) {
	var b clientBlock
	type other struct {
		name string
		v    jsontext.Value
	}
	var others []other
	_, err := dec.Members(func(name string, v jsontext.Value) error {
		switch name {
		case "type":
			b.kind = translate.Name(v)
		case "text":
			b.text = v
		case "thinking":
			b.thinking = v
		case "signature":
			b.signature = v
		case "source":
			b.source = v
		case "id":
			b.id = v
		case "name":
			b.name = v
		case "input":
			b.input = v
		case "tool_name":
			b.toolName = v
		case "tool_use_id":
			b.toolUseID = v
		case "content":
			b.content = v
		case "is_error":
			b.isError = v
		case "title":
			b.title = v
		case "context":
			b.context = v
		case "cache_control":
			b.cache = v
		case "caller", "data":
		case "citations":
			if v.Kind() == '[' { // of a text, which says the same without them
				b.citations = v
			} else if v.Kind() != 'n' && strings.Contains(string(v), "true") {
				others = append(others, other{name, v})
			}
		default:
			others = append(others, other{name, v})
		}
		return nil
	})
	if err == nil && b.kind == "" {
		err = translate.Missing(path+".type", "a string")
	}
	if knownBlocks[b.kind] {
		for _, o := range others {
			c.left.Leave(path, o.name, o.v)
		}
	}
	return b, err
}

// knownBlocks are those that OpenAI's form has something for.
var knownBlocks = map[string]bool{
	"text": true, "image": true, "document": true, "search_result": true, "tool_use": true, "tool_result": true,
	"tool_reference": true, "mid_conv_system": true, "compaction": true,
}

// leaveBlock notes that a block is left out.
func (c *client) leaveBlock(path, kind string) {
	c.left.LeaveOut(path + "." + wire.Visible(kind))
}

// message reads the message that stands at path.
func (c *client) message(path string, dec *translate.Decoder) error {
	var role, content jsontext.Value
	_, err := dec.Members(func(name string, v jsontext.Value) error {
		switch name {
		case "role":
			role = v
		case "content":
			content = v
		default:
			c.left.Leave(path, name, v)
		}
		return nil
	})
	if err != nil {
		return err
	}
	name := translate.Name(role)
	if name == "" {
		if err := translate.IsString(path+".role", role); err != nil {
			return err
		}
	}
	if content.Kind() != '"' && content.Kind() != '[' {
		if content == nil {
			return translate.Missing(path+".content", "a string or an array of blocks")
		}
		return translate.WrongType(path+".content", "a string or an array of blocks")
	}
	if name == "assistant" && !c.prefilled { // what one says in a row is one turn
		c.endTurn()
	}
	c.prefilled = name == "assistant"
	switch name {
	case "user":
		return c.user(path, content)
	case "assistant":
		return c.assistant(path, content)
	case "system": // https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages
		return c.instruct(path+".content", content)
	}
	return translate.Invalid(path+".role", "user or assistant")
}

// instruct reads instructions that stand between turns, at path. A message that only changes which tools there are says nothing.
func (c *client) instruct(path string, content jsontext.Value) error {
	text, err := c.systemText(path, "messages.content", content)
	if len(text) > 0 {
		c.to().Text("system", text)
	}
	return err
}

// user reads what the user said in the message at path: what tools gave comes first, and instructions in it last.
func (c *client) user(path string, content jsontext.Value) error {
	if content.Kind() == '"' {
		c.to().Text("user", translate.Characters(content))
		return nil
	}
	var p translate.Parts
	var system []clientBlock
	results, left := 0, "" // what kind of block is left out without a word
	err := translate.Objects(path+".content", content, func(path string, dec *translate.Decoder) error {
		b, err := c.block(path, dec)
		switch {
		case err != nil:
			return err
		case b.kind == "tool_result":
			switch {
			case c.wanted(b.toolUseID):
				results++
				return c.toolResult(path, b, &p)
			case b.toolUseID.Kind() != '"':
				return translate.IsString(path+".tool_use_id", b.toolUseID)
			}
			c.left.LeaveOut("messages.content.tool_use_id")
			left = b.kind
			if c.pairs.answered[string(b.toolUseID)] { // a second one
				return nil
			}
			text, err := c.resultText(path, b, &p)
			p.Text(text)
			return err
		case b.kind == "mid_conv_system":
			system = append(system, b)
			return nil
		case b.kind == "compaction" && len(summary(b)) == 0: // it failed
			left = b.kind
			return nil
		}
		return c.shown(path, b, &p)
	})
	c.release()
	if left != "" && p.Empty() && results+len(system) == 0 { // without a word the turn would be gone
		p.Text(translate.LeftOut(left))
	}
	if err == nil && (!p.Empty() || results+len(system) == 0) {
		c.to().User(p.Content())
	}
	for _, b := range system {
		if err == nil {
			err = c.instruct(path+".content", b.content)
		}
	}
	return err
}

// shown reads a block that a user shows. A word stands for one that is left out.
func (c *client) shown(path string, b clientBlock, to *translate.Parts) error {
	left, err := c.part(path, b, to)
	if left != nil {
		to.Text(left)
	}
	return err
}

// part reads a block that a user, or a tool, may show, and gives a word for one that is left out.
func (c *client) part(path string, b clientBlock, to *translate.Parts) (left jsontext.Value, err error) {
	gone := false
	switch b.kind {
	case "text":
		if b.text.Kind() != '"' {
			return nil, translate.Missing(path+".text", "a string")
		}
		to.Text(b.text)
	case "image":
		gone, err = c.image(path, b, to)
	case "document":
		gone, err = c.document(path, b, to)
	case "search_result":
		return nil, c.searchResult(path, b, to)
	case "compaction":
		if text := summary(b); len(text) > 0 {
			to.Text(slices.Concat([]byte{'"'}, text, []byte{'"'}))
		}
	default:
		c.leaveBlock("messages.content", b.kind)
		return translate.LeftOut("block"), nil // and not a client's own word
	}
	if gone {
		left = translate.LeftOut(b.kind)
	}
	return left, err
}

// toolResult reads what a tool gave: texts for the tool's message, and what else there is for the user's.
func (c *client) toolResult(path string, b clientBlock, user *translate.Parts) error {
	if err := translate.IsString(path+".tool_use_id", b.toolUseID); err != nil {
		return err
	}
	said, err := c.resultText(path, b, user)
	if err != nil {
		return err
	}
	if mark := c.marked(nil, b.cache); len(mark) > 0 && len(said) > len(`""`) {
		said = slices.Concat([]byte(`[{"type":"text","text":`), said, mark, []byte("}]"))
	}
	c.chat.Message(`{"role":"tool","tool_call_id":`, slices.Concat(b.toolUseID, []byte(`,"content":`), said), `}`)
	return nil
}

// resultText gives the texts of what a tool gave as one, and what else there is for the user's message.
func (c *client) resultText(path string, b clientBlock, user *translate.Parts) (jsontext.Value, error) {
	var text []byte
	switch b.content.Kind() {
	default:
		return nil, translate.WrongType(path+".content", "a string or an array of blocks")
	case jsontext.KindInvalid, 'n':
	case '"':
		text = translate.Characters(b.content)
	case '[':
		var shown translate.Parts
		err := translate.Objects(path+".content", b.content, func(path string, dec *translate.Decoder) error {
			inner, err := c.block(path, dec)
			switch {
			case err != nil:
				return err
			case inner.kind == "text" && inner.text.Kind() == '"':
				text = appendText(text, translate.Characters(inner.text), `\n`)
				return nil
			case inner.kind == "tool_reference" && len(translate.Characters(inner.toolName)) > 0:
				// What a client's own search for tools gives. All of its tools are sent, so their names are all that is missing.
				text = appendText(text, append([]byte("Tool found: "), translate.Characters(inner.toolName)...), `\n`)
				return nil
			}
			left, err := c.part(path, inner, &shown)
			text = appendText(text, translate.Characters(left), `\n`)
			return err
		})
		if err != nil {
			return nil, err
		}
		if !shown.Empty() {
			user.Text(append(append([]byte(`"Shown by the tool call `), translate.Characters(b.toolUseID)...), `:"`...))
			user.Join(&shown)
		}
	}
	if b.isError.Kind() == 't' {
		text = append([]byte("Error: "), text...)
	}
	return append(append([]byte{'"'}, text...), '"'), nil
}

// marked appends a mark for the provider's cache to an object that is open, where marks are carried.
func (c *client) marked(object []byte, mark jsontext.Value) []byte {
	if c.marks && mark.Kind() == '{' {
		object = append(append(object, `,"cache_control":`...), mark...)
	}
	return object
}

// assistant reads what the model said, thought and called in the message at path.
func (c *client) assistant(path string, content jsontext.Value) error {
	c.foreign = c.foreign || isBlank(content) || content.Kind() == '[' && !isFilled(content)
	if content.Kind() == '"' {
		c.to().Text("assistant", translate.Characters(content))
		return nil
	}
	var text, thought, calls []byte
	left := false
	err := translate.Objects(path+".content", content, func(path string, dec *translate.Decoder) error {
		b, err := c.block(path, dec)
		if err != nil {
			return err
		}
		switch b.kind {
		case "text":
			text = append(text, translate.Characters(b.text)...)
			c.foreign = c.foreign || isBlank(b.text) || hasUnsigned(b.citations)
		case "thinking":
			thought = append(thought, translate.Characters(b.thinking)...)
			c.foreign = c.foreign || len(translate.Characters(b.signature)) == 0
		case "redacted_thinking":
			left = true
		case "compaction":
			if text := summary(b); len(text) > 0 {
				c.to().Text("user", text)
			}
			left = true
		case "tool_use":
			call, err := toolCall(path, b)
			if err != nil {
				return err
			}
			c.note(b.id)
			c.await(b.id)
			calls = translate.Join(calls, call)
		default:
			c.leaveBlock("messages.content", b.kind)
			left = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(thought)+len(calls)+len(text) == 0 && left { // others refuse a message that says nothing
		return nil
	}
	if len(thought)+len(calls) == 0 {
		c.to().Text("assistant", text)
		return nil
	}
	m := append(append([]byte{'"'}, text...), '"')
	if len(text) == 0 && len(calls) > 0 {
		m = []byte("null")
	}
	if len(thought) > 0 {
		m = append(append(append(m, `,"reasoning_content":"`...), thought...), '"')
	}
	to := c.to()
	if len(calls) > 0 { // whose own results are to come
		m = append(append(append(m, `,"tool_calls":[`...), calls...), ']')
		to = &c.chat
	}
	to.Message(`{"role":"assistant","content":`, m, `}`)
	return nil
}

// toolCall gives the call of a tool_use that stands at path.
func toolCall(path string, b clientBlock) ([]byte, error) {
	if len(translate.Characters(b.id)) == 0 || len(translate.Characters(b.name)) == 0 || b.input.Kind() != '{' {
		return nil, translate.Invalid(path, "a tool_use with id, name and an object for its input")
	}
	call := append(append([]byte(`{"id":`), b.id...), `,"type":"function","function":{"name":`...)
	call = append(append(call, b.name...), `,"arguments":`...)
	return append(translate.Quote(call, string(b.input)), "}}"...), nil
}

// note keeps in mind the id of a tool call, of which Anthropic's API wants another for each.
func (c *client) note(id jsontext.Value) {
	if c.calls == nil {
		c.calls = make(map[string]bool)
	}
	c.foreign = c.foreign || c.calls[string(id)] || !isToolUseID(string(translate.Characters(id)))
	c.calls[string(id)] = true
}
