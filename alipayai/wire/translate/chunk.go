package translate

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// Chunk is a chunk, or a whole answer, in OpenAI's form. Its strings are as written, and parts of what was read; nil where
// there is none.
type Chunk struct {
	ID, Model jsontext.Value
	// Choice says that there is a choice.
	Choice                      bool
	Content, Reasoning, Refusal jsontext.Value
	// Logprobs are those of the content: an array; nil for none.
	Logprobs jsontext.Value
	Calls    []CallPiece
	Finish   string
	Usage    wire.Usage
	// ReasoningTokens are the part of the usage's completion that was reasoning.
	ReasoningTokens int64
}

// CallPiece is a piece of a tool call.
type CallPiece struct {
	Index               int
	ID, Name, Arguments jsontext.Value
}

// IDOr gives the id of the call n, or one that tells it from others.
func (c *CallPiece) IDOr(n int) []byte {
	if len(Characters(c.ID)) > 0 {
		return c.ID
	}
	return strconv.AppendQuote(nil, "call_"+strconv.Itoa(n))
}

// maxCalls bounds the index of a tool call.
const maxCalls = 1 << 16

// Read reads a chunk or an answer. Only the first choice counts, since no other was asked for.
func (c *Chunk) Read(data []byte) error {
	*c = Chunk{Calls: c.Calls[:0]}
	usage := jsontext.Value(nil)
	err := Generated(data, func(name string, v jsontext.Value) error {
		switch name {
		case "id":
			c.ID = v
		case "model":
			c.Model = v
		case "usage":
			usage = v
		case "choices":
			if v.Kind() != '[' {
				return nil
			}
			return Elements(v, func(i int, v jsontext.Value) error {
				if i > 0 {
					return nil
				}
				c.Choice = true
				return Generated(v, c.choiceMember)
			})
		}
		return nil
	})
	if err == nil && usage.Kind() == '{' {
		// The numbers are read as the gateway reads them.
		known, err := wire.ParseBody(append(append([]byte(`{"usage":`), usage...), '}'), wire.Limits{})
		if err == nil {
			c.Usage = known.Usage
			_ = Generated(usage, c.usageMember) // which has been read before
		}
	}
	return err
}

func (c *Chunk) usageMember(name string, v jsontext.Value) error {
	if name != "completion_tokens_details" {
		return nil
	}
	return Generated(v, func(name string, v jsontext.Value) error {
		if n, ok := wire.TokenCount(v); ok && name == "reasoning_tokens" {
			c.ReasoningTokens = min(n, c.Usage.Completion)
		}
		return nil
	})
}

func (c *Chunk) choiceMember(name string, v jsontext.Value) error {
	switch {
	case name == "finish_reason" && v.Kind() == '"':
		c.Finish = Unquote(v)
	case name == "logprobs" && v.Kind() == '{':
		return Generated(v, func(name string, v jsontext.Value) error {
			if name == "content" && v.Kind() == '[' {
				c.Logprobs = v
			}
			return nil
		})
	case (name == "delta" || name == "message") && v.Kind() == '{':
		return Generated(v, c.deltaMember)
	}
	return nil
}

func (c *Chunk) deltaMember(name string, v jsontext.Value) error {
	switch {
	case name == "content" && v.Kind() == '"':
		c.Content = v
	case name == "refusal" && v.Kind() == '"':
		c.Refusal = v
	case (name == "reasoning_content" || name == "reasoning") && v.Kind() == '"':
		c.Reasoning = v
	case name == "tool_calls" && v.Kind() == '[':
		return Elements(v, func(i int, v jsontext.Value) error {
			call := CallPiece{Index: i}
			err := Generated(v, call.member)
			c.Calls = append(c.Calls, call)
			return err
		})
	}
	return nil
}

func (c *CallPiece) member(name string, v jsontext.Value) error {
	switch {
	case name == "index":
		if n, ok := wire.TokenCount(v); ok && n < maxCalls {
			c.Index = int(n)
		}
	case name == "id":
		c.ID = v
	case name == "function" && v.Kind() == '{':
		return Generated(v, func(name string, v jsontext.Value) error {
			switch name {
			case "name":
				c.Name = v
			case "arguments":
				c.Arguments = v
			}
			return nil
		})
	}
	return nil
}

// EachEvent calls event with the data of each of a stream's events, which are whole.
func EachEvent(events []byte, event func(data []byte) error) error {
	var data []byte // of the event that is being read
	for len(events) > 0 {
		var line []byte
		line, events = nextLine(events)
		value, ok := bytes.CutPrefix(line, []byte("data:"))
		switch {
		case len(line) == 0 && data != nil:
			if err := event(bytes.TrimSpace(data)); err != nil {
				return err
			}
			data = nil
		case ok && data == nil:
			data = value
		case ok:
			data = append(append(bytes.Clone(data), '\n'), value...)
		}
	}
	return nil
}

// nextLine cuts a line off, which may end as the standard on server-sent events says: in CR, LF or both.
func nextLine(text []byte) (line, rest []byte) {
	end := bytes.IndexAny(text, "\r\n")
	if end < 0 {
		return text, nil
	}
	line, rest = text[:end], text[end+1:]
	if text[end] == '\r' && len(rest) > 0 && rest[0] == '\n' {
		rest = rest[1:]
	}
	return line, rest
}

// Texts knows what stands around the text of the last chunk that had nothing else: most chunks of a stream differ in that
// alone, and need no reading.
type Texts struct{ before, after []byte }

// Remember takes what stands around the text of a chunk that was read of data, if it has nothing else.
func (t *Texts) Remember(c *Chunk, data []byte) {
	t.before, t.after = t.before[:0], t.after[:0]
	if c.Content == nil || c.Reasoning != nil || len(c.Refusal) > 0 || c.Logprobs != nil || len(c.Calls) > 0 || c.Finish != "" || c.Usage.OK {
		return
	}
	at := bytes.Index(data, c.Content)
	if at < 0 || bytes.LastIndex(data, c.Content) != at {
		return // it is not known which of them it is
	}
	t.before = append(t.before, data[:at+1]...)
	t.after = append(t.after, data[at+len(c.Content)-1:]...)
}

// Only gives the characters of the text of a chunk that differs from the remembered one in that alone.
func (t *Texts) Only(data []byte) ([]byte, bool) {
	if len(t.before) == 0 || len(data) <= len(t.before)+len(t.after) || !bytes.HasPrefix(data, t.before) || !bytes.HasSuffix(data, t.after) {
		return nil, false
	}
	text := data[len(t.before) : len(data)-len(t.after)]
	for _, c := range text {
		if c < ' ' || c == '"' || c == '\\' {
			return nil, false
		}
	}
	return text, utf8.Valid(text)
}
