package e2e

import (
	"fmt"
	"slices"
	"sync"
	"testing"
)

// TestConcurrentCalls: of 200 calls at once, of both forms, each gets its own
// answer, reaches the API once and as it was sent, and they share one token.
func TestConcurrentCalls(t *testing.T) {
	const calls = 200
	g := startGateway(t, options{})
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		var wait sync.WaitGroup
		begin := make(chan struct{})
		problems := make(chan string, calls)
		for n := range calls {
			prompt := fmt.Sprintf("call %d over %s", n, t.Name())
			wait.Go(func() {
				<-begin
				answer, err := c.complete(t.Context(), n%2 == 0, ask(prompt+"[[interval:10ms]] [[fault:latency=100ms]]"))
				if got, want := text(answer), "You said: "+prompt; err != nil || got != want {
					problems <- fmt.Sprintf("answer %q, %v; want %q", got, err, want)
				}
			})
		}
		close(begin)
		wait.Wait()
		close(problems)
		for problem := range problems {
			t.Error(problem)
		}
		got := g.take(pathChat)
		slices.Sort(got)
		if distinct := len(slices.Compact(slices.Clone(got))); len(got) != calls || distinct != calls {
			t.Errorf("the API got %d calls, %d of them distinct; want %d", len(got), distinct, calls)
		}
		if fetches := g.api.Stats().TokenFetches["client_credentials"]; fetches != 1 {
			t.Errorf("%d tokens were fetched, want 1", fetches)
		}
	})
}
