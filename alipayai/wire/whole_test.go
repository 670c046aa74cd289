package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestAppendStream(t *testing.T) {
	tests := map[string]struct {
		body  string
		usage bool
		want  []string
	}{
		"text": {
			body: `{"id":"c1","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"tea"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}`,
			want: []string{
				`{"choices":[{"delta":{"role":"assistant","content":"tea"},"finish_reason":null,"index":0}],"created":7,"id":"c1","model":"m","object":"chat.completion.chunk"}`,
				`{"choices":[{"delta":{},"finish_reason":"stop","index":0}],"created":7,"id":"c1","model":"m","object":"chat.completion.chunk"}`,
			},
		},
		"names in other letters": {
			body: `{"choices":[{"index":0,"Message":{"content":"tea"}}]}`,
			want: []string{
				`{"choices":[{"Message":{"content":"tea"},"delta":{},"finish_reason":null,"index":0}],"object":"chat.completion.chunk"}`,
				`{"choices":[{"delta":{},"finish_reason":null,"index":0}],"object":"chat.completion.chunk"}`,
			},
		},
		"usage that is asked for": {
			usage: true,
			body:  `{"id":"c1","choices":[{"message":{"content":"tea"},"finish_reason":"length"}],"usage":{"total_tokens":3}}`,
			want: []string{
				`{"choices":[{"delta":{"content":"tea"},"finish_reason":null,"index":0}],"id":"c1","object":"chat.completion.chunk"}`,
				`{"choices":[{"delta":{},"finish_reason":"length","index":0}],"id":"c1","object":"chat.completion.chunk"}`,
				`{"choices":[],"id":"c1","object":"chat.completion.chunk","usage":{"total_tokens":3}}`,
			},
		},
		"usage that is asked for and not there": {
			usage: true,
			body:  `{"choices":[{"message":null}]}`,
			want: []string{
				`{"choices":[{"delta":{},"finish_reason":null,"index":0}],"object":"chat.completion.chunk"}`,
				`{"choices":[{"delta":{},"finish_reason":null,"index":0}],"object":"chat.completion.chunk"}`,
			},
		},
		"tool calls, two choices": {
			body: `{"choices":[{"index":0,"message":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}},{"id":"b"}]},"finish_reason":"tool_calls"},{"index":1,"message":{"content":"no"},"finish_reason":"stop","logprobs":{"content":[]}}]}`,
			want: []string{
				`{"choices":[{"delta":{"tool_calls":[{"function":{"name":"f","arguments":"{}"},"id":"a","index":0},{"id":"b","index":1}]},"finish_reason":null,"index":0}],"object":"chat.completion.chunk"}`,
				`{"choices":[{"delta":{"content":"no"},"finish_reason":null,"index":1,"logprobs":{"content":[]}}],"object":"chat.completion.chunk"}`,
				`{"choices":[{"delta":{},"finish_reason":"tool_calls","index":0}],"object":"chat.completion.chunk"}`,
				`{"choices":[{"delta":{},"finish_reason":"stop","index":1}],"object":"chat.completion.chunk"}`,
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := AppendStream([]byte("before "), []byte(tt.body), tt.usage)
			if want := "before data: " + strings.Join(append(tt.want, "[DONE]"), "\n\ndata: ") + "\n\n"; err != nil || string(got) != want {
				t.Errorf("%v\n%s\nwant\n%s", err, got, want)
			}
		})
	}
}

func TestAppendStreamOfNoCompletion(t *testing.T) {
	for _, body := range []string{
		`{"choices":[{}` + strings.Repeat(",{}", MaxChoices) + `]}`,
		``, `[]`, `{}`, `{"choices":{}}`, `{"choices":[]}`, `{"choices":[1]}`, `{"choices":[{"message":"x"}]}`,
		`{"choices":[null]}`, `{"choices":[{"message":{"tool_calls":{}}}]}`, `{"choices":[{"message":{"tool_calls":[null]}}]}`,
	} {
		if _, err := AppendStream(nil, []byte(body), true); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// FuzzAppendStream makes streams that read as the whole answers do.
func FuzzAppendStream(f *testing.F) {
	for _, body := range []string{
		`{"choices":[{"index":0,"message":{"content":"tea <&>"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`,
		`{"model":"m","choices":[{"message":{"tool_calls":[{"id":"a"}]}},{"index":1,"message":{"refusal":"no"},"finish_reason":"length"}]}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		whole, err := ParseBody(body, Limits{})
		if err != nil || whole.Failure != nil || !whole.HasChoices {
			return
		}
		events, err := AppendStream(nil, body, true)
		if err != nil {
			return
		}
		var got Answer
		done := false
		for reader := NewEventReader(bytes.NewReader(events), 1<<20); ; {
			event, err := reader.Next()
			if err != nil {
				break
			}
			chunk, err := ParseEvent(event)
			if err != nil || chunk.Failure != nil || done {
				t.Fatalf("%q: %+v, %v", event.Data, chunk, err)
			}
			done = chunk.Done
			got.Content = got.Content || chunk.Content
			if got.FinishReason == "" {
				got.FinishReason = chunk.FinishReason
			}
			if chunk.Usage.OK {
				got.Usage = chunk.Usage
			}
		}
		if !done || got.Content != whole.Content || got.FinishReason != whole.FinishReason || got.Usage != whole.Usage {
			t.Errorf("%s\n%s\ngot %+v, want %+v", body, events, got, whole)
		}
	})
}
