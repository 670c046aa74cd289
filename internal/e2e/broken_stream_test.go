package e2e

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
)

// TestBrokenStreams: a stream that breaks after its first content keeps what
// has come, and ends in an error, never as if it were whole. The SDK takes the
// mere end of a body for the end of the answer, so the error event is all that
// tells the two apart.
func TestBrokenStreams(t *testing.T) {
	cases := map[string]struct{ fault, code string }{
		"SYSTEM_ERROR":                       {"system_error_midstream=3", "SYSTEM_ERROR"},
		"SYSTEM_ERROR, OpenAI's form":        {"system_error_midstream=3,shape=openai", "SYSTEM_ERROR"},
		"SYSTEM_ERROR as nextbuilder has it": {"system_error_midstream=3,shape=nextbuilder", "SYSTEM_ERROR"},
		"early end":                          {"cut=3", "upstream_truncated_response"},
		"early end within an event":          {"cut=3,mid_event=true", "upstream_truncated_response"},
		"reset":                              {"reset_after=3", "upstream_truncated_response"},
		"event that is no JSON":              {"malformed_chunk=3", "upstream_malformed_response"},
		"silence":                            {"stall=3", "upstream_timeout"},
	}
	g := startGateway(t, options{provider: "timeout 500ms"})
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		for name, tc := range cases {
			t.Run(name, func(t *testing.T) {
				g.take("")
				prompt := "one two three four five [[fault:" + tc.fault + "]]"
				var resp *http.Response
				answer, err := collect(c.Chat.Completions.NewStreaming(t.Context(), ask(prompt),
					option.WithMaxRetries(defaultRetries), option.WithResponseInto(&resp)))

				var broken *ssestream.StreamError
				if !errors.As(err, &broken) {
					t.Fatalf("error %T %v, want a *ssestream.StreamError", err, err)
				}
				var event struct {
					Error errorObject `json:"error"`
				}
				if err := json.Unmarshal(broken.Event.Data, &event); err != nil {
					t.Fatal(err)
				}
				if event.Error.Code != tc.code || event.Error.Type != "server_error" {
					t.Errorf("error %+v, want a server_error with code %s", event.Error, tc.code)
				}
				checkRequestID(t, resp.Header, event.Error)
				if len(answer.Choices) != 1 || answer.Choices[0].Message.Content != "You said: one " || answer.Choices[0].FinishReason != "" {
					t.Errorf("what came is %+v, want three words and no end", answer.Choices)
				}
				if got := g.take(pathChat); len(got) != 1 {
					t.Errorf("the API was asked %d times, want once", len(got))
				}
			})
		}
	})
}
