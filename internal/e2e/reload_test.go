package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openai/openai-go/v3/option"
)

// TestReloadMidStream replaces the configuration while a stream runs and other
// calls come and go: the stream is not touched, no call is lost, the new
// configuration serves what comes after, and the token lives on.
func TestReloadMidStream(t *testing.T) {
	const events = 60
	g := startGateway(t, options{})
	generation := 1
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		var resp *http.Response
		stream := c.Chat.Completions.NewStreaming(t.Context(),
			ask(fmt.Sprintf("Count. [[events:%d]] [[interval:20ms]]", events)), option.WithResponseInto(&resp))
		defer stream.Close()
		first := strconv.Itoa(generation)
		readContents(t, stream, 3)

		var contents atomic.Int64
		streamed := make(chan error, 1)
		finish := ""
		go func() {
			for stream.Next() {
				if choices := stream.Current().Choices; len(choices) == 1 {
					finish = choices[0].FinishReason
					if choices[0].Delta.Content != "" {
						contents.Add(1)
					}
				}
			}
			streamed <- stream.Err()
		}()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		called := make(chan error, 1)
		go func() { called <- callUntil(ctx, c) }()

		generation++
		g.load(t, generation)
		if contents.Load() == events-3 {
			t.Fatal("the stream ended before the reload did")
		}

		// Caddy tells connections that are open already a moment after the reload.
		eventually(t, "the new generation to serve", func() error {
			var after *http.Response
			answer, err := c.complete(t.Context(), false, ask("Hello, new one."),
				option.WithMaxRetries(defaultRetries), option.WithResponseInto(&after))
			if got, want := text(answer), "You said: Hello, new one."; err != nil || got != want {
				t.Fatalf("answer %q, %v; want %q", got, err, want)
			}
			if got, want := after.Header.Get("X-Generation"), strconv.Itoa(generation); got != want {
				return fmt.Errorf("generation %s serves, want %s", got, want)
			}
			return nil
		})
		if err := <-streamed; err != nil {
			t.Errorf("the stream broke: %v", err)
		}
		if got := contents.Load(); got != events-3 || finish != "stop" {
			t.Errorf("after the reload began, %d events came and %q, want %d and stop", got, finish, events-3)
		}
		if got := resp.Header.Get("X-Generation"); got != first {
			t.Errorf("generation %s serves the stream, want %s", got, first)
		}
		stop()
		if err := <-called; err != nil {
			t.Error(err)
		}
		if fetches := g.api.Stats().TokenFetches["client_credentials"]; fetches != 1 {
			t.Errorf("%d tokens were fetched, want 1", fetches)
		}
	})
}

// callUntil makes one call after the other until ctx ends. It retries as the
// SDK does by default: the server may close an idle connection just as a
// request is on its way.
func callUntil(ctx context.Context, c *client) error {
	for n := 0; ; n++ {
		prompt := fmt.Sprintf("Call %d.", n)
		answer, err := c.complete(context.WithoutCancel(ctx), n%2 == 0, ask(prompt), option.WithMaxRetries(defaultRetries))
		if got, want := text(answer), "You said: "+prompt; err != nil || got != want {
			return fmt.Errorf("answer %q, %w; want %q", got, err, want)
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// TestCancelAfterReload: a stream that an old configuration still serves is
// cancelled like any other.
func TestCancelAfterReload(t *testing.T) {
	g := startGateway(t, options{})
	generation := 1
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		g.api.ResetStats()
		stream := c.Chat.Completions.NewStreaming(t.Context(), ask("[[events:10000]] [[fault:stall=3]]"))
		readContents(t, stream, 3)
		generation++
		g.load(t, generation)
		left := time.Now()
		stream.Close() // its error says only that the rest was not read
		checkCancelled(t, g, left)
	})
}
