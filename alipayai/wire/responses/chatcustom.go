package responses

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// ChatCustom are the custom tools of a request for chat completions that stand there as the Responses API has them. Cursor writes its
// tools so beside messages, and has their calls as [CustomCalls] writes them: it looks for the name of a function in each.
//
// See https://github.com/icebear0828/codex-proxy/pull/708, https://github.com/Wei-Shaw/sub2api/pull/5861.
type ChatCustom struct{ offered offered }

// LowerChatCustom gives a request for chat completions, which has been read before, with functions of one text in the place of such
// tools, also in the choice of one and in calls that are played back. It gives nil where the request offers none.
func LowerChatCustom(body []byte) (lowered []byte, custom *ChatCustom, err error) {
	c := new(ChatCustom)
	lowered = changed(body, "tools", func(tools jsontext.Value) jsontext.Value {
		return eachChanged(tools, func(v jsontext.Value) jsontext.Value {
			if !isFlatCustom(v) {
				return v
			}
			t := tool{name: translate.Unquote(memberOf(v, "name")), custom: true}
			t.wire = t.name
			function := translate.Quote([]byte(`{"type":"function","function":{"name":`), t.wire)
			var format jsontext.Value
			if format = memberOf(v, "format"); format.Kind() == 'n' {
				format = nil
			}
			function, wrong := appendCustom(function, "tools", memberOf(v, "description"), format)
			if wrong != nil {
				err = wrong
			}
			c.offered.add(t)
			return append(function, "}}"...)
		})
	})
	if err != nil || len(c.offered.tools) == 0 {
		return nil, nil, err
	}
	lowered = changed(lowered, "tool_choice", c.choice)
	return changed(lowered, "messages", func(messages jsontext.Value) jsontext.Value {
		return eachChanged(messages, func(message jsontext.Value) jsontext.Value {
			return changed(message, "tool_calls", func(calls jsontext.Value) jsontext.Value { return eachChanged(calls, c.call) })
		})
	}), c, nil
}

// Calls gives what writes the answers.
func (c *ChatCustom) Calls() *CustomCalls { return &CustomCalls{offered: &c.offered} }

// isFlatCustom reports whether a tool, or the choice of one, is a custom tool in the form of the Responses API. Anthropic's has a schema.
func isFlatCustom(v jsontext.Value) bool {
	return translate.Unquote(memberOf(v, "type")) == "custom" && translate.Unquote(memberOf(v, "name")) != "" && memberOf(v, "custom") == nil && memberOf(v, "input_schema") == nil
}

// choice gives the choice of such a tool, or of several that are allowed, as that of the functions.
func (c *ChatCustom) choice(v jsontext.Value) jsontext.Value {
	if name := memberOf(v, "name"); isFlatCustom(v) && c.offered.find(translate.Unquote(name)) != nil {
		return slices.Concat([]byte(`{"type":"function","function":{"name":`), name, []byte("}}"))
	}
	return changed(v, "tools", func(tools jsontext.Value) jsontext.Value { return eachChanged(tools, c.choice) })
}

// call gives a call that is played back as a function's: its arguments are the input itself, or it is a custom tool's.
func (c *ChatCustom) call(v jsontext.Value) jsontext.Value {
	function, member := memberOf(v, "function"), "arguments"
	if function == nil {
		function, member = memberOf(v, "custom"), "input"
	}
	name, said := memberOf(function, "name"), memberOf(function, member)
	if c.offered.find(translate.Unquote(name)) == nil || said.Kind() != '"' {
		return v
	}
	input := translate.Unquote(said)
	if member == "arguments" && string(inputOf(translate.Characters(said))) != string(translate.Characters(said)) {
		return v // it is wrapped
	}
	arguments := string(append(translate.Quote([]byte(`{"`+customArgument+`":`), input), '}'))
	id := memberOf(v, "id")
	if id == nil {
		id = jsontext.Value(`""`)
	}
	call := slices.Concat([]byte(`{"id":`), id, []byte(`,"type":"function","function":{"name":`), name, []byte(`,"arguments":`))
	return append(translate.Quote(call, arguments), "}}"...)
}
