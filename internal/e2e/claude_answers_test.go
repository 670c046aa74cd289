package e2e

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	claudeshared "github.com/anthropics/anthropic-sdk-go/shared"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/ssestream"
)

// TestClaudeAnswers: what Anthropic's SDK reads of an answer is what OpenAI's
// reads of it through the gateway.
func TestClaudeAnswers(t *testing.T) {
	usage := anthropic.Usage{InputTokens: 11, OutputTokens: 7}
	weather := writtenToolUse{ToolUseBlock: anthropic.ToolUseBlock{
		ID: "toolu_1", Name: "get_weather", Input: json.RawMessage(`{"city":"杭州 <\"now\">","days":[1,2.50,{"a":null}]}`),
	}}
	now := writtenToolUse{ToolUseBlock: anthropic.ToolUseBlock{ID: "toolu_2", Name: "get_time", Input: json.RawMessage(`{}`)}}
	cases := map[string]struct {
		content []any
		reason  anthropic.StopReason
		stop    string
		usage   anthropic.Usage
		finish  string
	}{
		"text":            {[]any{anthropic.TextBlock{Text: "你好 \"<Alipay>\" & \n\u2028 😀"}}, anthropic.StopReasonEndTurn, "", usage, "stop"},
		"several texts":   {[]any{anthropic.TextBlock{Text: "one "}, anthropic.TextBlock{Text: "two"}}, anthropic.StopReasonEndTurn, "", usage, "stop"},
		"nothing":         {nil, anthropic.StopReasonEndTurn, "", usage, "stop"},
		"a stop sequence": {[]any{anthropic.TextBlock{Text: "one"}}, anthropic.StopReasonStopSequence, "END", usage, "stop"},
		"a limit":         {[]any{anthropic.TextBlock{Text: "one"}}, anthropic.StopReasonMaxTokens, "", usage, "length"},
		"a full window":   {[]any{anthropic.TextBlock{Text: "one"}}, "model_context_window_exceeded", "", usage, "length"},
		"a pause":         {[]any{anthropic.TextBlock{Text: "one"}}, anthropic.StopReasonPauseTurn, "", usage, "length"},
		"a refusal":       {[]any{anthropic.TextBlock{Text: "one"}}, anthropic.StopReasonRefusal, "", usage, "content_filter"},
		"tools":           {[]any{anthropic.TextBlock{Text: "Let me see."}, weather, now}, anthropic.StopReasonToolUse, "", usage, "tool_calls"},
		"a tool alone":    {[]any{now}, anthropic.StopReasonToolUse, "", usage, "tool_calls"},
		"thinking": {
			[]any{anthropic.ThinkingBlock{Thinking: "Hm, 嗯.", Signature: "c2ln"}, anthropic.RedactedThinkingBlock{Data: "eA=="}, anthropic.TextBlock{Text: "Yes."}},
			anthropic.StopReasonEndTurn, "", usage, "stop",
		},
		"a cached prompt": {
			[]any{anthropic.TextBlock{Text: "one"}}, anthropic.StopReasonEndTurn, "",
			anthropic.Usage{InputTokens: 3, CacheReadInputTokens: 1000, CacheCreationInputTokens: 200, OutputTokens: 7}, "stop",
		},
	}
	server := startClaudeServer(t, nil)
	g := startGateway(t, options{providers: "claude", claudeURL: server.URL})
	direct := newClaude(server.URL, "sk-ant-anything")
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		for name, tc := range cases {
			for form, streamed := range forms {
				t.Run(name+"/"+form, func(t *testing.T) {
					server.answers((&claudeAnswer{content: tc.content, message: anthropic.Message{
						ID: "msg_1", StopReason: tc.reason, StopSequence: tc.stop, Usage: tc.usage,
					}}).write)
					chat := ask("Hello.")
					if streamed {
						chat.StreamOptions.IncludeUsage = openai.Bool(true)
					}
					got, err := c.complete(t.Context(), streamed, chat)
					if err != nil {
						t.Fatal(err)
					}
					own, err := converse(t, direct, streamed, anthropic.MessageNewParams{
						Model: modelClaude, MaxTokens: 1, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Hello."))},
					})
					if err != nil {
						t.Fatal(err)
					}
					checkTranslated(t, got, own, tc.finish)
				})
			}
		}
	})
}

// checkTranslated compares what the two SDKs read.
func checkTranslated(t *testing.T, got openai.ChatCompletion, own anthropic.Message, finish string) {
	t.Helper()
	var text string
	type call struct {
		id, name string
		input    any
	}
	var calls, gotCalls []call
	for _, block := range own.Content {
		switch b := block.AsAny().(type) {
		case anthropic.TextBlock:
			text += b.Text
		case anthropic.ToolUseBlock:
			calls = append(calls, call{b.ID, b.Name, meaning(t, b.Input)})
		}
	}
	if len(got.Choices) != 1 {
		t.Fatalf("%d choices", len(got.Choices))
	}
	choice := got.Choices[0]
	for _, c := range choice.Message.ToolCalls {
		gotCalls = append(gotCalls, call{c.ID, c.Function.Name, meaning(t, []byte(c.Function.Arguments))})
	}
	if got.ID != own.ID || got.Model != own.Model || choice.Message.Role != "assistant" {
		t.Errorf("id %q, model %q, role %q; want %q, %q", got.ID, got.Model, choice.Message.Role, own.ID, own.Model)
	}
	if choice.Message.Content != text || choice.FinishReason != finish {
		t.Errorf("content %q that ends in %q, want %q and %q", choice.Message.Content, choice.FinishReason, text, finish)
	}
	if !reflect.DeepEqual(gotCalls, calls) {
		t.Errorf("calls %v, want %v", gotCalls, calls)
	}
	u := own.Usage
	prompt := u.InputTokens + u.CacheReadInputTokens + u.CacheCreationInputTokens
	if got.Usage.PromptTokens != prompt || got.Usage.CompletionTokens != u.OutputTokens || got.Usage.TotalTokens != prompt+u.OutputTokens {
		t.Errorf("usage %+v, want that of %+v", got.Usage, u)
	}
	if cached := got.Usage.PromptTokensDetails.CachedTokens; cached != u.CacheReadInputTokens {
		t.Errorf("%d cached tokens, want %d", cached, u.CacheReadInputTokens)
	}
}

// TestClaudeThinking reaches the client as DeepSeek and others give it, in a
// field that OpenAI's form does not have.
func TestClaudeThinking(t *testing.T) {
	server := startClaudeServer(t, (&claudeAnswer{
		message: anthropic.Message{ID: "msg_1", StopReason: anthropic.StopReasonEndTurn},
		content: []any{anthropic.ThinkingBlock{Thinking: "Hm, 嗯.", Signature: "c2ln"}, anthropic.TextBlock{Text: "Yes."}},
	}).write)
	g := startGateway(t, options{providers: "claude", claudeURL: server.URL})
	c := g.client(t, protocols["http1"])
	answer, err := c.complete(t.Context(), false, ask("Hello."))
	if err != nil {
		t.Fatal(err)
	}
	if got := answer.Choices[0].Message.JSON.ExtraFields["reasoning_content"].Raw(); got != `"Hm, 嗯."` {
		t.Errorf("reasoning_content is %s", got)
	}
	stream := c.Chat.Completions.NewStreaming(t.Context(), ask("Hello."))
	defer stream.Close()
	var thought strings.Builder
	for stream.Next() {
		for _, choice := range stream.Current().Choices {
			var piece string
			if raw := choice.Delta.JSON.ExtraFields["reasoning_content"].Raw(); raw != "" && json.Unmarshal([]byte(raw), &piece) != nil {
				t.Errorf("reasoning_content is %s", raw)
			}
			thought.WriteString(piece)
		}
	}
	if err := stream.Err(); err != nil || thought.String() != "Hm, 嗯." {
		t.Errorf("thought %q, %v", thought.String(), err)
	}
}

// TestClaudeErrors: each of Anthropic's errors is one of OpenAI's, with its own
// type as the code; the gateway's credentials are nothing that a client could
// mend.
func TestClaudeErrors(t *testing.T) {
	cases := map[claudeshared.ErrorType]struct {
		status int
		want   apiError
		asked  int
	}{
		"invalid_request_error": {400, apiError{status: 400, typ: "invalid_request_error"}, 1},
		"authentication_error":  {401, apiError{status: 502, typ: "server_error"}, 1},
		"billing_error":         {402, apiError{status: 502, typ: "server_error"}, 1},
		"permission_error":      {403, apiError{status: 502, typ: "server_error"}, 1},
		"not_found_error":       {404, apiError{status: 404, typ: "invalid_request_error"}, 1},
		"request_too_large":     {413, apiError{status: 413, typ: "invalid_request_error"}, 1},
		"rate_limit_error":      {429, apiError{status: 429, typ: "rate_limit_error", retryAfter: "9"}, 1},
		"api_error":             {500, apiError{status: 500, typ: "server_error"}, 3},
		"timeout_error":         {504, apiError{status: 504, typ: "server_error"}, 1},
		"overloaded_error":      {529, apiError{status: 529, typ: "server_error"}, 3},
	}
	server := startClaudeServer(t, nil)
	direct := newClaude(server.URL, "sk-ant-anything")
	for kind, tc := range cases {
		for form, streamed := range forms {
			t.Run(string(kind)+"/"+form, func(t *testing.T) {
				// Each with a budget of its own, and without what another has closed.
				g := startGateway(t, options{providers: "claude", claudeURL: server.URL, proxy: "deadline 2s"})
				server.answers(func(w http.ResponseWriter, _ bool) {
					w.Header().Set("Content-Type", "application/json")
					if tc.want.retryAfter != "" {
						w.Header().Set("Retry-After", tc.want.retryAfter)
					}
					w.WriteHeader(tc.status)
					_ = json.NewEncoder(w).Encode(claudeError(kind))
				})
				_, err := converse(t, direct, streamed, anthropic.MessageNewParams{
					Model: modelClaude, MaxTokens: 1, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Hello."))},
				})
				var own *anthropic.Error
				if !errors.As(err, &own) || own.Type() != kind || own.StatusCode != tc.status {
					t.Fatalf("Anthropic's SDK sees %v, want %s", err, kind)
				}
				server.take()
				_, err = g.client(t, protocols["tls-http2"]).complete(t.Context(), streamed, ask("Hello."))
				tc.want.code = string(kind)
				checkError(t, err, tc.want)
				if _, bodies := server.take(); len(bodies) != tc.asked {
					t.Errorf("the API was asked %d times, want %d", len(bodies), tc.asked)
				}
			})
		}
	}
}

// TestClaudeBreaksOff: an error within a stream, after its first content.
func TestClaudeBreaksOff(t *testing.T) {
	server := startClaudeServer(t, (&claudeAnswer{
		message: anthropic.Message{ID: "msg_1"}, breaks: claudeshared.ErrorTypeOverloadedError,
		content: []any{anthropic.TextBlock{Text: "one two"}},
	}).write)
	g := startGateway(t, options{providers: "claude", claudeURL: server.URL})
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		answer, err := c.complete(t.Context(), true, ask("Hello."))
		var broken *ssestream.StreamError
		if !errors.As(err, &broken) || !strings.Contains(string(broken.Event.Data), `"overloaded_error"`) {
			t.Errorf("error %T %v, want an error event", err, err)
		}
		if len(answer.Choices) != 1 || answer.Choices[0].Message.Content != "one two" || answer.Choices[0].FinishReason != "" {
			t.Errorf("what came is %+v", answer.Choices)
		}
		if _, bodies := server.take(); len(bodies) != 1 {
			t.Errorf("the API was asked %d times, want once", len(bodies))
		}
	})
}
