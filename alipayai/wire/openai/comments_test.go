package openai

import (
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// After an id, no blank line comes that ends no event: https://github.com/openai/openai-python/issues/2722. Before one, comments pass as
// they came.
func TestCommentsAfterIDs(t *testing.T) {
	const chunk = `data: {"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"a"},"finish_reason":null}]}` + "\n\n"
	for name, tt := range map[string]struct{ in, want string }{
		"without ids":     {": ping\n\n" + chunk + ": ping\n\n\n" + chunk, ""},
		"after an id":     {": ping\n\n" + "id: 1\n" + chunk + ": ping\n: pong\n\n" + chunk, ": ping\n\n" + "id: 1\n" + chunk + ": ping\n: pong\n" + chunk},
		"a blank line":    {"id: 1\n" + chunk + "\n" + chunk, "id: 1\n" + chunk + chunk},
		"CRLF":            {"id: 1\n" + chunk + ": ping\r\n\r\n" + chunk, "id: 1\n" + chunk + ": ping\n" + chunk},
		"an id by itself": {"id: 1\n\n" + chunk + ": ping\n\n" + chunk, chunk + ": ping\n" + chunk},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.want == "" {
				tt.want = tt.in
			}
			events := wire.EventsIn([]byte(tt.in))
			defer events.Release()
			decoder := Format{}.DecodeStream(wire.Ask{Request: wire.Request{IncludeUsage: true}})
			var out []byte
			for {
				event, err := events.Next()
				if err != nil {
					break
				}
				if out, _, err = decoder.Decode(out, event); err != nil {
					t.Fatal(err)
				}
			}
			if string(out) != tt.want {
				t.Errorf("passes on\n%q\nwant\n%q", out, tt.want)
			}
		})
	}
}
