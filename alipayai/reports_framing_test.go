package alipayai_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// TestPublicReportsOfFraming has answers of 2025 and 2026 that are whole, and stand within what is not theirs, or lack what is around
// them, as users of other gateways have reported them: each goes to the client, and is asked for once.
func TestPublicReportsOfFraming(t *testing.T) {
	const (
		counted = `,"usage":{"prompt_tokens":6,"completion_tokens":1,"total_tokens":7}`
		whole   = `{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"hello"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}`
		asked   = `{"max_tokens":9,"model":"m","messages":[{"role":"user","content":"hello"}]}`
		ends    = "\n\ndata: [DONE]\n\n"
		stop    = `"text":"hello"}}` + "\n\n" + `data: {"type":"message_delta"`
	)
	completion := completionOf(`"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"`, counted)
	message := []string{
		`{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":6,"output_tokens":1}}}`,
		`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hello"}}`,
		`{"type":"content_block_stop","index":0}`, `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}`, `{"type":"message_stop"}`,
	}
	without := func(i int) turn { return streams(nil, append(message[:i:i], message[i+1:]...)...) }
	event := []string{"Content-Type", "text/event-stream"}
	for source, test := range map[string]struct {
		path   string
		claude bool
		body   string
		answer turn
		has    string
	}{
		// The end of a stream behind a whole answer, whether a stream was asked for or not.
		"https://github.com/decolua/9router/issues/3492":  {chatPath, false, chatBody("hello"), says(200, completion+ends, event...), completion},
		"https://github.com/decolua/9router/issues/3492 ": {chatPath, false, streamBody("hello"), says(200, completion+ends, event...), ends},
		"and as JSON":       {chatPath, false, chatBody("hello"), says(200, "\ufeff "+completion+"\ndata:[DONE]"), completion},
		"and of Claude":     {"/v1/messages", true, asked, says(200, whole+ends), whole},
		"and of what is no": {chatPath, false, chatBody("hello"), says(200, completionOf(`"message":{"role":"assistant","content":"data: [DONE]"},"finish_reason":"stop"`, counted)), `data: [DONE]`},
		// Events in frames of their own.
		"https://github.com/paiml/aprender/pull/2015":     {chatPath, false, streamBody("hello"), says(200, "data: data: "+deltaEvent+"\n\ndata: data: "+finishEvent+"\n\ndata: data: [DONE]\n\n", event...), "data: " + finishEvent + ends},
		"https://github.com/paiml/aprender/pull/2015 ":    {chatPath, false, chatBody("hello"), says(200, "data: data: "+deltaEvent+"\n\ndata: data: "+finishEvent+"\n\ndata: data: [DONE]\n\n", event...), `"content":"hello"`},
		"https://github.com/openclaw/openclaw/pull/97474": {chatPath, false, streamBody("hello"), says(200, "data: data: "+deltaEvent+"\ndata: \ndata: \n\ndata: data: "+finishEvent+"\ndata: \ndata: \n\n"), "data: " + finishEvent + ends},
		// Anthropic's events, of which others leave some out.
		"https://github.com/esengine/DeepSeek-Reasonix/pull/8756":    {"/v1/messages", true, with(asked, `"stream":true`), without(5), `{"type":"message_stop"}`},
		"https://github.com/esengine/DeepSeek-Reasonix/pull/8756 ":   {chatPath, true, streamBody("hello"), without(5), ends},
		"https://github.com/xemantic/anthropic-sdk-kotlin/pull/147":  {"/v1/messages", true, with(asked, `"stream":true`), without(3), stop},
		"https://github.com/xemantic/anthropic-sdk-kotlin/pull/147 ": {chatPath, true, streamBody("hello"), without(3), ends},
		"https://github.com/anomalyco/opencode/pull/38733":           {chatPath, true, streamBody("hello"), streams(nil, message[0], `{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{"x":1}}}`, message[3], message[4], message[5]), `"arguments":"{\"x\":1}"`},
	} {
		t.Run(source, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{test.answer}, {good}}, func(g *alipayai.Gateway) {
					if test.claude {
						g.Providers[0] = claudeProviderOver(t, g.Providers[0])
					}
				}, first(anyModel))
				got := s.callAt(t.Context(), test.path, test.body)
				if got.status != http.StatusOK || got.err != nil || !strings.Contains(got.body, test.has) {
					t.Errorf("%d, %v: %s", got.status, got.err, got.body)
				}
				s.wantCalls(1, 0)
			})
		})
	}
}

// What stands in a frame within a frame is what it is in one, be it content or a failure, in each format.
func TestFramesWithinFrames(t *testing.T) {
	for name, own := range spokenFormats {
		for of, stream := range map[string]string{"whole": own.begun + own.end, "failed": own.begun + own.failed, "failed at first": own.failed} {
			t.Run(name+", "+of, func(t *testing.T) {
				testwait.Bubble(t, func(t *testing.T) {
					once := speaking(t, own.format, stream).call(streamBody("hello")).listen(t)
					twice := speaking(t, own.format, strings.ReplaceAll(stream, "data: ", "data: data: ")).call(streamBody("hello")).listen(t)
					once.ids, twice.ids = nil, nil
					if !reflect.DeepEqual(once, twice) {
						t.Errorf("%+v, want %+v", twice, once)
					}
				})
			})
		}
	}
}

// TestEmbeddingsWithNothingInThem has answers that have embeddings and none of them a vector, in whichever encoding, which is another
// provider's chance; what is counted is paid for. One vector makes an answer.
func TestEmbeddingsWithNothingInThem(t *testing.T) {
	const vectors = `{"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":[1]}],"usage":{"prompt_tokens":3,"total_tokens":3}}`
	for embeddings, by := range map[string]string{
		`{"embedding":[]}`:                     "second", // https://github.com/hugalafutro/model-hotel/pull/978
		`{"embedding":null},{"embedding":[ ]}`: "second",
		`{"embedding" : ""}`:                   "second",
		`{"embedding":[]},{"embedding":[1]}`:   "first",
		`{"embedding":{"float":[1]}}`:          "first",
		`{"embedding":"AACAPw=="}`:             "first",
		`{"object":"embedding","vector":[1]}`:  "first",
		`{"embedding":[-1e-3]}`:                "first",
	} {
		t.Run(embeddings, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				l := new(lines)
				answer := says(200, `{"object":"list","model":"m","data":[`+embeddings+`],"usage":{"prompt_tokens":3,"total_tokens":3}}`)
				s := perform(t, [][]turn{{answer}, {says(200, vectors)}}, first(anyModel), filePrices(t, l, `"input_cost_per_token":1e-6`))
				got := s.callAt(t.Context(), "/v1/embeddings", `{"model":"m","input":"hello"}`)
				wantHeader(t, got, "X-Alipayai-Provider", by)
				if all := l.taken(); len(all) != map[string]int{"first": 1, "second": 2}[by] || all[0].Amount != 3000 {
					t.Errorf("%+v", all)
				}
			})
		})
	}
}

// What a failure says where a text should be is read within a frame too: a limit is one.
func TestWordsWithinFrames(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		const words = `{"choices":[{"index":0,"delta":{"content":"Throttling: why"},"finish_reason":"error_finish"}]}`
		got := perform(t, [][]turn{{says(200, "data: data: "+words+"\n\n", "Content-Type", "text/event-stream")}}).call(streamBody("hello"))
		if message := wantError(t, got, http.StatusTooManyRequests, "error_finish"); message != "Throttling: why" {
			t.Errorf("message %q", message)
		}
	})
}
