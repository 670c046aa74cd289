package anthropic

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

func TestDecodeAnswer(t *testing.T) {
	const text = `{"type":"text","text":"hi"}`
	message := func(content, stopReason, usage string) string {
		return `{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[` + content + `],"stop_reason":"` + stopReason + `"` + usage + `}`
	}
	completion := func(message, finishReason, usage string) string {
		return `{"id":"msg_1","object":"chat.completion","created":1700000000,"model":"claude","choices":[{"index":0,"message":{"role":"assistant",` +
			message + `},"logprobs":null,"finish_reason":"` + finishReason + `"}]` + usage + `}`
	}
	hi := func(finishReason string) string { return completion(`"content":"hi","refusal":null`, finishReason, "") }
	says := func(finishReason string) wire.Answer {
		return wire.Answer{Model: "claude", HasChoices: true, Content: true, FinishReason: finishReason}
	}
	quiet := wire.Answer{Model: "claude", HasChoices: true, FinishReason: "stop"}
	counted := func(u wire.Usage) wire.Answer {
		a := says("stop")
		a.Usage = u
		return a
	}
	tests := map[string]struct {
		body, want string
		answer     wire.Answer
	}{
		"end_turn":       {message(text, "end_turn", ""), hi("stop"), says("stop")},
		"stop_sequence":  {message(text, "stop_sequence", `,"stop_sequence":"END"`), hi("stop"), says("stop")},
		"max_tokens":     {message(text, "max_tokens", ""), hi("length"), says("length")},
		"window":         {message(text, "model_context_window_exceeded", ""), hi("length"), says("length")},
		"pause_turn":     {message(text, "pause_turn", ""), hi("length"), says("length")},
		"refusal":        {message(text, "refusal", ""), hi("content_filter"), says("content_filter")},
		"unknown reason": {message(text, `compac\u0074ion\n`, ""), hi("compaction?"), says("compaction?")},
		"nothing said":   {message("", "end_turn", ""), completion(`"content":"","refusal":null`, "stop", ""), quiet},
		"empty text":     {message(`{"type":"text","text":""}`, "end_turn", ""), completion(`"content":"","refusal":null`, "stop", ""), quiet},
		"texts":          {message(text+`,{"type":"text","text":" \u65e5\"","citations":[{"type":"x"}]}`, "end_turn", ""), completion(`"content":"hi \u65e5\"","refusal":null`, "stop", ""), says("stop")},
		"thinking":       {message(`{"type":"thinking","thinking":"a","signature":"s"},{"type":"redacted_thinking","data":"d"},{"type":"thinking","thinking":"b"},`+text, "end_turn", ""), completion(`"content":"hi","reasoning_content":"ab","refusal":null`, "stop", ""), says("stop")},
		"only thinking":  {message(`{"type":"thinking","thinking":"a","signature":"s"}`, "max_tokens", ""), completion(`"content":"","reasoning_content":"a","refusal":null`, "length", ""), says("length")},
		"only redacted":  {message(`{"type":"redacted_thinking","data":"d"}`, "end_turn", ""), completion(`"content":"","refusal":null`, "stop", ""), quiet},
		"tool use": {message(text+`,{"type":"tool_use","id":"t","name":"f","input":{"a": 1.0e2,"b":"\u65e5"}},{"type":"tool_use","id":"u","name":"g","input":{}}`, "tool_use", ""),
			completion(`"content":"hi","refusal":null,"tool_calls":[{"id":"t","type":"function","function":{"name":"f","arguments":"{\"a\": 1.0e2,\"b\":\"\\u65e5\"}"}},{"id":"u","type":"function","function":{"name":"g","arguments":"{}"}}]`, "tool_calls", ""), says("tool_calls")},
		"only tool use": {message(`{"type":"tool_use","id":"t","name":"f","input":{}}`, "tool_use", ""), completion(`"content":null,"refusal":null,"tool_calls":[{"id":"t","type":"function","function":{"name":"f","arguments":"{}"}}]`, "tool_calls", ""), says("tool_calls")},
		// https://github.com/nielspeter/claude-code-proxy/pull/13
		"input as text":      {message(`{"type":"tool_use","id":"t","name":"f","input":"{\"a\":1}"}`, "tool_use", ""), completion(`"content":null,"refusal":null,"tool_calls":[{"id":"t","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]`, "tool_calls", ""), says("tool_calls")},
		"unknown blocks":     {message(`{"type":"server_tool_use","id":7},`+text+`,{"type":"fallback"}`, "end_turn", ""), hi("stop"), says("stop")},
		"a stop for no tool": {message(text, "tool_use", ""), hi("stop"), says("stop")},
		"a refusal's words":  {message("", "refusal", `,"stop_details":{"type":"refusal","category":null,"explanation":"not this"}`), completion(`"content":"","refusal":"not this"`, "content_filter", ""), says("content_filter")},
		"a refusal of none":  {message("", "refusal", `,"stop_details":{"type":"refusal","explanation":null}`), completion(`"content":"","refusal":null`, "content_filter", ""), wire.Answer{Model: "claude", HasChoices: true, FinishReason: "content_filter"}},
		"what is empty left out": {`{"type":"message","role":"assistant","content":[{"type":"thinking"},{"type":"text"},{"type":"tool_use","id":"t","name":"f"}],"stop_reason":"tool_use"}`,
			`{"id":"","object":"chat.completion","created":1700000000,"model":"","choices":[{"index":0,"message":{"role":"assistant","content":null,"refusal":null,"tool_calls":[{"id":"t","type":"function","function":{"name":"f","arguments":"{}"}}]},"logprobs":null,"finish_reason":"tool_calls"}]}`,
			wire.Answer{HasChoices: true, Content: true, FinishReason: "tool_calls"}},
		"unknown members": {message(text, "end_turn", `,"container":{"id":"c"},"code":null,"stop_details":null`), hi("stop"), says("stop")},
		"usage": {message(text, "end_turn", `,"usage":{"input_tokens":1,"cache_read_input_tokens":20,"cache_creation_input_tokens":300,"output_tokens":4000,"cache_creation":{"input_tokens":9},"inference_geo":null}`),
			completion(`"content":"hi","refusal":null`, "stop", `,"usage":{"prompt_tokens":321,"completion_tokens":4000,"total_tokens":4321,"prompt_tokens_details":{"cached_tokens":20,"cache_write_tokens":300}}`),
			counted(wire.Usage{Prompt: 321, Cached: 20, Written: 300, Completion: 4000, Total: 4321, OK: true})},
		"usage with details": {message(text, "end_turn", `,"usage":{"input_tokens":1,"output_tokens":9,"output_tokens_details":{"thinking_tokens":7,"x":null}}`),
			completion(`"content":"hi","refusal":null`, "stop", `,"usage":{"prompt_tokens":1,"completion_tokens":9,"total_tokens":10,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":7}}`),
			counted(wire.Usage{Prompt: 1, Completion: 9, Total: 10, Reasoning: 7, OK: true})},
		"usage with nulls": {message(text, "end_turn", `,"usage":{"input_tokens":1,"cache_read_input_tokens":null,"cache_creation_input_tokens":null,"output_tokens":2}`),
			completion(`"content":"hi","refusal":null`, "stop", `,"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":0}}`),
			counted(wire.Usage{Prompt: 1, Completion: 2, Total: 3, OK: true})},
		"usage below zero":     {message(text, "end_turn", `,"usage":{"input_tokens":1,"output_tokens":-2}`), hi("stop"), counted(wire.Usage{Implausible: true})},
		"usage too large":      {message(text, "end_turn", `,"usage":{"input_tokens":1099511627777,"output_tokens":2}`), hi("stop"), counted(wire.Usage{Implausible: true})},
		"usage, sum too large": {message(text, "end_turn", `,"usage":{"input_tokens":1099511627776,"output_tokens":1099511627776}`), hi("stop"), counted(wire.Usage{Implausible: true})},
		"usage, as large as can be": {message(text, "end_turn", `,"usage":{"input_tokens":1099511627776,"output_tokens":0}`),
			completion(`"content":"hi","refusal":null`, "stop", `,"usage":{"prompt_tokens":1099511627776,"completion_tokens":0,"total_tokens":1099511627776,"prompt_tokens_details":{"cached_tokens":0}}`),
			counted(wire.Usage{Prompt: 1 << 40, Total: 1 << 40, OK: true})},
		"usage as text":      {message(text, "end_turn", `,"usage":{"input_tokens":"one","output_tokens":2}`), hi("stop"), counted(wire.Usage{Implausible: true})},
		"usage in fractions": {message(text, "end_turn", `,"usage":{"input_tokens":1.5}`), hi("stop"), counted(wire.Usage{Implausible: true})},
		"usage null":         {message(text, "end_turn", `,"usage":null`), hi("stop"), says("stop")},
		"usage empty":        {message(text, "end_turn", `,"usage":{}`), hi("stop"), says("stop")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, answer, err := format().DecodeAnswer([]byte(tt.body), wire.Ask{})
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want || !jsontext.Value(got).IsValid() {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
			if answer != tt.answer {
				t.Errorf("\n got %+v\nwant %+v", answer, tt.answer)
			}
			// The gateway reads the translation as it reads any answer in OpenAI's form. What cannot be counted is not in it.
			answer.Usage.Implausible = false
			answer.Usage.WrittenHour, answer.Usage.Searches, answer.Usage.Tier = 0, 0, "" // OpenAI's form has no name for these
			again, err := wire.ParseBody(got, wire.Limits{})
			again.Loose = again.Loose && !strings.Contains(tt.want, `"id":""`)
			if err != nil || again != answer {
				t.Errorf("read again: %+v, %v", again, err)
			}
		})
	}
}

func TestDecodeAnswerFailures(t *testing.T) {
	tests := map[string]struct {
		body string
		want wire.Failure
	}{
		"overloaded": {`{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}`, wire.Failure{Type: "overloaded_error", Message: "Overloaded"}},
		"rate limit": {`{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}`, wire.Failure{Type: "rate_limit_error", Message: "slow"}},
		"no details": {`{"type":"error"}`, wire.Failure{}},
		"of a proxy": {`{"error":{"code":"SYSTEM_ERROR"}}`, wire.Failure{Code: "SYSTEM_ERROR"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, answer, err := format().DecodeAnswer([]byte(tt.body), wire.Ask{})
			if err != nil || got != nil || answer.Failure == nil || *answer.Failure != tt.want {
				t.Fatalf("got %s, %+v, %v", got, answer.Failure, err)
			}
			asError, _ := wire.ParseBody([]byte(tt.body), wire.Limits{})
			if !reflect.DeepEqual(asError, answer) {
				t.Errorf("with a status of 400 and above it is %+v", asError)
			}
		})
	}
}

func TestDecodeAnswerMalformed(t *testing.T) {
	const secret = "S3CR3T"
	const head = `{"id":"msg_1","type":"message","model":"claude","stop_reason":"end_turn",`
	content := func(block string) string { return head + `"content":[` + block + `]}` }
	for name, body := range map[string]string{
		"empty":               ``,
		"no JSON":             secret,
		"array":               `[]`,
		"cut":                 head + `"content":[{"type":"text","text":"` + secret,
		"duplicate":           head + `"content":[],"content":[]}`,
		"duplicate inside":    content(`{"type":"text","text":"a","text":"` + secret + `"}`),
		"invalid UTF-8":       content("{\"type\":\"text\",\"text\":\"\xff\"}"),
		"empty object":        `{}`,
		"completion":          `{"id":"x","object":"chat.completion","model":"m","choices":[{"message":{"content":"` + secret + `"},"finish_reason":"stop"}]}`,
		"no type":             `{"id":"msg_1","model":"claude","stop_reason":"end_turn","content":[]}`,
		"id too long":         `{"id":"` + strings.Repeat("x", 1000) + `","type":"message","model":"claude","stop_reason":"end_turn","content":[]}`,
		"model not a string":  `{"id":"msg_1","type":"message","model":7,"stop_reason":"end_turn","content":[]}`,
		"no stop reason":      `{"id":"msg_1","type":"message","model":"claude","stop_reason":null,"content":[]}`,
		"stop reason a count": `{"id":"msg_1","type":"message","model":"claude","stop_reason":1,"content":[]}`,
		"stop reason too odd": `{"id":"msg_1","type":"message","model":"claude","stop_reason":"a\n"b","content":[]}`,
		"block that is none":  content(`"` + secret + `"`),
		"block without type":  content(`{"text":"a"}`),
		"text of numbers":     content(`{"type":"text","text":7}`),
		"thinking of numbers": content(`{"type":"thinking","thinking":7}`),
		"tool without name":   content(`{"type":"tool_use","id":"t","input":{}}`),
		"input as array":      content(`{"type":"tool_use","id":"t","name":"f","input":[]}`),
	} {
		t.Run(name, func(t *testing.T) {
			got, answer, err := format().DecodeAnswer([]byte(body), wire.Ask{})
			if !errors.Is(err, wire.ErrMalformed) || got != nil || answer != (wire.Answer{}) {
				t.Fatalf("got %s, %+v, %v", got, answer, err)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error quotes the answer: %v", err)
			}
		})
	}
}

// TestAnswerIsOpenAIs reads a translation with a reader that knows OpenAI's form only.
func TestAnswerIsOpenAIs(t *testing.T) {
	got, _, err := (&Format{}).DecodeAnswer([]byte(`{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[
		{"type":"text","text":"a\ud83d\ude00"},{"type":"tool_use","id":"t","name":"f","input":{"q":"\"x\"\n"}}],"stop_reason":"tool_use","usage":{"input_tokens":3,"output_tokens":4}}`), wire.Ask{})
	if err != nil {
		t.Fatal(err)
	}
	var completion struct {
		ID, Object, Model string
		Created           int64
		Choices           []struct {
			FinishReason string `json:"finish_reason"`
			Message      struct {
				Role, Content string
				ToolCalls     []struct {
					ID, Type string
					Function struct{ Name, Arguments string }
				} `json:"tool_calls"`
			}
		}
		Usage struct {
			Prompt int64 `json:"prompt_tokens"`
		}
	}
	if err := json.Unmarshal(got, &completion); err != nil {
		t.Fatal(err)
	}
	m := completion.Choices[0].Message
	var arguments struct{ Q string }
	if err := json.Unmarshal([]byte(m.ToolCalls[0].Function.Arguments), &arguments); err != nil || arguments.Q != "\"x\"\n" {
		t.Errorf("arguments %q: %v", m.ToolCalls[0].Function.Arguments, err)
	}
	if completion.Object != "chat.completion" || completion.Created < 1700000000 || m.Role != "assistant" || m.Content != "a😀" ||
		m.ToolCalls[0].Type != "function" || completion.Choices[0].FinishReason != "tool_calls" || completion.Usage.Prompt != 3 {
		t.Errorf("got %+v", completion)
	}
}

// TestDecodeAnswerLoosely has answers of proxies that keep to the form less than the API: what has been generated was paid for.
func TestDecodeAnswerLoosely(t *testing.T) {
	message := func(members string) string {
		return `{"id":"msg_1","type":"message","model":"claude",` + members + `}`
	}
	for name, tt := range map[string]struct {
		body, message, finish string
		unfinished            bool
	}{
		"content as text": {message(`"content":"fine","stop_reason":"end_turn"`), `"content":"fine"`, `"stop"`, false},
		// https://github.com/SaladDay/cc-switch-cli/issues/323
		"content that is null": {message(`"content":null,"stop_reason":"max_tokens","usage":null`), `"content":""`, `"length"`, false},
		// https://github.com/ankitcharolia/kiro-gateway/issues/74
		"no stop reason":    {message(`"content":[{"type":"thinking","thinking":"hm"}],"stop_reason":null`), `"reasoning_content":"hm"`, `null`, true},
		"tools without ids": {message(`"content":[{"type":"tool_use","name":"f","input":null},{"type":"tool_use","id":"","name":"g","input":{}}],"stop_reason":"tool_use"`), `"tool_calls":[{"id":"call_0","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"call_1",`, `"tool_calls"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, answer, err := format().DecodeAnswer([]byte(tt.body), wire.Ask{})
			if err != nil || !strings.Contains(string(got), tt.message) || !strings.Contains(string(got), `"finish_reason":`+tt.finish) || answer.Unfinished != tt.unfinished || !answer.HasChoices {
				t.Errorf("%s, %+v, %v", got, answer, err)
			}
		})
	}
}

// TestStopReasonsOfOthers has the words that servers pass on from behind Anthropic's form: clients of chat completions refuse an answer
// for one that is not among OpenAI's.
func TestStopReasonsOfOthers(t *testing.T) {
	for stopReason, want := range map[string]string{
		"end_turn": "stop", "pause_turn": "length", "refusal": "content_filter",
		"stop": "stop", "tool_calls": "tool_calls", "length": "length", "content_filter": "content_filter", "function_call": "function_call",
		"END_TURN": "stop", "MAX_TOKENS": "length", "eos": "stop", "max_output_tokens": "length", "sensitive": "content_filter",
		"SAFETY": "content_filter", "content_filtered": "content_filter", "guardrail_intervened": "content_filter",
		"network_error": "network_error", "abort": "abort", "brand_new": "brand_new",
	} {
		t.Run(stopReason, func(t *testing.T) {
			whole, a, err := new(Format).DecodeAnswer([]byte(`{"type":"message","content":[{"type":"text","text":"hi"}],"stop_reason":"`+stopReason+`"}`), wire.Ask{})
			if err != nil || wire.FinishWord(a.FinishReason) != wire.FinishWord(want) || !strings.Contains(string(whole), `"finish_reason":"`+want+`"`) {
				t.Errorf("%v: %s %s", err, a.FinishReason, whole)
			}
			d := decodeStream(strings.NewReader(stream(messageStart, textStart, textDelta, blockStop, strings.Replace(messageDelta, "end_turn", stopReason, 1), messageStop)), wire.Ask{})
			if !d.done() || !strings.Contains(d.out, `"finish_reason":"`+want+`"`) {
				t.Errorf("%v: %s", d.err, d.out)
			}
		})
	}
}
