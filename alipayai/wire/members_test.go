package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// textAt is an answer's text at a, and why it ended at end.
func textAt(edit func(*wire.MemberFields)) wire.AnswerFields {
	m := &wire.MemberFields{Content: []string{"a"}, Finish: []wire.FinishField{{Path: "end"}}}
	edit(m)
	return wire.AnswerFields{Members: m}
}

func whole(m *wire.MemberFields) { m.Whole = true }

// joined is what the chunks of a stream say together, in the words of a client.
func joined(t testing.TB, stream string) string {
	t.Helper()
	var content, reasoning, finish string
	var calls []string
	for event := range strings.SplitSeq(strings.TrimSuffix(stream, "\n\n"), "\n\n") {
		data := strings.TrimPrefix(event, "data: ")
		if data == "[DONE]" {
			continue
		}
		var chunk struct {
			Choices []struct {
				Delta struct {
					Content   string
					Reasoning string `json:"reasoning_content"`
					Calls     []struct {
						Index    int
						ID       string
						Function struct{ Name, Arguments string }
					} `json:"tool_calls"`
				}
				Finish *string `json:"finish_reason"`
			}
		}
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			t.Fatalf("%v: %s", err, event)
		}
		for _, c := range chunk.Choices {
			content += c.Delta.Content
			reasoning += c.Delta.Reasoning
			for _, call := range c.Delta.Calls {
				for len(calls) <= call.Index {
					calls = append(calls, "")
				}
				if call.ID != "" {
					calls[call.Index] += call.ID + ":"
				}
				calls[call.Index] += call.Function.Name + call.Function.Arguments
			}
			if c.Finish != nil {
				finish += *c.Finish
			}
		}
	}
	return strings.Trim(strings.Join(append([]string{reasoning, content, strings.Join(calls, " ")}, finish), "|"), "|")
}

// Whatever members a stream of events has, clients get what it says, once.
func TestMembersOfStreams(t *testing.T) {
	calls := func(m *wire.MemberFields) { m.Calls = []string{"calls"} }
	flat := func(m *wire.MemberFields) {
		m.Calls, m.CallID, m.CallName, m.CallArguments = []string{"call"}, "key", "what", "with"
	}
	for name, c := range map[string]struct {
		fields wire.AnswerFields
		events []string
		want   string
	}{
		"what is new":         {textAt(func(*wire.MemberFields) {}), []string{`{"a":"hel"}`, `{"a":"lo","end":"stop"}`}, "hello|stop"},
		"null between":        {textAt(func(*wire.MemberFields) {}), []string{"null", `{"a":"hel"}`, "null", `{"a":"lo","end":"stop"}`, "null"}, "hello|stop"},
		"all there is so far": {textAt(whole), []string{`{"a":"hel"}`, `{"a":"hello"}`, `{"a":"hello","end":"stop"}`}, "hello|stop"},
		"nothing at its end":  {textAt(whole), []string{`{"a":"hel"}`, `{"a":"hello"}`, `{"a":"","end":"stop"}`}, "hello|stop"},
		"half of an emoji":    {textAt(func(*wire.MemberFields) {}), []string{`{"a":"\ud83d"}`, `{"a":"\ude00","end":"stop"}`}, "\ufffd\ufffd|stop"},
		"deeper, in an array": {textAt(func(m *wire.MemberFields) { m.Content = []string{"o.0.t"} }), []string{`{"o":[{"t":"hel"},{"t":"x"}]}`, `{"o":[{"t":"lo"}],"end":"stop"}`}, "hello|stop"},
		"in a string":         {textAt(func(m *wire.MemberFields) { m.Content = []string{"o.t"} }), []string{`{"o":"{\"t\":\"hello\"}"}`, `{"end":"stop"}`}, "hello|stop"},
		"parts":               {textAt(func(*wire.MemberFields) {}), []string{`{"a":[{"text":"hel"},"lo",{"image":"x"}]}`, `{"end":"stop"}`}, "hello|stop"},
		"the first that has":  {textAt(func(m *wire.MemberFields) { m.Content = []string{"b", "a"} }), []string{`{"b":"","a":"hel"}`, `{"b":null,"a":"lo","end":"stop"}`}, "hello|stop"},
		"reasoning":           {textAt(func(m *wire.MemberFields) { m.Reasoning = []string{"r"} }), []string{`{"r":"hm"}`, `{"a":"hello"}`, `{"end":"length"}`}, "hm|hello||length"},
		"words of its own": {textAt(func(m *wire.MemberFields) { m.Finish[0].Words = map[string]string{"2": "length", "0": ""} }),
			[]string{`{"a":"hello","end":0}`, `{"end":2}`}, "hello||length"},
		"null, and its text": {textAt(func(*wire.MemberFields) {}), []string{`{"a":"hel","end":null}`, `{"a":"lo","end":"null"}`, `{"end":"stop"}`}, "hello|stop"},
		"true and false": {textAt(func(m *wire.MemberFields) {
			m.Finish = append([]wire.FinishField{{Path: "cut", Words: map[string]string{"true": "length"}}}, m.Finish...)
		}), []string{`{"a":"hello","cut":false,"end":"stop"}`, `{"cut":true,"end":"stop"}`}, "hello||length"},
		"a call":                  {textAt(calls), []string{`{"calls":[{"id":"1","function":{"name":"f","arguments":"{\"x\""}}]}`, `{"calls":[{"function":{"arguments":":1}"}}]}`, `{"end":"stop"}`}, `1:f{"x":1}|tool_calls`},
		"a call, repeated":        {textAt(func(m *wire.MemberFields) { whole(m); calls(m) }), []string{`{"calls":[{"id":"1","function":{"name":"f","arguments":"{\"x\""}}]}`, `{"calls":[{"id":"1","function":{"name":"f","arguments":"{\"x\":1}"}}]}`, `{"end":"tool_calls"}`}, `1:f{"x":1}|tool_calls`},
		"a call's own names":      {textAt(flat), []string{`{"call":{"key":"k","what":"f","with":{"x":1}}}`, `{"end":"stop"}`}, `k:f{"x":1}|tool_calls`},
		"two calls":               {textAt(calls), []string{`{"calls":[{"id":"1","function":{"name":"f","arguments":"{}"}},{"id":"2","function":{"name":"g","arguments":"{}"}}],"end":"stop"}`}, `1:f{} 2:g{}|tool_calls`},
		"calls one by one":        {textAt(calls), []string{`{"calls":[{"id":"1","function":{"name":"f","arguments":"{\"x\""}}]}`, `{"calls":[{"function":{"arguments":":1}"}}]}`, `{"calls":[{"id":"2","function":{"name":"g","arguments":"{"}}]}`, `{"calls":[{"function":{"arguments":"}"}}]}`, `{"end":"stop"}`}, `1:f{"x":1} 2:g{}|tool_calls`},
		"calls by their ids":      {textAt(calls), []string{`{"calls":[{"id":"1","function":{"name":"f"}}]}`, `{"calls":[{"id":"2","function":{"name":"g","arguments":"{}"}}]}`, `{"calls":[{"id":"1","function":{"arguments":"{}"}}]}`, `{"end":"stop"}`}, `1:f1:{} 2:g{}|tool_calls`},
		"calls one by one, whole": {textAt(func(m *wire.MemberFields) { whole(m); calls(m) }), []string{`{"calls":[{"id":"1","function":{"name":"f","arguments":"{}"}}]}`, `{"calls":[{"id":"1","function":{"name":"f","arguments":"{}"}},{"id":"2","function":{"name":"g","arguments":"{}"}}]}`, `{"end":"stop"}`}, `1:f{} 2:g{}|tool_calls`},
		"calls without ids":       {textAt(calls), []string{`{"calls":[{"function":{"name":"f","arguments":{"x":1}}}]}`, `{"calls":[{"function":{"name":"f","arguments":"{\"x\":\"}\"}"}}]}`, `{"calls":[{"function":{"name":"g","arguments":"{"}}]}`, `{"calls":[{"function":{"arguments":"}"}}]}`, `{"end":"stop"}`}, `call__0:f{"x":1} call__1:f{"x":"}"} call__2:g{}|tool_calls`},
		"calls without ids, cut":  {textAt(calls), []string{`{"calls":[{"function":{"name":"f","arguments":"{"}}]}`, `{"calls":[{"function":{"name":"g","arguments":"{}"}}]}`, `{"end":"stop"}`}, `call__0:f{ call__1:g{}|tool_calls`},
		"calls in pairs":          {textAt(calls), []string{`{"calls":[{"function":{"name":"f","arguments":"{"}},{"function":{"name":"g","arguments":"{"}}]}`, `{"calls":[{"function":{"arguments":"}"}},{"function":{"arguments":"}"}}]}`, `{"calls":[{"function":{"name":"f","arguments":"{\"y\""}},{"function":{"name":"g","arguments":"{"}}]}`, `{"calls":[{"function":{"arguments":":1}"}},{"function":{"arguments":"}"}}]}`, `{"end":"stop"}`}, `call__0:f{} call__1:g{} call__2:f{"y":1} call__3:g{}|tool_calls`},
		"a name in two parts":     {textAt(calls), []string{`{"calls":[{"id":"1","function":{"name":"get_"}}]}`, `{"calls":[{"function":{"name":"it","arguments":"{}"}}]}`, `{"end":"stop"}`}, `1:get_call__0:it{}|tool_calls`},
		"a name without an id":    {textAt(calls), []string{`{"calls":[{"function":{"name":"f","arguments":"{}"}}],"end":"stop"}`}, `call__0:f{}|tool_calls`},
		"no word for the end":     {textAt(func(m *wire.MemberFields) { m.Finish = nil }), []string{`{"a":"hello"}`, `[DONE]`}, "hello||stop"},
	} {
		t.Run(name, func(t *testing.T) {
			got, last, err := readForm(t, c.fields, strings.NewReader("data: "+strings.Join(c.events, "\n\ndata: ")+"\n\n"))
			if said := strings.ReplaceAll(joined(t, got), "||", "|"); err != nil || said != strings.ReplaceAll(c.want, "||", "|") || !last.Done || !strings.HasSuffix(got, "data: [DONE]\n\n") {
				t.Errorf("%v, done %t: says %q, want %q:\n%s", err, last.Done, said, c.want, got)
			}
		})
	}
}

// The halves of a surrogate pair pass as they came: they join at the client.
func TestMembersKeepHalves(t *testing.T) {
	got, _, err := readForm(t, textAt(whole), strings.NewReader("data: {\"a\":\"x\\ud83d\"}\n\ndata: {\"a\":\"x\\ud83d\\ude00\",\"end\":\"stop\"}\n\n"))
	if err != nil || !strings.Contains(got, `"content":"x\ud83d"`) || !strings.Contains(got, `"content":"\ude00"`) {
		t.Errorf("%v: %s", err, got)
	}
}

// A stream that does not come to its end, or takes back what it has said, is no whole answer.
func TestMembersOfBrokenStreams(t *testing.T) {
	lines := func(f wire.AnswerFields) wire.AnswerFields {
		f.Stream = &wire.StreamFields{Values: true, Last: "last", LastValues: []string{"true"}}
		return f
	}
	for name, c := range map[string]struct {
		fields  wire.AnswerFields
		stream  string
		want    error
		failure string
	}{
		"without its end":           {textAt(func(*wire.MemberFields) {}), "data: {\"a\":\"hel\"}\n\n", io.ErrUnexpectedEOF, ""},
		"without its own end":       {lines(textAt(func(*wire.MemberFields) {})), `{"a":"hel","end":"stop"}{"a":"lo","end":"stop"}`, io.ErrUnexpectedEOF, ""},
		"another text":              {textAt(whole), "data: {\"a\":\"hello\"}\n\ndata: {\"a\":\"hullo\"}\n\n", wire.ErrMalformed, ""},
		"a shorter text":            {textAt(whole), "data: {\"a\":\"hello\"}\n\ndata: {\"a\":\"hell\"}\n\n", wire.ErrMalformed, ""},
		"two texts at a place":      {textAt(func(*wire.MemberFields) {}), "data: {\"a\":\"1\",\"a\":\"2\"}\n\n", wire.ErrMalformed, ""},
		"a failure that is known":   {textAt(func(*wire.MemberFields) {}), "data: {\"a\":\"hel\"}\n\ndata: {\"error\":{\"code\":\"SYSTEM_ERROR\"}}\n\n", nil, "SYSTEM_ERROR"},
		"an event that is named so": {textAt(func(*wire.MemberFields) {}), "event: error\ndata: {\"code\":\"X1\",\"message\":\"no\"}\n\n", nil, "X1"},
	} {
		t.Run(name, func(t *testing.T) {
			got, last, err := readForm(t, c.fields, strings.NewReader(c.stream))
			code := ""
			if last.Failure != nil {
				code = last.Failure.Code
			}
			if !errors.Is(err, c.want) || code != c.failure || strings.Contains(got, "[DONE]") {
				t.Errorf("%v, failure %q: %s", err, code, got)
			}
		})
	}
}

// An upstream that does not stream is a stream to the client all the same: its one JSON value is a whole answer.
func TestWholeAnswersAmongValues(t *testing.T) {
	const completion = `{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}`
	values := wire.StreamFields{Values: true}
	last := wire.StreamFields{Values: true, Last: "done", LastValues: []string{"true"}}
	for name, c := range map[string]struct {
		fields wire.AnswerFields
		stream string
		want   string
	}{
		"OpenAI's":               {wire.AnswerFields{Stream: &values}, completion, "hello|stop"},
		"with an end of its own": {wire.AnswerFields{Stream: &last}, completion + "\n", "hello|stop"},
		"inside":                 {wire.AnswerFields{Inside: "d", Stream: &last}, `{"d":` + completion + `}`, "hello|stop"},
		"cut for its length":     {wire.AnswerFields{Stream: &values}, strings.Replace(completion, `"stop"`, `"length"`, 1), "hello|length"},
		"with a call":            {wire.AnswerFields{Stream: &values}, strings.Replace(completion, `"content":"hello"`, `"content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]`, 1), "1:f{}|stop"},
		"of other members":       {wire.AnswerFields{Stream: &last, Members: &wire.MemberFields{Content: []string{"a"}, Finish: []wire.FinishField{{Path: "end"}}}}, `{"a":"hello","end":"stop"}`, "hello|stop"},
		"on several lines":       {wire.AnswerFields{Stream: &values}, strings.ReplaceAll(completion, ",", ",\n"), "hello|stop"},
		"two choices":            {wire.AnswerFields{Stream: &values}, strings.Replace(completion, `}],"usage"`, `},{"index":1,"message":{"content":"!"},"finish_reason":"stop"}],"usage"`, 1), "hello!|stopstop"},
	} {
		t.Run(name, func(t *testing.T) {
			got, last, err := readForm(t, c.fields, strings.NewReader(c.stream))
			if said := strings.ReplaceAll(joined(t, got), "||", "|"); err != nil || said != c.want || !last.Done || strings.Contains(got, `"message"`) {
				t.Errorf("%v, done %t: says %q: %s", err, last.Done, said, got)
			}
		})
	}
}

// What the option cannot mean is refused by its name.
// What comes behind a reason to end resumes the answer, be there a reason with it or not.
func TestMembersThatResume(t *testing.T) {
	form, err := wire.NewAnswerForm(textAt(func(*wire.MemberFields) {}))
	if err != nil {
		t.Fatal(err)
	}
	decoder := form.Decoder(nil, wire.Ask{})
	for i, event := range []struct {
		data    string
		resumes bool
	}{
		{`{"a":"b"}`, false}, {`{"a":"c","end":"stop"}`, false}, {`{"a":"d","end":"stop"}`, true}, {`{"a":"","end":"stop"}`, false}, {`{"a":"e"}`, true},
	} {
		_, chunk, err := decoder.Decode(nil, wire.Event{Data: []byte(event.data)})
		if err != nil || chunk.Resumes != event.resumes {
			t.Errorf("event %d: %t, %v", i, chunk.Resumes, err)
		}
	}
}

func TestMembersRefused(t *testing.T) {
	for name, c := range map[string]struct {
		fields wire.MemberFields
		want   string
	}{
		"no content":           {wire.MemberFields{}, "content has no path"},
		"an empty name":        {wire.MemberFields{Content: []string{"a..b"}}, `content "a..b" has an empty name`},
		"a path of reasoning":  {wire.MemberFields{Content: []string{"a"}, Reasoning: []string{"."}}, "reasoning"},
		"a path of the finish": {wire.MemberFields{Content: []string{"a"}, Finish: []wire.FinishField{{}}}, "finish"},
		"half of the usage":    {wire.MemberFields{Content: []string{"a"}, Usage: []wire.UsageField{{Prompt: "p"}}}, "usage"},
		"calls nowhere":        {wire.MemberFields{Content: []string{"a"}, CallName: "n"}, "tool_calls has paths within a call"},
		"a call's path":        {wire.MemberFields{Content: []string{"a"}, Calls: []string{"c"}, CallName: "n."}, "tool_calls"},
		"a path that is deep":  {wire.MemberFields{Content: []string{"a.b.c.d.e.f.g.h.i"}}, "more than 8 names"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := wire.NewAnswerForm(wire.AnswerFields{Members: &c.fields})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// However many tool calls an upstream begins, what is kept of them is bounded.
func TestMembersOfEndlessCalls(t *testing.T) {
	var stream strings.Builder
	for i := range 1 << 12 {
		fmt.Fprintf(&stream, "data: {\"calls\":[{\"id\":\"%d\",\"function\":{\"name\":\"f\"}}]}\n\n", i)
	}
	_, _, err := readForm(t, textAt(func(m *wire.MemberFields) { m.Calls = []string{"calls"} }), strings.NewReader(stream.String()))
	if !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("taken: %v", err)
	}
}

func TestMentions(t *testing.T) {
	const word = `"tool_calls"`
	for text, want := range map[string]bool{
		"": false, "_": false, word: true, word[1:]: false, word[:len(word)-1]: false, `_calls"`: false,
		`{"a_b":"c_d",` + word + `:[]}`: true, `{"tool_choice":"tool_calls`: false, `"tool` + word + `_`: true, `"tool_"tool_calls"`: true,
	} {
		if got := wire.Mentions([]byte(text), word); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func FuzzMentions(f *testing.F) {
	f.Add([]byte(`{"tool_calls":[{"id":"c_1"}]}`), "tool", "calls")
	f.Fuzz(func(t *testing.T, text []byte, head, tail string) {
		word := strings.ReplaceAll(head, "_", "") + "_" + tail
		if got, want := wire.Mentions(text, word), bytes.Contains(text, []byte(word)); got != want {
			t.Errorf("%q in %q: %v", word, text, got)
		}
	})
}
