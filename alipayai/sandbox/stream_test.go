package sandbox

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// parse reads the chunks of a whole stream, and checks that [DONE] ends it.
func parseChunks(t *testing.T, events []string) (chunks []completion) {
	t.Helper()
	if len(events) == 0 || events[len(events)-1] != "[DONE]" {
		t.Fatalf("no [DONE] at the end of %q", events)
	}
	for _, e := range events[:len(events)-1] {
		var c completion
		if err := json.Unmarshal([]byte(e), &c); err != nil {
			t.Fatalf("%v: %s", err, e)
		}
		if c.Object != "chat.completion.chunk" || c.ID == "" || c.Model != "alipay-fin-1" {
			t.Errorf("chunk %s", e)
		}
		chunks = append(chunks, c)
	}
	return chunks
}

// Mistral's streams count tokens unasked, in the chunk that says why they end.
func TestStreamOfMistralCounts(t *testing.T) {
	g := newRig(t, Config{Dialect: Mistral})
	events, err := g.stream("hello", "")
	if err != nil {
		t.Fatal(err)
	}
	chunks := parseChunks(t, events)
	last := chunks[len(chunks)-1]
	if last.Usage == nil || last.Usage.Total == 0 || len(last.Choices) != 1 || last.Choices[0].FinishReason == nil {
		t.Errorf("ends with %+v", last)
	}
}

func TestStream(t *testing.T) {
	prompt := "What is a \"fund\"?\n你好"
	tests := map[string]struct {
		prompt, extra string
		content       string
		events        int
		usage         bool
	}{
		"words":      {prompt, "", "You said: " + prompt, 6, false},
		"usage":      {prompt, `,"stream_options":{"include_usage":true}`, "You said: " + prompt, 6, true},
		"one event":  {prompt + "[[events:1]]", "", "You said: " + prompt, 1, false},
		"many":       {"x[[events:50]]", "", "You said: x" + strings.Repeat(".", 39), 50, false},
		"many, long": {"[[events:50]][[bytes:200]]你", "", "You said: 你" + strings.Repeat(".", 187), 50, false},
		"long words": {strings.Repeat("word ", 40), "", "You said: " + strings.Repeat("word ", 40), maxPlainEvents, false},
		"interval":   {"a b [[interval:1ms]]", "", "You said: a b", 4, false},
	}
	g := newRig(t, Config{})
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			events, err := g.stream(tc.prompt, tc.extra)
			if err != nil {
				t.Fatal(err)
			}
			chunks := parseChunks(t, events)
			if chunks[0].Choices[0].Delta.Role != "assistant" {
				t.Errorf("first chunk %s", events[0])
			}
			if tc.usage {
				last := chunks[len(chunks)-1]
				if last.Usage == nil || last.Usage.Total == 0 || len(last.Choices) != 0 {
					t.Errorf("usage chunk %+v", last)
				}
				if !strings.Contains(events[0], `"usage":null`) {
					t.Errorf("first chunk %s", events[0])
				}
				chunks = chunks[:len(chunks)-1]
			}
			finish := chunks[len(chunks)-1]
			if r := finish.Choices[0].FinishReason; r == nil || *r != "stop" || finish.Usage != nil {
				t.Errorf("finish chunk %+v", finish)
			}
			var text string
			for _, c := range chunks[1 : len(chunks)-1] {
				if c.Choices[0].Delta.Content == "" || c.Choices[0].FinishReason != nil || c.Usage != nil {
					t.Errorf("content chunk %+v", c)
				}
				text += c.Choices[0].Delta.Content
			}
			if text != tc.content || len(chunks)-2 != tc.events {
				t.Errorf("%d events of %q, want %d of %q", len(chunks)-2, text, tc.events, tc.content)
			}
		})
	}
}

func TestStreamedToolCall(t *testing.T) {
	g := newRig(t, Config{})
	events, err := g.stream("call get_weather", weatherTools)
	if err != nil {
		t.Fatal(err)
	}
	chunks := parseChunks(t, events)
	var name, args string
	for _, c := range chunks {
		for _, call := range c.Choices[0].Delta.ToolCalls {
			name += call.Function.Name
			args += call.Function.Arguments
		}
	}
	if name != "get_weather" || !json.Valid([]byte(args)) || !strings.Contains(args, "call get_weather") {
		t.Errorf("call %s(%s)", name, args)
	}
	if r := chunks[len(chunks)-1].Choices[0].FinishReason; *r != "tool_calls" {
		t.Errorf("finish reason %s", *r)
	}
}

func TestStreamIsNotSigned(t *testing.T) {
	g := newRig(t, Config{})
	resp, err := g.do(g.signed("POST", pathChat, chatBody("x", streaming)))
	if err != nil {
		t.Fatal(err)
	}
	g.read(resp, 200, nil)
	if resp.Header.Get("Signature") != "" || resp.Header.Get("Response-Time") != "" {
		t.Errorf("headers %v", resp.Header)
	}
}

// TestClientLeaves cancels in the middle of a stream and in each kind of wait.
func TestClientLeaves(t *testing.T) {
	tests := map[string]struct {
		prompt, extra string
		events        int // content events read before leaving; -1: no head comes
	}{
		"between events":    {"a b c [[interval:1m]]", streaming, 1},
		"stalled stream":    {"a b c [[fault:stall=2]]", streaming, 2},
		"stall after head":  {"a b c [[fault:stall]]", streaming, 0},
		"stalled body":      {"a b c [[fault:stall]]", "", 0},
		"slow first byte":   {"a b c [[fault:slow_first_byte=1h]]", streaming, 0},
		"slow body":         {"a b c [[fault:slow_first_byte=1h]]", "", 0},
		"before the answer": {"a b c [[fault:latency=1h]]", "", -1},
	}
	for _, http2 := range []bool{false, true} {
		for name, tc := range tests {
			t.Run(map[bool]string{false: "h1 ", true: "h2 "}[http2]+name, func(t *testing.T) {
				g := startRig(t, Config{OnRequest: func(*http.Request, []byte) {}}, http2)
				arrived := make(chan struct{}, 1)
				g.srv.cfg.OnRequest = func(*http.Request, []byte) { arrived <- struct{}{} }
				ctx, cancel := context.WithCancel(withTimeout(t))
				defer cancel()
				if tc.events < 0 {
					go func() { <-arrived; cancel() }()
				}
				resp, err := g.do(g.signed("POST", pathChat, chatBody(tc.prompt, tc.extra)).WithContext(ctx))
				if (err != nil) != (tc.events < 0) {
					t.Fatal(err)
				}
				if err == nil {
					defer resp.Body.Close()
					lines := bufio.NewScanner(resp.Body)
					for seen := 0; seen < tc.events && lines.Scan(); {
						if strings.Contains(lines.Text(), `"content":"`) && !strings.Contains(lines.Text(), `"role"`) {
							seen++
						}
					}
					cancel()
				}
				left := time.Now()
				<-g.served
				got := g.srv.Stats()
				if got.Cancelled != 1 || len(got.Cancellations) != 1 || got.Codes[codeCancelled] != 1 || got.InFlight != 0 {
					t.Fatalf("stats %+v", got)
				}
				c := got.Cancellations[0]
				if c.Path != pathChat || c.Events != max(tc.events, 0) || c.SinceLastWrite < 0 {
					t.Errorf("cancellation %+v", c)
				}
				if late := c.At.Sub(left); late > 5*time.Second {
					t.Errorf("noticed %v after the client left", late)
				}
			})
		}
	}
}

func TestSplitKeepsText(t *testing.T) {
	for _, text := range []string{"", "a", "你好 world", strings.Repeat("é", 100)} {
		for n := range 30 {
			pieces := split(text, n)
			if strings.Join(pieces, "") != text || n > 0 && len(pieces) != n {
				t.Errorf("%q in %d: %q", text, n, pieces)
			}
		}
	}
}

func TestHalf(t *testing.T) {
	for name, tc := range map[string]struct{ events, want string }{
		"data alone":          {"data: 0123456789\n\n", "data: 012345"},
		"with a name":         {"event: e\ndata: 0123456789\n\n", "event: e\ndata: 012345"},
		"the last of several": {"event: a\ndata: first\n\nevent: b\ndata: 0123456789\n\n", "event: b\ndata: 012345"},
	} {
		t.Run(name, func(t *testing.T) {
			events := []byte(tc.events)
			if got := string(append(half(events), "more"...)); got != tc.want+"more" || string(events) != tc.events {
				t.Errorf("got %q, and left %q", got, events)
			}
		})
	}
}
