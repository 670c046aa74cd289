package anthropic

import (
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// TestOwnEvents has streams of servers in Anthropic's form whose messages begin, or end, without a usage. An empty want is what was sent.
func TestOwnEvents(t *testing.T) {
	const (
		begins = `{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"x","content":[]`
		ends   = `{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null}`
	)
	for source, events := range map[string][]struct{ sent, want string }{
		"https://github.com/anthropics/anthropic-sdk-python/issues/1806": {
			{begins + "}}", begins + `,"usage":{"input_tokens":0,"output_tokens":0}}}`},
			{ends + "}", ends + `,"usage":{"output_tokens":0}}`},
		},
		"https://github.com/earendil-works/pi/issues/6567": {
			{begins + `,"usage":{"input_tokens":10,"output_tokens":3}}}`, ""},
			{ends + `,"usage":null}`, ends + `,"usage":{"output_tokens":3}}`},
		},
		"Anthropic's": {
			{begins + `,"usage":{"input_tokens":10,"output_tokens":1}}}`, ""},
			{`{"type":"ping"}`, ""},
			{`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`, ""},
			{`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\"message_start\""}}`, ""},
			{`{"type":"content_block_stop","index":0}`, ""},
			{ends + `,"usage":{"output_tokens":5}}`, ""},
			{`{"type":"message_stop"}`, ""},
		},
		"one that writes spaces": {
			{`{"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 10}}}`, ""},
			{`{"type": "message_delta", "delta": {}, "usage": {"output_tokens": 5}}`, ""},
		},
		"one that writes lines": {
			{"{\ndata: \"type\":\"message_delta\",\"delta\":{\ndata: \"stop_reason\":\"end_turn\"}}", `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":0}}`},
		},
		"no message": {{`{"type":"message_start","message":7}`, ""}},
	} {
		t.Run(source, func(t *testing.T) {
			d := new(Format).DecodeStream(wire.Ask{}).(*decoder)
			for _, event := range events {
				if event.want == "" {
					event.want = event.sent
				}
				for _, name := range []string{"", "event: message\n"} {
					stream := name + "data: " + event.sent + "\n\n"
					splitter := wire.EventsIn([]byte(stream))
					ev, err := splitter.Next()
					if err != nil {
						t.Fatal(err)
					}
					if name == "" {
						_, _, _ = d.Decode(nil, ev)
					}
					if got, want := string(d.AppendOwn(nil, ev)), name+"data: "+event.want+"\n\n"; got != want {
						t.Errorf("got %swant %s", got, want)
					}
					splitter.Release()
				}
			}
		})
	}
}

// An event may be written over several lines. What is added to it keeps to it.
func TestOwnEventsOfSeveralLines(t *testing.T) {
	const sent = "event: message_start\ndata: {\"type\":\"message_start\",\ndata: \"message\":{\"id\":\"m\",\ndata: \"content\":[\ndata: ]}}\n\n"
	const want = "event: message_start\n" + `data: {"type":"message_start","message":{"id":"m","content":[],"usage":{"input_tokens":0,"output_tokens":0}}}` + "\n\n"
	splitter := wire.EventsIn([]byte(sent))
	defer splitter.Release()
	ev, err := splitter.Next()
	if err != nil {
		t.Fatal(err)
	}
	d := new(Format).DecodeStream(wire.Ask{}).(*decoder)
	if got := string(d.AppendOwn(nil, ev)); got != want {
		t.Errorf("got %swant %s", got, want)
	}
}
