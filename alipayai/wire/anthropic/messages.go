package anthropic

import (
	"bytes"
	"slices"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// turns are the messages in Anthropic's form. Neighbours of one role become one turn: the API wants all results of a
// round of tool calls in one, and before all else there ("tool result blocks must come first":
// https://platform.claude.com/docs/en/agents-and-tools/tool-use/handle-tool-calls).
type turns struct {
	text            []byte
	role            string // of the turn that is open
	results, blocks []byte // of that turn
	// unanswered are the calls of the last turn of the assistant's that have no result yet, and answered those that have one.
	unanswered []string
	answered   map[string]bool
}

// add appends blocks, which may be none, to a turn of that role.
func (t *turns) add(role string, blocks []byte) {
	if len(blocks) > 0 {
		t.open(role)
		t.blocks = translate.Join(t.blocks, blocks)
	}
}

// addResult appends the result of that tool call to a turn of the user's, and reports whether the call wants it: each call of the
// turn before has one, and there are no others.
func (t *turns) addResult(id string, block []byte) (wanted bool) {
	i := slices.Index(t.unanswered, id)
	if i < 0 {
		return false
	}
	t.open("user")
	t.results = translate.Join(t.results, block)
	t.unanswered = slices.Delete(t.unanswered, i, i+1)
	if t.answered == nil {
		t.answered = make(map[string]bool)
	}
	t.answered[id] = true
	return true
}

// answer gives the calls that have none a result, without which the API refuses the whole request: a client that was stopped has
// nothing to send for them.
func (t *turns) answer() {
	for _, id := range t.unanswered {
		block := translate.Quote([]byte(`{"type":"tool_result","tool_use_id":`), id)
		t.results = translate.Join(t.results, append(block, `,"content":"No result.","is_error":true}`...))
	}
	t.unanswered = nil
}

// open makes a turn of that role the one that is open.
func (t *turns) open(role string) {
	if t.role != role {
		t.end()
		t.role = role
	}
}

// end ends the turn that is open.
func (t *turns) end() {
	if t.role == "" {
		return
	}
	if t.role == "user" {
		t.answer()
	}
	if len(t.text) > 0 {
		t.text = append(t.text, ',')
	}
	t.text = append(append(append(t.text, `{"role":"`...), t.role...), `","content":[`...)
	t.text = append(append(t.text, translate.Join(t.results, t.blocks)...), "]}"...)
	t.results, t.blocks = t.results[:0], t.blocks[:0]
}

// textBlock is what the block of a text begins with.
const textBlock = `{"type":"text","text":`

// close gives the turns, with commas between them. There must be one.
//
// A conversation may end in words of the model that it is to go on from. The API refuses those that end in white space
// ("final assistant content cannot end with trailing whitespace"); words of white space only are none, see [request.text].
func (t *turns) close() []byte {
	if i := bytes.LastIndex(t.blocks, []byte(textBlock)); i >= 0 && t.role == "assistant" {
		i += len(textBlock)
		if last := jsontext.Value(t.blocks[i : len(t.blocks)-1]); last.IsValid() { // and no tool call follows
			text := translate.Unquote(last)
			if trimmed := strings.TrimRightFunc(text, unicode.IsSpace); trimmed != text {
				t.blocks = append(translate.Quote(t.blocks[:i], trimmed), '}')
			}
		}
	}
	t.end()
	return t.text
}

// message is one of the request's, as written.
type message struct {
	role, content, refusal, toolCalls, toolCallID, cache jsontext.Value
}

// message reads the message that stands at path.
func (r *request) message(path string, v jsontext.Value) error {
	var m message
	err := translate.Object(path, v, func(name string, v jsontext.Value) error {
		switch name {
		case "role":
			m.role = v
		case "content":
			m.content = v
		case "refusal":
			m.refusal = v
		case "tool_calls":
			m.toolCalls = v
		case "tool_call_id":
			m.toolCallID = v
		case "cache_control":
			m.cache = v
		default:
			r.left.Leave(path, name, v)
		}
		return nil
	})
	if err != nil {
		return err
	}
	role, err := translate.String(path+".role", m.role)
	if err != nil {
		return err
	}
	if role != "assistant" {
		r.left.Leave(path, "refusal", m.refusal)
		r.left.Leave(path, "tool_calls", m.toolCalls)
	}
	if role != "tool" {
		r.left.Leave(path, "tool_call_id", m.toolCallID)
	}
	if m.content.Kind() != '"' || role == "tool" || role == "assistant" { // of a text, it is the text's
		r.left.Leave(path, "cache_control", m.cache)
		m.cache = nil
	}
	switch role {
	case "system", "developer":
		blocks, err := r.content(path+".content", m.content, false)
		r.system = translate.Join(r.system, r.cache(path, blocks, m.cache))
		return err
	case "user":
		blocks, err := r.content(path+".content", m.content, true)
		r.turns.add("user", r.cache(path, blocks, m.cache))
		return err
	case "assistant":
		return r.assistant(path, m)
	case "tool":
		return r.toolResult(path, m)
	}
	return translate.Invalid(path+".role", "system, developer, user, assistant or tool")
}

// assistant reads what the model said before. A refusal was said as well.
func (r *request) assistant(path string, m message) error {
	blocks, err := r.content(path+".content", m.content, false)
	if err != nil {
		return err
	}
	refusal, err := r.content(path+".refusal", m.refusal, false)
	if err != nil {
		return err
	}
	r.called = r.called[:0]
	calls, err := r.calls(path+".tool_calls", m.toolCalls)
	if err != nil {
		return err
	}
	said := translate.Join(translate.Join(blocks, refusal), calls)
	if r.turns.role == "" && len(said) > 0 {
		// The API wants the first turn to be a user's ('first message must use the "user" role'). LiteLLM puts the same
		// there.
		r.turns.add("user", []byte(textBlock+`"."}`))
		r.left.LeaveOut("messages.role")
	}
	r.turns.add("assistant", said)
	r.turns.unanswered = append(r.turns.unanswered, r.called...)
	return nil
}

// content gives the blocks of the content that stands at path, with commas between them. Only users and tools may show
// images.
func (r *request) content(path string, v jsontext.Value, images bool) (blocks []byte, err error) {
	switch {
	case len(v) == 0 || v.Kind() == 'n':
		return nil, nil
	case v.Kind() == '"':
		return r.text(path, v), nil
	case v.Kind() != '[':
		return nil, translate.WrongType(path, "a string or an array of parts")
	}
	err = translate.Array(path, v, func(path string, v jsontext.Value) error {
		block, err := r.part(path, v, images)
		blocks = translate.Join(blocks, block)
		return err
	})
	return blocks, err
}

// text gives the block of a text, none if it is empty. The API refuses blocks of white space only.
func (r *request) text(path string, v jsontext.Value) []byte {
	text := translate.Unquote(v)
	if strings.TrimSpace(text) == "" {
		if text != "" {
			r.left.LeaveOut(path)
		}
		return nil
	}
	return append(append([]byte(textBlock), v...), '}')
}

// part gives the block of the part that stands at path.
func (r *request) part(path string, v jsontext.Value, images bool) ([]byte, error) {
	var typ, cache jsontext.Value
	payloads := make(map[string]jsontext.Value)
	err := translate.Object(path, v, func(name string, v jsontext.Value) error {
		switch name {
		case "type":
			typ = v
		case "text", "refusal", "image_url", "input_audio", "file":
			payloads[name] = v
		case "cache_control":
			cache = v
		default:
			r.left.Leave(path, name, v)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	kind, err := translate.String(path+".type", typ)
	if err != nil {
		return nil, err
	}
	block, err := r.partOf(path, kind, payloads[kind], images)
	return r.cache(path, block, cache), err
}

// partOf gives the block of a part of that kind. A word stands for what is left out of what a user or a tool shows: a message without
// it would be gone, or another one.
func (r *request) partOf(path, kind string, payload jsontext.Value, images bool) (block []byte, err error) {
	switch {
	case kind == "text", kind == "refusal":
		_, err := translate.String(path+"."+kind, payload)
		return r.text(path+"."+kind, payload), err
	case kind == "image_url" && images:
		block, err = r.image(path+".image_url", payload)
	case kind == "file" && images:
		block, err = r.file(path+".file", payload)
	case kind == "image_url", kind == "input_audio", kind == "file":
		r.left.LeaveOut(path + "." + kind)
	default:
		r.left.LeaveOut(path + ".type")
		kind = "part" // and not a client's own word
	}
	if block == nil && err == nil && images {
		block = append(append([]byte(textBlock), translate.LeftOut(kind)...), '}')
	}
	return block, err
}

// maxCached is how many blocks the API lets a request mark for the cache: "A maximum of 4 blocks with cache_control may be
// provided".
const maxCached = 4

// cache marks a block for the cache, as the member cache_control of what stands at path says: Anthropic's own, which its
// clients send in OpenAI's form too.
func (r *request) cache(path string, block []byte, v jsontext.Value) []byte {
	if len(block) == 0 || len(v) == 0 || v.Kind() == 'n' {
		return block
	}
	if r.cached == maxCached || !isCacheControl(v) {
		r.left.LeaveOut(path + ".cache_control")
		return block
	}
	r.cached++
	return slices.Concat(block[:len(block)-1], []byte(`,"cache_control":`), v, []byte{'}'})
}

// isCacheControl reports whether v is a cache_control that the API takes.
func isCacheControl(v jsontext.Value) bool {
	ephemeral, others := false, false
	err := translate.Members(v, func(name string, v jsontext.Value) error {
		switch word := translate.Unquote(v); name {
		case "type":
			ephemeral = word == "ephemeral"
		case "ttl":
			others = others || word != "5m" && word != "1h"
		default:
			others = true
		}
		return nil
	})
	return err == nil && ephemeral && !others
}
