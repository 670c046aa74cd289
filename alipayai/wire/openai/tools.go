package openai

import (
	"slices"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// noParameters are those of a function that has none. OpenAI's form may leave them out, servers that follow it may not:
// https://github.com/theroyallab/tabbyAPI/issues/485, https://github.com/art-from-the-machine/Mantella/issues/625.
const noParameters = `{"type":"object","properties":{}}`

// tools edits the tools of a request, of which functions are known alone, and reports whether none is left.
func (e *editor) tools(v span) (gone bool) {
	elements := e.elements(v)
	others := make([]bool, len(elements))
	for i, tool := range elements {
		members := e.members(tool)
		if typ := e.partType(tool); typ != "" && typ != "function" {
			others[i] = true
			if typ != "custom" {
				typ = "type" // a client's own word
			}
			e.left["tools."+typ] = struct{}{}
			continue
		}
		e.object("tools", members, nil, func(m member) (gone, done bool) {
			if m.name != "function" {
				return false, false
			}
			e.function(m.value)
			return false, true
		})
	}
	if len(elements) > 0 && !slices.Contains(others, false) {
		return true
	}
	e.remove(elements, func(i int) bool { return others[i] })
	return false
}

// function edits the function of a tool.
func (e *editor) function(v span) {
	const path = "tools.function"
	has := false
	kept := e.object(path, e.members(v), nil, func(m member) (gone, done bool) {
		if m.name != "parameters" {
			return false, false
		}
		if has = true; e.text(m.value).Kind() == 'n' {
			e.replace(m.value, []byte(noParameters))
		}
		return false, true
	})
	if kept && !has {
		e.insert(v.start+len("{"), []byte(`"parameters":`+noParameters+`,`))
	}
}

// choosesOther reports whether tool_choice names a tool that is no function, or stands beside none.
func (e *editor) choosesOther(v span, request []member) bool {
	if e.text(v).Kind() == '{' {
		return e.partType(v) != "function"
	}
	return e.text(v).Kind() == '"' && !e.hasFunctions(request) && !slices.Contains([]string{"auto", "none"}, translate.Unquote(e.text(v)))
}

// hasFunctions reports whether the request offers a function.
func (e *editor) hasFunctions(request []member) bool {
	return slices.ContainsFunc(request, func(m member) bool {
		return m.name == "tools" && slices.ContainsFunc(e.elements(m.value), func(tool span) bool {
			typ := e.partType(tool)
			return typ == "" || typ == "function"
		})
	})
}
