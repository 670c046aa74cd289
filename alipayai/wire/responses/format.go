package responses

import (
	"encoding/json"
	"fmt"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// Format is [wire.Format] for the Responses API at a provider, whose bytes pass as they are: it reads what comes back, for
// the gateway to know what that is. Its zero value is ready.
type Format struct{}

// Name implements [wire.Format].
func (Format) Name() string { return wire.Responses }

// EncodeRequest implements [wire.Format]. There are no requests but the clients' own.
func (Format) EncodeRequest(wire.Ask) (wire.Encoded, error) {
	return wire.Encoded{}, &wire.RequestError{Code: wire.CodeInvalidValue, Message: "requests of other forms are not translated to the Responses API"}
}

// resource is what of a response the gateway looks at.
type resource struct {
	ID, Model, Status string
	ServiceTier       string `json:"service_tier"`
	Error             *failed
	IncompleteDetails *struct{ Reason string } `json:"incomplete_details"`
	Output            []outputItem
	Usage             *struct {
		Input        int64 `json:"input_tokens"`
		Output       int64 `json:"output_tokens"`
		Total        int64 `json:"total_tokens"`
		InputDetails struct {
			Cached  int64 `json:"cached_tokens"`
			Written int64 `json:"cache_write_tokens"`
		} `json:"input_tokens_details"`
		OutputDetails struct {
			Reasoning int64 `json:"reasoning_tokens"`
		} `json:"output_tokens_details"`
	}
}

type failed struct{ Code, Type, Message, Param string }

func (f *failed) failure() *wire.Failure {
	return &wire.Failure{Code: f.Code, Type: f.Type, Message: f.Message, Param: f.Param}
}

type outputItem struct {
	Type, Name, Namespace, Arguments, Input string
	CallID                                  string `json:"call_id"`
	Content                                 []struct{ Text, Refusal string }
	Summary                                 []struct{ Text string }
}

// finish is the finish reason of a response.
func (r *resource) finish(calls bool) string {
	switch {
	case r.Status == "incomplete" && r.IncompleteDetails != nil && r.IncompleteDetails.Reason == "content_filter":
		return "content_filter"
	case r.Status == "incomplete":
		return "length"
	case calls:
		return "tool_calls"
	}
	return "stop"
}

// failed gives the failure that a response reports; nil for none.
func (r *resource) failed() *wire.Failure {
	switch {
	case r.Error != nil:
		return r.Error.failure()
	case r.Status == "failed" || r.Status == "cancelled":
		return &wire.Failure{Code: "server_error", Message: "the response has " + r.Status}
	}
	return nil
}

func (r *resource) usage() map[string]any {
	if r.Usage == nil {
		return nil
	}
	u := r.Usage
	prompt := map[string]any{"cached_tokens": u.InputDetails.Cached}
	if u.InputDetails.Written != 0 {
		prompt["cache_write_tokens"] = u.InputDetails.Written
	}
	return map[string]any{
		"prompt_tokens": u.Input, "completion_tokens": u.Output, "total_tokens": u.Total,
		"prompt_tokens_details":     prompt,
		"completion_tokens_details": map[string]any{"reasoning_tokens": u.OutputDetails.Reasoning},
	}
}

// call is a tool call in chat completions' form.
func (i *outputItem) call(index int) (call map[string]any, ok bool) {
	arguments := i.Arguments
	switch i.Type {
	case "function_call":
	case "custom_tool_call":
		arguments = i.Input
	default:
		return nil, false
	}
	return map[string]any{
		"index": index, "id": i.CallID, "type": "function",
		"function": map[string]any{"name": flat(i.Namespace, i.Name), "arguments": arguments},
	}, true
}

// DecodeAnswer implements [wire.Format].
func (Format) DecodeAnswer(body []byte, _ wire.Ask) ([]byte, wire.Answer, error) {
	var r resource
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, wire.Answer{}, fmt.Errorf("%w: %w", wire.ErrMalformed, err)
	}
	if f := r.failed(); f != nil {
		return nil, wire.Answer{Failure: f}, nil
	}
	if r.Status == "" && r.Output == nil { // some other body, which may report a failure in another form
		a, err := wire.ParseBody(body, wire.Limits{})
		return body, a, err
	}
	text, reasoning, refused := "", "", ""
	var calls []any
	for i := range r.Output {
		item := &r.Output[i]
		if call, ok := item.call(len(calls)); ok {
			calls = append(calls, call)
			continue
		}
		for _, part := range item.Content {
			if item.Type == "reasoning" {
				reasoning += part.Text
				continue
			}
			text += part.Text
			refused += part.Refusal
		}
		for _, part := range item.Summary {
			reasoning += part.Text
		}
	}
	message := map[string]any{"role": "assistant", "content": text}
	for name, v := range map[string]string{"reasoning_content": reasoning, "refusal": refused} {
		if v != "" {
			message[name] = v
		}
	}
	if calls != nil {
		message["tool_calls"] = calls
	}
	answer := map[string]any{
		"id": r.ID, "object": "chat.completion", "model": r.Model,
		"choices": []any{map[string]any{"index": 0, "message": message, "finish_reason": r.finish(calls != nil)}},
	}
	if usage := r.usage(); usage != nil {
		answer["usage"] = usage
	}
	canonical, err := json.Marshal(answer)
	if err != nil {
		return nil, wire.Answer{}, err
	}
	a, err := wire.ParseBody(canonical, wire.Limits{})
	a.Usage.Tier = r.ServiceTier
	return canonical, a, err
}

// DecodeStream implements [wire.Format].
func (Format) DecodeStream(wire.Ask) wire.StreamDecoder { return &decoder{index: make(map[int]int)} }

// decoder reads the events of one response.
type decoder struct {
	id, model string
	calls     int
	index     map[int]int // of calls, by the places of their items
}

// Decode implements [wire.StreamDecoder].
func (d *decoder) Decode(dst []byte, ev wire.Event) ([]byte, wire.Chunk, error) {
	if len(ev.Data) == 0 {
		return dst, wire.Chunk{}, nil
	}
	var e struct {
		Type, Delta string
		OutputIndex int `json:"output_index"`
		Response    resource
		Item        outputItem
		Error       *failed
		failed
	}
	if err := json.Unmarshal(ev.Data, &e); err != nil {
		return dst, wire.Chunk{}, fmt.Errorf("%w: %w", wire.ErrMalformed, err)
	}
	switch e.Type {
	case "":
		chunk, err := wire.ParseEvent(ev) // a failure in another form
		if err == nil && chunk.Failure == nil {
			err = fmt.Errorf("%w: an event without a type", wire.ErrMalformed)
		}
		return dst, chunk, err
	case "error":
		f := e.Error
		if f == nil {
			f = &e.failed
			f.Type = ""
		}
		return dst, wire.Chunk{Answer: wire.Answer{Failure: f.failure()}}, nil
	case "response.created":
		d.id, d.model = e.Response.ID, e.Response.Model
	case "response.output_text.delta":
		return d.delta(dst, map[string]any{"content": e.Delta})
	case "response.refusal.delta":
		return d.delta(dst, map[string]any{"refusal": e.Delta})
	case "response.reasoning_summary_text.delta", "response.reasoning_text.delta":
		return d.delta(dst, map[string]any{"reasoning_content": e.Delta})
	case "response.output_item.added":
		if call, ok := e.Item.call(d.calls); ok {
			d.index[e.OutputIndex] = d.calls
			d.calls++
			return d.delta(dst, map[string]any{"tool_calls": []any{call}})
		}
	case "response.function_call_arguments.delta", "response.custom_tool_call_input.delta":
		if n, ok := d.index[e.OutputIndex]; ok {
			return d.delta(dst, map[string]any{"tool_calls": []any{map[string]any{"index": n, "function": map[string]any{"arguments": e.Delta}}}})
		}
	case "response.failed":
		f := e.Response.failed()
		if f == nil {
			f = &wire.Failure{Code: "server_error", Message: "the response has failed"}
		}
		return dst, wire.Chunk{Answer: wire.Answer{Failure: f}}, nil
	case "response.completed", "response.incomplete":
		return d.end(dst, &e.Response)
	}
	return dst, wire.Chunk{Answer: wire.Answer{Model: d.model}}, nil
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
		return dst, wire.Chunk{Answer: wire.Answer{Failure: f}}, nil
	}
	d.id, d.model = r.ID, r.Model
	choices := []any{map[string]any{"index": 0, "delta": map[string]any{}, "finish_reason": r.finish(d.calls > 0)}}
	dst, chunk, err := d.chunk(dst, choices, r.usage())
	chunk.Done, chunk.Usage.Tier = true, r.ServiceTier
	return append(dst, "data: [DONE]\n\n"...), chunk, err
}

// End implements [wire.StreamDecoder]: a response has an end of its own.
func (*decoder) End(dst []byte) ([]byte, wire.Chunk, bool) { return dst, wire.Chunk{}, false }

// Seen is what is to be known of a response that passes as it is.
type Seen struct {
	ID string
	// Ended says that it has come to its end, with Output.
	Ended  bool
	Output []json.RawMessage
}

// See reads a response, that of a whole answer or of an event. ok is false for one that has failed, and for anything else.
func See(response []byte) (s Seen, ok bool) {
	var r struct {
		ID, Status string
		Output     []json.RawMessage
	}
	if json.Unmarshal(response, &r) != nil || r.ID == "" {
		return Seen{}, false
	}
	switch r.Status {
	case "completed", "incomplete":
		return Seen{ID: r.ID, Ended: true, Output: r.Output}, true
	case "in_progress", "queued":
		return Seen{ID: r.ID}, true
	}
	return Seen{}, false
}

// Interface guards
var _ wire.Format = Format{}
