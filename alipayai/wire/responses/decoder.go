package responses

import (
	"encoding/json"
	"fmt"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// DecodeStream implements [wire.Format].
func (Format) DecodeStream(wire.Ask) wire.StreamDecoder {
	return &decoder{index: make(map[int]int), told: make(map[int]bool), cited: make(map[string]bool)}
}

// decoder reads the events of one response.
type decoder struct {
	id, model string
	calls     int
	index     map[int]int  // of calls, by the places of their items
	told      map[int]bool // of which items there have been pieces, by their places
	cited     map[string]bool
}

// The most of a response that is remembered while it streams: its items, its citations, and the length of one in bytes.
const (
	maxItems    = 4 * wire.MaxToolCalls
	maxCited    = 1 << 10
	maxCitation = 4 << 10
)

// streamEvent is what is read of the events, whatever their type.
type streamEvent struct {
	Type, Delta string
	OutputIndex int `json:"output_index"`
	Response    resource
	Item        outputItem
	Annotation  json.RawMessage
	Error       *failed
	failed
}

// failure is that of an event that says so by its type: in it, in its error, or in its response.
func (e *streamEvent) failure() *wire.Failure {
	if e.Type == "response.failed" {
		if f := e.Response.failed(); f != nil {
			return f
		}
		return &wire.Failure{Code: "server_error", Message: "the response has failed"}
	}
	if e.Error != nil {
		return e.Error.failure()
	}
	f := e.failed.failure()
	f.Type = "" // which is the event's own
	return f
}

// Decode implements [wire.StreamDecoder].
func (d *decoder) Decode(dst []byte, ev wire.Event) ([]byte, wire.Chunk, error) {
	if ev.SaysNothing() || len(ev.Data) == 0 {
		chunk, err := wire.ParseEvent(ev)
		return dst, chunk, err
	}
	var e streamEvent
	if err := read(ev.Data, &e); err != nil {
		return dst, wire.Chunk{}, err
	}
	if e.Delta != "" {
		d.told[e.OutputIndex] = true
	}
	switch {
	case d.calls > wire.MaxToolCalls:
		return dst, wire.Chunk{}, wire.TooManyCalls()
	case len(d.told) > maxItems:
		return dst, wire.Chunk{}, fmt.Errorf("%w: a response of more than %d items", wire.ErrMalformed, maxItems)
	}
	switch e.Type {
	case "":
		chunk, err := wire.ParseEvent(ev) // a failure in another form
		if err == nil && chunk.Failure == nil {
			err = fmt.Errorf("%w: an event without a type", wire.ErrMalformed)
		}
		return dst, chunk, err
	case "error", "response.failed":
		return dst, wire.Chunk{Answer: e.Response.brought(e.failure())}, nil
	case "response.created":
		d.id, d.model = e.Response.ID, e.Response.Model
	case "response.output_text.delta":
		return d.delta(dst, map[string]any{"content": e.Delta})
	case "response.output_text.annotation.added":
		if cited := d.cites(annotations(e.Annotation)); cited != nil {
			return d.delta(dst, map[string]any{"annotations": cited})
		}
	case "response.refusal.delta":
		return d.delta(dst, map[string]any{"refusal": e.Delta})
	case "response.reasoning_summary_text.delta", "response.reasoning_text.delta":
		return d.delta(dst, map[string]any{"reasoning_content": e.Delta})
	case "response.output_item.added":
		if call, ok := e.Item.call(d.calls); ok {
			d.index[e.OutputIndex] = d.calls
			d.told[e.OutputIndex] = e.Item.Arguments != "" || e.Item.Input != ""
			d.calls++
			return d.delta(dst, map[string]any{"tool_calls": []any{call}})
		}
	case "response.output_item.done":
		return d.done(dst, e.OutputIndex, &e.Item)
	case "response.function_call_arguments.delta", "response.custom_tool_call_input.delta":
		if n, ok := d.index[e.OutputIndex]; ok {
			return d.delta(dst, map[string]any{"tool_calls": []any{map[string]any{"index": n, "function": map[string]any{"arguments": e.Delta}}}})
		}
	case "response.completed", "response.incomplete":
		return d.end(dst, &e.Response)
	}
	return dst, wire.Chunk{Answer: wire.Answer{Model: d.model}}, nil
}

// done tells what an item says that has come to its end without pieces of it, as some servers send theirs, for what reads answers to
// have all of them.
func (d *decoder) done(dst []byte, place int, i *outputItem) ([]byte, wire.Chunk, error) {
	if d.told[place] {
		return dst, wire.Chunk{Answer: wire.Answer{Model: d.model}}, nil
	}
	d.told[place] = true
	if call, ok := i.call(d.calls); ok {
		if n, begun := d.index[place]; begun {
			return d.delta(dst, map[string]any{"tool_calls": []any{map[string]any{"index": n, "function": map[string]any{"arguments": i.Arguments + i.Input}}}})
		}
		d.index[place] = d.calls
		d.calls++
		return d.delta(dst, map[string]any{"tool_calls": []any{call}})
	}
	var w words
	w.add(i)
	w.cited = d.cites(w.cited)
	members := w.members()
	if len(members) == 0 {
		return dst, wire.Chunk{Answer: wire.Answer{Model: d.model}}, nil
	}
	return d.delta(dst, members)
}

// cites gives those of some citations that have not been told before: an item repeats those that had events of their own.
func (d *decoder) cites(all []any) (cited []any) {
	for _, one := range all {
		written, _ := json.Marshal(one)
		if key := string(written); !d.cited[key] && len(d.cited) < maxCited && len(key) <= maxCitation {
			d.cited[key] = true
			cited = append(cited, one)
		}
	}
	return cited
}

// chunk appends one, and says what it is.
func (d *decoder) chunk(dst []byte, choices []any, usage map[string]any) ([]byte, wire.Chunk, error) {
	chunk := map[string]any{"id": d.id, "object": "chat.completion.chunk", "model": d.model, "choices": choices}
	if usage != nil {
		chunk["usage"] = usage
	}
	data, err := json.Marshal(chunk)
	if err != nil {
		return dst, wire.Chunk{}, err
	}
	known, err := wire.ParseChunk(data)
	return append(append(append(dst, "data: "...), data...), "\n\n"...), known, err
}

func (d *decoder) delta(dst []byte, delta map[string]any) ([]byte, wire.Chunk, error) {
	return d.chunk(dst, []any{map[string]any{"index": 0, "delta": delta, "finish_reason": nil}}, nil)
}

func (d *decoder) end(dst []byte, r *resource) ([]byte, wire.Chunk, error) {
	if f := r.failed(); f != nil {
		return dst, wire.Chunk{Answer: r.brought(f)}, nil
	}
	if r.ID != "" {
		d.id = r.ID
	}
	if r.Model != "" {
		d.model = r.Model
	}
	content := false
	if len(d.told) == 0 { // of no item has there been an event
		for i := range r.Output {
			var chunk wire.Chunk
			var err error
			if dst, chunk, err = d.done(dst, i, &r.Output[i]); err != nil {
				return dst, chunk, err
			}
			content = content || chunk.Content
		}
	}
	choices := []any{map[string]any{"index": 0, "delta": map[string]any{}, "finish_reason": r.finish(d.calls > 0)}}
	dst, chunk, err := d.chunk(dst, choices, r.usage())
	chunk.Done, chunk.Content, chunk.Usage.Tier, chunk.Usage.Searches = true, chunk.Content || content, r.ServiceTier, r.searches()
	return append(dst, "data: [DONE]\n\n"...), chunk, err
}

// End implements [wire.StreamDecoder]: a response has an end of its own.
func (*decoder) End(dst []byte) ([]byte, wire.Chunk, bool) { return dst, wire.Chunk{}, false }
