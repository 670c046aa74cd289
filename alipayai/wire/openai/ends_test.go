package openai

import (
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// TestOtherEnds has what stands behind an answer that is whole: it is passed over, and the answer is ended as OpenAI ends it.
func TestOtherEnds(t *testing.T) {
	const head = `{"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[`
	const more = head + `{"index":0,"delta":{"role":"assistant","content":"x"},"finish_reason":null}]}`
	const stop = head + `{"index":0,"delta":{},"finish_reason":"stop"}]}`
	const usage = `{"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`
	for name, tt := range map[string]struct {
		behind []string
		broken bool
	}{
		"https://github.com/acheong08/ChatGPT-to-API/issues/14": {behind: []string{stop, usage, "[ALL DONE]"}},
		"https://github.com/open-webui/pipelines/issues/297":    {behind: []string{stop, usage, "[DONE\ndata: ]"}},
		"small letters":           {behind: []string{stop, usage, "[done]"}},
		"a text in quotes":        {behind: []string{stop, usage, `"[DONE]"`}},
		"before the usage":        {behind: []string{stop, "end", usage}},
		"before its end":          {behind: []string{"[done]", stop, usage}, broken: true},
		"behind what goes on":     {behind: []string{stop, more, "[done]"}, broken: true},
		"a chunk that is cut off": {behind: []string{stop, usage, head}, broken: true},
	} {
		t.Run(name, func(t *testing.T) {
			events := wire.NewEventReader(strings.NewReader("data: "+strings.Join(append([]string{more}, tt.behind...), "\n\ndata: ")+"\n\n"), 0)
			defer events.Release()
			d := Format{}.DecodeStream(wire.Ask{ID: "answer", Request: wire.Request{IncludeUsage: true}})
			var got []byte
			var err error
			for ev, more := events.Next(); more == nil && err == nil; ev, more = events.Next() {
				got, _, err = d.Decode(got, ev)
			}
			if (err != nil) != tt.broken {
				t.Fatalf("error %v", err)
			}
			if tt.broken {
				return
			}
			got, last, whole := d.End(got)
			want := "data: " + more + "\n\ndata: " + stop + "\n\ndata: " + usage + "\n\ndata: [DONE]\n\n"
			if string(got) != want || !whole || !last.Done {
				t.Errorf("whole: %v, got %s\nwant %s", whole, got, want)
			}
		})
	}
}
