package anthropic

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// calls gives the blocks of the tool calls that stand at path, with commas between them.
func (r *request) calls(path string, v jsontext.Value) (blocks []byte, err error) {
	if len(v) == 0 || v.Kind() == 'n' {
		return nil, nil
	}
	r.ids.Turn()
	err = translate.Array(path, v, func(path string, v jsontext.Value) error {
		block, err := r.call(path, v)
		blocks = translate.Join(blocks, block)
		return err
	})
	return blocks, err
}

func (r *request) call(path string, v jsontext.Value) ([]byte, error) {
	var id, function jsontext.Value
	typ := "function"
	err := translate.Object(path, v, func(name string, v jsontext.Value) error {
		switch name {
		case "id":
			id = v
		case "type":
			typ = translate.Unquote(v)
		case "function":
			function = v
		case "custom", "index": // told by the type; of a stream's delta, and said by the order
		default:
			r.left.Leave(path, name, v)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	name, err := translate.String(path+".id", id)
	if err != nil {
		return nil, err
	}
	if typ != "function" {
		if typ != "custom" {
			typ = "type"
		}
		r.left.LeaveOut(path + "." + typ)
		if r.dropped == nil {
			r.dropped = make(map[string]bool)
		}
		r.dropped[name] = true
		return nil, nil
	}
	if len(function) == 0 {
		return nil, translate.Missing(path+".function", "an object")
	}
	r.toolCalls = true
	return r.toolUse(path+".function", name, function)
}

// toolUse gives the block of the call with that id of the function that stands at path.
func (r *request) toolUse(path, id string, v jsontext.Value) ([]byte, error) {
	var name, arguments jsontext.Value
	err := translate.Object(path, v, func(member string, v jsontext.Value) error {
		switch member {
		case "name":
			name = v
		case "arguments":
			arguments = v
		default:
			r.left.Leave(path, member, v)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if name, err = r.toolName(path+".name", name); err != nil {
		return nil, err
	}
	text, err := translate.String(path+".arguments", arguments)
	if err != nil {
		return nil, err
	}
	input, whole := wire.ArgumentsObject(text)
	if !whole {
		r.left.LeaveOut(path + ".arguments")
	}
	id = r.ids.Call(id)
	r.called = append(r.called, id)
	block := translate.Quote([]byte(`{"type":"tool_use","id":`), id)
	block = append(append(block, `,"name":`...), name...)
	return append(append(append(block, `,"input":`...), input...), '}'), nil
}

// toolResult reads what a tool gave. The API takes one result for each call, and none without: a second one of a call is left out
// ("each tool_use must have a single result": https://github.com/sipeed/picoclaw/pull/1793,
// https://github.com/RooCodeInc/Roo-Code/pull/9248), and one of no call in the turn before, as truncated conversations begin with, is the user's words
// ("unexpected tool_use_id found in tool_result blocks": https://github.com/Kilo-Org/cloud/pull/4026).
func (r *request) toolResult(path string, m message) error {
	id, err := translate.String(path+".tool_call_id", m.toolCallID)
	if err != nil {
		return err
	}
	content, err := r.content(path+".content", m.content, true)
	if err != nil || r.dropped[id] {
		return err
	}
	given := r.ids.Result(id)
	block := translate.Quote([]byte(`{"type":"tool_result","tool_use_id":`), given)
	if len(content) > 0 {
		block = append(append(append(block, `,"content":[`...), content...), ']')
	}
	if !r.turns.addResult(given, append(block, '}')) {
		r.left.LeaveOut("messages.tool_call_id")
		if !r.turns.answered[given] {
			r.turns.add("user", content)
		}
	}
	return nil
}

// toolUseID gives the id of a tool call as Anthropic's API takes it: letters, digits, _ and - only. Others come from a
// provider that answered earlier in the conversation, as functions.get_weather:0 does, and are replaced alike in the call
// and its result.
func toolUseID(id string) string {
	if isToolUseID(id) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "toolu_" + hex.EncodeToString(sum[:12])
}

func isToolUseID(id string) bool {
	const fine = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
	return id != "" && strings.Trim(id, fine) == ""
}
