package wire

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// ArgumentsObject gives the arguments of a tool call in a conversation's history as a JSON object, for APIs that take
// nothing else. Some models write nothing, null or an empty array, where there are none, and some servers and clients the object
// as a text in JSON once more (https://github.com/vllm-project/vllm/pull/54964, https://github.com/JetBrains/koog/issues/2095). A
// model that max_tokens cut leaves what is no object; whole then is false, and the object has the text as its INVALID_JSON, as Anthropic's documentation wraps it for
// the model to read:
// https://platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming#handling-invalid-json-in-tool-responses
func ArgumentsObject(text string) (object []byte, whole bool) {
	object = bytes.Trim([]byte(text), " \t\r\n")
	for range maxQuoted {
		switch {
		case len(object) == 0, string(object) == "null", string(object) == "[]":
			return []byte("{}"), true
		case isObject(object):
			return object, true
		case object[0] != '"' || !jsontext.Value(object).IsValid():
		default:
			object = bytes.Trim([]byte(unquote(object)), " \t\r\n")
			continue
		}
		break
	}
	object, _ = jsontext.AppendQuote([]byte(`{"INVALID_JSON":`), text) // the error only says that invalid UTF-8 was replaced
	return append(object, '}'), false
}

// maxQuoted is how often arguments may be a text in JSON, and one less what they are looked into for.
const maxQuoted = 3

// isObject reports whether text is one strict JSON object that nests no deeper than requests may.
func isObject(text []byte) bool {
	dec := jsontext.NewDecoder(bytes.NewBuffer(text))
	if dec.PeekKind() != '{' {
		return false
	}
	for {
		if _, err := dec.ReadToken(); err != nil || dec.StackDepth() > DefaultMaxDepth {
			return false
		}
		if dec.StackDepth() == 0 {
			_, err := dec.ReadToken()
			return errors.Is(err, io.EOF)
		}
	}
}

// CallIDs gives each tool call of a conversation an id of its own in the form that an API wants. Models that count their
// calls per answer repeat ids, as do providers that name a call by its function. Its zero value, with Form set, is ready.
type CallIDs struct {
	// Form gives an id of the API's for any: the same for the same, and an id that it gives for itself. Of a fine id with
	// ":" behind it, it gives another.
	Form func(id string) string

	given Distinct
	open  map[string][]string // the ids given in the last turn that have no result yet, by the request's
	last  map[string]string   // the id given last
}

// Turn begins the calls of a message.
func (c *CallIDs) Turn() { c.open = make(map[string][]string) }

// Call gives the id of a call.
func (c *CallIDs) Call(id string) string {
	if c.last == nil {
		c.last = make(map[string]string)
	}
	given := c.given.Take(c.Form(id), func(taken string) string { return c.Form(taken + ":") })
	c.last[id] = given
	c.open[id] = append(c.open[id], given)
	return given
}

// Result gives the id of the call that the next result for id belongs to: the results of calls of one id come in their
// order.
func (c *CallIDs) Result(id string) string {
	if open := c.open[id]; len(open) > 0 {
		c.open[id] = open[1:]
		return open[0]
	}
	if last := c.last[id]; last != "" {
		return last
	}
	return c.Form(id)
}
