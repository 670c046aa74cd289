package openai

import (
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// TestChunkHeads has streams whose later chunks lack what the first begins with.
func TestChunkHeads(t *testing.T) {
	const first = `{"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}`
	const head = `"id":"c","object":"chat.completion.chunk","created":7,"model":"m",`
	for name, tt := range map[string]struct{ first, sent, want string }{
		"https://github.com/anomalyco/opencode/issues/39061": {first, `{"choices":[],"cost":"0"}`, `{` + head + `"choices":[],"cost":"0"}`},
		"https://github.com/anomalyco/opencode/issues/42918": {first, `{"id":"","object":"chat.completion.chunk","created":9,"model":null,"choices":[]}`, `{"id":"c","object":"chat.completion.chunk","created":9,"model":"m","choices":[]}`},
		"usage":                          {first, `{"usage":{"prompt_tokens":1,"completion_tokens":1}}`, `{` + head + `"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}`},
		"another head":                   {first, `{"id":"d", "object":"x","created":9,"model":"n","choices":[]}`, ""},
		"what is no chunk":               {first, `{"type":"ping"}`, ""},
		"a head that is not first":       {`{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}],"id":"c","created":7}`, `{"choices":[]}`, `{"id":"c","created":7,"choices":[]}`},
		"a head that is cut at the room": {`{"id":"c","object":"` + strings.Repeat("o", 222) + `","created":7777,"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}`, `{"choices":[]}`, `{"id":"c","object":"` + strings.Repeat("o", 222) + `","choices":[]}`},
		"no head":                        {`{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}`, `{"choices":[],"cost":"0"}`, ""},
		"an empty one":                   {`{"id":"","created":null,"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}`, `{"id":"","choices":[]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.want == "" {
				tt.want = tt.sent
			}
			d := Format{}.DecodeStream(wire.Ask{Request: wire.Request{IncludeUsage: true}})
			for _, chunk := range []struct{ sent, want string }{{tt.first, tt.first}, {tt.sent, tt.want}} {
				reader := wire.NewEventReader(strings.NewReader("data: "+chunk.sent+"\n\n"), 0)
				ev, err := reader.Next()
				if err != nil {
					t.Fatal(err)
				}
				got, _, err := d.Decode(nil, ev)
				if want := "data: " + chunk.want + "\n\n"; err != nil || string(got) != want {
					t.Errorf("%v\ngot %s\nwant %s", err, got, want)
				}
				reader.Release()
			}
		})
	}
}
