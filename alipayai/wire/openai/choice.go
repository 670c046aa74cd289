package openai

import (
	"slices"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// forbidsTools reports whether the request says that no tool may be called, to a vendor that has no word for it.
func (e *editor) forbidsTools(request []member) bool {
	return e.ToolChoices != nil && !slices.Contains(e.ToolChoices, "none") && slices.ContainsFunc(request, func(m member) bool {
		return m.name == "tool_choice" && translate.Unquote(e.text(m.value)) == "none"
	})
}

// mayChoose reports whether the vendor takes a tool_choice.
func (e *editor) mayChoose(v span, request []member) bool {
	word := translate.Unquote(e.text(v))
	if e.text(v).Kind() == '{' {
		word = e.partType(v)
	}
	if word == "" { // null, or what the vendor is to refuse
		return true
	}
	if e.ToolChoices != nil && !slices.Contains(e.ToolChoices, word) {
		return false
	}
	return !e.FreeThinker || word == "auto" || word == "none" || !e.thinks && !e.thinkingEnabled(request)
}

// thinkingEnabled reports whether a request switches thinking on by Qwen's member, and the rules let that stand.
func (e *editor) thinkingEnabled(request []member) bool {
	return e.StreamedThinking && e.ask.Stream && !e.wantsJSON() && slices.ContainsFunc(request, func(m member) bool {
		return m.name == "enable_thinking" && e.text(m.value).Kind() == 't'
	})
}

// wantsJSON reports whether the request asks for JSON, with a schema or without.
func (e *editor) wantsJSON() bool {
	return slices.ContainsFunc(e.top, func(m member) bool {
		typ := e.partType(m.value)
		return m.name == "response_format" && (typ == "json_object" || typ == "json_schema")
	})
}

// asksForJSON reports whether a response_format is JSON mode.
func (e *editor) asksForJSON(v span) bool { return e.partType(v) == "json_object" }

// speaksOfJSON reports whether the text of a message has the word.
func (e *editor) speaksOfJSON(messages span) bool {
	for _, m := range e.conversation(messages) {
		for _, member := range m.members {
			if member.name != "content" {
				continue
			}
			if hasJSON(translate.Unquote(e.text(member.value))) {
				return true
			}
			for _, part := range e.elements(member.value) {
				for _, m := range e.members(part) {
					if m.name == "text" && hasJSON(translate.Unquote(e.text(m.value))) {
						return true
					}
				}
			}
		}
	}
	return false
}

func hasJSON(text string) bool { return strings.Contains(strings.ToLower(text), "json") }

// instruct puts a system message before the others, if there are any.
func (e *editor) instruct(messages span, words string, others bool) {
	message := slices.Concat([]byte(`{"role":"system","content":`), quote(words), []byte(`}`))
	if others {
		message = append(message, ',')
	}
	e.insert(messages.start+len("["), message)
}
