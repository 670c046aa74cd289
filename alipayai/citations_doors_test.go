package alipayai_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// TestCitationsAtDoors has answers that cite, whole and as streams, at each of the doors: what they cite comes with a guard that refuses
// nothing as without one, and again where the answer is given again, for its key or from the cache.
func TestCitationsAtDoors(t *testing.T) {
	const (
		cited = `"annotations":[{"type":"url_citation","url_citation":{"url":"https://a.example/1","title":"A","start_index":0,"end_index":3}}]`
		also  = `"annotations":[{"type":"url_citation","url_citation":{"url":"https://b.example/2","title":"B","start_index":4,"end_index":7}}]`
		stop  = `"delta":{},"finish_reason":"stop"`
	)
	long := strings.Repeat("tea ", 40)
	for name, test := range map[string]struct {
		answer string
		urls   []string
		stream bool
	}{
		"a whole":                     {completionOf(`"message":{"role":"assistant","content":"tea",`+cited+`},"finish_reason":"stop"`, ""), []string{"a.example"}, false},
		"a whole to a stream":         {completionOf(`"message":{"role":"assistant","content":"tea",`+cited+`},"finish_reason":"stop"`, ""), []string{"a.example"}, true},
		"a stream to a whole":         {chunksOf(`"delta":{"role":"assistant","content":"tea"}`, `"delta":{`+cited+`}`, stop), []string{"a.example"}, false},
		"behind the text":             {chunksOf(`"delta":{"role":"assistant","content":"tea"}`, `"delta":{`+cited+`}`, stop), []string{"a.example"}, true},
		"before the text":             {chunksOf(`"delta":{"role":"assistant",`+cited+`}`, `"delta":{"content":"tea"}`, stop), []string{"a.example"}, true},
		"with the text, and more":     {chunksOf(`"delta":{"role":"assistant","content":"tea",`+cited+`}`, `"delta":{"content":"`+long+`"}`, `"delta":{"content":"milk",`+also+`}`, stop), []string{"a.example", "b.example"}, true},
		"with the last piece":         {chunksOf(`"delta":{"role":"assistant","content":"`+long+`"}`, `"delta":{`+cited+`},"finish_reason":"stop"`), []string{"a.example"}, true},
		"with each piece, once again": {chunksOf(`"delta":{"role":"assistant","content":"tea",`+cited+`}`, `"delta":{"content":"milk",`+cited+`}`, stop), []string{"a.example"}, true},
	} {
		kind := "application/json"
		if strings.HasPrefix(test.answer, "data: ") {
			kind = "text/event-stream"
		}
		for _, door := range []string{"chat", "messages", "responses"} {
			for _, guarded := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s at %s, guarded %v", name, door, guarded), func(t *testing.T) {
					testwait.Bubble(t, func(t *testing.T) {
						s := perform(t, [][]turn{{says(http.StatusOK, test.answer, "Content-Type", kind)}}, claiming, caching())
						ctx := t.Context()
						if guarded {
							ctx = alipayai.WithModeration(ctx, alipayai.Moderation{Guard: &alipayai.OutputGuard{Rules: outputRules(t, "secret handshake"), Name: "law", Window: 64}})
						}
						ask := func(header ...string) string {
							got := s.callAt(ctx, fronts[door].path, fronts[door].body("hello", test.stream), header...)
							if got.status != http.StatusOK || got.err != nil {
								t.Fatalf("%d %v %s", got.status, got.err, got.body)
							}
							return newIDs.ReplaceAllString(got.body, "$1")
						}
						first := ask(keyed...)
						again := ask(keyed...)
						s.fails(busy)
						kept := ask()
						for place, body := range map[string]string{"first": first, "for its key": again, "from the cache": kept} {
							if place != "first" && body != first {
								t.Errorf("%s: %s\nfirst: %s", place, body, first)
							}
							for _, url := range test.urls {
								if strings.Count(body, url) == 0 {
									t.Errorf("%s lacks %s: %s", place, url, body)
								}
							}
						}
					})
				})
			}
		}
	}
}
