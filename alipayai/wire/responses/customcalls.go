package responses

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// CustomCalls writes the calls of custom tools in answers of chat completions: as calls of functions, whose arguments are the input
// itself. So Cursor has them, which sends such tools in the Responses API's form to chat completions: it wants a function's name in each
// call, and hands the arguments to the tool as they are, a patch mostly.
//
// See https://github.com/icebear0828/codex-proxy/pull/708, and app/azure/response_adapter.py of gabrii/Cursor-Azure-GPT-5.
type CustomCalls struct {
	offered *offered
	// names are those of a stream's calls so far, by their index: they may come in parts. waiting are the arguments of those of custom
	// tools, and order is theirs.
	names   map[int]string
	waiting map[int][]byte
	order   []int
	// places follow what waits to its end.
	places wire.CallPlaces
	head   []byte // of a chunk, up to its choices
	// waits is how much waits, in bytes, and failed why there can be no more.
	waits  int
	failed error
}

// CustomCalls gives what writes the answers to a request that offers custom tools; nil where it offers none.
func (r *ClientRequest) CustomCalls() *CustomCalls {
	offered := &r.c.offered
	if !slices.ContainsFunc(offered.tools, func(t tool) bool { return t.custom }) {
		return nil
	}
	return &CustomCalls{offered: offered}
}

// Whole appends a whole answer.
func (w *CustomCalls) Whole(dst, canonical []byte) []byte {
	return append(dst, inCalls(canonical, "message", func(call jsontext.Value) jsontext.Value {
		if !w.isCustom(call) {
			return call
		}
		return withArguments(call, inputOf(argumentsIn(call)))
	})...)
}

// maxInputs bounds the inputs of custom tools that wait for their end, in bytes.
const maxInputs = 8 << 20

// Events appends the events of a stream. The input of a call comes when all of it is known. It fails where there are too many calls, or
// too much waits.
func (w *CustomCalls) Events(dst, canonical []byte) ([]byte, error) {
	err := translate.EachEvent(canonical, func(data []byte) error {
		dst = w.event(dst, data)
		return w.failed
	})
	return dst, err
}

func (w *CustomCalls) event(dst, data []byte) []byte {
	var c translate.Chunk
	done := bytes.HasPrefix(data, []byte("[DONE]"))
	if !done && c.Read(data) == nil && len(c.Calls) > 0 {
		at := 0
		data = inCalls(data, "delta", func(call jsontext.Value) jsontext.Value {
			place := at
			at++
			if place < len(c.Calls) && c.Calls[place].Index >= 0 {
				place = c.Calls[place].Index
			}
			return w.piece(place, call, data)
		})
	}
	if c.Finish != "" && len(c.Calls) > 0 && len(w.order) > 0 && w.whole() { // what waits belongs between the calls and their end
		calls := eachChanged(memberOf(data, "choices"), func(choice jsontext.Value) jsontext.Value {
			return changed(choice, "finish_reason", func(jsontext.Value) jsontext.Value { return jsontext.Value("null") })
		})
		dst = appendData(dst, slices.Concat(headOf(data), []byte(`"choices":`), calls, []byte("}")))
		data = changed(data, "choices", func(choices jsontext.Value) jsontext.Value {
			return eachChanged(choices, func(choice jsontext.Value) jsontext.Value {
				return changed(choice, "delta", func(jsontext.Value) jsontext.Value { return jsontext.Value("{}") })
			})
		})
	}
	if done || c.Finish != "" && w.whole() {
		dst = w.flush(dst)
	}
	return appendData(dst, data)
}

func appendData(dst, data []byte) []byte {
	return append(append(append(dst, "data: "...), data...), "\n\n"...)
}

// piece gives a piece of the call of that index without its arguments, where these wait.
func (w *CustomCalls) piece(index int, call, chunk jsontext.Value) jsontext.Value {
	arguments, waits := w.waiting[index]
	if !waits {
		more := argumentsIn(call)
		if name := nameIn(call); name != "" && name != w.names[index] && len(w.names[index]) < maxNameParts {
			if w.names == nil {
				w.names = make(map[int]string)
			}
			w.names[index] += name[:min(len(name), maxNameParts)]
			if len(w.names) > wire.MaxToolCalls {
				w.failed = wire.TooManyCalls()
			}
		}
		if t := w.offered.find(w.names[index]); t == nil || !t.custom || len(more) == 0 { // there may be more of the name
			return call
		}
		if w.waiting == nil {
			w.waiting = make(map[int][]byte)
		}
		w.order = append(w.order, index)
		w.head = headOf(chunk)
	}
	more := memberOf(memberOf(call, "function"), "arguments")
	if w.waits += len(more); w.waits > maxInputs {
		w.failed = fmt.Errorf("%w: the input of a custom tool does not end", wire.ErrMalformed)
		return call
	}
	w.waiting[index] = append(arguments, translate.Characters(more)...)
	w.places.Place(index, "", "", translate.Unquote(more))
	return withArguments(call, nil)
}

// maxNameParts bounds the name of a call that comes in parts, in bytes.
const maxNameParts = 1 << 10

// whole reports whether what waits is whole. Servers that say a finish reason with each chunk have more.
func (w *CustomCalls) whole() bool {
	for call := range w.places.Len() {
		if w.places.Open(call) {
			return false
		}
	}
	return true
}

// flush appends what waits.
func (w *CustomCalls) flush(dst []byte) []byte {
	for _, index := range w.order {
		dst = append(append(append(dst, "data: "...), w.head...), `"choices":[{"index":0,"delta":{"tool_calls":[{"index":`...)
		dst = strconv.AppendInt(dst, int64(index), 10)
		dst = append(append(dst, `,"function":{"arguments":"`...), inputOf(w.waiting[index])...)
		dst = append(dst, `"}}]},"finish_reason":null}]}`+"\n\n"...)
	}
	w.waiting, w.order, w.places, w.waits = nil, nil, wire.CallPlaces{}, 0
	return dst
}

// isCustom reports whether a call is of a custom tool.
func (w *CustomCalls) isCustom(call jsontext.Value) bool {
	t := w.offered.find(nameIn(call))
	return t != nil && t.custom
}

func nameIn(call jsontext.Value) string {
	return translate.Unquote(memberOf(memberOf(call, "function"), "name"))
}

// argumentsIn gives the characters of a call's arguments.
func argumentsIn(call jsontext.Value) []byte {
	return translate.Characters(memberOf(memberOf(call, "function"), "arguments"))
}

// withArguments gives a call with other arguments, as characters.
func withArguments(call jsontext.Value, arguments []byte) jsontext.Value {
	return changed(call, "function", func(function jsontext.Value) jsontext.Value {
		return changed(function, "arguments", func(jsontext.Value) jsontext.Value {
			return append(append([]byte{'"'}, arguments...), '"')
		})
	})
}

// inCalls gives an answer, or a chunk, with each of its calls as change leaves it. Those are in the member of its choices of that name.
func inCalls(answer jsontext.Value, name string, change func(call jsontext.Value) jsontext.Value) jsontext.Value {
	return changed(answer, "choices", func(choices jsontext.Value) jsontext.Value {
		return eachChanged(choices, func(choice jsontext.Value) jsontext.Value {
			return changed(choice, name, func(message jsontext.Value) jsontext.Value {
				return changed(message, "tool_calls", func(calls jsontext.Value) jsontext.Value { return eachChanged(calls, change) })
			})
		})
	})
}

// headOf gives an object up to its choices, with a comma behind each member, and without its usage.
func headOf(chunk jsontext.Value) []byte {
	head := []byte{'{'}
	_ = translate.Generated(chunk, func(name string, v jsontext.Value) error {
		if name != "choices" && name != "usage" {
			head = append(append(append(translate.Quote(head, name), ':'), v...), ',')
		}
		return nil
	})
	return head
}

// memberOf gives the member of that name of an object; nil for none.
func memberOf(object jsontext.Value, name string) (value jsontext.Value) {
	_ = translate.Generated(object, func(n string, v jsontext.Value) error {
		if n == name {
			value = v
		}
		return nil
	})
	return value
}

// changed gives an object with its member of that name as change leaves it. What is no object stays.
func changed(object jsontext.Value, name string, change func(jsontext.Value) jsontext.Value) jsontext.Value {
	if object.Kind() != '{' {
		return object
	}
	out := []byte{'{'}
	_ = translate.Generated(object, func(n string, v jsontext.Value) error {
		if n == name {
			v = change(v)
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(translate.Quote(out, n), ':'), v...)
		return nil
	})
	return append(out, '}')
}

// eachChanged gives an array with each of its elements as change leaves it. What is no array stays.
func eachChanged(array jsontext.Value, change func(jsontext.Value) jsontext.Value) jsontext.Value {
	if array.Kind() != '[' {
		return array
	}
	out := []byte{'['}
	_ = translate.Elements(array, func(i int, v jsontext.Value) error {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, change(v)...)
		return nil
	})
	return append(out, ']')
}
