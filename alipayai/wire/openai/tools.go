package openai

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// noParameters are those of a function that has none. OpenAI's form may leave them out, servers that follow it may not:
// https://github.com/theroyallab/tabbyAPI/issues/485, https://github.com/art-from-the-machine/Mantella/issues/625.
const noParameters = `{"type":"object","properties":{}}`

// tools edits the tools of a request, and reports whether none is left: of those of a dialect that knows functions alone.
func (e *editor) tools(v span) (gone bool) {
	elements := e.elements(v)
	others := make([]bool, len(elements))
	for i, tool := range elements {
		members := e.members(tool)
		if typ := e.partType(tool); typ != "" && typ != "function" {
			if others[i] = e.Functions; !others[i] {
				e.object("tools", members, nil, none)
				continue
			}
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
		} else if e.Schema != nil && e.text(m.value).Kind() == '{' {
			e.parameters(path+"."+m.name, m.value)
		}
		return false, true
	})
	if kept && !has && e.Functions {
		e.insert(v.start+len("{"), []byte(`"parameters":`+noParameters+`,`))
	}
}

// parameters brings a function's schema into the dialect's form.
func (e *editor) parameters(path string, v span) {
	fitted, left, err := e.Schema.Fit(path, e.patterns(path, e.text(v)))
	if err != nil { // a request's keys come once
		return
	}
	if !bytes.Equal(fitted, e.text(v)) {
		e.replace(v, fitted)
	}
	for _, name := range left {
		e.left[path+"."+name] = struct{}{}
	}
}

// patterns gives the schema that stands at path without regular expressions that the vendor does not take.
func (e *editor) patterns(path string, schema jsontext.Value) jsontext.Value {
	if e.Pattern == nil {
		return schema
	}
	fitted, moved := translate.FitPatterns(schema, e.Pattern)
	if moved {
		e.left[path+".pattern"] = struct{}{}
	}
	return fitted
}

// answerSchema brings the schema of the answer into the dialect's form.
func (e *editor) answerSchema(format span) {
	for _, m := range e.members(format) {
		if m.name != "json_schema" {
			continue
		}
		for _, m := range e.members(m.value) {
			if m.name != "schema" {
				continue
			}
			if fitted := e.patterns("response_format.json_schema.schema", e.text(m.value)); !bytes.Equal(fitted, e.text(m.value)) {
				e.replace(m.value, fitted)
			}
		}
	}
}

// offers reports whether the request offers a tool that the dialect knows.
func (e *editor) offers(request []member) bool {
	if e.Functions {
		return e.hasFunctions(request)
	}
	return slices.ContainsFunc(request, func(m member) bool { return m.name == "tools" && len(e.elements(m.value)) > 0 })
}

// choosesOther reports whether tool_choice names a tool that is no function.
func (e *editor) choosesOther(v span) bool {
	return e.text(v).Kind() == '{' && e.partType(v) != "function"
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
