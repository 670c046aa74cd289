package anthropic

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// Events of a stream, by themselves.
const (
	messageStart  = `{"type":"message_start","message":{"id":"msg_1","type":"message","model":"claude","content":[ ],"stop_reason":null,"usage":{"input_tokens":10,"cache_read_input_tokens":5,"output_tokens":1}}}`
	textStart     = `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`
	textDelta     = `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}`
	blockStop     = `{"type":"content_block_stop","index":0}`
	thinkingStart = `{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}`
	toolStart     = `{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}`
	toolDelta     = `{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{}"}}`
	messageDelta  = `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":20}}`
	messageStop   = `{"type":"message_stop"}`
)

// stream gives the bytes of a stream of these events, each named by its type.
func stream(events ...string) string {
	var b strings.Builder
	for _, data := range events {
		var e struct{ Type string }
		_ = json.Unmarshal([]byte(data), &e)
		if e.Type != "" {
			b.WriteString("event: " + e.Type + "\n")
		}
		b.WriteString("data: " + data + "\n\n")
	}
	return b.String()
}

// deltas gives of a stream in OpenAI's form what its chunks say: the delta, the finish reason, the usage, or [DONE].
func deltas(t *testing.T, out string) []string {
	t.Helper()
	var said []string
	for ev := range strings.SplitSeq(strings.TrimSuffix(out, "\n\n"), "\n\n") {
		data, ok := strings.CutPrefix(ev, "data: ")
		if !ok {
			t.Fatalf("no event: %q", ev)
		}
		if data == "[DONE]" {
			said = append(said, data)
			continue
		}
		var chunk struct {
			ID, Object, Model string
			Created           int64
			Choices           []struct {
				Delta        json.RawMessage
				FinishReason *string `json:"finish_reason"`
			}
			Usage json.RawMessage
		}
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			t.Fatalf("%v in %s", err, data)
		}
		if chunk.ID != "msg_1" || chunk.Object != "chat.completion.chunk" || chunk.Model != "claude" || chunk.Created != 1700000000 {
			t.Errorf("the head of %s", data)
		}
		switch {
		case len(chunk.Choices) == 0:
			said = append(said, "usage "+string(chunk.Usage))
		case chunk.Choices[0].FinishReason != nil:
			said = append(said, "finish "+*chunk.Choices[0].FinishReason+string(chunk.Usage))
		default:
			said = append(said, string(chunk.Choices[0].Delta)+string(chunk.Usage))
		}
	}
	return said
}

func TestDecodeStream(t *testing.T) {
	const role = `{"role":"assistant","content":""}`
	tests := map[string]struct {
		events []string // after the start
		want   []string // after the role
	}{
		"text":               {[]string{textStart, textDelta, textDelta, blockStop, messageDelta, messageStop}, []string{`{"content":"hi"}`, `{"content":"hi"}`, "finish stop", "[DONE]"}},
		"text at once":       {[]string{`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"a"}}`, blockStop, messageDelta, messageStop}, []string{`{"content":"a"}`, "finish stop", "[DONE]"}},
		"empty text":         {[]string{textStart, `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":""}}`, blockStop, messageDelta, messageStop}, []string{"finish stop", "[DONE]"}},
		"nothing":            {[]string{messageDelta, messageStop}, []string{"finish stop", "[DONE]"}},
		"pings":              {[]string{`{"type":"ping"}`, textStart, `{"type": "ping"}`, textDelta, blockStop, `{"type":"ping"}`, messageDelta, `{"type":"ping"}`, messageStop}, []string{`{"content":"hi"}`, "finish stop", "[DONE]"}},
		"unknown events":     {[]string{`{"type":"vibe","index":7}`, textStart, `{"type":"content_block_poke","index":0,"delta":7}`, textDelta, blockStop, messageDelta, messageStop}, []string{`{"content":"hi"}`, "finish stop", "[DONE]"}},
		"unknown deltas":     {[]string{textStart, `{"type":"content_block_delta","index":0,"delta":{"type":"citations_delta","citation":{}}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"x"}}`, textDelta, blockStop, messageDelta, messageStop}, []string{`{"content":"hi"}`, "finish stop", "[DONE]"}},
		"unknown block":      {[]string{`{"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":"s","input":{}}}`, toolDelta, textDelta, blockStop, messageDelta, messageStop}, []string{"finish stop", "[DONE]"}},
		"thinking":           {[]string{thinkingStart, `{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"a\n"}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"s"}}`, blockStop, messageDelta, messageStop}, []string{`{"reasoning_content":"a\n"}`, "finish stop", "[DONE]"}},
		"redacted thinking":  {[]string{`{"type":"content_block_start","index":0,"content_block":{"type":"redacted_thinking","data":"x"}}`, blockStop, messageDelta, messageStop}, []string{"finish stop", "[DONE]"}},
		"tool":               {[]string{toolStart, toolDelta, blockStop, messageDelta, messageStop}, []string{`{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":""}}]}`, `{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}`, "finish stop", "[DONE]"}},
		"tool, no arguments": {[]string{toolStart, blockStop, messageDelta, messageStop}, []string{`{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":""}}]}`, `{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}`, "finish stop", "[DONE]"}},
		"tool, input at once": {[]string{`{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{"a":1.0}}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":""}}`, blockStop, messageDelta, messageStop},
			[]string{`{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":""}}]}`, `{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":1.0}"}}]}`, "finish stop", "[DONE]"}},
		"tools after text": {[]string{textStart, textDelta, blockStop, strings.Replace(toolStart, `"index":0`, `"index":1`, 1), strings.Replace(blockStop, "0", "1", 1), strings.Replace(toolStart, `"index":0`, `"index":4`, 1), strings.Replace(blockStop, "0", "4", 1), messageDelta, messageStop},
			[]string{`{"content":"hi"}`, `{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":""}}]}`, `{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}`, `{"tool_calls":[{"index":1,"id":"t","type":"function","function":{"name":"f","arguments":""}}]}`, `{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]}`, "finish stop", "[DONE]"}},
		"max_tokens":    {[]string{toolStart, strings.Replace(toolDelta, "{}", "{", 1), blockStop, strings.Replace(messageDelta, "end_turn", "max_tokens", 1), messageStop}, []string{`{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":""}}]}`, `{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}`, "finish length", "[DONE]"}},
		"refusal":       {[]string{textStart, textDelta, blockStop, strings.Replace(messageDelta, "end_turn", "refusal", 1), messageStop}, []string{`{"content":"hi"}`, "finish content_filter", "[DONE]"}},
		"deltas of two": {[]string{textStart, textDelta, blockStop, `{"type":"message_delta","delta":{"stop_reason":null}}`, messageDelta, `{"type":"message_delta","delta":{},"usage":{"output_tokens":21}}`, messageStop}, []string{`{"content":"hi"}`, "finish stop", "[DONE]"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			in := stream(append([]string{messageStart}, tt.events...)...)
			d := decodeStream(strings.NewReader(in), wire.Ask{})
			if !errors.Is(d.err, io.EOF) || !d.done() {
				t.Fatalf("ended with %v, done %v", d.err, d.done())
			}
			if got, want := deltas(t, d.out), append([]string{role}, tt.want...); !slices.Equal(got, want) {
				t.Errorf("\n got %q\nwant %q", got, want)
			}
			checkAgainstWire(t, d)
		})
	}
}

// checkAgainstWire holds that package wire reads in the translation what the decoder said of it.
func checkAgainstWire(t *testing.T, d decoded) {
	t.Helper()
	var content, saidContent bool
	var choices, saidChoices int
	var finish, saidFinish string
	events := wire.NewEventReader(strings.NewReader(d.out), 0)
	defer events.Release()
	for {
		ev, err := events.Next()
		if err != nil {
			break
		}
		chunk, err := wire.ParseEvent(ev)
		if err != nil {
			t.Fatal(err)
		}
		content, finish = content || chunk.Content, finish+chunk.FinishReason
		choices += one(chunk.HasChoices)
	}
	for _, chunk := range d.chunks {
		saidContent, saidFinish = saidContent || chunk.Content, saidFinish+chunk.FinishReason
		saidChoices += one(chunk.HasChoices)
		if chunk.Model != "claude" {
			t.Errorf("a chunk of the model %q", chunk.Model)
		}
	}
	if content != saidContent || finish != saidFinish || choices != saidChoices {
		t.Errorf("content %v, finish %q, %d with choices; the decoder said %v, %q, %d", content, finish, choices, saidContent, saidFinish, saidChoices)
	}
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestStreamUsage(t *testing.T) {
	in := stream(messageStart, textStart, textDelta, blockStop, messageDelta, messageStop)
	d := decodeStream(strings.NewReader(in), wire.Ask{Request: wire.Request{IncludeUsage: true}})
	want := []string{`{"role":"assistant","content":""}null`, `{"content":"hi"}null`, "finish stopnull",
		`usage {"prompt_tokens":15,"completion_tokens":20,"total_tokens":35,"prompt_tokens_details":{"cached_tokens":5}}`, "[DONE]"}
	if got := deltas(t, d.out); !slices.Equal(got, want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
	var usages []wire.Usage
	for _, chunk := range d.chunks {
		if chunk.Usage.OK {
			usages = append(usages, chunk.Usage)
		}
	}
	begun, all := wire.Usage{Prompt: 15, Cached: 5, Completion: 1, Total: 16, OK: true}, wire.Usage{Prompt: 15, Cached: 5, Completion: 20, Total: 35, OK: true}
	if !slices.Equal(usages, []wire.Usage{begun, all, all}) {
		t.Errorf("the gateway sees %+v", usages)
	}
	none := strings.NewReplacer(`,"usage":{"output_tokens":20}`, "", `,"usage":{"input_tokens":10,"cache_read_input_tokens":5,"output_tokens":1}`, "").Replace(in)
	d = decodeStream(strings.NewReader(none), wire.Ask{Request: wire.Request{IncludeUsage: true}})
	if strings.Contains(d.out, "prompt_tokens") || !d.done() {
		t.Errorf("usage that was not given: %s", d.out)
	}
}

func TestStreamFailures(t *testing.T) {
	overloaded := wire.Failure{Type: "overloaded_error", Message: "Overloaded"}
	const failure = `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`
	tests := map[string]struct {
		in   string
		out  int // chunks before
		want wire.Failure
	}{
		"first":         {stream(failure), 0, overloaded},
		"later":         {stream(messageStart, textStart, textDelta, failure), 2, overloaded},
		"after the end": {stream(messageStart, messageDelta, messageStop, failure), 3, overloaded},
		"no name":       {"data: " + failure + "\n\n", 0, overloaded},
		"no type":       {stream(messageStart) + "event: error\ndata: {\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n", 1, overloaded},
		"no JSON":       {"event: error\ndata: upstream said no\n\n", 0, wire.Failure{Message: "upstream said no"}},
		"no data":       {stream(messageStart) + "event: error\n\n", 1, wire.Failure{}},
		"OpenAI's":      {stream(messageStart) + "data: {\"error\":{\"code\":\"SYSTEM_ERROR\"}}\n\n", 1, wire.Failure{Code: "SYSTEM_ERROR"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := decodeStream(strings.NewReader(tt.in), wire.Ask{})
			if len(d.chunks) == 0 {
				t.Fatalf("no failure; %v", d.err)
			}
			last := d.chunks[len(d.chunks)-1]
			if last.Failure == nil || *last.Failure != tt.want || last.Done {
				t.Errorf("got %+v", last)
			}
			if got := strings.Count(d.out, "data: "); got != tt.out {
				t.Errorf("%d events beside the failure, want %d: %s", got, tt.out, d.out)
			}
		})
	}
}

func TestHostileStreams(t *testing.T) {
	at := func(event, index string) string {
		return strings.Replace(event, `"index":0`, `"index":`+index, 1)
	}
	tests := map[string]string{
		"[DONE] at once":              "data: [DONE]\n\n",
		"no JSON":                     "data: S3CR3T\n\n",
		"array":                       "data: []\n\n",
		"cut JSON":                    stream(messageStart) + `data: {"type":"content_block_start","index"` + "\n\n",
		"two objects":                 "data: {\"type\":\"ping\"}{}\n\n",
		"duplicate":                   stream(messageStart, textStart) + `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a","text":"S3CR3T"}}` + "\n\n",
		"invalid UTF-8":               stream(messageStart, textStart) + "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"\xff\"}}\n\n",
		"no type":                     "data: {}\n\n",
		"OpenAI's form":               "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n",
		"end before the start":        stream(messageStop),
		"delta before the start":      stream(messageDelta),
		"start without message":       stream(`{"type":"message_start"}`),
		"start with content":          stream(strings.Replace(messageStart, "[ ]", `[{"type":"text","text":"a"}]`, 1)),
		"start of another type":       stream(strings.Replace(messageStart, `"type":"message"`, `"type":"x"`, 1)),
		"long model":                  stream(strings.Replace(messageStart, "claude", strings.Repeat("c", 1000), 1)),
		"start within a message":      stream(messageStart, textStart, blockStop, messageStart),
		"block without content":       stream(messageStart, `{"type":"content_block_start","index":0}`),
		"tool with input as array":    stream(messageStart, strings.Replace(toolStart, `"input":{}`, `"input":[]`, 1)),
		"delta without delta":         stream(messageStart, textStart, `{"type":"content_block_delta","index":0}`),
		"text delta without text":     stream(messageStart, textStart, `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta"}}`),
		"arguments outside of a tool": stream(messageStart, toolDelta),
		"arguments of another tool":   stream(messageStart, toolStart, at(toolDelta, "1")),
		"text delta in a tool":        stream(messageStart, toolStart, textDelta),
		"arguments in a text":         stream(messageStart, textStart, toolDelta),
		"arguments as an object":      stream(messageStart, toolStart, strings.Replace(toolDelta, `"{}"`, `{}`, 1)),
		"thinking in a text":          stream(messageStart, textStart, `{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"a"}}`),
		"stop within a block":         stream(messageStart, textStart, textDelta, messageStop),
		"end without reason":          stream(messageStart, textStart, textDelta, blockStop, messageStop),
		"end with reason null":        stream(messageStart, strings.Replace(messageDelta, `"end_turn"`, "null", 1), messageStop),
		"end with an odd reason":      stream(messageStart, strings.Replace(messageDelta, `"end_turn"`, "7", 1)),
		"message delta of none":       stream(messageStart, `{"type":"message_delta"}`),
		"content after the reason":    stream(messageStart, messageDelta, textStart),
		"content after the end":       stream(messageStart, messageDelta, messageStop, textStart),
		"start after the end":         stream(messageStart, messageDelta, messageStop, messageStart),
		"end twice":                   stream(messageStart, messageDelta, messageStop, messageStop),
		"named one thing, is other":   "event: ping\ndata: " + messageStop + "\n\n",
		"stop before message's data":  "event: message_stop\ndata: x\n\n",
	}
	for name, in := range tests {
		t.Run(name, func(t *testing.T) {
			d := decodeStream(strings.NewReader(in), wire.Ask{})
			if !errors.Is(d.err, wire.ErrMalformed) {
				t.Fatalf("err = %v, out %s", d.err, d.out)
			}
			if strings.Contains(d.err.Error(), "S3CR3T") {
				t.Errorf("the error quotes the stream: %v", d.err)
			}
			if d.done() && !strings.Contains(in, messageStop) {
				t.Error("a clean end")
			}
		})
	}
}

// TestCutStreams ends streams at every byte: none but the whole one may look whole.
func TestCutStreams(t *testing.T) {
	for _, file := range []string{"text", "tools"} {
		in, err := os.ReadFile("testdata/streams/" + file + ".anthropic.txt")
		if err != nil {
			t.Fatal(err)
		}
		for cut := range in {
			d := decodeStream(bytes.NewReader(in[:cut]), wire.Ask{})
			if d.done() || strings.Contains(d.out, "[DONE]") || strings.Contains(d.out, `"finish_reason":"`) {
				t.Fatalf("%s cut at %d of %d looks whole: %s", file, cut, len(in), d.out)
			}
			if errors.Is(d.err, wire.ErrMalformed) {
				t.Fatalf("%s cut at %d: %v", file, cut, d.err)
			}
		}
	}
}

// TestDecoderKeepsNothing holds that what the decoder keeps of an event is its own: an EventReader's bytes change.
func TestDecoderKeepsNothing(t *testing.T) {
	events := []string{messageStart, strings.Replace(toolStart, "{}}", `{"a":1}}`, 1), blockStop, messageDelta, messageStop}
	want := decodeStream(strings.NewReader(stream(events...)), wire.Ask{})
	decoder := format().DecodeStream(wire.Ask{})
	var out []byte
	for _, data := range events {
		ev := wire.Event{Data: []byte(data)}
		var err error
		if out, _, err = decoder.Decode(out, ev); err != nil {
			t.Fatal(err)
		}
		for i := range ev.Data {
			ev.Data[i] = 'x'
		}
	}
	if string(out) != want.out {
		t.Errorf("\n got %s\nwant %s", out, want.out)
	}
}

// TestLongStreamsStaySmall holds that a stream's state does not grow with it.
func TestLongStreamsStaySmall(t *testing.T) {
	decoder := format().DecodeStream(wire.Ask{})
	decode := func(data string) {
		if _, _, err := decoder.Decode(nil, wire.Event{Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
	}
	decode(messageStart)
	decode(textStart)
	decode(textDelta)
	least := func() float64 { // under the race detector, pools lose some of what they have
		n := testing.AllocsPerRun(1, func() { decode(textDelta) })
		for range 50 {
			n = min(n, testing.AllocsPerRun(1, func() { decode(textDelta) }))
		}
		return n
	}
	before := least()
	for range 10000 {
		decode(textDelta)
	}
	if after := least(); after > before {
		t.Errorf("a delta takes %v allocations, and %v after 10000 of them", before, after)
	}
}
