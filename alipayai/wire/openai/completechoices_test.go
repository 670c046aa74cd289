package openai

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// TestCompletedChoices has chunks of streams whose choices lack something, as reported, and such as lack nothing. Of a chunk it is
// the array of choices. A want that is empty is the same as what was sent.
func TestCompletedChoices(t *testing.T) {
	const (
		begun = `{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}`
		calls = `{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}}]},"finish_reason":null}`
		empty = `{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":null}`
		stop  = `{"index":0,"delta":{},"finish_reason":"stop"}`
		// Two calls of which none has arguments, and what they lack.
		silent = `{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}},{"index":1,"id":"b","type":"function","function":{"name":"g"}}]},"finish_reason":null}`
		rest   = `{"index":0,"function":{"arguments":"{}"}},{"index":1,"function":{"arguments":"{}"}}`
		ended  = `{"index":0,"delta":{},"finish_reason":"tool_calls"}`
	)
	for name, tt := range map[string][][2]string{
		// Deltas.
		"https://github.com/microsoft/agent-framework/pull/5734": {{begun}, {`{"index":0,"delta":null,"finish_reason":"stop"}`, `{"index":0,"delta":{},"finish_reason":"stop"}`}},
		"https://github.com/QwenLM/qwen-code/pull/1448":          {{begun}, {` {"finish_reason":"stop","index":0}`, ` {"delta":{},"finish_reason":"stop","index":0}`}},
		"https://github.com/bagofwords1/bagofwords/pull/742": {{
			`{"content_filter_offsets":{"start_offset":1},"content_filter_results":{"hate":{"filtered":false}},"finish_reason":null,"index":0}`,
			`{"delta":{"role":"assistant"},"content_filter_offsets":{"start_offset":1},"content_filter_results":{"hate":{"filtered":false}},"finish_reason":null,"index":0}`,
		}},
		"spelt apart":  {{begun}, {`{"index":0,"delta" : {"content":"x"}}`}},
		"in a text":    {{begun}, {`{"index":0,"delta":{"content":"\"delta\":null"}}`}},
		"odd choices":  {{`{},null,7,[]`}},
		"a completion": {{`{"index":0,"text":"x"}`}, {`{"text":"x"}`}},
		"a whole":      {{begun}, {`{"index":0,"message":{"content":"x"}}`}},
		// Roles.
		"https://github.com/langchain-ai/langchainjs/pull/11157": {{calls, strings.Replace(calls, `{"tool_calls"`, `{"role":"assistant","tool_calls"`, 1)}},
		"https://github.com/langchain-ai/langchainjs/issues/11468": {
			{`{"index":0,"delta":{"role":"","content":"x"}}`, `{"index":0,"delta":{"role":"assistant","content":"x"}}`},
			{strings.Replace(calls, `{"tool_calls"`, `{"role":"","tool_calls"`, 1), strings.Replace(calls, `{"tool_calls"`, `{"role":"assistant","tool_calls"`, 1)},
		},
		"https://github.com/jundot/omlx/pull/2117": {{`{"index":0,"delta":{}}`, `{"index":0,"delta":{"role":"assistant"}}`}, {begun}, {calls}},
		"null": {{`{"index":0,"delta":{"role":null,"content":"x"}}`, `{"index":0,"delta":{"role":"assistant","content":"x"}}`}, {`{"index":0,"delta":{"role":null,"content":"x"}}`}},
		"of each choice": {
			{begun},
			{`{"index":1,"delta":{"content":"x"}}`, `{"index":1,"delta":{"role":"assistant","content":"x"}}`},
			{`{"index":1,"delta":{"content":"x"}}`},
			{`{"index":0,"delta":{"content":"x"}}`},
		},
		// Finish reasons.
		"https://github.com/anomalyco/opencode/issues/14972":          {{begun}, {calls}, {stop, strings.Replace(stop, "stop", "tool_calls", 1)}},
		"https://github.com/openvinotoolkit/model_server/issues/3927": {{begun}, {strings.Replace(calls, "null", `"stop"`, 1), strings.Replace(calls, "null", `"tool_calls"`, 1)}},
		"another vendor's word":                                       {{begun}, {calls}, {strings.Replace(stop, "stop", "tool_use", 1), strings.Replace(stop, "stop", "tool_calls", 1)}},
		"another vendor's, of a whole":                                {{begun}, {calls}, {strings.Replace(stop, "stop", "end_turn", 1), strings.Replace(stop, "stop", "tool_calls", 1)}},
		"cut":                                                         {{begun}, {calls}, {strings.Replace(stop, "stop", "length", 1)}},
		"filtered":                                                    {{begun}, {calls}, {strings.Replace(stop, "stop", "content_filter", 1)}},
		"an unknown word":                                             {{begun}, {calls}, {strings.Replace(stop, "stop", "abort", 1)}},
		"no call":                                                     {{begun}, {stop}},
		"a call without a name":                                       {{begun}, {`{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"null","arguments":"{}"}}]}}`}, {stop}},
		"another vendor's, of another choice":                         {{begun + `,` + strings.Replace(begun, `"index":0`, `"index":1`, 1)}, {stop + `,` + strings.NewReplacer(`"index":0`, `"index":1`, "stop", "end_turn").Replace(stop), stop + `,` + strings.Replace(stop, `"index":0`, `"index":1`, 1)}},
		// No arguments.
		"https://github.com/openai/openai-agents-js/issues/664": {{begun}, {silent}, {ended, strings.Replace(ended, "{}", `{"tool_calls":[`+rest+`]}`, 1)}},
		"by another word":             {{begun}, {silent}, {stop, strings.Replace(ended, "{}", `{"tool_calls":[`+rest+`]}`, 1)}},
		"beside a content":            {{begun}, {silent}, {strings.Replace(ended, "{}", `{"content":null}`, 1), strings.Replace(ended, "{}", `{"tool_calls":[`+rest+`],"content":null}`, 1)}},
		"without a delta":             {{begun}, {silent}, {strings.Replace(ended, "{}", "null", 1), strings.Replace(ended, "{}", `{"tool_calls":[`+rest+`]}`, 1)}},
		"at once":                     {{begun}, {strings.Replace(silent, "null", `"tool_calls"`, 1)}}, // see TestCompletedAtEnd
		"behind a list of none":       {{begun}, {silent}, {strings.Replace(ended, "{}", `{"tool_calls":[]}`, 1), strings.Replace(ended, "{}", `{"tool_calls":[`+rest+`]}`, 1)}},
		"arguments of one":            {{begun}, {silent}, {`{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":1}"}}]}}`}, {ended, strings.Replace(ended, "{}", `{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]}`, 1)}},
		"{} for arguments":            {{begun}, {empty, strings.Replace(empty, "{}", "", 1)}, {ended, strings.Replace(ended, "{}", `{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}`, 1)}},
		"{} for arguments, at once":   {{begun}, {strings.Replace(empty, "null", `"tool_calls"`, 1)}},
		"white space for arguments":   {{begun}, {strings.Replace(empty, "{}", " ", 1)}, {ended, strings.Replace(ended, "{}", `{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}`, 1)}},
		"none, and cut":               {{begun}, {silent}, {strings.Replace(stop, "stop", "length", 1)}},
		"none, and the choice is one": {{begun}, {silent}, {strings.Replace(ended, `"index":0`, `"index":1`, 1), strings.NewReplacer(`"index":0`, `"index":1`, "{}", `{"role":"assistant"}`).Replace(ended)}},
		"no input":                    {{begun}, {`{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"custom","custom":{"name":"f","input":""}}]}}`}, {ended}},
		"another choice's call":       {{begun + `,` + strings.Replace(begun, `"index":0`, `"index":1`, 1)}, {calls}, {strings.Replace(stop, `"index":0`, `"index":1`, 1)}},
	} {
		t.Run(name, func(t *testing.T) {
			chunk := func(choices string) string {
				return `data: {"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[` + choices + "]}\n\n"
			}
			var stream, want strings.Builder
			for _, c := range tt {
				if c[1] == "" {
					c[1] = c[0]
				}
				stream.WriteString(chunk(c[0]))
				want.WriteString(chunk(c[1]))
			}
			reader := wire.NewEventReader(strings.NewReader(stream.String()), 0)
			defer reader.Release()
			d := Format{}.DecodeStream(wire.Ask{ID: "answer", Request: wire.Request{HasTools: true}})
			var got []byte
			for ev, err := reader.Next(); err == nil; ev, err = reader.Next() {
				if got, _, err = d.Decode(got, ev); err != nil {
					t.Fatal(err)
				}
				if alike := d.(wire.Passing).Alike(reader.Unread()); alike.Events > 0 && !strings.HasPrefix(want.String()[len(got):], string(alike.Raw)) {
					t.Errorf("%s would pass as it is", alike.Raw)
				}
			}
			if string(got) != want.String() {
				t.Errorf("got %s\nwant %s", got, want.String())
			}
		})
	}
}

// TestCompletedAtEnd has streams whose finish reasons do not say that there are no more arguments: one comes with the chunk that begins a
// call, or came before. What is lacking then comes before the end, in a chunk of its own.
func TestCompletedAtEnd(t *testing.T) {
	const (
		head   = `{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[`
		first  = `{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"stop"}`
		begins = `{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":"tool_calls"}`
		more   = `{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":1}"}}]},"finish_reason":"tool_calls"}`
		last   = `{"index":0,"delta":{},"finish_reason":"tool_calls"}`
		rest   = "data: " + head + `{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]},"finish_reason":null}]}` + "\n\n"
	)
	for name, tt := range map[string]struct {
		sent []string
		rest string
	}{
		"https://github.com/BerriAI/litellm/pull/31634":         {[]string{begins, more}, ""},
		"https://github.com/open-webui/open-webui/issues/23921": {[]string{first, strings.Replace(begins, `"tool_calls"}`, "null}", 1), more}, ""},
		"a first reason that is none, and no arguments":         {[]string{first, strings.Replace(begins, `"tool_calls"}`, "null}", 1), last}, rest},
		"at once":           {[]string{begins}, rest},
		"at once, and more": {[]string{begins, strings.ReplaceAll(begins, `0,"id":"a"`, `1,"id":"b"`), strings.ReplaceAll(more, `"index":0,"function"`, `"index":1,"function"`)}, rest},
		"and cut":           {[]string{begins, strings.Replace(last, "tool_calls", "length", 1)}, ""},
		"{}, and cut":       {[]string{strings.NewReplacer(`""`, `"{}"`, `"tool_calls"}`, "null}").Replace(begins), strings.Replace(last, "tool_calls", "length", 1)}, rest},
		"no reason":         {[]string{strings.Replace(begins, `"tool_calls"}`, "null}", 1)}, ""},
	} {
		for _, end := range []string{"data: [DONE]\n\n", ""} {
			var stream strings.Builder
			for _, choice := range tt.sent {
				stream.WriteString("data: " + head + choice + "]}\n\n")
			}
			reader := wire.NewEventReader(strings.NewReader(stream.String()+end), 0)
			d := Format{}.DecodeStream(wire.Ask{ID: "answer"})
			var got []byte
			for ev, err := reader.Next(); err == nil; ev, err = reader.Next() {
				if got, _, err = d.Decode(got, ev); err != nil {
					t.Fatal(err)
				}
			}
			reader.Release()
			if end == "" {
				got, _, _ = d.End(got)
			}
			want := strings.Replace(stream.String(), `"name":"f","arguments":"{}"`, `"name":"f","arguments":""`, 1) + tt.rest
			if name != "no reason" || end != "" {
				want += "data: [DONE]\n\n"
			}
			if string(got) != want {
				t.Errorf("%s: got %s\nwant %s", name, got, want)
			}
		}
	}
}

// A choice that calls the tool which the request names ends by stop, as at OpenAI and vLLM: https://github.com/vllm-project/vllm/pull/49496.
func TestChosenToolEndsByStop(t *testing.T) {
	const called = `{"index":0,"%s":{"role":"assistant","tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"%s"}`
	for choice, reasons := range map[string]map[string]string{
		`{"type":"function","function":{"name":"f"}}`: {"stop": "stop", "end_turn": "tool_calls", "tool_calls": "tool_calls"},
		`"required"`: {"stop": "tool_calls"}, `"auto"`: {"stop": "tool_calls"},
	} {
		r, err := wire.ParseChatRequest([]byte(`{"model":"m","messages":[{"role":"user","content":"x"}],"tool_choice":`+choice+`,"tools":[{"type":"function","function":{"name":"f"}}]}`), wire.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		for said, want := range reasons {
			whole := func(kind, reason string) string {
				return `{"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[` + fmt.Sprintf(called, kind, reason) + `]}`
			}
			if got := string(completed([]byte(whole("message", said)), "", r.ChoosesTool)); got != whole("message", want) {
				t.Errorf("%s: %s", choice, got)
			}
			event := wire.Event{Data: []byte(whole("delta", said)), Raw: []byte("data: " + whole("delta", said) + "\n\n")}
			got, _, err := Format{}.DecodeStream(wire.Ask{ID: "answer", Request: r}).Decode(nil, event)
			if err != nil || !strings.Contains(string(got), whole("delta", want)) {
				t.Errorf("%s: %s, %v", choice, got, err)
			}
		}
	}
}

// TestCompletedMessages has the choices of whole answers.
func TestCompletedMessages(t *testing.T) {
	const called = `"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]`
	for name, tt := range map[string]struct{ choices, want string }{
		"no role":            {`{"index":0,"message":{"content":null,` + called + `},"finish_reason":"tool_calls"}`, `{"index":0,"message":{"role":"assistant","content":null,` + called + `},"finish_reason":"tool_calls"}`},
		"an empty role":      {`{"index":0,"message":{"role":"",` + called + `},"finish_reason":"tool_calls"}`, `{"index":0,"message":{"role":"assistant",` + called + `},"finish_reason":"tool_calls"}`},
		"no role, no call":   {`{"message":{"content":"x"},"finish_reason":"stop"}`, ""},
		"stop with calls":    {`{"index":0,"message":{"role":"assistant",` + called + `},"finish_reason":"stop"}`, `{"index":0,"message":{"role":"assistant",` + called + `},"finish_reason":"tool_calls"}`},
		"stop without":       {`{"index":0,"message":{"role":"assistant","tool_calls":[]},"finish_reason":"stop"}`, ""},
		"cut":                {`{"index":0,"message":{"role":"assistant",` + called + `},"finish_reason":"length"}`, ""},
		"filtered arguments": {`{"index":0,"message":{"role":"assistant",` + strings.Replace(called, "{}", "", 1) + `},"finish_reason":"content_filter"}`, ""},
		"cut, null":          {`{"index":0,"message":{"role":"assistant",` + strings.Replace(called, `"{}"`, "null", 1) + `},"finish_reason":"length"}`, `{"index":0,"message":{"role":"assistant",` + strings.Replace(called, "{}", "", 1) + `},"finish_reason":"length"}`},
		"another vendor's word of another choice": {`{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"},{"index":1,"message":{"role":"assistant","content":"x"},"finish_reason":"end_turn"}`, `{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"},{"index":1,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}`},
		"cut arguments": {`{"index":0,"message":{"role":"assistant",` + strings.Replace(called, "{}", "", 1) + `},"finish_reason":"length"}`, ""},
		"no message":    {`{"index":0,"finish_reason":"stop"}`, ""},
		"a completion":  {`{"text":"x","finish_reason":"stop"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.want == "" {
				tt.want = tt.choices
			}
			answer := func(choices string) string { return `{"id":"c","choices":[` + choices + `]}` }
			if got := string(completed([]byte(answer(tt.choices)), "", false)); got != answer(tt.want) {
				t.Errorf("got %s\nwant %s", got, answer(tt.want))
			}
		})
	}
}

// TestFinishWords has the finish reasons of other vendors, as servers of OpenAI's form pass them on.
func TestFinishWords(t *testing.T) {
	for said, want := range map[string]string{
		"stop": "stop", "length": "length", "content_filter": "content_filter", "function_call": "function_call", "tool_calls": "tool_calls",
		// https://github.com/pydantic/pydantic-ai/issues/7816
		"guardrail_intervened": "content_filter", "SAFETY": "content_filter", "content_filter: PROHIBITED_CONTENT": "content_filter", "sensitive": "content_filter",
		"STOP": "stop", "MAX_TOKENS": "length", "end_turn": "stop", "eos": "stop", "COMPLETE": "stop", "model_length": "length", "tool_use": "stop",
		// What was broken off, and what is not known.
		"error": "error", "NETWORK_ERROR": "NETWORK_ERROR", "insufficient_system_resource": "insufficient_system_resource", "abort": "abort", "halted": "halted",
	} {
		t.Run(said, func(t *testing.T) {
			answer := func(kind, reason string) string {
				return `{"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"` + kind + `":{"role":"assistant","content":"x"},"finish_reason":"` + reason + `"}]}`
			}
			a, err := wire.ParseBody([]byte(answer("message", said)), wire.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if got := string(completed([]byte(answer("message", said)), a.FinishReason, false)); got != answer("message", want) {
				t.Errorf("got %s\nwant %s", got, answer("message", want))
			}
			event := wire.Event{Data: []byte(answer("delta", said)), Raw: []byte("data: " + answer("delta", said) + "\n\n")}
			got, _, err := Format{}.DecodeStream(wire.Ask{ID: "answer"}).Decode(nil, event)
			if err != nil || said != "error" && string(got) != "data: "+answer("delta", want)+"\n\n" {
				t.Errorf("%v\ngot %s\nwant %s", err, got, answer("delta", want))
			}
		})
	}
}
