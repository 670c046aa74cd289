package responses

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

const testID = "0123456789abcdef0123456789abcdef0123456789abcdef"

// asked has tools of every kind.
const asked = `{"model":"m","input":"q","store":true,"tools":[{"type":"function","name":"f","parameters":{"type":"object"}},{"type":"custom","name":"patch"},{"type":"namespace","name":"crm","description":"d","tools":[{"type":"function","name":"find","parameters":{}}]}]}`

func newWriter(t testing.TB, body string) *ClientWriter {
	t.Helper()
	r, err := ParseClientRequest([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return &ClientWriter{Request: r, ID: testID, Now: func() time.Time { return time.Unix(1700000000, 0) }}
}

// streamOf makes a stream of deltas, a finish reason and a usage.
func streamOf(finish string, deltas ...string) []string {
	var events []string
	for _, d := range deltas {
		events = append(events, `data: {"id":"chatcmpl-1","model":"big","choices":[{"index":0,"delta":{`+d+`},"finish_reason":null}]}`+"\n\n")
	}
	return append(events, `data: {"id":"chatcmpl-1","model":"big","choices":[{"index":0,"delta":{},"finish_reason":"`+finish+`"}]}`+"\n\n",
		`data: {"id":"chatcmpl-1","model":"big","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12,"prompt_tokens_details":{"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":2}}}`+"\n\n", "data: [DONE]\n\n")
}

// Streams of chat completions, and the events and items that they become.
func TestClientEvents(t *testing.T) {
	const text, reasoned, refused = `output_item.added content_part.added output_text.delta output_text.delta output_text.done content_part.done output_item.done`,
		`output_item.added reasoning_summary_part.added reasoning_summary_text.delta reasoning_summary_text.done reasoning_summary_part.done output_item.done`,
		`output_item.added content_part.added refusal.delta refusal.done content_part.done output_item.done`
	const call = `output_item.added function_call_arguments.delta function_call_arguments.done output_item.done`
	id := func(prefix string, n int) string { return fmt.Sprintf(`"%s_%sg%02x"`, prefix, testID, n) }
	said := func(n int, status, text string) string {
		return `{"type":"message","id":` + id("msg", n) + `,"status":"` + status + `","role":"assistant","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"` + text + `"}]}`
	}
	for name, c := range map[string]struct {
		finish string
		deltas []string
		kinds  string
		output string
		status string
		reason string
	}{
		"text":           {"stop", []string{`"role":"assistant","content":""`, `"content":"Hel\n"`, `"content":"lo"`}, text, said(0, "completed", `Hel\nlo`), "completed", ""},
		"cut":            {"length", []string{`"content":"a"`, `"content":"b"`}, text, said(0, "incomplete", "ab"), "incomplete", "max_output_tokens"},
		"filtered":       {"content_filter", []string{`"content":"a"`, `"content":"b"`}, text, said(0, "incomplete", "ab"), "incomplete", "content_filter"},
		"half an emoji":  {"stop", []string{`"content":"\ud83d"`, `"content":"\ude00"`}, text, said(0, "completed", `😀`), "completed", ""},
		"nothing":        {"stop", nil, `output_item.added content_part.added output_text.done content_part.done output_item.done`, said(0, "completed", ""), "completed", ""},
		"reasoning":      {"stop", []string{`"reasoning_content":"hm"`, `"content":"a"`, `"content":"b"`}, reasoned + " " + text, `{"type":"reasoning","id":` + id("rs", 0) + `,"status":"completed","summary":[{"type":"summary_text","text":"hm"}]},` + said(1, "completed", "ab"), "completed", ""},
		"only reasoning": {"length", []string{`"reasoning_content":"hm"`}, reasoned, `{"type":"reasoning","id":` + id("rs", 0) + `,"status":"incomplete","summary":[{"type":"summary_text","text":"hm"}]}`, "incomplete", "max_output_tokens"},
		"refusal":        {"stop", []string{`"refusal":"no"`}, refused, `{"type":"message","id":` + id("msg", 0) + `,"status":"completed","role":"assistant","content":[{"type":"refusal","refusal":"no"}]}`, "completed", ""},
		"text, refusal": {"stop", []string{`"content":"a"`, `"refusal":"no"`}, `output_item.added content_part.added output_text.delta output_text.done content_part.done content_part.added refusal.delta refusal.done content_part.done output_item.done`,
			`{"type":"message","id":` + id("msg", 0) + `,"status":"completed","role":"assistant","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"a"},{"type":"refusal","refusal":"no"}]}`, "completed", ""},
		"a call": {"tool_calls", []string{`"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":""}}]`, `"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]`}, call,
			`{"type":"function_call","id":` + id("fc", 0) + `,"status":"completed","call_id":"c1","name":"f","arguments":"{}"}`, "completed", ""},
		"two calls after a text": {"tool_calls", []string{`"content":"a"`, `"content":"b"`, `"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":"{\"a\":1}"}},{"index":1,"id":"c2","function":{"name":"crm__find"}}]`}, text + " " + call + " " + call,
			said(0, "completed", "ab") + `,{"type":"function_call","id":` + id("fc", 1) + `,"status":"completed","call_id":"c1","name":"f","arguments":"{\"a\":1}"},{"type":"function_call","id":` + id("fc", 2) + `,"status":"completed","call_id":"c2","name":"find","namespace":"crm","arguments":"{}"}`, "completed", ""},
		"calls mingled": {"tool_calls", []string{`"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":""}},{"index":1,"id":"c2","function":{"name":"patch","arguments":"{"}}]`, `"tool_calls":[{"index":0,"function":{"arguments":"{"}}]`, `"tool_calls":[{"index":1,"function":{"arguments":"\"input\":\"x\"}"}}]`, `"tool_calls":[{"index":0,"function":{"arguments":"}"}}]`},
			`output_item.added function_call_arguments.delta function_call_arguments.delta function_call_arguments.done output_item.done output_item.added custom_tool_call_input.delta custom_tool_call_input.done output_item.done`,
			`{"type":"function_call","id":` + id("fc", 0) + `,"status":"completed","call_id":"c1","name":"f","arguments":"{}"},{"type":"custom_tool_call","id":` + id("ctc", 1) + `,"status":"completed","call_id":"c2","name":"patch","input":"x"}`, "completed", ""},
		"arguments before a name": {"tool_calls", []string{`"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]`, `"tool_calls":[{"index":0,"id":"c1","function":{"name":"g","arguments":":1}"}}]`}, `output_item.added function_call_arguments.delta function_call_arguments.done output_item.done`,
			`{"type":"function_call","id":` + id("fc", 0) + `,"status":"completed","call_id":"c1","name":"g","arguments":"{\"a\":1}"}`, "completed", ""},
		"a custom tool": {"tool_calls", []string{`"tool_calls":[{"index":0,"id":"c1","function":{"name":"patch","arguments":"{\"input\":"}}]`, `"tool_calls":[{"index":0,"function":{"arguments":"\"a\\n\\\"b\"}"}}]`}, `output_item.added custom_tool_call_input.delta custom_tool_call_input.done output_item.done`,
			`{"type":"custom_tool_call","id":` + id("ctc", 0) + `,"status":"completed","call_id":"c1","name":"patch","input":"a\n\"b"}`, "completed", ""},
		"a custom tool, without input": {"tool_calls", []string{`"tool_calls":[{"index":0,"id":"c1","function":{"name":"patch","arguments":""}}]`, `"tool_calls":[{"index":0,"function":{"arguments":"{ }"}}]`}, `output_item.added custom_tool_call_input.done output_item.done`,
			`{"type":"custom_tool_call","id":` + id("ctc", 0) + `,"status":"completed","call_id":"c1","name":"patch","input":""}`, "completed", ""},
		"a custom tool, not in form": {"tool_calls", []string{`"tool_calls":[{"index":0,"id":"c1","function":{"name":"patch","arguments":"*** x"}}]`}, `output_item.added custom_tool_call_input.delta custom_tool_call_input.done output_item.done`,
			`{"type":"custom_tool_call","id":` + id("ctc", 0) + `,"status":"completed","call_id":"c1","name":"patch","input":"*** x"}`, "completed", ""},
	} {
		t.Run(name, func(t *testing.T) {
			events := streamOf(c.finish, c.deltas...)
			w := newWriter(t, asked)
			stream := ""
			for _, e := range events {
				out, err := w.Events(nil, []byte(e))
				if err != nil {
					t.Fatal(err)
				}
				stream += string(out)
			}
			kinds, last, err := judge(stream)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Fields("created in_progress " + c.kinds + " " + c.status)
			for i, kind := range want {
				want[i] = "response." + kind
			}
			if !slices.Equal(kinds, want) {
				t.Errorf("events\n got %v\nwant %v", kinds, want)
			}
			checkResponse(t, last, c.output, c.status, c.reason)
			// However many events come at once, they become the same.
			together, err := newWriter(t, asked).Events(nil, []byte(strings.Join(events, "")))
			if err != nil || string(together) != stream {
				t.Errorf("together they become %s (%v)", together, err)
			}
			// And so does the whole answer.
			whole, err := wholeOf(events)
			if err != nil {
				t.Fatal(err)
			}
			body, err := newWriter(t, asked).Whole(nil, whole)
			var response map[string]any
			if err != nil || json.Unmarshal(body, &response) != nil {
				t.Fatalf("%s: %v", body, err)
			}
			checkResponse(t, response, c.output, c.status, c.reason)
		})
	}
}

// What is cited behind the last text, when that has ended, is of an item of its own.
func TestCitedBehindACall(t *testing.T) {
	out, err := newWriter(t, asked).Events(nil, []byte(strings.Join(streamOf("tool_calls", `"content":"a"`,
		`"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":"{\"a\":1}"}}]`,
		`"annotations":[{"type":"url_citation","url_citation":{"url":"https://a","title":"A","start_index":0,"end_index":2}}]`), "")))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err = judge(string(out)); err != nil {
		t.Fatal(err)
	}
	const want = `"content":[{"type":"output_text","annotations":[{"type":"url_citation","start_index":0,"end_index":2,"url":"https://a","title":"A"}],"logprobs":[],"text":""}]`
	if strings.Count(string(out), want) != 2 { // in its item, and in the response
		t.Error(string(out))
	}
}

// Providers that repeat a call's name and id, and those that give each of several calls the same index.
func TestCallsOfOneIndex(t *testing.T) {
	id := func(n int) string { return fmt.Sprintf(`"fc_%sg%02x"`, testID, n) }
	for name, c := range map[string]struct {
		deltas []string
		output string
	}{
		"two calls": {[]string{`"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":"{\"a\":1}"}}]`, `"tool_calls":[{"index":0,"id":"c2","function":{"name":"crm__find","arguments":"{"}}]`, `"tool_calls":[{"index":0,"function":{"arguments":"}"}}]`},
			`{"type":"function_call","id":` + id(0) + `,"status":"completed","call_id":"c1","name":"f","arguments":"{\"a\":1}"},{"type":"function_call","id":` + id(1) + `,"status":"completed","call_id":"c2","name":"find","namespace":"crm","arguments":"{}"}`},
		"one, repeated": {[]string{`"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":"{\"a\""}}]`, `"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":":1}"}}]`},
			`{"type":"function_call","id":` + id(0) + `,"status":"completed","call_id":"c1","name":"f","arguments":"{\"a\":1}"}`},
		"without ids": {[]string{`"tool_calls":[{"function":{"name":"f","arguments":"{\"a\":1}"}}]`, `"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]`},
			`{"type":"function_call","id":` + id(0) + `,"status":"completed","call_id":"call_0","name":"f","arguments":"{\"a\":1}"},{"type":"function_call","id":` + id(1) + `,"status":"completed","call_id":"call_1","name":"f","arguments":"{}"}`},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := newWriter(t, asked).Events(nil, []byte(strings.Join(streamOf("tool_calls", c.deltas...), "")))
			if err != nil {
				t.Fatal(err)
			}
			_, last, err := judge(string(out))
			if err != nil {
				t.Fatal(err)
			}
			checkResponse(t, last, c.output, "completed", "")
		})
	}
}

// wholeOf puts the deltas of a stream together, as a provider's whole answer has them.
func wholeOf(events []string) ([]byte, error) {
	message := map[string]any{"role": "assistant"}
	var calls []map[string]any
	answer := map[string]any{"id": "chatcmpl-1", "model": "big"}
	finish := ""
	for _, e := range events {
		var c struct {
			Choices []struct {
				FinishReason string `json:"finish_reason"`
				Delta        struct {
					Content, Refusal string
					Reasoning        string `json:"reasoning_content"`
					Calls            []struct {
						Index    int
						ID       string
						Function struct{ Name, Arguments string }
					} `json:"tool_calls"`
				}
			}
			Usage any
		}
		data := strings.TrimSpace(strings.TrimPrefix(e, "data: "))
		if data == "[DONE]" {
			continue
		}
		// Half an emoji is whole only in the text that they are put together in.
		if err := json.Unmarshal([]byte(strings.NewReplacer(`\ud83d`, "😀", `\ude00`, "").Replace(data)), &c); err != nil {
			return nil, err
		}
		if c.Usage != nil {
			answer["usage"] = c.Usage
		}
		for _, choice := range c.Choices {
			for name, text := range map[string]string{"content": choice.Delta.Content, "refusal": choice.Delta.Refusal, "reasoning_content": choice.Delta.Reasoning} {
				if text != "" {
					message[name] = fmt.Sprint(orEmpty(message[name]), text)
				}
			}
			for _, call := range choice.Delta.Calls {
				if call.Index == len(calls) {
					calls = append(calls, map[string]any{"type": "function", "function": map[string]any{"name": "", "arguments": ""}})
				}
				f := calls[call.Index]["function"].(map[string]any)
				f["name"], f["arguments"] = f["name"].(string)+call.Function.Name, f["arguments"].(string)+call.Function.Arguments
				if call.ID != "" {
					calls[call.Index]["id"] = call.ID
				}
			}
			if choice.FinishReason != "" {
				finish = choice.FinishReason
			}
		}
	}
	if calls != nil {
		message["tool_calls"] = calls
	}
	answer["choices"] = []any{map[string]any{"index": 0, "message": message, "finish_reason": finish}}
	return json.Marshal(answer)
}

func orEmpty(v any) any {
	if v == nil {
		return ""
	}
	return v
}

func checkResponse(t *testing.T, response map[string]any, output, status, reason string) {
	t.Helper()
	for _, name := range required {
		if _, ok := response[name]; !ok {
			t.Errorf("a response without %s", name)
		}
	}
	got, _ := json.Marshal(response["output"])
	if !same(t, string(got), "["+output+"]") {
		t.Errorf("output\n got %s\nwant [%s]", got, output)
	}
	details, _ := response["incomplete_details"].(map[string]any)
	if response["status"] != status || reason != "" && details["reason"] != reason || reason == "" && details != nil || response["model"] != "big" {
		t.Errorf("status %v, reason %v, model %v", response["status"], details, response["model"])
	}
	usage, _ := json.Marshal(response["usage"])
	if !same(t, string(usage), `{"input_tokens":7,"input_tokens_details":{"cached_tokens":3},"output_tokens":5,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":12}`) {
		t.Errorf("usage %s", usage)
	}
	if (status == "completed") != (response["completed_at"] != nil) || response["created_at"] != 1700000000. {
		t.Errorf("created at %v, completed at %v", response["created_at"], response["completed_at"])
	}
}

// A stream that breaks ends in an error and a response that has failed, wherever it breaks.
func TestBrokenStreams(t *testing.T) {
	events := streamOf("tool_calls", `"reasoning_content":"hm"`, `"content":"a"`, `"content":"b"`, `"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":"{}"}}]`)
	for n := range events {
		w := newWriter(t, asked)
		out, err := w.Events(nil, []byte(strings.Join(events[:n], "")))
		if err != nil {
			t.Fatal(err)
		}
		out = w.Broken(out, wire.Error{Status: 429, Type: wire.TypeRateLimit, Message: "slow down", Code: "x"})
		kinds, last, err := judge(string(out))
		if err != nil || kinds[len(kinds)-2] != "error" || last["error"].(map[string]any)["code"] != "rate_limit_exceeded" || last["store"] != false {
			t.Errorf("after %d events: %v, %v, %s", n, err, last, out)
		}
		if more := w.Broken(nil, wire.Error{}); len(more) > 0 {
			t.Errorf("it ends twice: %s", more)
		}
	}
}

// The words for errors in a response are few, and Codex asks again by them, or does not.
func TestErrorCodes(t *testing.T) {
	for name, c := range map[string]struct {
		e    wire.Error
		want string
	}{
		"throttled":              {wire.Error{Status: 429, Code: "429"}, "rate_limit_exceeded"},
		"a type alone":           {wire.Error{Type: wire.TypeRateLimit}, "rate_limit_exceeded"},
		"filtered":               {wire.Error{Status: 403, Code: "content_filter"}, "invalid_prompt"},
		"a bad request":          {wire.Error{Status: 400, Code: "invalid_value"}, "invalid_prompt"},
		"too long":               {wire.Error{Status: 400, Code: wire.CodeContextLength}, wire.CodeContextLength},
		"no money":               {wire.Error{Status: 502, Code: "insufficient_quota"}, "insufficient_quota"},
		"a provider's timeout":   {wire.Error{Status: 408}, "server_error"},
		"in each other's way":    {wire.Error{Status: 409}, "server_error"},
		"too early":              {wire.Error{Status: 425}, "server_error"},
		"overloaded":             {wire.Error{Status: 529, Code: "overloaded_error"}, "server_error"},
		"the gateway's own":      {wire.Error{Status: 502, Code: "upstream_truncated_response"}, "server_error"},
		"without anything known": {wire.Error{}, "server_error"},
	} {
		if got := errorCode(c.e); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// What a response repeats of its request.
func TestEcho(t *testing.T) {
	w := newWriter(t, `{"model":"m","input":"q","instructions":"s","tools":[{"type":"function","name":"f"},{"type":"web_search"}],"tool_choice":"none","metadata":{"a":"b"},"text":{"verbosity":"low"},"reasoning":{"effort":"low"},"temperature":0.5,"max_output_tokens":9,"parallel_tool_calls":false,"truncation":"auto","previous_response_id":"resp_1"}`)
	body, err := w.Whole(nil, []byte(`{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}`))
	var got map[string]json.RawMessage
	if err != nil || json.Unmarshal(body, &got) != nil {
		t.Fatalf("%s: %v", body, err)
	}
	for name, want := range map[string]string{
		"instructions": `"s"`, "tools": `[{"type":"function","name":"f","description":null,"parameters":null,"strict":false},{"type":"web_search"}]`, "tool_choice": `"none"`,
		"metadata": `{"a":"b"}`, "text": `{"verbosity":"low","format":{"type":"text"}}`, "reasoning": `{"effort":"low","summary":null}`, "temperature": "0.5",
		"max_output_tokens": "9", "parallel_tool_calls": "false", "truncation": `"disabled"`, "model": `"m"`, "usage": `{"input_tokens":0,"input_tokens_details":{"cached_tokens":0},"output_tokens":0,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":0}`, "store": "false", "previous_response_id": `"resp_1"`,
	} {
		if !same(t, string(got[name]), want) {
			t.Errorf("%s is %s, want %s", name, got[name], want)
		}
	}
}

// What is kept is kept before the client sees the end of the answer, and what could not be kept says so.
func TestKeep(t *testing.T) {
	for _, kept := range []bool{true, false} {
		w := newWriter(t, asked)
		w.Stored = true
		var response string
		w.Keep = func(r, output []byte) bool {
			response = string(r)
			return kept && strings.Contains(string(output), `"text":"a"`)
		}
		body, err := w.Whole(nil, []byte(`{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}`))
		if err != nil || !strings.Contains(response, `"store":true`) || strings.Contains(string(body), `"store":true`) != kept {
			t.Errorf("kept %v: %s, of %s (%v)", kept, body, response, err)
		}
	}
}

func TestNoAnswer(t *testing.T) {
	for _, body := range []string{`{}`, `{"choices":[]}`, `[]`} {
		if got, err := newWriter(t, asked).Whole(nil, []byte(body)); !errors.Is(err, ErrNoAnswer) {
			t.Errorf("%s becomes %s (%v)", body, got, err)
		}
	}
}
