package e2e

import (
	"context"
	"errors"
	"testing"
	"time"
)

// cancelledWithin is how long the API may go on working for a client that left: less than it takes anything but the client's
// leaving to end the call. That it ends at once is judged where time is that of a bubble: package alipayai's
// TestClientThatLeavesMidstream.
const cancelledWithin = 5 * time.Second

// checkCancelled waits until the API has noticed that the client left, and
// compares the time. Both clocks are this process's own.
func checkCancelled(t *testing.T, g *gateway, left time.Time) {
	t.Helper()
	eventually(t, "the API to notice that the client left", func() error {
		if s := g.api.Stats(); s.Cancelled != 1 || s.InFlight != 0 {
			return errors.New("a call is still served")
		}
		return nil
	})
	if took := g.api.Stats().Cancellations[0].At.Sub(left); took > cancelledWithin {
		t.Errorf("the API noticed after %v, want %v at most", took, cancelledWithin)
	}
}

func TestCancelMidStream(t *testing.T) {
	prompts := map[string]string{
		"while events flow":            "[[events:10000]] [[interval:5ms]]",
		"while the upstream is silent": "[[events:10000]] [[fault:stall=3]]",
	}
	g := startGateway(t, options{})
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		for name, prompt := range prompts {
			t.Run(name+"/context", func(t *testing.T) {
				g.api.ResetStats()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				stream := c.Chat.Completions.NewStreaming(ctx, ask(prompt))
				defer stream.Close()
				readContents(t, stream, 3)
				left := time.Now()
				cancel()
				checkCancelled(t, g, left)
				for stream.Next() { // what had come already
				}
				if err := stream.Err(); !errors.Is(err, context.Canceled) {
					t.Errorf("the stream ended with %v", err)
				}
			})
			t.Run(name+"/close", func(t *testing.T) {
				g.api.ResetStats()
				stream := c.Chat.Completions.NewStreaming(t.Context(), ask(prompt))
				readContents(t, stream, 3)
				left := time.Now()
				stream.Close() // its error says only that the rest was not read
				checkCancelled(t, g, left)
			})
		}
	})
}

// TestCancelBeforeTheAnswer: a client that leaves while the upstream has said
// nothing yet.
func TestCancelBeforeTheAnswer(t *testing.T) {
	prompts := map[string]string{
		"before the head": "[[fault:latency=30s]]",
		"after the head":  "[[fault:stall]]",
	}
	g := startGateway(t, options{})
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		// A connection to cancel on, and a token.
		if _, err := c.complete(t.Context(), false, ask("Hello.")); err != nil {
			t.Fatal(err)
		}
		for name, prompt := range prompts {
			for form, streamed := range forms {
				t.Run(name+"/"+form, func(t *testing.T) {
					g.take("")
					g.api.ResetStats()
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					done := make(chan error, 1)
					go func() {
						_, err := c.complete(ctx, streamed, ask(prompt))
						done <- err
					}()
					eventually(t, "the call to reach the API", func() error {
						if len(g.api.Stats().Faults) == 0 {
							return errors.New("no fault has hit")
						}
						return nil
					})
					left := time.Now()
					cancel()
					checkCancelled(t, g, left)
					if err := <-done; !errors.Is(err, context.Canceled) {
						t.Errorf("the call ended with %v", err)
					}
					if calls := g.take(pathChat); len(calls) != 1 {
						t.Errorf("the API was asked %d times, want once", len(calls))
					}
				})
			}
		}
	})
}
