package nextbuilder

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

var format = Format{AgentID: "202405AP00045923", Now: func() time.Time { return time.Unix(1_767_225_600, 0) }}

// askFor is a call of tenant acme, with the gateway's reading of body.
func askFor(t *testing.T, body string) wire.Ask {
	t.Helper()
	request, err := wire.ParseChatRequest([]byte(body), wire.Limits{})
	if err != nil {
		t.Fatalf("the body is none that the gateway lets through: %v", err)
	}
	return wire.Ask{Request: request, UpstreamModel: "agent-1", ID: "call-1", Tenant: "acme"}
}

// someAsk is a call that asks for a stream with its usage.
func someAsk() wire.Ask {
	return wire.Ask{Request: wire.Request{Model: "m", IncludeUsage: true}, UpstreamModel: "agent-1", ID: "call-1", Tenant: "acme"}
}

// translation is what came of a stream: OpenAI's events, and what the chunks said, put together.
type translation struct {
	out     string
	content bool
	finish  string
	usage   wire.Usage
	failure *wire.Failure
	done    bool
	err     error
}

// translate reads r to its end, failure or fault, as the gateway does.
func translate(r io.Reader, ask wire.Ask) translation {
	events := wire.NewEventReader(r, 0)
	defer events.Release()
	decoder := format.DecodeStream(ask)
	var got translation
	var out []byte
	for !got.done && got.failure == nil && got.err == nil {
		ev, err := events.Next()
		if err != nil {
			got.err = err
			break
		}
		var chunk wire.Chunk
		out, chunk, got.err = decoder.Decode(out, ev)
		got.content = got.content || chunk.Content
		got.finish += chunk.FinishReason
		got.failure, got.done = chunk.Failure, chunk.Done
		if chunk.Usage.OK {
			got.usage = chunk.Usage
		}
	}
	got.out = string(out)
	return got
}

// same reports whether two translations are alike in all but the words of their errors.
func same(a, b translation) bool {
	alikeErrors := (a.err == nil) == (b.err == nil) &&
		errors.Is(a.err, wire.ErrMalformed) == errors.Is(b.err, wire.ErrMalformed)
	alikeFailures := (a.failure == nil) == (b.failure == nil) && (a.failure == nil || *a.failure == *b.failure)
	a.err, b.err, a.failure, b.failure = nil, nil, nil, nil
	return alikeErrors && alikeFailures && a == b
}

// completion is what OpenAI's clients read of an answer, or of a chunk of one.
type completion struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	Model   string `json:"model"`
	Choices []struct {
		Index        int     `json:"index"`
		Message      *speech `json:"message"`
		Delta        *speech `json:"delta"`
		FinishReason *string `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		Total int64 `json:"total_tokens"`
	} `json:"usage"`
}

type speech struct {
	Role      string `json:"role"`
	Content   string `json:"content"`
	Reasoning string `json:"reasoning_content"`
}

// readStream reads out as an OpenAI client does, and checks what each of its streams must keep to.
func readStream(t *testing.T, out string) (text, thinking, finish string, done bool) {
	t.Helper()
	events := wire.NewEventReader(strings.NewReader(out), len(out))
	defer events.Release()
	for n := 0; ; n++ {
		ev, err := events.Next()
		if errors.Is(err, io.EOF) {
			return text, thinking, finish, done
		}
		if err != nil {
			t.Fatalf("no event stream: %v\n%s", err, out)
		}
		if done {
			t.Fatalf("an event after [DONE]\n%s", out)
		}
		if string(ev.Data) == "[DONE]" {
			done = true
			continue
		}
		var c completion
		decoder := json.NewDecoder(bytes.NewReader(ev.Data))
		if err := decoder.Decode(&c); err != nil {
			t.Fatalf("%v in %s", err, ev.Data)
		}
		if c.ID != "chatcmpl-call-1" || c.Object != "chat.completion.chunk" || c.Model != "agent-1" || c.Created != 1_767_225_600 {
			t.Fatalf("chunk %s", ev.Data)
		}
		if len(c.Choices) == 0 {
			if c.Usage == nil {
				t.Fatalf("a chunk without choices and usage: %s", ev.Data)
			}
			continue
		}
		delta := c.Choices[0].Delta
		if (n == 0) != (delta.Role == "assistant") {
			t.Fatalf("the role is in event %d\n%s", n, out)
		}
		if finish != "" {
			t.Fatalf("a choice after the finish reason\n%s", out)
		}
		text += delta.Content
		thinking += delta.Reasoning
		if c.Choices[0].FinishReason != nil {
			finish = *c.Choices[0].FinishReason
		}
	}
}
