package toolcheck

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// maxCollected bounds what is kept of one stream, in bytes.
const maxCollected = 1 << 20

// part is a tool call of a message, or of a delta.
type part struct {
	Index    *int
	ID, Type string
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
	calls   []*growing
	choices map[int]*collected
	size    int
	cut     bool
}

// collected are the calls of one choice.
type collected struct {
	places wire.CallPlaces
	calls  []*growing
}

// growing is a call that comes in pieces.
type growing struct {
	name, arguments []byte
	custom          bool
}

// Add takes events of the stream in OpenAI's form.
func (c *Collector) Add(events []byte) {
	if c.cut || !wire.Mentions(events, `"tool_calls"`) && !bytes.Contains(events, []byte(`"length"`)) {
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
		if len(ch.Delta.ToolCalls) == 0 {
			continue
		}
		of := c.of(ch.Index)
		of.places.Chunk()
		for i, p := range ch.Delta.ToolCalls {
			place := wire.NoPlace
			if p.Index != nil {
				place = *p.Index
			} else if len(ch.Delta.ToolCalls) > 1 && p.ID == "" {
				place = i
			}
			c.part(of, place, p)
		}
	}
}

// of gives the calls of a choice.
func (c *Collector) of(choice int) *collected {
	of := c.choices[choice]
	if of == nil {
		if c.choices == nil {
			c.choices = make(map[int]*collected)
		}
		of = new(collected)
		c.choices[choice] = of
	}
	return of
}

func (c *Collector) part(of *collected, place int, p part) {
	name, arguments := p.Function.Name+p.Custom.Name, p.Function.Arguments+p.Custom.Input
	n := of.places.Place(place, p.ID, name, arguments)
	if n == len(of.calls) {
		of.calls = append(of.calls, new(growing))
		c.calls = append(c.calls, of.calls[n])
	}
	call := of.calls[n]
	call.custom = call.custom || p.Type == "custom"
	if string(call.name) != name && !wire.IsNoName(name) { // some providers repeat it
		call.name = append(call.name, name...)
	}
	call.arguments = append(call.arguments, arguments...)
	c.size += len(name) + len(arguments) + 64
	c.cut = c.cut || c.size > maxCollected
}

// Calls gives the calls of the whole stream; none where it was cut for its length, which
// says nothing of the model, or was longer than is kept.
func (c *Collector) Calls() (calls []Call) {
	if c.cut {
		return nil
	}
	for _, call := range c.calls {
		calls = append(calls, Call{string(call.name), string(call.arguments), call.custom})
	}
	return calls
}

// CallsOf gives the tool calls of a whole answer in OpenAI's form; none of one that was cut.
func CallsOf(answer []byte) (calls []Call) {
	if !wire.Mentions(answer, `"tool_calls"`) {
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
