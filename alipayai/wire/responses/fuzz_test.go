package responses

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// Whatever a client sends is refused with a reason, or becomes a request of chat completions' form.
func FuzzParseClientRequest(f *testing.F) {
	for _, in := range []string{
		asked, `{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"x"}]}]}`,
		`{"model":"m","input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":[{"type":"input_text","text":"x"}]}]}`,
		`{"model":"m","previous_response_id":"r","input":[{"type":"item_reference","id":"msg_1"},{"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"x"}]}]}`,
		`{"model":"m","input":"q","text":{"format":{"type":"json_schema","name":"n","schema":{}}},"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[]}}`,
	} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		r, err := ParseClientRequest(body)
		if !bytes.Equal(before, body) {
			t.Fatal("the body was changed")
		}
		if err != nil {
			if _, ok := errors.AsType[*wire.RequestError](err); !ok {
				t.Fatalf("%v is no error of the client's", err)
			}
			return
		}
		if !json.Valid(r.Canonical.Body) {
			t.Fatalf("%s is no JSON", r.Canonical.Body)
		}
		w := &ClientWriter{Request: r, ID: testID}
		response, err := w.Whole(nil, []byte(`{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}`))
		if err != nil || !json.Valid(response) {
			t.Fatalf("%s (%v)", response, err)
		}
	})
}

// Whatever a provider's stream holds, its events keep to their order, and come out the same however they come in.
func FuzzClientEvents(f *testing.F) {
	for _, deltas := range [][]string{
		{`"content":"a"`, `"content":"b"`}, {`"reasoning_content":"a"`, `"refusal":"b"`, `"content":"c"`},
		{`"tool_calls":[{"index":0,"id":"a","function":{"name":"patch","arguments":"{\"input\":\"x\"}"}},{"index":1,"function":{"name":"f"}}]`, `"content":"c"`},
	} {
		f.Add([]byte(strings.Join(streamOf("stop", deltas...), "")), 3)
	}
	f.Fuzz(func(t *testing.T, stream []byte, cut int) {
		// A door is given events as the gateway has read them.
		reader := wire.NewEventReader(bytes.NewReader(stream), 1<<20)
		defer reader.Release()
		var events [][]byte
		for {
			e, err := reader.Next()
			if err != nil {
				break
			}
			if _, err := wire.ParseEvent(e); err != nil {
				return
			}
			events = append(events, bytes.Clone(e.Raw))
		}
		if len(events) == 0 {
			return
		}
		apart := newWriter(t, asked)
		var out []byte
		for _, e := range events {
			var err error
			if out, err = apart.Events(out, e); err != nil {
				out = apart.Broken(out, wire.Error{Message: "broken"})
				break
			}
		}
		done := apart.stream.ended
		if !done {
			out = apart.Broken(out, wire.Error{Message: "broken"})
		}
		if _, _, err := judge(string(out)); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		at := min(max(cut, 0), len(events))
		together := newWriter(t, asked)
		halves, err := together.Events(nil, bytes.Join(events[:at], nil))
		if err == nil {
			halves, err = together.Events(halves, bytes.Join(events[at:], nil))
		}
		if err != nil || !together.stream.ended {
			halves = together.Broken(halves, wire.Error{Message: "broken"})
		}
		if !bytes.Equal(halves, out) {
			t.Fatalf("cut at %d:\n got %s\nwant %s", at, halves, out)
		}
	})
}
