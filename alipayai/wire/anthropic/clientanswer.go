package anthropic

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// ErrNoAnswer is an answer in OpenAI's form that has no choice, of which no message can be made.
var ErrNoAnswer = errors.New("an answer without a choice")

// ClientWriter writes one answer in OpenAI's form as a message of the Messages API. It belongs to one goroutine.
//
// reasoning_content becomes a thinking block without a signature, for clients that asked for thinking; content a text
// block, and so does a refusal; tool calls become tool_use blocks, with {} for empty arguments. The finish reasons stop,
// length, tool_calls and content_filter become end_turn, max_tokens, tool_use and refusal; stop with tool calls is
// tool_use as well. Of the usage, input_tokens are those that came from no cache.
type ClientWriter struct {
	// Model stands for the model's name where the answer has none.
	Model string
	// Thinks says that the client reads thinking.
	Thinks bool

	stream clientStream
}

// Whole gives the message of a whole answer.
func (w *ClientWriter) Whole(canonical []byte) ([]byte, error) {
	var c chunk
	if err := c.read(canonical); err != nil {
		return nil, err
	}
	if !c.choice {
		return nil, ErrNoAnswer
	}
	out := make([]byte, 0, len(canonical)+256)
	out = c.appendHead(out, w.Model)
	content := len(out)
	if w.Thinks && len(c.reasoning) > len(`""`) {
		out = append(append(append(out, `{"type":"thinking","thinking":`...), c.reasoning...), `,"signature":""},`...)
	}
	for _, text := range []jsontext.Value{c.content, c.refusal} {
		if len(text) > len(`""`) {
			out = append(append(append(out, textBlock...), text...), "},"...)
		}
	}
	for i, call := range c.calls {
		input, _ := wire.ArgumentsObject(unquote(call.arguments))
		out = append(append(out, `{"type":"tool_use","id":`...), call.idOr(i)...)
		out = append(append(append(out, `,"name":`...), nameOr(call.name)...), `,"input":`...)
		out = append(append(out, input...), "},"...)
	}
	if len(out) > content {
		out = out[:len(out)-1]
	}
	out = append(out, `],"stop_reason":`...)
	out = appendStopReason(out, c.finish, len(c.calls) > 0, len(c.refusal) > len(`""`))
	out = append(out, `,"stop_sequence":null,"usage":`...)
	return append(appendClientUsage(out, c.usage), '}'), nil
}

// appendHead writes a message up to its content.
func (c *chunk) appendHead(dst []byte, model string) []byte {
	dst = append(dst, `{"id":"msg_`...)
	dst = append(dst, strings.TrimPrefix(strings.TrimPrefix(string(characters(c.id)), "chatcmpl-"), "msg_")...)
	dst = append(dst, `","type":"message","role":"assistant","model":`...)
	if len(characters(c.model)) > 0 {
		dst = append(dst, c.model...)
	} else {
		dst = quote(dst, model)
	}
	return append(dst, `,"content":[`...)
}

// appendStopReason writes the word for a finish reason; null for none.
func appendStopReason(dst []byte, finish string, calls, refused bool) []byte {
	switch {
	case finish == "":
		return append(dst, "null"...)
	case refused || finish == "content_filter":
		return append(dst, `"refusal"`...)
	case finish == "length":
		return append(dst, `"max_tokens"`...)
	case calls || finish == "tool_calls" || finish == "function_call":
		return append(dst, `"tool_use"`...)
	case finish == "stop":
		return append(dst, `"end_turn"`...)
	}
	return quote(dst, finish)
}

// appendClientUsage writes what the call took.
func appendClientUsage(dst []byte, u wire.Usage) []byte {
	dst = strconv.AppendInt(append(dst, `{"input_tokens":`...), max(u.Prompt-u.Cached-u.Written, 0), 10)
	dst = strconv.AppendInt(append(dst, `,"cache_creation_input_tokens":`...), u.Written, 10)
	dst = strconv.AppendInt(append(dst, `,"cache_read_input_tokens":`...), u.Cached, 10)
	return append(strconv.AppendInt(append(dst, `,"output_tokens":`...), u.Completion, 10), '}')
}

// chunk is a chunk, or a whole answer, in OpenAI's form. Its strings are as written, and parts of what was read; nil
// where there is none.
type chunk struct {
	id, model                   jsontext.Value
	choice                      bool
	content, reasoning, refusal jsontext.Value
	calls                       []callPiece
	finish                      string
	usage                       wire.Usage
}

// callPiece is a piece of a tool call.
type callPiece struct {
	index               int
	id, name, arguments jsontext.Value
}

// idOr gives the id of a call, or one that tells it from others.
func (c *callPiece) idOr(n int) []byte {
	if len(characters(c.id)) > 0 {
		return c.id
	}
	return strconv.AppendQuote(nil, "call_"+strconv.Itoa(n))
}

func nameOr(v jsontext.Value) []byte {
	if v.Kind() == '"' {
		return v
	}
	return []byte(`""`)
}

// read reads a chunk or an answer. Only the first choice counts, since no other was asked for.
func (c *chunk) read(data []byte) error {
	*c = chunk{calls: c.calls[:0]}
	usage := jsontext.Value(nil)
	err := clientMembers(data, func(name string, v jsontext.Value) error {
		switch name {
		case "id":
			c.id = v
		case "model":
			c.model = v
		case "usage":
			usage = v
		case "choices":
			if v.Kind() != '[' {
				return nil
			}
			return elements(v, func(i int, v jsontext.Value) error {
				if i > 0 {
					return nil
				}
				c.choice = true
				return clientMembers(v, c.choiceMember)
			})
		}
		return nil
	})
	if err == nil && usage.Kind() == '{' {
		// The numbers are read as the gateway reads them.
		known, err := wire.ParseBody(append(append([]byte(`{"usage":`), usage...), '}'), wire.Limits{})
		if err == nil {
			c.usage = known.Usage
		}
	}
	return err
}

func (c *chunk) choiceMember(name string, v jsontext.Value) error {
	switch {
	case name == "finish_reason" && v.Kind() == '"':
		c.finish = unquote(v)
	case (name == "delta" || name == "message") && v.Kind() == '{':
		return clientMembers(v, c.deltaMember)
	}
	return nil
}

func (c *chunk) deltaMember(name string, v jsontext.Value) error {
	switch {
	case name == "content" && v.Kind() == '"':
		c.content = v
	case name == "refusal" && v.Kind() == '"':
		c.refusal = v
	case (name == "reasoning_content" || name == "reasoning") && v.Kind() == '"':
		c.reasoning = v
	case name == "tool_calls" && v.Kind() == '[':
		return elements(v, func(i int, v jsontext.Value) error {
			call := callPiece{index: i}
			err := clientMembers(v, func(name string, v jsontext.Value) error {
				switch {
				case name == "index":
					if n, ok := wire.TokenCount(v); ok && n < maxCalls {
						call.index = int(n)
					}
				case name == "id":
					call.id = v
				case name == "function" && v.Kind() == '{':
					return clientMembers(v, func(name string, v jsontext.Value) error {
						switch name {
						case "name":
							call.name = v
						case "arguments":
							call.arguments = v
						}
						return nil
					})
				}
				return nil
			})
			c.calls = append(c.calls, call)
			return err
		})
	}
	return nil
}

// maxCalls bounds the index of a tool call.
const maxCalls = 1 << 16

// clientMembers is members for what has been generated: what is no object has none, and of a key that repeats the last
// one counts.
func clientMembers(v jsontext.Value, member func(name string, v jsontext.Value) error) error {
	dec := jsontext.NewDecoder(bytes.NewBuffer(v), lenient...)
	if dec.PeekKind() != '{' {
		return nil
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != '}' {
		quoted, err := dec.ReadToken()
		if err != nil {
			return err
		}
		name := quoted.String()
		value, err := read(dec, v)
		if err != nil {
			return err
		}
		if err := member(name, value); err != nil {
			return err
		}
	}
	return nil
}
