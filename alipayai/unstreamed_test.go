package alipayai_test

import (
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

const wholeAnswer = `{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"tea"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`

// A client that asked for a stream reads nothing else, so it gets one of an upstream that does not stream, and gets it again.
func TestWholeAnswerToAStream(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{says(200, wholeAnswer)}}, claiming, caching())
		got := s.call(streamBody("hello"), keyed...)
		if got.status != 200 || !strings.Contains(got.body, `"delta":{"role":"assistant","content":"tea"}`) || !strings.HasSuffix(got.body, "data: [DONE]\n\n") {
			t.Errorf("%d %s", got.status, got.body)
		}
		wantHeader(t, got, "Content-Type", "text/event-stream")
		if o := <-s.seen.settled; o.Usage.Total != 3 || o.Code != "" {
			t.Errorf("outcome %+v", o)
		}
		wantReplayed(t, s.call(streamBody("hello"), keyed...), got, "0")
		s.fails(sysError)
		wantCached(t, s.call(streamBody("hello")), got, "0")
		s.wantCalls(2)
	})
}

func TestWholeAnswerToAStreamThatIsNoCompletion(t *testing.T) {
	for name, body := range map[string]string{
		"failure":       `{"code":"SYSTEM_ERROR"}`,
		"no choices":    `{"choices":[]}`,
		"no completion": `{"choices":["tea"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{says(200, body)}, {wholeStream}})
				got := s.call(streamBody("hello"))
				if got.status != 200 || got.header.Get("X-Alipayai-Provider") != "second" || !strings.HasSuffix(got.body, "data: [DONE]\n\n") {
					t.Errorf("%d %v %s", got.status, got.header, got.body)
				}
				s.wantCalls(1, 1)
			})
		})
	}
}
