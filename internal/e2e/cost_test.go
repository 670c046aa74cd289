package e2e

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// What a call has cost is in a header of its answer and in a trailer of a stream, which
// OpenAI's client passes over; nor does it see the usage that the gateway alone asked for.
func TestCost(t *testing.T) {
	g := startGateway(t, options{provider: `
		price alipay-fin-1 {
			currency CNY
			input 24
			output 72
			minimum 5000 characters
			max_tokens 1000
		}
	`, proxy: "budget * 100 CNY day\n"})
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		var resp *http.Response
		answer, err := c.Chat.Completions.New(t.Context(), ask("yes"), option.WithResponseInto(&resp))
		if err != nil || text(*answer) != "You said: yes" {
			t.Fatalf("%+v, %v", answer, err)
		}
		const cost = "0.030288 CNY" // 1,250 tokens in, and 4 out
		if got := resp.Header.Get("X-Alipayai-Cost"); got != cost {
			t.Errorf("cost %q, want %q", got, cost)
		}
		stream := c.Chat.Completions.NewStreaming(t.Context(), ask("yes"), option.WithResponseInto(&resp))
		var whole openai.ChatCompletionAccumulator
		for stream.Next() {
			if !whole.AddChunk(stream.Current()) || stream.Current().Usage.TotalTokens > 0 {
				t.Errorf("chunk %s", stream.Current().RawJSON())
			}
		}
		if err := stream.Err(); err != nil || text(whole.ChatCompletion) != "You said: yes" {
			t.Fatalf("%q, %v", text(whole.ChatCompletion), err)
		}
		// The trailer comes behind the last event, which the client reads no further than.
		if _, err := io.Copy(io.Discard, resp.Body); err != nil && !strings.Contains(err.Error(), "closed") {
			t.Error(err)
		}
	})
}
