package responses

import (
	"encoding/json"
	"fmt"
	"strings"
)

// event is one of a stream of the Responses API.
type event struct {
	Type           string
	SequenceNumber *int   `json:"sequence_number"`
	ItemID         string `json:"item_id"`
	OutputIndex    *int   `json:"output_index"`
	ContentIndex   *int   `json:"content_index"`
	SummaryIndex   *int   `json:"summary_index"`
	Annotation     json.RawMessage
	Delta          json.RawMessage // as written: half an emoji is none by itself
	Text           json.RawMessage
	Refusal        json.RawMessage
	Arguments      json.RawMessage
	Input          json.RawMessage
	Logprobs       *[]any
	Part           map[string]any
	Item           map[string]any
	Response       map[string]any
	Code, Message  string
}

// required are the members that a response always has.
var required = []string{
	"id", "object", "created_at", "completed_at", "status", "incomplete_details", "model", "previous_response_id", "instructions", "output",
	"error", "tools", "tool_choice", "truncation", "parallel_tool_calls", "text", "top_p", "presence_penalty", "frequency_penalty",
	"top_logprobs", "temperature", "reasoning", "usage", "max_output_tokens", "max_tool_calls", "store", "background", "service_tier",
	"metadata", "safety_identifier", "prompt_cache_key",
}

// judge holds a stream against the order of its events: what is open, what it is called, and that the whole is what its parts
// were. It gives the types of the events and the last response.
func judge(stream string) (kinds []string, last map[string]any, err error) {
	fail := func(format string, args ...any) ([]string, map[string]any, error) {
		return kinds, last, fmt.Errorf(format, args...)
	}
	var open, part, id string
	var items []any
	pieces, index, failed := "", 0, false
	for n, text := range strings.Split(strings.TrimSuffix(stream, "\n\n"), "\n\n") {
		kind, data, ok := strings.Cut(text, "\ndata: ")
		kind, typed := strings.CutPrefix(kind, "event: ")
		var e event
		if err := json.Unmarshal([]byte(data), &e); err != nil || !ok || !typed || e.Type != kind || strings.Contains(data, "\n") {
			return fail("not an event: %q (%v)", text, err)
		}
		kinds = append(kinds, kind)
		switch {
		case e.SequenceNumber == nil || *e.SequenceNumber != n:
			return fail("sequence number of event %d: %s", n, text)
		case last != nil:
			return fail("an event after the end: %s", text)
		case n == 0 != (kind == "response.created") || n == 1 != (kind == "response.in_progress"):
			return fail("event %d is %s", n, text)
		case failed && kind != "response.failed":
			return fail("after an error: %s", text)
		case e.OutputIndex != nil && *e.OutputIndex != index:
			return fail("output index: %s", text)
		case e.ItemID != "" && e.ItemID != open:
			return fail("item %s is not open: %s", open, text)
		}
		if e.Response != nil {
			for _, name := range required {
				if _, ok := e.Response[name]; !ok {
					return fail("a response without %s: %s", name, text)
				}
			}
			if id == "" {
				id, _ = e.Response["id"].(string)
			}
			if e.Response["id"] != id || !strings.HasPrefix(id, "resp_") {
				return fail("id of the response: %s", text)
			}
		}
		switch kind {
		case "response.created", "response.in_progress":
			if e.Response["status"] != "in_progress" {
				return fail("status: %s", text)
			}
		case "response.output_item.added":
			if open != "" {
				return fail("%s is open: %s", open, text)
			}
			open, _ = e.Item["id"].(string)
			pieces = ""
		case "response.content_part.added", "response.reasoning_summary_part.added":
			if part != "" || e.Part["type"] == nil || e.ContentIndex == nil == (e.SummaryIndex == nil) {
				return fail("part: %s", text)
			}
			part, _ = e.Part["type"].(string)
			pieces = ""
		case "response.output_text.delta", "response.refusal.delta", "response.reasoning_summary_text.delta",
			"response.function_call_arguments.delta", "response.custom_tool_call_input.delta":
			if e.Delta == nil || open == "" || kind == "response.output_text.delta" && e.Logprobs == nil {
				return fail("delta: %s", text)
			}
			pieces += string(elementsOf(e.Delta))
		case "response.output_text.annotation.added":
			if open == "" || part != outputText || !strings.HasPrefix(string(e.Annotation), `{"type":"url_citation",`) {
				return fail("annotation: %s", text)
			}
		case "response.output_text.done", "response.refusal.done", "response.reasoning_summary_text.done",
			"response.function_call_arguments.done", "response.custom_tool_call_input.done":
			whole := ""
			for _, v := range []json.RawMessage{e.Text, e.Refusal, e.Arguments, e.Input} {
				whole += string(elementsOf(v))
			}
			if whole != pieces {
				return fail("%q is not %q: %s", whole, pieces, text)
			}
		case "response.content_part.done", "response.reasoning_summary_part.done":
			if e.Part["type"] != part {
				return fail("part %s: %s", part, text)
			}
			part = ""
		case "response.output_item.done":
			if e.Item["id"] != open || open == "" || part != "" {
				return fail("item %s, part %q: %s", open, part, text)
			}
			items = append(items, e.Item)
			open = ""
			index++
		case "error":
			if e.Message == "" || e.Code == "" {
				return fail("error: %s", text)
			}
			failed = true
		case "response.completed", "response.incomplete", "response.failed":
			last = e.Response
			output, _ := json.Marshal(last["output"])
			want, _ := json.Marshal(items)
			if open != "" && !failed || len(items) > 0 && string(output) != string(want) || "response."+fmt.Sprint(last["status"]) != kind || failed != (kind == "response.failed") {
				return fail("end with %q open: %s\nitems %s", open, text, want)
			}
		default:
			return fail("an event that is not known: %s", text)
		}
	}
	if last == nil {
		return fail("no end")
	}
	return kinds, last, nil
}
