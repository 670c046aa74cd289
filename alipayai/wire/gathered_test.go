package wire

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// TestGathered makes whole answers of streams: as https://github.com/BYK/loreai/pull/1204 has it, of all their chunks.
func TestGathered(t *testing.T) {
	chunk := func(choice string) string {
		return `{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[` + choice + `]}`
	}
	whole := func(choices, usage string) string {
		return `{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[` + choices + `]` + usage + `}`
	}
	for name, test := range map[string]struct {
		chunks []string
		want   string // empty for none
	}{
		"a text": {
			[]string{chunk(`{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}`), chunk(`{"index":0,"delta":{"content":"a\n"}}`), chunk(`{"index":0,"delta":{"content":"b"},"finish_reason":""}`), chunk(`{"index":0,"delta":{},"finish_reason":"stop"}`), `{"id":"","choices":[],"usage":{"prompt_tokens":1}}`, "[DONE]"},
			whole(`{"index":0,"message":{"role":"assistant","content":"a\nb"},"finish_reason":"stop"}`, `,"usage":{"prompt_tokens":1}`),
		},
		"an emoji in two halves": {[]string{chunk(`{"delta":{"content":"\ud83d"}}`), chunk(`{"delta":{"content":"\ude00"},"finish_reason":"stop"}`)}, whole(`{"index":0,"message":{"content":"\ud83d\ude00"},"finish_reason":"stop"}`, "")},
		"reasoning": {
			[]string{chunk(`{"delta":{"role":"assistant","reasoning_content":"h","reasoning_details":[{"type":"t","text":"h"}]}}`), chunk(`{"delta":{"role":"assistant","reasoning_content":"m","content":null,"reasoning_details":[{"type":"t","text":"m"}]}}`), chunk(`{"delta":null,"finish_reason":"length"}`)},
			whole(`{"index":0,"message":{"role":"assistant","reasoning_content":"hm","content":null,"reasoning_details":[{"type":"t","text":"h"},{"type":"t","text":"m"}]},"finish_reason":"length"}`, ""),
		},
		"calls": {
			[]string{chunk(`{"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}}`), chunk(`{"delta":{"tool_calls":[{"index":0,"id":"","function":{"name":"f","arguments":"{\"x\""}}]}}`), chunk(`{"delta":{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":{"y":2}}}]}}`), chunk(`{"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]},"finish_reason":"tool_calls"}`)},
			whole(`{"index":0,"message":{"content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},{"id":"b","type":"function","function":{"name":"g","arguments":"{\"y\":2}"}}]},"finish_reason":"tool_calls"}`, ""),
		},
		"calls without an index": {
			[]string{chunk(`{"delta":{"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}}`), chunk(`{"delta":{"tool_calls":[{"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}`)},
			whole(`{"index":0,"message":{"content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}`, ""),
		},
		"several choices": {
			[]string{chunk(`{"index":1,"delta":{"content":"b"},"finish_reason":"stop"},{"index":0,"delta":{"content":"a"},"finish_reason":"stop","logprobs":{"content":[{"token":"a"}]}}`), chunk(`{"index":0,"delta":{},"logprobs":{"content":[{"token":"c"}]}}`)},
			whole(`{"index":0,"message":{"content":"a"},"finish_reason":"stop","logprobs":{"content":[{"token":"a"},{"token":"c"}]}},{"index":1,"message":{"content":"b"},"finish_reason":"stop"}`, ""),
		},
		"a whole answer in one event": {[]string{whole(`{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}`, ""), "[DONE]"}, whole(`{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}`, "")},
		"sound":                       {[]string{chunk(`{"delta":{"audio":{"id":"x","data":"AA"}}}`), chunk(`{"delta":{"audio":{"data":"BB","expires_at":7}},"finish_reason":"stop"}`)}, whole(`{"index":0,"message":{"content":null,"audio":{"id":"x","data":"AABB","expires_at":7}},"finish_reason":"stop"}`, "")},
		"no choices":                  {[]string{`{"choices":null}`, "null", "[DONE]"}, ""},
		"no chunks":                   {[]string{`[]`}, ""},
		"more choices than asked for": {[]string{chunk(strings.TrimSuffix(strings.Repeat(`{},`, MaxChoices+1), ","))}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var g Gathered
			var err error
			for _, data := range test.chunks {
				if err == nil {
					err = g.Add([]byte(": c\n\ndata: " + data + "\n\n"))
				}
			}
			var got []byte
			if err == nil {
				got, err = g.Append(nil)
			}
			var is, want any
			if (err == nil) != (test.want != "") {
				t.Fatalf("%s: %v", got, err)
			}
			if test.want == "" {
				return
			}
			if json.Unmarshal(got, &is) != nil || json.Unmarshal([]byte(test.want), &want) != nil || !reflect.DeepEqual(is, want) {
				t.Errorf("\n got %s\nwant %s", got, test.want)
			}
		})
	}
}

// TestIsStream tells streams from other bodies.
func TestIsStream(t *testing.T) {
	for body, want := range map[string]bool{
		"data: {}\n\n": true, "\ufeff: c\n": true, "event: x\ndata: {}": true, "\r\ndata:{}": true,
		"": false, `{"a":1}`: false, "[1]": false, "<html>": false, "datum": false, "\"data:\"": false,
	} {
		if got := IsStream([]byte(body)); got != want {
			t.Errorf("%q: %t", body, got)
		}
	}
}
