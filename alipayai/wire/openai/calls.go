package openai

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// Calls says how a client has the calls of an answer, where that is otherwise than the provider that was asked: see
// [wire.Encoded], whose ToolNames and Functions it has. Its zero value leaves them as they are.
type Calls struct {
	Names     wire.ToolNames
	Functions bool
}

// CallsOf is how the client has them whose request was encoded so.
func CallsOf(encoded wire.Encoded) Calls { return Calls{encoded.ToolNames, encoded.Functions} }

// Own gives the chat completion, or the chunk of one, with calls as the client has them. Every other byte is as it was.
func (c Calls) Own(body []byte) []byte {
	if !c.may(body) {
		return body
	}
	if c.Functions {
		body = functionCalls(body)
	}
	return OwnToolNames(body, c.Names)
}

// Decoder gives a decoder of the same stream whose events have calls as the client has them; d itself where there is nothing
// to change.
func (c Calls) Decoder(d wire.StreamDecoder) wire.StreamDecoder {
	if len(c.Names) == 0 && !c.Functions {
		return d
	}
	return &ownCalls{d, c}
}

// may reports whether there may be something to change in text, of however many: the members are of letters that JSON need not
// escape.
func (c Calls) may(text []byte) bool {
	return len(c.Names) > 0 && mayCall(text) || c.Functions && wire.Mentions(text, `"tool_calls"`)
}

// functionCalls gives an answer, or the chunk of one, whose choices call a function in the form before tools. That form has one
// call: the first. Others are left out, as the provider was asked for none ([translate.Tools]).
func functionCalls(body []byte) []byte {
	return editChoices(body, func(e *edits, choice span) {
		for _, m := range e.members(choice) {
			switch {
			case m.name == "message" || m.name == "delta":
				e.functionCall(e.members(m.value))
			case m.name == "finish_reason" && translate.Unquote(e.text(m.value)) == "tool_calls":
				e.replace(m.value, []byte(`"function_call"`))
			}
		}
	})
}

// functionCall puts function_call in the place of a message's tool_calls.
func (e *edits) functionCall(message []member) {
	items, gone := make([]span, len(message)), make([]bool, len(message))
	for i, m := range message {
		items[i] = m.all()
		if m.name != "tool_calls" {
			continue
		}
		if function := e.firstFunction(m.value); function != nil {
			e.replace(m.key, []byte(`"function_call"`))
			e.replace(m.value, function)
		} else {
			gone[i] = true
		}
	}
	e.remove(items, func(i int) bool { return gone[i] })
}

// firstFunction is that of the first call of an answer, or the piece of it that stands here; nil for none.
func (e *edits) firstFunction(calls span) (function jsontext.Value) {
	for i, call := range e.elements(calls) {
		first := i == 0
		var found jsontext.Value
		for _, m := range e.members(call) {
			switch v := e.text(m.value); m.name {
			case "index":
				first = string(v) == "0"
			case "function":
				found = v
			}
		}
		if first && found.Kind() == '{' {
			return bytes.Clone(found)
		}
	}
	return nil
}

type ownCalls struct {
	wire.StreamDecoder
	calls Calls
}

// Decode implements [wire.StreamDecoder].
func (o *ownCalls) Decode(dst []byte, ev wire.Event) ([]byte, wire.Chunk, error) {
	before := len(dst)
	dst, chunk, err := o.StreamDecoder.Decode(dst, ev)
	if err == nil {
		dst = o.own(dst, before)
	}
	return dst, chunk, err
}

// End implements [wire.StreamDecoder].
func (o *ownCalls) End(dst []byte) ([]byte, wire.Chunk, bool) {
	before := len(dst)
	dst, last, ok := o.StreamDecoder.End(dst)
	return o.own(dst, before), last, ok
}

// own has the events of dst from there on as the client has them.
func (o *ownCalls) own(dst []byte, from int) []byte {
	if !o.calls.may(dst[from:]) {
		return dst
	}
	return o.events(dst[:from], bytes.Clone(dst[from:]))
}

// events appends events as the client has them.
func (o *ownCalls) events(dst, events []byte) []byte {
	reader := wire.EventsIn(events)
	defer reader.Release()
	read := 0
	for {
		event, err := reader.Next()
		if err != nil {
			return append(dst, events[read:]...)
		}
		read += len(event.Raw)
		own := event.Data
		if translates(event.Data) {
			own = o.calls.Own(event.Data)
		}
		if bytes.Equal(own, event.Data) {
			dst = append(dst, event.Raw...)
			continue
		}
		dst = appendData(dst, own)
	}
}
