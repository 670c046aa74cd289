package responses

import (
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// client is a request of a client's on its way to chat completions' form.
type client struct {
	left translate.Omissions

	chat wire.ChatMembers

	input, instructions jsontext.Value
	logprobs            bool
	tools, choice       jsontext.Value
	moreTools           []jsontext.Value // of additional_tools
	serial              bool             // parallel_tool_calls is false

	cacheKey jsontext.Value

	offered offered
	// misplaced says that of the item that is being read a part is in another form than the API has there: see speaker.
	misplaced bool
	// repeats says that calls of one id have several outputs.
	repeats bool
	// hosted says that a tool is offered that the provider runs, and that may act.
	hosted bool

	echo echo
}

var clientFields = [...]string{
	"model", "input", "instructions", "stream", "tools", "tool_choice", "previous_response_id", "store", "text", "reasoning",
	"max_output_tokens", "include",
}

// field reads one member of the request.
func (r *ClientRequest) field(name string, v jsontext.Value) (err error) {
	c := &r.c
	if v.Kind() == 'n' {
		return nil
	}
	c.echo.keep(name, v)
	switch name {
	case "model", "safety_identifier", "service_tier":
		return translate.IsString(name, v)
	case "prompt_cache_key":
		c.cacheKey = v
		return translate.IsString(name, v)
	case "input":
		c.input = v
	case "instructions":
		c.instructions = v
		return translate.IsString(name, v)
	case "stream":
		c.chat.Stream, err = translate.Boolean(name, v)
	case "store":
		r.Store, err = translate.Boolean(name, v)
		r.StoreAsked = r.Store
	case "previous_response_id":
		r.Previous, err = translate.String(name, v)
	case "max_output_tokens":
		var most int64
		most, err = translate.Count(name, v, 1)
		c.chat.MaxTokens = strconv.AppendInt(nil, most, 10)
	case "temperature":
		_, err = translate.Number(name, v, 0, 2)
		c.chat.Member(name, v)
	case "top_p":
		_, err = translate.Number(name, v, 0, 1)
		c.chat.Member(name, v)
	case "top_logprobs":
		var n int64
		if n, err = translate.Count(name, v, 0); n > 0 {
			c.logprobs = true
			c.chat.Member(name, v)
		}
	case "user":
		c.chat.Member(name, v)
		return translate.IsString(name, v)
	case "tools":
		c.tools = v
	case "tool_choice":
		c.choice = v
	case "parallel_tool_calls":
		var parallel bool
		parallel, err = translate.Boolean(name, v)
		c.serial = !parallel
	case "text":
		return translate.Object(name, v, c.textMember)
	case "reasoning":
		return translate.Object(name, v, c.reasoning)
	case "include":
		return translate.Array(name, v, c.include)
	default:
		return c.other(name, v)
	}
	return err
}

// other reads a member that chat completions have nothing for.
func (c *client) other(name string, v jsontext.Value) error {
	switch name {
	case "metadata":
		return translate.Object(name, v, func(string, jsontext.Value) error { return nil })
	case "prompt_cache_retention", "prompt_cache_options", "stream_options", "client_metadata", "max_tool_calls":
		// Hints for caches and transports, and a bound on tools that no upstream runs.
	case "truncation":
		word, err := translate.String(name, v)
		if err == nil && word != "disabled" { // what does not fit is refused
			c.left.LeaveOut(name)
		}
		return err
	case "background":
		background, err := translate.Boolean(name, v)
		if background {
			c.left.LeaveOut(name)
		}
		return err
	case "presence_penalty", "frequency_penalty":
		_, err := translate.Number(name, v, -2, 2)
		c.chat.Member(name, v)
		return err
	case "prompt":
		return &wire.RequestError{Param: name, Code: wire.CodeInvalidValue, Message: "templates of prompts are kept at OpenAI: send instructions and input"}
	case "conversation":
		return &wire.RequestError{Param: name, Code: wire.CodeInvalidValue, Message: "conversations are kept at OpenAI: send previous_response_id"}
	default:
		for _, known := range clientFields {
			if strings.EqualFold(name, known) {
				return translate.OnlyInCase(known)
			}
		}
		c.left.Leave("", name, v)
	}
	return nil
}

func (c *client) reasoning(name string, v jsontext.Value) error {
	switch {
	case v.Kind() == 'n':
	case name == "effort":
		if _, err := translate.String("reasoning.effort", v); err != nil {
			return err
		}
		c.chat.Member("reasoning_effort", v)
	case name == "summary", name == "generate_summary", name == "context": // reasoning is given where there is some
	default:
		c.left.Leave("reasoning", name, v)
	}
	return nil
}

// include reads what more of the answer is wanted. Most belongs to tools that no upstream runs, and reasoning comes without
// encryption.
func (c *client) include(path string, v jsontext.Value) error {
	word, err := translate.String(path, v)
	c.logprobs = c.logprobs || word == "message.output_text.logprobs"
	return err
}

func (c *client) textMember(name string, v jsontext.Value) error {
	switch {
	case v.Kind() == 'n':
	case name == "format":
		return c.textFormat(v)
	case name == "verbosity":
		word, err := translate.String("text.verbosity", v)
		if err == nil && word != "medium" { // the default
			c.chat.Member("verbosity", v)
		}
		return err
	default:
		c.left.Leave("text", name, v)
	}
	return nil
}

// textFormat reads the form that the answer has to keep to.
func (c *client) textFormat(v jsontext.Value) error {
	var kind string
	var name, schema, inner []byte
	err := translate.Object("text.format", v, func(member string, v jsontext.Value) (err error) {
		switch member {
		case "type":
			kind, err = translate.String("text.format.type", v)
			return err
		case "schema":
			schema = v
		case "name":
			name = v
		}
		if v.Kind() != 'n' {
			inner = append(append(translate.Join(inner, translate.Quote(nil, member)), ':'), v...)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case kind == "text":
		return nil
	case kind == "json_object":
		c.chat.Member("response_format", []byte(`{"type":"json_object"}`))
		return nil
	case kind != "json_schema":
		return translate.Invalid("text.format.type", "text, json_schema or json_object")
	case len(translate.Characters(name)) == 0:
		return translate.Missing("text.format.name", "a non-empty string")
	case jsontext.Value(schema).Kind() != '{':
		return translate.Missing("text.format.schema", "an object")
	}
	c.chat.Member("response_format", append(append([]byte(`{"type":"json_schema","json_schema":{`), inner...), "}}"...))
	return nil
}
