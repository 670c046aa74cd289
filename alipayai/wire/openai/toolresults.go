package openai

import (
	"slices"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// toolTexts leaves the texts of a tool's result where they are, and gives the other parts.
func (e *editor) toolTexts(content span) (others []span) {
	parts := e.elements(content)
	gone := make([]bool, len(parts))
	for i, part := range parts {
		if typ := e.partType(part); typ == "" || typ == "text" {
			e.part(part, typ)
			continue
		}
		gone[i] = true
		others = append(others, part)
	}
	if len(others) > 0 && len(others) == len(parts) {
		e.replace(content, []byte(`""`))
		return others
	}
	e.remove(parts, func(i int) bool { return gone[i] })
	return others
}

// show has the user show parts of the result of a call. A word stands for those that the dialect does not know.
func (e *editor) show(call string, parts []span) {
	words := quote("Shown by the tool call " + call + ":")
	e.shown = translate.Join(e.shown, slices.Concat([]byte(`{"type":"text","text":`), words, []byte(`}`)))
	for _, part := range parts {
		typ := e.partType(part)
		var as []byte
		ok := e.Parts == nil || slices.Contains(e.Parts, typ)
		if typ == "file" {
			as, ok = e.file(part)
		}
		if ok {
			if as == nil {
				as = e.moved(part, typ)
			}
			e.shown = translate.Join(e.shown, as)
			continue
		}
		e.shown = translate.Join(e.shown, e.leavePart(typ))
	}
}

// moved gives a part of that type, which the dialect takes, with its edits, for another place.
func (e *editor) moved(part span, typ string) []byte {
	one := editor{Dialect: e.Dialect, ask: e.ask, model: e.model, left: e.left, edits: edits{body: e.text(part)}}
	defer one.release()
	one.part(span{0, len(one.body)}, typ)
	return one.apply()
}

// followsTool reports whether a tool's result is the next of the messages that stay.
func (e *editor) followsTool(messages []message) bool {
	for i := range messages {
		if !messages[i].gone {
			return messages[i].role == "tool"
		}
	}
	return false
}
