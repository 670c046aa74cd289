package responses

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// TestDecoderReadsAllThatIsSaid has streams of providers that send an item in pieces, whole at its end, or only with the response
// (https://github.com/PwnKit-Labs/pwnkit/pull/331, https://github.com/NousResearch/hermes-agent/pull/93433): what reads answers has each
// word once, and the calls.
func TestDecoderReadsAllThatIsSaid(t *testing.T) {
	const (
		created = `{"type":"response.created","response":{"id":"resp_1","model":"m-1","status":"in_progress","output":[]}}`
		thought = `{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}]}`
		message = `{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"yes"},{"type":"refusal","refusal":"no"}]}`
		call    = `{"type":"function_call","id":"fc_1","call_id":"call_1","name":"f","arguments":"{\"a\":1}","status":"completed"}`
		patch   = `{"type":"custom_tool_call","id":"ctc_1","call_id":"call_2","name":"patch","input":"*** End"}`
	)
	added := func(place, item string) string {
		return `{"type":"response.output_item.added","output_index":` + place + `,"item":` + item + `}`
	}
	done := func(place, item string) string {
		return `{"type":"response.output_item.done","output_index":` + place + `,"item":` + item + `}`
	}
	piece := func(kind, place, words string) string {
		return `{"type":"response.` + kind + `.delta","output_index":` + place + `,"delta":"` + words + `"}`
	}
	completed := func(output string) string {
		return `{"type":"response.completed","response":{"id":"resp_1","status":"completed","model":"m-1","output":[` + output + `],"usage":{"input_tokens":3,"output_tokens":2,"total_tokens":5}}}`
	}
	begun := func(item string) string { // as an item is before its pieces
		return strings.NewReplacer(`"{\"a\":1}"`, `""`, `"*** End"`, `""`).Replace(item)
	}
	inPieces := []string{
		added("0", `{"type":"reasoning","id":"rs_1","summary":[]}`), piece("reasoning_summary_text", "0", "hm"), done("0", thought),
		added("1", `{"type":"message","id":"msg_1","role":"assistant","content":[]}`), piece("output_text", "1", "y"), piece("output_text", "1", "es"), piece("refusal", "1", "no"), done("1", message),
		added("2", begun(call)), piece("function_call_arguments", "2", `{\"a\"`), piece("function_call_arguments", "2", `:1}`), done("2", call),
		added("3", begun(patch)), piece("custom_tool_call_input", "3", "*** End"), done("3", patch),
	}
	all := strings.Join([]string{thought, message, call, patch}, ",")
	for name, events := range map[string][]string{
		"in pieces":                  append(slices.Clip(inPieces), completed(all)),
		"in pieces, at their end":    append(slices.Clip(inPieces), completed("")),
		"of ChatGPT":                 append(slices.Clip(inPieces), `{"type":"response.completed","response":{"id":"resp_1","usage":{"input_tokens":3,"output_tokens":2,"total_tokens":5}}}`),
		"whole at their end":         {added("0", `{"type":"reasoning"}`), done("0", thought), done("1", message), added("2", begun(call)), done("2", call), done("3", patch), completed("")},
		"whole at their end, twice":  {done("0", thought), done("1", message), done("2", call), done("3", patch), completed(all)},
		"whole at their beginning":   {done("0", thought), done("1", message), added("2", call), done("2", call), added("3", patch), done("3", patch), completed(all)},
		"with the response":          {completed(all)},
		"with the response, unended": {strings.Replace(completed(all), "response.completed", "response.incomplete", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			var got struct {
				text, reasoning, refusal, finish string
				names, ids, arguments            [4]string
			}
			d := Format{}.DecodeStream(wire.Ask{})
			content, ended := false, wire.Chunk{}
			for _, data := range append([]string{created}, events...) {
				out, chunk, err := d.Decode(nil, wire.Event{Data: []byte(data)})
				if err != nil || chunk.Failure != nil {
					t.Fatalf("%s: %v %+v", data, err, chunk.Failure)
				}
				content, ended = content || chunk.Content, chunk
				for event := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n\n") {
					var c struct {
						Choices []struct {
							Delta struct {
								Content, Refusal string
								Reasoning        string `json:"reasoning_content"`
								ToolCalls        []struct {
									Index    int
									ID       string
									Function struct{ Name, Arguments string }
								} `json:"tool_calls"`
							}
							FinishReason string `json:"finish_reason"`
						}
					}
					if json.Unmarshal([]byte(strings.TrimPrefix(event, "data: ")), &c) != nil || len(c.Choices) == 0 {
						continue
					}
					choice := c.Choices[0]
					got.text += choice.Delta.Content
					got.refusal += choice.Delta.Refusal
					got.reasoning += choice.Delta.Reasoning
					got.finish += choice.FinishReason
					for _, call := range choice.Delta.ToolCalls {
						got.ids[call.Index] += call.ID
						got.names[call.Index] += call.Function.Name
						got.arguments[call.Index] += call.Function.Arguments
					}
				}
			}
			want := got
			want.text, want.reasoning, want.refusal, want.finish = "yes", "hm", "no", "tool_calls"
			want.ids, want.names, want.arguments = [4]string{"call_1", "call_2"}, [4]string{"f", "patch"}, [4]string{`{"a":1}`, "*** End"}
			if got != want || !content || !ended.Done || ended.Model != "m-1" || ended.Usage.Total != 5 {
				t.Errorf("%+v, content %v, %+v", got, content, ended)
			}
		})
	}
}

// A failure in another form than the API's own is one, and an event without a type else is malformed.
func TestEventsWithoutAType(t *testing.T) {
	for name, test := range map[string]struct {
		data   string
		failed string
		err    error
	}{
		"a failure":    {`{"error":{"code":"SYSTEM_ERROR","message":"m"}}`, "SYSTEM_ERROR", nil},
		"a plain one":  {`{"code":"SYSTEM_ERROR","message":"m"}`, "SYSTEM_ERROR", nil},
		"no failure":   {`{"id":"x"}`, "", wire.ErrMalformed},
		"another type": {`{"type":"response.in_progress"}`, "", nil},
		"null":         {"null", "", nil},
		"nothing":      {"", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, chunk, err := Format{}.DecodeStream(wire.Ask{}).Decode(nil, wire.Event{Data: []byte(test.data)})
			if !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
				t.Errorf("%v, want %v", err, test.err)
			}
			if f := chunk.Failure; (f != nil) != (test.failed != "") || f != nil && f.Code != test.failed {
				t.Errorf("failure %+v, want %q", f, test.failed)
			}
		})
	}
}

// By its name an event is an error, and be there nothing in it.
func TestErrorsOfNothing(t *testing.T) {
	for _, data := range []string{"null", "", "{}", "busy"} {
		_, chunk, err := Format{}.DecodeStream(wire.Ask{}).Decode(nil, wire.Event{Type: []byte("error"), Data: []byte(data)})
		if err == nil && chunk.Failure == nil {
			t.Errorf("an error of %q says nothing: %+v", data, chunk)
		}
	}
}

// Of a kept item that cannot be read it is known at least whose output belongs to it.
func TestUnreadableItemsKeepTheirCall(t *testing.T) {
	for name, test := range map[string]struct{ item, callID string }{
		"a type that is none": {`{"type":5,"call_id":"call_1","name":"n","arguments":"{}"}`, "call_1"},
		"an id before it":     {`{"id":"fc_1","type":["function_call"],"call_id":"call_2"}`, "call_2"},
		"without a call":      {`{"type":5,"name":"n"}`, ""},
		"no object":           {`"text"`, ""},
	} {
		if it := recalled("input[0]", jsontext.Value(test.item)); !it.lost || it.callID != test.callID {
			t.Errorf("%s: lost %t, of call %q; want %q", name, it.lost, it.callID, test.callID)
		}
	}
}

// The URLs that a text cites are annotations, in whichever way they come.
func TestDecodedAnnotations(t *testing.T) {
	const (
		cited = `{"type":"url_citation","url":"https://a","title":"A","start_index":1,"end_index":3}`
		want  = `"annotations":[{"type":"url_citation","url_citation":{"end_index":3,"start_index":1,"title":"A","url":"https://a"}}]`
		item  = `{"type":"message","content":[{"type":"output_text","text":"yes","annotations":[` + cited + `,{"type":"file_citation","file_id":"f"}]}]}`
		whole = `{"id":"resp_1","status":"completed","model":"m","output":[` + item + `]}`
	)
	for name, events := range map[string][]string{
		"with the text":     {`{"type":"response.output_text.delta","output_index":0,"delta":"yes"}`, `{"type":"response.output_text.annotation.added","output_index":0,"annotation":` + cited + `}`, `{"type":"response.output_item.done","output_index":0,"item":` + item + `}`},
		"with the item":     {`{"type":"response.output_item.done","output_index":0,"item":` + item + `}`},
		"with the response": {`{"type":"response.completed","response":` + whole + `}`},
	} {
		t.Run(name, func(t *testing.T) {
			d := Format{}.DecodeStream(wire.Ask{})
			var got []byte
			for _, event := range events {
				var err error
				if got, _, err = d.Decode(got, wire.Event{Data: []byte(event)}); err != nil {
					t.Fatal(err)
				}
			}
			if strings.Count(string(got), want) != 1 || strings.Count(string(got), "annotations") != 1 {
				t.Error(string(got))
			}
		})
	}
	got, _, err := Format{}.DecodeAnswer([]byte(whole), wire.Ask{})
	if err != nil || !strings.Contains(string(got), want) {
		t.Errorf("%s, %v", got, err)
	}
}
