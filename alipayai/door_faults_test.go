package alipayai_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// front is a door as its clients use it.
type front struct {
	path string
	// body makes a request of a prompt.
	body func(prompt string, stream bool) string
	// said is what a whole answer says.
	said func(body []byte) (string, error)
	// events puts a stream together.
	events func(t *testing.T, got reply) spoken
	// error is the message of an error.
	error func(body []byte) (string, error)
}

// fronts are all doors. A new one has its entry here, and meets every format and every fault.
var fronts = map[string]front{
	"chat": {
		path: chatPath,
		body: func(prompt string, stream bool) string {
			if stream {
				return streamBody(prompt)
			}
			return chatBody(prompt)
		},
		said: func(body []byte) (string, error) {
			var answer struct {
				Choices []struct{ Message struct{ Content string } }
			}
			err := json.Unmarshal(body, &answer)
			if err == nil && len(answer.Choices) != 1 {
				err = fmt.Errorf("%d choices", len(answer.Choices))
			}
			if err != nil {
				return "", err
			}
			return answer.Choices[0].Message.Content, nil
		},
		events: func(t *testing.T, got reply) spoken { t.Helper(); return got.listen(t) },
		error: func(body []byte) (string, error) {
			var answer struct{ Error struct{ Message string } }
			err := json.Unmarshal(body, &answer)
			return answer.Error.Message, err
		},
	},
	"completions": {
		path: "/v1/completions",
		body: func(prompt string, stream bool) string {
			text, _ := json.Marshal(prompt)
			return fmt.Sprintf(`{"model":"alipay-fin-1","max_tokens":100,"stream":%v,"prompt":%s}`, stream, text)
		},
		said: func(body []byte) (string, error) {
			var answer struct {
				Object  string
				Choices []struct{ Text string }
			}
			err := json.Unmarshal(body, &answer)
			if err == nil && (answer.Object != "text_completion" || len(answer.Choices) != 1) {
				err = fmt.Errorf("no completion: %s", body)
			}
			if err != nil {
				return "", err
			}
			return answer.Choices[0].Text, nil
		},
		events: func(t *testing.T, got reply) spoken { t.Helper(); return got.listen(t) },
		error: func(body []byte) (string, error) {
			var answer struct{ Error struct{ Message string } }
			err := json.Unmarshal(body, &answer)
			return answer.Error.Message, err
		},
	},
	"messages": {
		path: "/v1/messages",
		body: func(prompt string, stream bool) string {
			text, _ := json.Marshal(prompt)
			return fmt.Sprintf(`{"model":"alipay-fin-1","max_tokens":100,"stream":%v,"messages":[{"role":"user","content":%s}]}`, stream, text)
		},
		said: func(body []byte) (string, error) {
			var answer struct {
				Type, Role string
				StopReason string `json:"stop_reason"`
				Content    []struct{ Type, Text string }
			}
			err := json.Unmarshal(body, &answer)
			if err == nil && (answer.Type != "message" || answer.Role != "assistant" || answer.StopReason != "end_turn" || len(answer.Content) != 1) {
				err = fmt.Errorf("no message: %s", body)
			}
			if err != nil {
				return "", err
			}
			return answer.Content[0].Text, nil
		},
		events: func(t *testing.T, got reply) spoken { t.Helper(); return got.listenMessages(t) },
		error: func(body []byte) (string, error) {
			var answer struct {
				Type  string
				Error struct{ Type, Message string }
			}
			err := json.Unmarshal(body, &answer)
			if err == nil && (answer.Type != "error" || answer.Error.Type == "") {
				err = fmt.Errorf("no error: %s", body)
			}
			return answer.Error.Message, err
		},
	},
	"responses": {
		path: "/v1/responses",
		body: func(prompt string, stream bool) string {
			text, _ := json.Marshal(prompt)
			return fmt.Sprintf(`{"model":"alipay-fin-1","max_output_tokens":100,"stream":%v,"input":%s}`, stream, text)
		},
		said: func(body []byte) (string, error) {
			var answer responseResource
			err := json.Unmarshal(body, &answer)
			if err == nil && (answer.Object != "response" || answer.Status != "completed" || len(answer.Output) != 1 || len(answer.Output[0].Content) != 1) {
				err = fmt.Errorf("no response: %s", body)
			}
			if err != nil {
				return "", err
			}
			return answer.Output[0].Content[0].Text, nil
		},
		events: func(t *testing.T, got reply) spoken { t.Helper(); return got.listenResponses(t) },
		error: func(body []byte) (string, error) {
			var answer struct {
				Error struct{ Message, Type string }
			}
			err := json.Unmarshal(body, &answer)
			if err == nil && answer.Error.Type == "" {
				err = fmt.Errorf("no error: %s", body)
			}
			return answer.Error.Message, err
		},
	},
}

// listenMessages reads the events of the Messages API, as strictly as its SDKs do.
func (got reply) listenMessages(t *testing.T) spoken {
	t.Helper()
	s := spoken{ids: make(map[string]bool)}
	open, index, stopped := false, 0, false
	for event := range strings.SplitSeq(got.body, "\n\n") {
		if event == "" {
			continue
		}
		kind, data, ok := strings.Cut(event, "\ndata: ")
		kind, typed := strings.CutPrefix(kind, "event: ")
		var e struct {
			Type         string
			Index        int
			Message      struct{ ID string }
			ContentBlock struct{ Type string } `json:"content_block"`
			Delta        struct {
				Type, Text string
				StopReason string `json:"stop_reason"`
			}
			Usage struct {
				Output *int `json:"output_tokens"`
			}
			Error struct{ Type string }
		}
		if err := json.Unmarshal([]byte(data), &e); err != nil || !ok || !typed || e.Type != kind {
			t.Errorf("not an event: %q (%v)", event, err)
		}
		if s.done || s.failed != "" {
			t.Errorf("an event after the end: %s", event)
		}
		if (len(s.ids) == 0) != (kind == "message_start") && kind != "ping" {
			t.Errorf("begins with, or begins anew at, %s", event)
		}
		switch kind {
		case "message_start":
			s.ids[e.Message.ID] = true
		case "content_block_start":
			if open || e.Index != index || stopped {
				t.Errorf("out of order: %s", event)
			}
			open = true
		case "content_block_delta":
			if !open || e.Index != index {
				t.Errorf("out of order: %s", event)
			}
			s.content += e.Delta.Text
		case "content_block_stop":
			if !open || e.Index != index {
				t.Errorf("out of order: %s", event)
			}
			open, index = false, index+1
		case "message_delta":
			if open || e.Delta.StopReason == "" || e.Usage.Output == nil {
				t.Errorf("out of order: %s", event)
			}
			stopped = true
			s.finish++
		case "message_stop":
			s.done = stopped
		case "error":
			s.failed = e.Error.Type
		case "ping":
		default:
			t.Errorf("an event that is not known: %s", event)
		}
	}
	return s
}

// wholeFaults are those that an answer can have which is no stream.
var wholeFaults = map[string]bool{
	"nothing wrong": true, "late first byte": true, "no head": true, "error in place of it": true, "reset before": true, "reset at once": true,
}

// Every door meets every format of provider and every fault that a stream can have, counted at the provider and the client:
// an answer is whole, or it is a failure in the door's own form, or it breaks off in a way that no client takes for its end.
func TestFaultsAtEveryDoor(t *testing.T) {
	for door, f := range fronts {
		for _, format := range []sandbox.Format{sandbox.OpenAI, sandbox.Anthropic, sandbox.NextBuilder} {
			for name, test := range streamFaults {
				for _, stream := range []bool{true, false} {
					if !stream && !wholeFaults[name] {
						continue
					}
					for mode, second := range map[string][]sandbox.Format{"alone": nil, "openai": {sandbox.OpenAI}, "anthropic": {sandbox.Anthropic}} {
						if test.slow && mode != "openai" {
							continue // these take their time
						}
						t.Run(fmt.Sprintf("%s, %s, %s, stream %v, %s", door, format, mode, stream, name), func(t *testing.T) {
							test.at(t, append([]sandbox.Format{format}, second...), func(t *testing.T, l *ladder) { f.check(t, l, test.harm, stream) })
						})
					}
				}
			}
		}
	}
}

// check makes a call, and checks what the client got and how often each provider was asked.
func (f front) check(t *testing.T, l *ladder, h harm, stream bool) {
	t.Helper()
	got := l.post(f.path, f.body(prompt, stream))
	o := l.outcome()
	calls := make([]int, len(l.upstreams))
	calls[0] = 1
	whole := func() {
		t.Helper()
		if got.status != 200 || got.err != nil {
			t.Fatalf("%d, ends with %v: %s", got.status, got.err, got.body)
		}
		if !stream {
			if text, err := f.said([]byte(got.body)); text != said || err != nil {
				t.Errorf("answered %q (%v)", text, err)
			}
		} else if s := f.events(t, got); s.content != said || !s.done || s.finish != 1 || len(s.ids) != 1 || s.failed != "" {
			t.Errorf("answered %+v: %s", s, got.body)
		}
	}
	switch {
	case h == none:
		whole()
	case h == within:
		s := f.events(t, got)
		if got.status != 200 || got.err == nil || s.done || s.failed == "" || s.content == "" || !strings.HasPrefix(said, s.content) || s.finish > 0 {
			t.Errorf("%d, ends with %v: %+v", got.status, got.err, s)
		}
		if !o.Aborted || o.Code == "" {
			t.Errorf("outcome %+v", o)
		}
	case len(l.upstreams) > 1:
		whole()
		wantHeader(t, got, "X-Alipayai-Provider", "second")
		calls[1] = 1
	default:
		if message, err := f.error([]byte(got.body)); message == "" || err != nil || got.status < 400 || got.err != nil {
			t.Errorf("%d, ends with %v: %s (%v)", got.status, got.err, got.body, err)
		}
	}
	if len(l.seen.attempted()) > 2 && strings.HasSuffix(l.seen.attempted()[0], "api_error") {
		calls[0] = alipayai.MaxAttempts // which a client of Anthropic's may ask again
	}
	l.wantCalls(calls...)
	for _, u := range l.upstreams {
		waitFor(t, "the provider to be let go", func() bool { return u.Stats().InFlight == 0 })
	}
}

// What has been answered once is given again at every door, whole answers and streams, in the door's own form: by its
// Idempotency-Key, and from the cache when the provider fails.
func TestAnswersAreGivenAgainAtEveryDoor(t *testing.T) {
	for name, f := range fronts {
		for _, format := range []sandbox.Format{sandbox.OpenAI, sandbox.Anthropic} {
			for _, stream := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, stream %v", name, format, stream), func(t *testing.T) {
					t.Parallel()
					l := newLadder(t, []sandbox.Format{format}, claiming, func(g *alipayai.Gateway) {
						g.Answers = &alipayai.AnswerCache{Cache: replay.NewMemoryCache(time.Now).Within(1 << 20), TTL: time.Hour}
					})
					said := func(got reply) string {
						t.Helper()
						if got.status != http.StatusOK {
							t.Fatalf("%d %s", got.status, got.body)
						}
						if stream {
							return f.events(t, got).content
						}
						text, err := f.said([]byte(got.body))
						if err != nil {
							t.Error(err)
						}
						return text
					}
					body := f.body("hello", stream)
					first := said(l.post(f.path, body, "Idempotency-Key", "k"))
					again := said(l.post(f.path, body, "Idempotency-Key", "k"))
					if n := len(l.upstreams[0].calls()); first == "" || again != first || n != 1 {
						t.Errorf("said %q and again %q, in %d calls", first, again, n)
					}
					l.upstreams[0].set(t, sandbox.Fault{Kind: sandbox.SystemError200})
					if cached := said(l.post(f.path, body)); cached != first {
						t.Errorf("from the cache %q, want %q", cached, first)
					}
				})
			}
		}
	}
}
