package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

func TestStream(t *testing.T) {
	g := startGateway(t, options{})
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		const events = 50
		chat := ask(fmt.Sprintf("It is 22 °C in 杭州. [[events:%d]]", events))
		chat.StreamOptions = openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)}
		var resp *http.Response
		stream := c.Chat.Completions.NewStreaming(t.Context(), chat, option.WithResponseInto(&resp))
		var whole openai.ChatCompletionAccumulator
		contents, usages := 0, 0
		for stream.Next() {
			chunk := stream.Current()
			if !whole.AddChunk(chunk) {
				t.Fatalf("a chunk belongs to another answer: %s", chunk.RawJSON())
			}
			if len(chunk.Choices) == 1 && chunk.Choices[0].Delta.Content != "" {
				contents++
			}
			if chunk.Usage.TotalTokens > 0 {
				usages++
			}
		}
		if err := stream.Err(); err != nil {
			t.Fatal(err)
		}
		// The simulator fills up what is too short for as many events.
		want := "You said: It is 22 °C in 杭州."
		want += strings.Repeat(".", events-utf8.RuneCountInString(want))
		if got := text(whole.ChatCompletion); got != want {
			t.Errorf("answer %q, want %q", got, want)
		}
		if contents != events || usages != 1 {
			t.Errorf("%d content events and %d with usage, want %d and 1", contents, usages, events)
		}
		if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
			t.Errorf("Content-Type is %q", got)
		}
	})
}

// TestEventsAreNotHeldBack: an event reaches the client while the upstream is
// still thinking about the next.
func TestEventsAreNotHeldBack(t *testing.T) {
	g := startGateway(t, options{})
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		stream := c.Chat.Completions.NewStreaming(t.Context(), ask("[[events:9]] [[fault:stall=3]]"))
		defer stream.Close()
		readContents(t, stream, 3)
	})
}
