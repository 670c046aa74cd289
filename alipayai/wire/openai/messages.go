package openai

import (
	"bytes"
	"slices"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// message is one of a conversation.
type message struct {
	span
	members []member
	role    string // as the dialect calls it
	gone    bool
}

// messages edits the conversation at v, and puts a system message with those words before it; "" for none.
func (e *editor) messages(v span, words string) {
	messages := e.conversation(v)
	last, gone := -1, false
	for i := range messages {
		e.read(&messages[i])
		if gone = gone || messages[i].gone; !messages[i].gone {
			last = i
		}
	}
	mayGo := last >= 0 || words != "" // a conversation has one message at least
	if words != "" {
		e.instruct(v, words, last >= 0)
	}
	begun, before := false, ""
	for i := range messages {
		m := &messages[i]
		if m.gone && mayGo {
			for _, member := range m.members {
				if v := e.text(member.value); member.name != "role" && len(v) > len(`""`) { // neither "" nor []
					e.leave("messages", member.name, v)
				}
			}
			continue
		}
		late := m.role == "system" && begun && e.SystemFirst
		if late {
			m.role = "user"
		}
		begun = begun || m.role != "system"
		if e.Answered && before == "tool" && m.role == "user" {
			e.insert(m.start, []byte(`{"role":"assistant","content":"Done."},`))
		}
		before = m.role
		if !e.answersOnly || m.role == "assistant" || m.role == "tool" {
			e.editMessage(m, late, i == last)
		}
		if len(e.shown) > 0 && (i == last || !e.followsTool(messages[i+1:])) {
			e.insert(m.end, slices.Concat([]byte(`,{"role":"user","content":[`), e.shown, []byte(`]}`)))
			e.shown = nil
		}
	}
	if mayGo && gone {
		items := make([]span, len(messages))
		for i := range messages {
			items[i] = messages[i].span
		}
		e.remove(items, func(i int) bool { return messages[i].gone })
	}
}

// read reads what a message is.
func (e *editor) read(m *message) {
	empty := true
	for _, member := range m.members {
		v := e.text(member.value)
		switch member.name {
		case "role":
			m.role = translate.Name(v)
			if word, ok := e.Rules["messages.role"].Words[m.role]; ok {
				m.role = word
			}
		case "content":
			empty = empty && !e.says(member.value)
		case "tool_calls", "function_call":
			empty = empty && len(e.elements(member.value)) == 0 && v.Kind() != '{'
		case "partial":
			empty = empty && !(e.Partial && v.Kind() == 't')
		}
	}
	m.gone = e.NoEmpty && m.role == "assistant" && empty
}

// says reports whether there is something in a message's content.
func (e *editor) says(content span) bool {
	if v := e.text(content); v.Kind() != '[' {
		return v.Kind() == '"' && len(v) > len(`""`)
	}
	return slices.ContainsFunc(e.elements(content), func(part span) bool {
		typ := e.partType(part)
		return !e.thought(typ) && !e.isEmptyText(part, typ)
	})
}

// editMessage edits a message: late says that it came as a system message, last that none follows.
func (e *editor) editMessage(m *message, late, last bool) {
	assistant := m.role == "assistant"
	tool := m.role == "tool" && e.ToolTexts
	var resultOf string
	var shown []span
	reasoning, prefix := assistant && e.thinks, assistant && last && e.Prefix // what has to be there
	thought := []byte(`""`)
	e.object("messages", m.members, e.Members[m.role], func(one member) (gone, done bool) {
		v := e.text(one.value)
		switch {
		case one.name == "role" && late:
			e.replace(one.value, []byte(`"user"`))
		case one.name == "content" && tool && v.Kind() == '[':
			shown = e.toolTexts(one.value)
		case one.name == "content" && e.Parts != nil && v.Kind() == '[' && (assistant || !e.answersOnly):
			e.content(one.value)
		case one.name == "name" && m.role == "tool" && e.ToolName != nil && v.Kind() == '"' && (e.Members[m.role] == nil || slices.Contains(e.Members[m.role], one.name)):
			e.toolName(one.value)
		case one.name == "tool_calls" && e.callsNothing(one.value):
			return true, true
		case one.name == "tool_calls":
			e.calls(one.value)
		case one.name == "tool_call_id" && e.CallID != nil && v.Kind() == '"':
			resultOf = e.id(one.value, e.resultID)
		case one.name == "reasoning_content" && e.Reasoning:
			if !reasoning {
				e.leave("messages", one.name, v)
				return true, true
			}
			if reasoning = false; v.Kind() != '"' {
				e.replace(one.value, []byte(`""`))
			}
		case one.name == "reasoning" && reasoning && v.Kind() == '"':
			thought = v
			return false, false
		case one.name == "prefix" && prefix:
			prefix = false
			e.replace(one.value, []byte("true"))
		default:
			return false, false
		}
		return false, true
	})
	if len(shown) > 0 {
		e.show(resultOf, shown)
	}
	if prefix {
		e.insert(m.start+len("{"), []byte(`"prefix":true,`))
	}
	if reasoning { // an answer of another provider's, whose word for it may be reasoning
		e.insert(m.start+len("{"), slices.Concat([]byte(`"reasoning_content":`), thought, []byte(",")))
	}
}

// content edits the parts of a message.
func (e *editor) content(v span) {
	parts := e.elements(v)
	gone := make([]bool, len(parts))
	for i, part := range parts {
		typ := e.partType(part)
		var as []byte
		if gone[i] = e.isEmptyText(part, typ); gone[i] {
			continue
		}
		ok := typ == "" || slices.Contains(e.Parts, typ)
		if typ == "file" && !e.answersOnly {
			as, ok = e.file(part)
		}
		if as != nil {
			e.replace(part, as)
			continue
		} else if ok {
			e.part(part, typ)
			continue
		}
		word := e.leavePart(typ)
		if gone[i] = e.thought(typ); !gone[i] {
			e.replace(part, word)
		}
	}
	if len(parts) > 0 && !slices.Contains(gone, false) {
		e.replace(v, []byte(`""`))
		return
	}
	e.remove(parts, func(i int) bool { return gone[i] })
}

// part edits a part of that type, which the dialect takes.
func (e *editor) part(part span, typ string) {
	e.object("messages.content", e.members(part), e.Closed["messages.content:"+typ], none)
}

// leavePart notes that a part of that type is left out, and gives the word that stands for it.
func (e *editor) leavePart(typ string) (word []byte) {
	name, kind := typ, typ
	if !knownPart(typ) {
		name, kind = "type", "part" // and not a client's own word
	}
	e.left["messages.content."+name] = struct{}{}
	return slices.Concat([]byte(`{"type":"text","text":`), translate.LeftOut(kind), []byte(`}`))
}

// partType is the type of a part of content; "" where it has none.
func (e *editor) partType(part span) string {
	for _, m := range e.members(part) {
		if m.name == "type" {
			return translate.Unquote(e.text(m.value))
		}
	}
	return ""
}

// isEmptyText reports whether a part of that type is a text of nothing, and the vendor takes none of it.
func (e *editor) isEmptyText(part span, typ string) bool {
	return e.NoEmpty && typ == "text" && bytes.Contains(e.text(part), []byte(`""`)) &&
		slices.ContainsFunc(e.members(part), func(m member) bool { return m.name == "text" && len(e.text(m.value)) == len(`""`) })
}

// thought reports whether parts of that type are what a model thought, of which the dialect does not know.
func (e *editor) thought(typ string) bool {
	return (typ == "thinking" || typ == "redacted_thinking") && e.Parts != nil && !slices.Contains(e.Parts, typ)
}

// knownPart reports whether a vendor has parts of that type.
func knownPart(typ string) bool {
	return slices.Contains([]string{
		"image_url", "input_audio", "file", "refusal", "video", "video_url", "audio_url", "document_url", "reference", "thinking", "redacted_thinking",
	}, typ)
}

// callsNothing reports whether tool calls are none, as servers write them into an answer that has none, and others refuse them in
// a history: "[] is too short - 'messages.1.tool_calls'" (https://github.com/microsoft/autogen/issues/3120,
// https://github.com/vllm-project/vllm/issues/44104), "'NoneType' object is not iterable"
// (https://github.com/i-am-bee/beeai-framework/issues/640).
func (e *editor) callsNothing(v span) bool {
	text := e.text(v)
	return text.Kind() == 'n' || text.Kind() == '[' && len(e.elements(v)) == 0
}

// calls edits the tool calls of a message.
func (e *editor) calls(v span) {
	e.ids.Turn()
	for i, call := range e.elements(v) {
		members := e.members(call)
		if s := e.Signature; s != nil && i == 0 && len(members) > 0 && !slices.ContainsFunc(members, func(m member) bool { return m.name == s.Name }) {
			e.insert(members[0].key.start, slices.Concat(quote(s.Name), []byte(":"+s.Value+",")))
		}
		e.object("messages.tool_calls", members, nil, func(m member) (gone, done bool) {
			switch {
			case m.name == "id" && e.CallID != nil && e.text(m.value).Kind() == '"':
				e.id(m.value, e.callID)
			case m.name == "function" && e.Arguments:
				e.arguments(m.value)
			default:
				return false, false
			}
			return false, true
		})
	}
}

// callID gives the id of a call. Ids of a client's own choice of provider stay as often as they repeat.
func (e *editor) callID(id string) string {
	if e.answersOnly {
		return e.CallID(id)
	}
	return e.ids.Call(id)
}

// resultID gives the id of the call that a result is of.
func (e *editor) resultID(id string) string {
	if e.answersOnly {
		return e.CallID(id)
	}
	return e.ids.Result(id)
}

// id puts the id that given gives in its place, and gives it.
func (e *editor) id(v span, given func(id string) string) (now string) {
	id := translate.Unquote(e.text(v))
	if now = given(id); now != id {
		e.replace(v, quote(now))
	}
	return now
}

// arguments makes those of the call of a function a JSON object.
func (e *editor) arguments(function span) {
	e.object("messages.tool_calls.function", e.members(function), nil, func(m member) (gone, done bool) {
		v := e.text(m.value)
		if m.name != "arguments" || v.Kind() != '"' {
			return false, false
		}
		text := translate.Unquote(v)
		object, whole := wire.ArgumentsObject(text)
		if !bytes.Equal(object, bytes.TrimSpace([]byte(text))) {
			e.replace(m.value, quote(string(object)))
		}
		if !whole {
			e.left["messages.tool_calls.function.arguments"] = struct{}{}
		}
		return false, true
	})
}
