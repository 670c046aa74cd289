package responses

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
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

// FitModel implements [wire.ModelFitter].
func (Format) FitModel(body []byte, model string) wire.Encoded {
	return openai.FitResponses(body, model)
}

// read reads JSON into v. What is of another type than expected counts as absent: the API has members of one name and several
// types, as the arguments of a tool_search_call are an object, and the bytes go to the client whatever is in them.
func read(data []byte, v any) error {
	if !utf8.Valid(data) {
		return fmt.Errorf("%w: invalid UTF-8", wire.ErrMalformed)
	}
	err := json.Unmarshal(data, v)
	if _, mistyped := errors.AsType[*json.UnmarshalTypeError](err); mistyped || err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", wire.ErrMalformed, err)
}

// resource is what of a response the gateway looks at.
type resource struct {
	ID, Model, Status string
	ServiceTier       string `json:"service_tier"`
	Error             *failed
	IncompleteDetails *struct{ Reason string } `json:"incomplete_details"`
	Output            []outputItem
	Usage             *usage
}

// usage has the numbers of tokens as written: whether they can be counted, the canonical form's reader says.
type usage struct {
	Input        tokens `json:"input_tokens"`
	Output       tokens `json:"output_tokens"`
	Total        tokens `json:"total_tokens"`
	InputDetails struct {
		Cached  tokens `json:"cached_tokens"`
		Written tokens `json:"cache_write_tokens"`
	} `json:"input_tokens_details"`
	OutputDetails struct {
		Reasoning tokens `json:"reasoning_tokens"`
	} `json:"output_tokens_details"`
}

// tokens is a number of tokens as written; nil where there is none.
type tokens json.RawMessage

// UnmarshalJSON implements [json.Unmarshaler]. What is no word at all is a text, which cannot be counted either.
func (t *tokens) UnmarshalJSON(v []byte) error {
	switch v[0] {
	case 'n':
	case '{', '[':
		*t = tokens(`""`)
	default:
		*t = bytes.Clone(v)
	}
	return nil
}

// members are those of an object that are there.
func members(of map[string]tokens) map[string]any {
	m := make(map[string]any, len(of))
	for name, t := range of {
		if t != nil {
			m[name] = json.RawMessage(t)
		}
	}
	return m
}

type failed struct{ Code, Type, Message, Param string }

func (f *failed) failure() *wire.Failure {
	return &wire.Failure{Code: f.Code, Type: f.Type, Message: f.Message, Param: f.Param}
}

type outputItem struct {
	Type, Name, Namespace, Arguments, Input string
	CallID                                  string `json:"call_id"`
	Action                                  *struct{ Type string }
	Content                                 []struct {
		Text, Refusal string
		Annotations   []json.RawMessage
	}
	Summary []struct{ Text string }
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

// brought is the failure of a response with what had been generated before, which is paid for
// (https://github.com/robocurve/inspect-robots/issues/448).
func (r *resource) brought(f *wire.Failure) wire.Answer {
	a := wire.Answer{Failure: f, Model: r.Model, Content: len(r.Output) > 0}
	if usage := r.usage(); usage != nil {
		if counted, err := json.Marshal(usage); err == nil {
			a.Usage, _ = wire.ReadUsage(counted)
		}
	}
	return a
}

func (r *resource) usage() map[string]any {
	if r.Usage == nil {
		return nil
	}
	u := r.Usage
	m := members(map[string]tokens{"prompt_tokens": u.Input, "completion_tokens": u.Output, "total_tokens": u.Total})
	m["prompt_tokens_details"] = members(map[string]tokens{"cached_tokens": u.InputDetails.Cached, "cache_write_tokens": u.InputDetails.Written})
	m["completion_tokens_details"] = members(map[string]tokens{"reasoning_tokens": u.OutputDetails.Reasoning})
	return m
}

// searches are how often OpenAI's own tool has searched: each is an item, as are the pages that it has opened
// (platform.openai.com/docs/guides/tools-web-search).
func (r *resource) searches() (n int64) {
	for _, item := range r.Output {
		if item.Type == "web_search_call" && (item.Action == nil || item.Action.Type == "" || item.Action.Type == "search") {
			n++
		}
	}
	return n
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

// words are what items say.
type words struct {
	text, reasoning, refused strings.Builder
	cited                    []any
}

// add adds what an item says.
func (w *words) add(i *outputItem) {
	for _, part := range i.Content {
		if i.Type == "reasoning" {
			w.reasoning.WriteString(part.Text)
			continue
		}
		w.text.WriteString(part.Text)
		w.cited = append(w.cited, annotations(part.Annotations...)...)
		w.refused.WriteString(part.Refusal)
	}
	for _, part := range i.Summary {
		w.reasoning.WriteString(part.Text)
	}
}

// members gives those of a message, or of a delta, that have something.
func (w *words) members() map[string]any {
	members := make(map[string]any)
	for name, said := range map[string]*strings.Builder{"content": &w.text, "reasoning_content": &w.reasoning, "refusal": &w.refused} {
		if said.Len() > 0 {
			members[name] = said.String()
		}
	}
	if w.cited != nil {
		members["annotations"] = w.cited
	}
	return members
}

// annotations gives those that cite a URL as chat completions have them, in a member of their own; nil for none. They stand where they
// stood in their text, which is nearly always the only one.
func annotations(all ...json.RawMessage) (cited []any) {
	for _, one := range all {
		var c struct {
			Type, URL, Title string
			Start            int64 `json:"start_index"`
			End              int64 `json:"end_index"`
		}
		if json.Unmarshal(one, &c) == nil && c.Type == "url_citation" && c.URL != "" {
			cited = append(cited, map[string]any{"type": c.Type, c.Type: map[string]any{"url": c.URL, "title": c.Title, "start_index": c.Start, "end_index": c.End}})
		}
	}
	return cited
}

// DecodeAnswer implements [wire.Format].
func (Format) DecodeAnswer(body []byte, _ wire.Ask) ([]byte, wire.Answer, error) {
	var r resource
	if err := read(body, &r); err != nil {
		return nil, wire.Answer{}, err
	}
	if f := r.failed(); f != nil {
		return nil, r.brought(f), nil
	}
	if r.Status == "" && r.Output == nil { // some other body, which may report a failure in another form
		a, err := wire.ParseBody(body, wire.Limits{})
		return body, a, err
	}
	var w words
	var calls []any
	for i := range r.Output {
		item := &r.Output[i]
		if call, ok := item.call(len(calls)); ok {
			calls = append(calls, call)
			continue
		}
		w.add(item)
	}
	message := w.members()
	message["role"], message["content"] = "assistant", w.text.String()
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
	a.Usage.Tier, a.Usage.Searches = r.ServiceTier, r.searches()
	return canonical, a, err
}

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
	if read(response, &r) != nil || r.ID == "" {
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
var (
	_ wire.Format      = Format{}
	_ wire.ModelFitter = Format{}
)
