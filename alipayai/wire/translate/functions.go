package translate

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// Tools gives a request of the older form, which has functions and function_call, in the form that came after it, with tools
// and tool_calls, for APIs that know that one alone. OpenAI has both: platform.openai.com/docs/api-reference/chat/create. own
// says that the client offers functions alone, and so looks for function_call in its answer.
//
// An answer of the older form has one call at most, and the result of a call is the message after it: that is how they find
// each other without ids. A result that no call is before, as truncated conversations begin with, is the user's.
func Tools(ask wire.Ask) (_ wire.Ask, own bool, err error) {
	if !ask.Functions {
		return ask, false, nil
	}
	var f functions
	if err := Members(ask.Body, f.member); err != nil {
		return ask, false, RequestError(err)
	}
	own = len(f.tools) > 0 && !f.hasTools
	// The body is read anew, since what is known of it is by places.
	if ask.Request, err = wire.ParseChatRequest(f.body(), wire.Limits{}); err != nil {
		return ask, false, RequestError(err)
	}
	return ask, own, nil
}

// functions is a request of the older form on its way to tools.
type functions struct {
	others   []byte // the members that stay as they are, each with a comma behind it
	tools    []byte // with commas between them
	hasTools bool   // the client has offered some as such
	choice   jsontext.Value
	parallel jsontext.Value
	messages []byte // with commas between them
	calls    int
	open     string // the id of the call that has no result yet
}

// member reads a member of the request.
func (f *functions) member(name string, v jsontext.Value) error {
	switch {
	case name == "messages":
		return Array(name, v, f.message)
	case name == "functions" && v.Kind() != 'n':
		return Array(name, v, func(path string, v jsontext.Value) error {
			f.tools = Join(f.tools, wrapped(v))
			return f.named(path, v)
		})
	case name == "tools" && v.Kind() == '[':
		return Array(name, v, func(_ string, v jsontext.Value) error {
			f.hasTools = true
			f.tools = Join(f.tools, v)
			return nil
		})
	case name == "function_call" && f.choice == nil && v.Kind() == '{':
		f.choice = wrapped(v)
		return f.named(name, v)
	case name == "function_call" && f.choice == nil:
		f.choice = v
	case name == "tool_choice":
		f.choice = v
	case name == "parallel_tool_calls":
		f.parallel = v
	case name != "functions" && name != "function_call":
		f.others = append(f.add(f.others, name, v), ',')
	}
	return nil
}

// named looks for the name of the function that stands at path.
func (f *functions) named(path string, function jsontext.Value) error {
	var name jsontext.Value
	err := Object(path, function, func(member string, v jsontext.Value) error {
		if member == "name" {
			name = v
		}
		return nil
	})
	if err != nil {
		return err
	}
	return IsString(path+".name", name)
}

// wrapped gives a function as a tool, or the choice of one.
func wrapped(function jsontext.Value) jsontext.Value {
	return append(append([]byte(`{"type":"function","function":`), function...), '}')
}

func (f *functions) add(dst []byte, name string, v jsontext.Value) []byte {
	return append(append(Quote(dst, name), ':'), v...)
}

// message reads the message that stands at path.
func (f *functions) message(path string, v jsontext.Value) error {
	var role string
	var call, content jsontext.Value
	var others []byte
	err := Object(path, v, func(name string, v jsontext.Value) error {
		switch name {
		case "role":
			role = Unquote(v)
		case "function_call":
			call = v
			return nil
		case "content":
			content = v
		}
		others = Join(others, f.add(nil, name, v))
		return nil
	})
	switch {
	case err != nil:
		return err
	case role == "function":
		v = f.result(content)
	case len(call) > 0 && call.Kind() != 'n':
		v, err = f.call(path+".function_call", others, call)
	}
	f.messages = Join(f.messages, v)
	return err
}

// call gives the message with those other members that has called a function.
func (f *functions) call(path string, others []byte, call jsontext.Value) (jsontext.Value, error) {
	var name, arguments jsontext.Value
	err := Object(path, call, func(member string, v jsontext.Value) error {
		switch member {
		case "name":
			name = v
		case "arguments":
			arguments = v
		}
		return nil
	})
	if err == nil {
		err = IsString(path+".name", name)
	}
	if err == nil {
		err = IsString(path+".arguments", arguments)
	}
	if err != nil {
		return nil, err
	}
	f.open = "function_call_" + strconv.Itoa(f.calls)
	f.calls++
	function := f.add(append(f.add([]byte{'{'}, "name", name), ','), "arguments", arguments)
	calls := append([]byte(`[{"id":"`+f.open+`","type":"function","function":`), function...)
	message := Join(append([]byte{'{'}, others...), f.add(nil, "tool_calls", append(calls, "}}]"...)))
	return append(message, '}'), nil
}

// result gives the message with what a function has given.
func (f *functions) result(content jsontext.Value) jsontext.Value {
	if len(content) == 0 || content.Kind() == 'n' {
		content = jsontext.Value(`""`)
	}
	message := []byte(`{"role":"user","content":`)
	if f.open != "" {
		message = []byte(`{"role":"tool","tool_call_id":"` + f.open + `","content":`)
		f.open = ""
	}
	return append(append(message, content...), '}')
}

// body gives the request.
func (f *functions) body() []byte {
	b := append([]byte{'{'}, f.others...)
	if len(f.tools) > 0 {
		b = append(append(append(b, `"tools":[`...), f.tools...), "],"...)
		if !f.hasTools && f.parallel == nil {
			f.parallel = jsontext.Value("false")
		}
	}
	if f.choice != nil {
		b = append(f.add(b, "tool_choice", f.choice), ',')
	}
	if f.parallel != nil {
		b = append(f.add(b, "parallel_tool_calls", f.parallel), ',')
	}
	return append(append(append(b, `"messages":[`...), f.messages...), "]}"...)
}
