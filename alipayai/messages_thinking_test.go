package alipayai_test

import (
	"net/http"
	"strings"
	"testing"
)

// What a client of Messages asks of thinking reaches vendors in their own words, and is named where a vendor has none.
func TestMessagesAskToThink(t *testing.T) {
	const (
		enabled  = `"thinking":{"type":"enabled","budget_tokens":2048}`
		disabled = `"thinking":{"type":"disabled"}`
		adaptive = `"thinking":{"type":"adaptive"}`
	)
	for name, c := range map[string]struct {
		dialect, asked string
		stream         bool
		sent, named    string // sent is empty where nothing of thinking is to be
	}{
		"deepseek":                  {"deepseek", enabled, false, `"thinking":{"type":"enabled"}`, ""},
		"deepseek, not":             {"deepseek", disabled, false, `"thinking":{"type":"disabled"}`, ""},
		"deepseek, as it wants":     {"deepseek", adaptive, false, "", ""},
		"glm":                       {"glm", enabled, true, `"thinking":{"type":"enabled"}`, ""},
		"moonshot":                  {"moonshot", enabled, true, `"thinking":{"type":"enabled"}`, ""},
		"qwen":                      {"qwen", enabled, true, `"enable_thinking":true,"thinking_budget":2048`, ""},
		"qwen, without a budget":    {"qwen", `"thinking":{"type":"enabled"}`, true, `"enable_thinking":true,`, ""},
		"qwen, not":                 {"qwen", disabled, true, `"enable_thinking":false,`, ""},
		"qwen, which wants streams": {"qwen", enabled, false, `"enable_thinking":false,"thinking_budget":2048`, "enable_thinking"},
		"openai":                    {"openai", enabled, false, "", "thinking"},
		"openai, not":               {"openai", disabled, false, "", ""},
		"none":                      {"none", enabled, false, "", "thinking"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			theirs := &heardClaude{status: http.StatusOK, kind: "application/json", answer: completionOf(`"message":{"content":"x"},"finish_reason":"stop"`, "")}
			if c.stream {
				theirs.kind, theirs.answer = "text/event-stream", chunksOf(`"delta":{"content":"x"},"finish_reason":"stop"`)
			}
			r := startRig(t, theirs, plainProvider, first(anyModel), inDialect(t, 0, c.dialect))
			f := fronts["messages"]
			got := r.post(f.path, with(f.body("hello", c.stream), c.asked))
			sent := strings.Join(theirs.bodies, "")
			if got.status != http.StatusOK || !strings.Contains(sent, c.sent) || c.sent == "" && strings.Contains(sent, "thinking") {
				t.Errorf("%d %s, sent %s", got.status, got.body, sent)
			}
			wantHeader(t, got, "X-Alipayai-Unsupported", c.named)
		})
	}
}
