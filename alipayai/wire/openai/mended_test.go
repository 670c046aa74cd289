package openai

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// TestMendedChunks has streams of which each chunk lacks something: what is edited into one, and not into the next, is the same as what is
// edited into each. The pieces stand for chunks that differ in their content alone.
func TestMendedChunks(t *testing.T) {
	pieces := []string{"a", "b", "", `\"`, "delta", "a", "雪", "}]", "x"}
	call := `{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t","function":{"name":"f","arguments":"{}"}}]}}`
	for name, kinds := range map[string][]string{
		"no object":                   {`{"id":"c","created":7,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"%s"}}]}`},
		"no role, and nothing around": {`{"choices":[{"delta":{"content":"%s"}}]}`},
		"an empty reason":             {`{` + fullHead + `"choices":[{"index":0,"delta":{"content":"%s","role":""},"finish_reason":""}]}`},
		"parts of a second, behind":   {`{"choices":[{"index":0,"delta":{"content":"%s"}}],"id":"c","model":"m","created":7.5}`},
		"white space":                 {"{ \"choices\" : [ { \"delta\" :\t{ \"content\" : \"%s\" } } ] }"},
		"an empty usage in each":      {`{"id":"c","choices":[{"index":0,"delta":{"content":"%s"}}],"usage":{}}`},
		"a message beside":            {`{"id":"c","choices":[{"index":"0","message":{"content":"all"},"delta":{"content":"%s"}}]}`},
		"several choices":             {`{"choices":[{"delta":{"content":"same"}},{"delta":{"content":"%s"}}]}`, `{"choices":[{"index":1,"delta":{"content":"%s"}}]}`},
		"choices in turn":             {`{"choices":[{"index":0,"delta":{"content":"%s"}}]}`, `{"choices":[{"index":1,"delta":{"content":"%s"}}]}`, `{"choices":[{"index":0,"delta":{"content":"%s"}}]}`},
		"a full one between":          {`{"choices":[{"index":0,"delta":{"content":"%s"}}]}`, `{` + fullHead + `"choices":[{"index":0,"delta":{"content":"%s"}}]}`, `{"choices":[{"index":0,"delta":{"content":"%s"}}]}`},
		"a usage between":             {`{"choices":[{"index":0,"delta":{"content":"%s"}}]}`, `{"choices":[],"usage":{"total_tokens":3}}`, `{"choices":[{"index":0,"delta":{"content":"%s"}}]}`},
		"a reason with each":          {`{"choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":"end_turn"}]}`},
		"a call before":               {`{"choices":[` + call + `]}`, `{"choices":[{"index":0,"delta":{"content":"%s"}}]}`, `{"choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":"stop"}]}`},
		"a call between":              {`{"choices":[{"index":0,"delta":{"content":"%s"}}]}`, `{"choices":[` + call + `]}`, `{"choices":[{"index":0,"delta":{"content":"%s"}}]}`, `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`},
		"calls with each":             {`{"choices":[{"index":0,"delta":{"content":"%s","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			ask := wire.Ask{ID: "7", UpstreamModel: "up", Request: wire.Request{IncludeUsage: true}}
			got, each := Format{}.DecodeStream(ask).(*stream), Format{}.DecodeStream(ask).(*stream)
			got.choices.head.created, each.choices.head.created = 7, 7
			alike := 0
			for _, kind := range kinds {
				for _, piece := range pieces {
					data := kind
					if strings.Contains(kind, "%s") {
						data = fmt.Sprintf(kind, piece)
					}
					event := wire.Event{Data: []byte(data), Raw: []byte("data: " + data + "\n\n")}
					out, _, err := got.Decode(nil, event)
					each.mended = mended{}
					want, _, _ := each.Decode(nil, event)
					if err != nil || string(out) != string(want) {
						t.Fatalf("%v\n%s\n got %s\nwant %s", err, data, out, want)
					}
					if len(got.mended.before) > 0 {
						alike++
					}
				}
			}
			if never := slices.Contains([]string{"a reason with each", "calls with each", "a call before"}, name); never != (alike == 0) {
				t.Errorf("%d chunks are kept", alike)
			}
		})
	}
}

// TestMendedChunksAreCheap holds that a chunk which lacks what the one before lacks is not read into its members again.
func TestMendedChunksAreCheap(t *testing.T) {
	event := wire.Event{Data: []byte(`{"id":"c","created":7,"model":"m","choices":[{"index":0,"delta":{"content":"tea"}}]}`)}
	d, room := Format{}.DecodeStream(wire.Ask{ID: "7"}), make([]byte, 0, 1<<10)
	decode := func() { _, _, _ = d.Decode(room, event) }
	decode()
	decode()
	if n := testing.AllocsPerRun(10, decode); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
