package toolcheck

import (
	"bytes"
	"encoding/json"
	"slices"
)

// maxCollected bounds what is kept of one stream, in bytes.
const maxCollected = 1 << 20

// part is a tool call of a message, or of a delta.
type part struct {
	Index    *int
	Type     string
	Function struct{ Name, Arguments string }
	Custom   struct{ Name, Input string }
}

type choice struct {
	Index          int
	FinishReason   string `json:"finish_reason"`
	Message, Delta struct {
		ToolCalls []part `json:"tool_calls"`
	}
}

// Collector puts the tool calls of a stream together. The zero Collector is ready.
type Collector struct {
	calls map[[2]int]*Call // by choice and index
	order [][2]int
	size  int
	cut   bool
}

var toolCalls = []byte(`"tool_calls"`)

// Add takes events of the stream in OpenAI's form.
func (c *Collector) Add(events []byte) {
	if c.cut || !bytes.Contains(events, toolCalls) && !bytes.Contains(events, []byte(`"length"`)) {
		return
	}
	for line := range bytes.Lines(events) {
		data, ok := bytes.CutPrefix(line, []byte("data:"))
		if ok {
			c.add(data)
		}
	}
}

func (c *Collector) add(data []byte) {
	var chunk struct{ Choices []choice }
	if json.Unmarshal(data, &chunk) != nil {
		return
	}
	for _, ch := range chunk.Choices {
		c.cut = c.cut || ch.FinishReason == "length"
		for i, p := range ch.Delta.ToolCalls {
			at := [2]int{ch.Index, i}
			if p.Index != nil {
				at[1] = *p.Index
			}
			c.part(at, p)
		}
	}
}

func (c *Collector) part(at [2]int, p part) {
	call := c.calls[at]
	if call == nil {
		if c.calls == nil {
			c.calls = make(map[[2]int]*Call)
		}
		call = new(Call)
		c.calls[at] = call
		c.order = append(c.order, at)
	}
	call.Custom = call.Custom || p.Type == "custom"
	call.Name += p.Function.Name + p.Custom.Name
	call.Arguments += p.Function.Arguments + p.Custom.Input
	c.size += len(p.Function.Name) + len(p.Function.Arguments) + len(p.Custom.Input) + 64
	c.cut = c.cut || c.size > maxCollected
}

// Calls gives the calls of the whole stream; none where it was cut for its length, which
// says nothing of the model, or was longer than is kept.
func (c *Collector) Calls() (calls []Call) {
	if c.cut {
		return nil
	}
	for _, at := range c.order {
		calls = append(calls, *c.calls[at])
	}
	return calls
}

// CallsOf gives the tool calls of a whole answer in OpenAI's form; none of one that was cut.
func CallsOf(answer []byte) (calls []Call) {
	if !bytes.Contains(answer, toolCalls) {
		return nil
	}
	var whole struct{ Choices []choice }
	if json.Unmarshal(answer, &whole) != nil || slices.ContainsFunc(whole.Choices, func(ch choice) bool { return ch.FinishReason == "length" }) {
		return nil
	}
	for _, ch := range whole.Choices {
		for _, p := range ch.Message.ToolCalls {
			calls = append(calls, Call{p.Function.Name + p.Custom.Name, p.Function.Arguments + p.Custom.Input, p.Type == "custom"})
		}
	}
	return calls
}
