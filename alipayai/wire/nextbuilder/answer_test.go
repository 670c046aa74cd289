package nextbuilder

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

func TestDecodeAnswer(t *testing.T) {
	answered := wire.Answer{Model: "agent-1", HasChoices: true, Content: true, FinishReason: "stop"}
	counted := answered
	counted.Usage = wire.Usage{Prompt: 1, Completion: 2, Total: 3, OK: true}
	const head = `{"id":"chatcmpl-call-1","object":"chat.completion","created":1767225600,"model":"agent-1","choices":[`
	const tail = `,"refusal":null},"logprobs":null,"finish_reason":"stop"}]`
	tests := map[string]struct {
		body, want string
		answer     wire.Answer
	}{
		"text":           {hi + hi + end, head + `{"index":0,"message":{"role":"assistant","content":"hihi"` + tail + `}`, answered},
		"thinking":       {thought + hi + end, head + `{"index":0,"message":{"role":"assistant","content":"hi","reasoning_content":"hm"` + tail + `}`, answered},
		"thinking alone": {thought + end, head + `{"index":0,"message":{"role":"assistant","content":"","reasoning_content":"hm"` + tail + `}`, answered},
		"usage": {hi + event(`{"type":"end","usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`),
			head + `{"index":0,"message":{"role":"assistant","content":"hi"` + tail + `,"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`, counted},
		"without a word": {event(`{"type":"card"}`) + end, head + `]}`, wire.Answer{Model: "agent-1"}},
		"after the end":  {hi + end + "garbage\n\ndata: x\n", head + `{"index":0,"message":{"role":"assistant","content":"hi"` + tail + `}`, answered},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, answer, err := format.DecodeAnswer([]byte(tt.body), someAsk())
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
			if answer != tt.answer {
				t.Errorf("\n got %+v\nwant %+v", answer, tt.answer)
			}
			// The gateway reads the translation as it reads OpenAI's answers.
			parsed, err := wire.ParseBody(got, wire.Limits{})
			if err != nil || parsed != answer {
				t.Errorf("as OpenAI's, it is %+v, %v", parsed, err)
			}
		})
	}
}

func TestDecodeAnswerFailures(t *testing.T) {
	tests := map[string]struct {
		body string
		want wire.Failure
	}{
		"error at once":       {broken + end, wire.Failure{Code: "SYSTEM_ERROR", Message: "busy"}},
		"error after content": {thought + hi + broken + end, wire.Failure{Code: "SYSTEM_ERROR", Message: "busy"}},
		"error without end":   {hi + broken, wire.Failure{Code: "SYSTEM_ERROR", Message: "busy"}},
		"JSON":                {`{"code":"invalid-auth-token","message":"expired","links":[]}`, wire.Failure{Code: "invalid-auth-token", Message: "expired"}},
		"JSON after space":    {"\r\n {\"error\":{\"code\":\"SYSTEM_ERROR\"}}\n", wire.Failure{Code: "SYSTEM_ERROR"}},
		"JSON of an error":    {`{"type":"error","payload":"{\"errorCode\":\"Resource-Not-Found\"}"}`, wire.Failure{Code: "Resource-Not-Found"}},
		"JSON of v2":          {`{"x_response":{"code":"20000","sub_code":"isp.unknow-error"},"sign":"s"}`, wire.Failure{Code: "isp.unknow-error", GatewayCode: "20000"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, answer, err := format.DecodeAnswer([]byte(tt.body), someAsk())
			if err != nil || answer.Failure == nil {
				t.Fatalf("%s, %+v, %v", got, answer, err)
			}
			if *answer.Failure != tt.want || got != nil || answer.Content || answer.HasChoices {
				t.Errorf("%s, %+v, %+v, want %+v", got, answer, *answer.Failure, tt.want)
			}
		})
	}
}

func TestDecodeAnswerMalformed(t *testing.T) {
	tests := map[string]string{
		"nothing":             "",
		"no end":              thought + hi,
		"cut in the end":      hi + end[:len(end)-2],
		"cut in the middle":   thought + hi[:len(hi)/2],
		"OpenAI's end":        hi + "data: [DONE]\n\n",
		"not JSON":            hi + event("secret") + end,
		"unreadable text":     event(`{"type":"text","payload":["secret"]}`) + end,
		"JSON of no failure":  `{"choices":[{"message":{"content":"secret"}}]}`,
		"JSON of a success":   `{"code":"10000","secret":1}`,
		"JSON of the end":     `{"type":"end"}`,
		"JSON cut":            `{"code":"secret`,
		"JSON twice":          `{"code":"secret"}{"code":"secret"}`,
		"a page":              "<html>secret</html>",
		"one enormous line":   "data: " + strings.Repeat("x", wire.MaxEventBytes+1),
		"an array":            `["secret"]`,
		"only a byte or two":  "\xEF\xBB",
		"only a blank line":   "\n",
		"error's name, no id": "event: err\ndata: {\"type\":\"err\"}\n\n",
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			got, answer, err := format.DecodeAnswer([]byte(body), someAsk())
			if !errors.Is(err, wire.ErrMalformed) {
				t.Fatalf("%s, %+v, %v", got, answer, err)
			}
			if got != nil || answer != (wire.Answer{}) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s, %+v, %v", got, answer, err)
			}
		})
	}
}

// TestDecodeAnswerOfAnySize reads an event that is larger than a stream's reader takes: the whole body is in memory.
func TestDecodeAnswerOfAnySize(t *testing.T) {
	long := strings.Repeat("用", wire.MaxEventBytes/2)
	got, _, err := format.DecodeAnswer([]byte(event(`{"type":"text","payload":"`+long+`"}`)+end), someAsk())
	var c completion
	if err != nil || json.Unmarshal(got, &c) != nil || c.Choices[0].Message.Content != long {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
