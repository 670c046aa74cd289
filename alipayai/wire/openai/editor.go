package openai

import (
	"bytes"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// editor makes the edits of a dialect in one request. What it does not edit keeps its bytes.
type editor struct {
	*Dialect
	ask wire.Ask
	edits
	left map[string]struct{} // the names of what was left out

	answersOnly bool // the client chose the provider: only earlier answers are edited
	thinks      bool // the model is to think, by DeepSeek's rules
	model       map[string]Rule
	top         []member // of the request
	effort      string   // reasoning_effort
	shown       []byte   // parts of results that the user is to show
	ids         wire.CallIDs
	names       wire.ToolNames
}

// edit gives the request of ask in the dialect, with the provider's model in it.
func (d *Dialect) edit(ask wire.Ask) wire.Encoded {
	model := d.ofModel(ask.UpstreamModel)
	if ask.Plain && d.plain && model == nil {
		return wire.Encoded{Body: ask.WithModel(ask.UpstreamModel)}
	}
	e := editor{Dialect: d, ask: ask, left: make(map[string]struct{}), model: model, ids: wire.CallIDs{Form: d.CallID}}
	e.body = ask.WithModel(ask.UpstreamModel)
	defer e.release()
	if bytes.Contains(e.body, []byte(`"reasoning"`)) { // nor one that is spelt otherwise
		e.plainEffort()
	}
	e.request()
	return wire.Encoded{Body: e.apply(), Unsupported: e.unsupported(), ToolNames: e.names}
}

// unsupported names what was left out.
func (e *editor) unsupported() []string {
	if len(e.left) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(e.left))
}

// editAnswers gives the request of ask to a provider that the client chose: as it came, but for what earlier answers have
// that the vendor refuses.
func (d *Dialect) editAnswers(ask wire.Ask) wire.Encoded {
	body := ask.WithModel(ask.UpstreamModel)
	if d.answers == nil || !bytes.Contains(body, []byte(`"assistant"`)) { // nor one that is spelt otherwise
		return wire.Encoded{Body: body}
	}
	e := editor{Dialect: d.answers, ask: ask, left: make(map[string]struct{}), answersOnly: true}
	e.body = body
	defer e.release()
	members := e.members(span{0, len(e.body)})
	e.thinks = e.Reasoning && e.thinking(members)
	for _, m := range members {
		if m.name == "messages" {
			e.messages(m.value, "")
		}
	}
	return wire.Encoded{Body: e.apply(), Unsupported: e.unsupported()}
}

// request edits the whole body.
func (e *editor) request() {
	members := e.members(span{0, len(e.body)})
	e.thinks = e.Reasoning && e.thinking(members)
	e.top = members
	e.readEffort()
	noTools, offers := e.forbidsTools(members), e.offers(members)
	var messages member
	var schema jsontext.Value
	wantsJSON := false
	e.object("", members, e.Fields, func(m member) (gone, done bool) {
		switch {
		case m.name == "messages":
			messages = m
		case noTools && (m.name == "tools" || m.name == "tool_choice"): // what is meant comes of it
			return true, true
		case !offers && (m.name == "tool_choice" || m.name == "parallel_tool_calls"), m.name == "tools" && e.text(m.value).Kind() == '[' && len(e.elements(m.value)) == 0:
			// "[] is too short - 'tools'": https://github.com/earendil-works/pi/issues/3649 of Qwen, https://github.com/runebookai/tome/pull/87
			// of DeepSeek; "'tool_choice' is only allowed when 'tools' are specified": https://github.com/Wei-Shaw/sub2api/pull/4439.
			e.leave("", m.name, e.text(m.value))
			return true, true
		case m.name == "stream_options" && !e.ask.Stream:
			// A whole answer has its usage anyway. "The 'stream_options' parameter is only allowed when 'stream' is enabled":
			// https://github.com/BerriAI/litellm/issues/5803 of OpenAI, https://github.com/llm-as-a-verifier/TurboAgent/issues/7 of
			// DeepSeek, https://github.com/digitalocean/langchain-gradient/pull/29 of vLLM.
			return true, true
		case m.name == "tool_choice" && !e.mayChoose(m.value, members):
			e.left[m.name] = struct{}{}
			return true, true
		case m.name == "response_format" && e.ObjectsOnly:
			schema = e.responseFormat(m.value)
			wantsJSON = e.asksForJSON(m.value)
		case m.name == "response_format" && e.JSONWord:
			wantsJSON = e.asksForJSON(m.value)
			e.answerSchema(m.value)
			return false, false
		case e.NoNulls && e.text(m.value).Kind() == 'n':
			return true, true
		case m.name == "tools" && (e.Functions || e.Schema != nil):
			return e.tools(m.value), true
		case m.name == "tool_choice" && e.Functions && e.choosesOther(m.value):
			e.left[m.name] = struct{}{}
			return true, true
		case m.name == "enable_thinking" && e.StreamedThinking && (!e.ask.Stream || e.wantsJSON()) && e.text(m.value).Kind() == 't':
			// Some models think unless the request says otherwise. "Json mode response is not supported when enable_thinking is
			// true": https://github.com/presenton/presenton/issues/184.
			e.replace(m.value, []byte("false"))
			e.left[m.name] = struct{}{}
		default:
			return false, false
		}
		return false, true
	})
	words := ""
	if schema != nil { // the words speak of JSON
		words = "Answer with one JSON object that fits this JSON schema: " + string(schema)
	} else if wantsJSON && e.JSONWord && !e.speaksOfJSON(messages.value) {
		words = "Answer with one JSON object."
	}
	e.messages(messages.value, words)
}

// thinking reports whether DeepSeek's model is to think: deepseek-chat only where the request says so, others unless it says
// otherwise. See https://api-docs.deepseek.com/guides/thinking_mode. It wants its thoughts back where tools are offered, or have been
// called before: https://github.com/maximhq/bifrost/issues/5325.
func (e *editor) thinking(request []member) bool {
	if !e.ask.HasTools && !e.hasCalled(request) {
		return false
	}
	thinks := e.ask.UpstreamModel != "deepseek-chat"
	for _, m := range request {
		if m.name != "thinking" {
			continue
		}
		for _, option := range e.members(m.value) {
			if option.name == "type" {
				thinks = translate.Unquote(e.text(option.value)) != "disabled"
			}
		}
	}
	return thinks
}

// hasCalled reports whether an earlier message has tool calls.
func (e *editor) hasCalled(request []member) bool {
	if !wire.Mentions(e.body, `"tool_calls"`) {
		return false
	}
	for _, m := range request {
		if m.name != "messages" {
			continue
		}
		for _, message := range e.conversation(m.value) {
			for _, m := range message.members {
				if m.name == "tool_calls" && !e.callsNothing(m.value) {
					return true
				}
			}
		}
	}
	return false
}

// responseFormat gives the schema that stands in a response_format of type json_schema, which it replaces.
func (e *editor) responseFormat(v span) (schema jsontext.Value) {
	typ := ""
	schema = jsontext.Value("{}")
	for _, m := range e.members(v) {
		switch m.name {
		case "type":
			typ = translate.Unquote(e.text(m.value))
		case "json_schema":
			for _, m := range e.members(m.value) {
				if m.name == "schema" {
					schema = e.text(m.value)
				}
			}
		}
	}
	if typ != "json_schema" {
		return nil
	}
	e.replace(v, []byte(`{"type":"json_object"}`))
	e.left["response_format.json_schema"] = struct{}{}
	return schema
}

// object edits the members of the object that stands at path: by special those that it reports as done, others by the
// rules. The others must have one of the names in only; nil: those that are closed for path, or any. It reports whether a
// member is left.
func (e *editor) object(path string, members []member, only []string, special func(m member) (gone, done bool)) (kept bool) {
	if only == nil {
		only = e.Closed[path]
	}
	var gone []bool // nil where all stay
	left := len(members)
	for i, m := range members {
		out, done := special(m)
		if !done {
			out = e.member(path, m, members, only)
		}
		if !out {
			continue
		}
		if gone == nil {
			gone = make([]bool, len(members))
		}
		gone[i] = true
		left--
	}
	if gone != nil {
		items := make([]span, len(members))
		for i, m := range members {
			items[i] = m.all()
		}
		e.remove(items, func(i int) bool { return gone[i] })
	}
	return left > 0
}

// none is for objects without special members.
func none(member) (gone, done bool) { return false, false }

// member edits one member, and reports whether it is to be taken out.
func (e *editor) member(path string, m member, siblings []member, only []string) (gone bool) {
	at := join(path, m.name)
	rule := e.rule(at)
	v := e.text(m.value)
	if rule.Limit != 0 && v.Kind() == '0' && above(v, rule.Limit) {
		e.replace(m.value, strconv.AppendFloat(nil, rule.Limit, 'f', -1, 64))
	}
	switch {
	case rule.ToolName && v.Kind() == '"':
		e.toolName(m.value)
	case rule.NotNegative && v.Kind() == '0' && v[0] == '-':
		e.leave(path, m.name, v)
		return true
	case rule.Most != 0 && v.Kind() == '0' && above(v, rule.Most):
		e.replace(m.value, strconv.AppendFloat(nil, rule.Most, 'g', -1, 64))
		e.leave(path, m.name, v)
	case rule.Least != 0 && v.Kind() == '0' && below(v, rule.Least):
		e.replace(m.value, strconv.AppendFloat(nil, rule.Least, 'g', -1, 64))
		e.leave(path, m.name, v)
	case rule.Object != "" && v.Kind() == '"':
		e.replace(m.value, slices.Concat([]byte("{"), quote(rule.Object), []byte(":"), v, []byte("}")))
	case rule.Elements != 0 && v.Kind() == '[':
		if list := e.elements(m.value); len(list) > rule.Elements {
			e.remove(list, func(i int) bool { return i >= rule.Elements })
			e.leave(path, m.name, v)
		}
	case rule.Inside != "" && v.Kind() == '{':
		return !e.inside(at, m.value, rule.Inside)
	case rule.Rename != "" && !slices.ContainsFunc(siblings, func(s member) bool { return s.name == rule.Rename }):
		e.replace(m.key, quote(rule.Rename))
		return false
	case rule.Rename != "", e.leaves(rule, m.value), only != nil && !slices.Contains(only, m.name):
		if !rule.Met {
			e.leave(path, m.name, v)
		}
		return true
	case v.Kind() == '"' && rule.Words != nil:
		if word, ok := rule.Words[translate.Unquote(v)]; ok {
			e.replace(m.value, quote(word))
		}
	case v.Kind() == '{' && e.ruled(at):
		e.object(at, e.members(m.value), nil, none)
	case v.Kind() == '[' && e.ruled(at):
		for _, element := range e.elements(m.value) {
			e.object(at, e.members(element), nil, none)
		}
	}
	return false
}

// above reports whether a number is above most.
func above(v jsontext.Value, most float64) bool {
	f, err := strconv.ParseFloat(string(v), 64)
	return err == nil && f > most
}

// below reports whether a number is below least.
func below(v jsontext.Value, least float64) bool {
	f, err := strconv.ParseFloat(string(v), 64)
	return err == nil && f < least
}

// inside puts the string of that name in the place of the object that it stands in, and reports whether there is one. The
// object's other members are named.
func (e *editor) inside(path string, object span, name string) (found bool) {
	for _, m := range e.members(object) {
		if v := e.text(m.value); m.name == name && v.Kind() == '"' {
			e.replace(object, v)
			found = true
		} else {
			e.leave(path, m.name, v)
		}
	}
	return found
}

// ruled reports whether there are rules for the members of what stands at path.
func (e *editor) ruled(path string) bool {
	if e.Closed[path] != nil {
		return true
	}
	for at := range e.Rules {
		if strings.HasPrefix(at, path) && len(at) > len(path) && at[len(path)] == '.' {
			return true
		}
	}
	return false
}

// leave notes that a member is left out, unless its value says nothing.
func (e *editor) leave(path, name string, v jsontext.Value) {
	at := join(path, wire.Visible(name))
	if !wire.IsDefault(at, v) {
		e.left[at] = struct{}{}
	}
}

// join gives the path of a member.
func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
