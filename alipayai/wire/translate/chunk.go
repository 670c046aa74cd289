package translate

import (
	"bytes"
	"slices"
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
	// Annotations are what the content cites: an array; nil for none.
	Annotations jsontext.Value
	// Images are those that the model has made: an array; nil for none.
	Images jsontext.Value
	Calls  []CallPiece
	// Finish is the finish reason, in OpenAI's word where there is one.
	Finish string
	// Stopped is the stop sequence that was met, where the server says so.
	Stopped jsontext.Value
	Usage   wire.Usage

	older *CallPiece // what function_call has, which some servers write beside tool_calls
	// parted is the text of reasoning_details, details what they are in the chunks so far, and before what they were in those before this one.
	parted          jsontext.Value
	details, before details
}

// CallPiece is a piece of a tool call.
type CallPiece struct {
	// Index is wire.NoPlace where it has none.
	Index               int
	ID, Name, Arguments jsontext.Value
}

// Says reports whether it has a text of any kind, or an image.
func (c *Chunk) Says() bool {
	return c.Images != nil || len(c.Content) > len(`""`) || len(c.Reasoning) > len(`""`) || len(c.Refusal) > len(`""`)
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

// ReadWhole reads a whole answer. A call without a name calls nothing: it is left out, as [Calls] leave it out of a stream.
func (c *Chunk) ReadWhole(data []byte) error {
	err := c.Read(data)
	if err == nil && len(c.Calls) > wire.MaxToolCalls {
		return wire.TooManyCalls()
	}
	c.Calls = slices.DeleteFunc(c.Calls, func(p CallPiece) bool {
		return len(Characters(p.Name)) == 0 || wire.IsNoName(Unquote(p.Name))
	})
	return err
}

// Read reads a chunk or an answer. The first choice counts, since no other was asked for: see another. The chunks of a stream are
// to be read with the same Chunk.
func (c *Chunk) Read(data []byte) error {
	*c = Chunk{Calls: c.Calls[:0], details: c.details, before: c.details}
	dec := Decode(data)
	defer dec.Close()
	if dec.PeekKind() != '{' {
		return nil
	}
	var usage, inside jsontext.Value
	err := dec.Object(func(name string) (err error) {
		switch name {
		case "id":
			c.ID, err = dec.Value()
		case "model":
			c.Model, err = dec.Value()
		case "usage":
			usage, err = dec.Value()
		case "choices":
			return dec.Array(func(i int) error {
				c.Choice = true
				if i > 0 {
					return c.another(dec)
				}
				return dec.Object(func(name string) (err error) {
					if name == "usage" { // Moonshot's, in streams: https://github.com/earendil-works/pi/issues/2017
						inside, err = dec.Value()
						return err
					}
					return c.choiceMember(dec, name)
				})
			})
		default:
			return dec.Skip()
		}
		return err
	})
	c.details.elsewhere = c.details.elsewhere || len(c.Reasoning) > len(`""`)
	if c.parted != nil && !c.details.elsewhere {
		c.Reasoning = c.details.since(c.parted)
	}
	if c.older != nil && len(c.Calls) == 0 {
		c.Calls = append(c.Calls, *c.older)
	}
	if usage.Kind() != '{' {
		usage = inside
	}
	if err == nil && usage.Kind() == '{' {
		if c.Usage, err = wire.ReadUsage(usage); err != nil {
			return nil // the answer is good all the same
		}
	}
	return err
}

func (c *Chunk) choiceMember(dec *Decoder, name string) error {
	switch name {
	case "finish_reason":
		v, err := dec.Value()
		if v.Kind() == '"' {
			c.Finish = wire.FinishWord(Name(v))
		}
		return err
	case "stop_reason", "matched_stop": // vLLM's and SGLang's; of a token it is a number
		v, err := dec.Value()
		if len(Characters(v)) > 0 {
			c.Stopped = v
		}
		return err
	case "logprobs":
		return dec.Object(func(name string) error {
			v, err := dec.Value()
			if name == "content" && v.Kind() == '[' {
				c.Logprobs = v
			}
			return err
		})
	case "delta", "message":
		return dec.Object(func(name string) error { return c.deltaMember(dec, name) })
	}
	return dec.Skip()
}

func (c *CallPiece) member(dec *Decoder, name string) error {
	if name == "function" {
		return dec.Object(func(name string) (err error) {
			switch name {
			case "name":
				c.Name, err = dec.Value()
			case "arguments":
				c.Arguments, err = dec.Value()
				if c.Arguments.Kind() == '{' { // llama.cpp's were no text: https://github.com/ggml-org/llama.cpp/issues/20198
					c.Arguments = Quote(nil, string(c.Arguments))
				}
			default:
				return dec.Skip()
			}
			return err
		})
	}
	v, err := dec.Value()
	switch name {
	case "index":
		if n, ok := wire.TokenCount(v); ok && n < maxCalls {
			c.Index = int(n)
		}
	case "id":
		c.ID = v
	}
	return err
}

// EachEvent calls event with the data of each of a stream's events, which are whole.
func EachEvent(events []byte, event func(data []byte) error) error {
	var data []byte // of the event that is being read
	own := false    // data is no part of events
	for len(events) > 0 {
		var line []byte
		line, events = nextLine(events)
		value, ok := bytes.CutPrefix(line, []byte("data:"))
		switch {
		case len(line) == 0 && data != nil:
			if err := event(bytes.TrimSpace(data)); err != nil {
				return err
			}
			data, own = nil, false
		case ok && data == nil:
			data = value
		case ok:
			if !own {
				data, own = bytes.Clone(data), true
			}
			data = append(append(data, '\n'), value...)
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
	if c.Content == nil || c.Reasoning != nil || len(c.Refusal) > 0 || c.Logprobs != nil || c.Annotations != nil || c.Images != nil || len(c.Calls) > 0 || c.Finish != "" || c.Usage.OK {
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
