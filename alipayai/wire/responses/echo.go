package responses

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// echo is what of a request its response repeats, as it came.
type echo []given

// given is the value of one of echoed.
type given struct {
	place int
	v     jsontext.Value
}

func (e *echo) keep(name string, v jsontext.Value) {
	place, ok := echoedPlaces[name]
	if !ok {
		return
	}
	if *e == nil {
		*e = make(echo, 0, 4)
	}
	*e = append(*e, given{place, v})
}

// of gives the value of one of echoed; nil for none.
func (e echo) of(place int) jsontext.Value {
	for i := range e {
		if e[i].place == place {
			return e[i].v
		}
	}
	return nil
}

// echoed are the members of a response that repeat the request's, and what they are where it has none. All of them are
// there always.
var echoed = [...]struct{ name, absent string }{
	{"instructions", "null"}, {"max_output_tokens", "null"}, {"max_tool_calls", "null"}, {"parallel_tool_calls", "true"},
	{"previous_response_id", "null"}, {"prompt_cache_key", "null"}, {"reasoning", `{"effort":null,"summary":null}`},
	{"safety_identifier", "null"}, {"temperature", "1"}, {"presence_penalty", "0"}, {"frequency_penalty", "0"},
	{"text", `{"format":{"type":"text"}}`}, {"tool_choice", `"auto"`}, {"tools", "[]"}, {"top_logprobs", "0"}, {"top_p", "1"},
	{"user", "null"}, {"metadata", "{}"},
}

// echoedPlaces are where in echoed a name stands.
var echoedPlaces = func() map[string]int {
	places := make(map[string]int, len(echoed))
	for i := range echoed {
		places[echoed[i].name] = i
	}
	return places
}()

// size is more than append appends, but for members that are added to tools.
func (e echo) size() int {
	n := 1 << 10
	for i := range e {
		n += len(e[i].v)
	}
	return n
}

// append appends the members, each with a comma before it.
func (e echo) append(dst []byte) []byte {
	for i := range echoed {
		name, v := echoed[i].name, e.of(i)
		dst = append(append(append(dst, `,"`...), name...), `":`...)
		switch {
		case v == nil:
			dst = append(dst, echoed[i].absent...)
		case name == "tools":
			dst = appendEchoedTools(dst, v)
		case name == "text":
			dst = appendWith(dst, v, "format", `{"type":"text"}`)
		case name == "reasoning":
			dst = appendWith(dst, v, "effort", "null", "summary", "null")
		default:
			dst = append(dst, v...)
		}
	}
	// What is asked for in vain is named in a header; these say what is done.
	return append(dst, `,"truncation":"disabled","background":false,"service_tier":"default"`...)
}

// appendWith appends an object with members that it must have, and what they are where it has none.
func appendWith(dst []byte, object jsontext.Value, members ...string) []byte {
	has := make(map[string]bool)
	dst = append(dst, '{')
	_ = translate.Generated(object, func(name string, v jsontext.Value) error { // it has been read before
		has[name] = true
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(append(translate.Quote(dst, name), ':'), v...)
		return nil
	})
	for i := 0; i < len(members); i += 2 {
		if !has[members[i]] {
			if dst[len(dst)-1] != '{' {
				dst = append(dst, ',')
			}
			dst = append(append(translate.Quote(dst, members[i]), ':'), members[i+1]...)
		}
	}
	return append(dst, '}')
}

// appendEchoedTools appends the tools as they were sent, functions with all of their members.
func appendEchoedTools(dst []byte, tools jsontext.Value) []byte {
	dst = append(dst, '[')
	_ = translate.Elements(tools, func(i int, v jsontext.Value) error {
		if i > 0 {
			dst = append(dst, ',')
		}
		kind := ""
		_ = translate.Generated(v, func(name string, v jsontext.Value) error {
			if name == "type" {
				kind = translate.Unquote(v)
			}
			return nil
		})
		if kind == "function" {
			dst = appendWith(dst, v, "description", "null", "parameters", "null", "strict", "false")
		} else {
			dst = append(dst, v...)
		}
		return nil
	})
	return append(dst, ']')
}
