package alipayai_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// speaker is an upstream that says who it is with each answer, thinks before it, and notes what it was asked last.
type speaker struct {
	name  string
	fails atomic.Bool
	asked atomic.Value
	// answer writes the form's answer: a whole one, or a stream.
	answer func(w http.ResponseWriter, text string, stream bool)
}

func (s *speaker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.asked.Store(string(body))
	if s.fails.Load() {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, `{"error":{"code":"SYSTEM_ERROR","type":"api_error","message":"broken"}}`)
		return
	}
	stream := bytes.Contains(body, []byte(`"stream":true`))
	w.Header().Set("Content-Type", "application/json")
	if stream {
		w.Header().Set("Content-Type", "text/event-stream")
	}
	s.answer(w, "said by "+s.name, stream)
}

// speaks are the forms of providers that a conversation may come to.
var speaks = map[string]struct {
	provider func(t testing.TB, base string) *upstream.Provider
	answer   func(w http.ResponseWriter, text string, stream bool)
}{
	"chat": {plainProvider, func(w http.ResponseWriter, text string, stream bool) {
		if !stream {
			fmt.Fprintf(w, `{"id":"1","model":"m-1","choices":[{"index":0,"message":{"role":"assistant","reasoning_content":"hm","content":%q},"finish_reason":"stop"}]}`, text)
			return
		}
		fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":%q}}]}\n\n"+
			"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n", text)
	}},
	"responses": {func(t testing.TB, base string) *upstream.Provider {
		t.Helper()
		p := plainProvider(t, base)
		p.Responses = true
		return p
	}, func(w http.ResponseWriter, text string, stream bool) {
		id := fmt.Sprintf("%x", text)
		response := fmt.Sprintf(`{"id":"resp_%s","object":"response","status":"completed","model":"m-1","output":[{"type":"reasoning","id":"rs_%s","summary":[]},{"type":"message","id":"msg_%s","role":"assistant","status":"completed","content":[{"type":"output_text","text":%q,"annotations":[]}]}]}`, id, id, id, text)
		if !stream {
			_, _ = io.WriteString(w, response)
			return
		}
		fmt.Fprintf(w, "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_%s\",\"status\":\"in_progress\",\"output\":[]}}\n\n"+
			"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"item_id\":\"msg_%s\",\"output_index\":1,\"content_index\":0,\"delta\":%q}\n\n"+
			"event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":%s}\n\n", id, id, text, response)
	}},
	"messages": {claudeProvider, func(w http.ResponseWriter, text string, stream bool) {
		if !stream {
			fmt.Fprintf(w, `{"id":"msg_1","type":"message","role":"assistant","model":"c-1","content":[{"type":"thinking","thinking":"hm","signature":"c2ln"},{"type":"text","text":%q}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2}}`, text)
			return
		}
		for _, e := range []string{
			`{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"c-1","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}`,
			`{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}`,
			`{"type":"content_block_stop","index":0}`,
			`{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}`,
			fmt.Sprintf(`{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":%q}}`, text),
			`{"type":"content_block_stop","index":1}`,
			`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}`, `{"type":"message_stop"}`,
		} {
			kind, _, _ := strings.Cut(strings.TrimPrefix(e, `{"type":"`), `"`)
			fmt.Fprintf(w, "event: %s\ndata: %s\n\n", kind, e)
		}
	}},
}

// inOrder reports whether texts hold the parts, one after the other, each once.
func inOrder(text string, parts ...string) bool {
	rest := text
	for _, part := range parts {
		_, after, ok := strings.Cut(rest, part)
		if !ok || strings.Count(text, part) != 1 {
			return false
		}
		rest = after
	}
	return true
}

// eachPair runs a test for each two forms of providers, of which the first is asked first, and for whole answers and streams.
func eachPair(t *testing.T, test func(t *testing.T, r *rig, one, two *speaker, ask func(input, more string) (responseResource, reply))) {
	t.Helper()
	for from := range speaks {
		for to := range speaks {
			for _, stream := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s and %s, stream %v", from, to, stream), func(t *testing.T) {
					t.Parallel()
					one, two := &speaker{name: "one", answer: speaks[from].answer}, &speaker{name: "two", answer: speaks[to].answer}
					server := httptest.NewServer(two)
					t.Cleanup(server.Close)
					r := startRig(t, one, speaks[from].provider, keeping, func(g *alipayai.Gateway) {
						g.Providers = append(g.Providers, speaks[to].provider(t, server.URL))
						for i, p := range g.Providers {
							p.Name, p.Model = fmt.Sprint("p", i), ""
						}
					})
					test(t, r, one, two, func(input, more string) (responseResource, reply) {
						t.Helper()
						return r.ask(fmt.Sprintf(`{"model":"m","stream":%v,"input":%s%s}`, stream, input, more))
					})
				})
			}
		}
	}
}

// A conversation goes on at another provider when the first fails, and comes back with what that has said, in each form and
// from one form to the other; each is sent all of it, once and in its order.
func TestConversationsGoOnAtAnotherProvider(t *testing.T) {
	eachPair(t, func(t *testing.T, r *rig, preferred, other *speaker, ask func(string, string) (responseResource, reply)) {
		one, _ := ask(`"turn 1"`, "")
		preferred.fails.Store(true)
		two, got := ask(`"turn 2"`, `,"previous_response_id":"`+one.ID+`"`)
		wantHeader(t, got, "X-Alipayai-Provider", "p1")
		if sent := other.asked.Load().(string); !inOrder(sent, "turn 1", "said by one", "turn 2") {
			t.Errorf("the second was sent %s", sent)
		}
		preferred.fails.Store(false)
		three, got := ask(`[{"role":"user","content":"turn 3"}]`, `,"previous_response_id":"`+two.ID+`"`)
		wantHeader(t, got, "X-Alipayai-Provider", "p0")
		if sent := preferred.asked.Load().(string); !inOrder(sent, "turn 1", "said by one", "turn 2", "said by two", "turn 3") {
			t.Errorf("the first was sent %s", sent)
		}
		if three.Status != "completed" || one.ID == two.ID || two.ID == "" {
			t.Errorf("%q, %q and %+v", one.ID, two.ID, three)
		}
		kept := r.do(t.Context(), http.MethodGet, responsesPath+"/"+two.ID, "")
		if kept.status != http.StatusOK || !strings.Contains(kept.body, "said by two") {
			t.Errorf("kept: %d %s", kept.status, kept.body)
		}
	})
}

// What the gateway has written of another provider's thinking is not sent to one that has the Responses API: OpenAI looks for an
// item of reasoning by its id, unless it has encrypted content, and refuses the request where there is none
// (https://github.com/vercel/ai/issues/7543). Its own goes back to it.
func TestReasoningOfOthersIsNotSentToResponses(t *testing.T) {
	eachPair(t, func(t *testing.T, r *rig, preferred, other *speaker, ask func(string, string) (responseResource, reply)) {
		preferred.fails.Store(true)
		one, got := ask(`"turn 1"`, "")
		preferred.fails.Store(false)
		for name, more := range map[string]string{"by its id": `,"previous_response_id":"` + one.ID + `"`, "by its items": ""} {
			input := `"turn 2"`
			if more == "" {
				output, _ := json.Marshal(outputOf(t, got))
				input = `[{"role":"user","content":"turn 1"},` + strings.TrimSuffix(strings.TrimPrefix(string(output), "["), "]") + `,{"role":"user","content":"turn 2"}]`
			}
			_, again := ask(input, more)
			if again.status != http.StatusOK {
				t.Fatalf("%d %s", again.status, again.body)
			}
			if !r.provider.Responses {
				continue
			}
			native := r.gateway.Providers[1].Responses
			if sent := preferred.asked.Load().(string); strings.Contains(sent, `"reasoning"`) != native || !inOrder(sent, "turn 1", "said by two", "turn 2") {
				t.Errorf("%s: sent %s", name, sent)
			}
		}
	})
}

// outputOf gives the items of a response's output, as they came.
func outputOf(t *testing.T, got reply) []json.RawMessage {
	t.Helper()
	text := got.body
	if at := strings.LastIndex(text, "event: response."); at >= 0 {
		_, text, _ = strings.Cut(text[at:], `"response":`)
		text = strings.TrimSpace(text)
	}
	var response struct{ Output []json.RawMessage }
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&response); err != nil || len(response.Output) == 0 {
		t.Fatalf("%v: %s", err, got.body)
	}
	return response.Output
}
