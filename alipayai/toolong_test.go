package alipayai_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// Agents shorten a conversation that is too long where they are told so in their vendor's words: Claude Code by Anthropic's
// message, Codex by OpenAI's code. So it is said at each door, whichever provider refuses.
func TestConversationsThatAreTooLongAtEveryDoor(t *testing.T) {
	const ofOpenAI = `{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.","type":"BadRequestError","code":400}`
	const ofClaude = `{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 213462 tokens > 200000 maximum"}}`
	eachDoor(t, func(t *testing.T, f front, stream bool) {
		for format, answer := range map[sandbox.Format]string{sandbox.OpenAI: ofOpenAI, sandbox.Anthropic: ofClaude} {
			provider := plainProvider
			if format == sandbox.Anthropic {
				provider = claudeProvider
			}
			r := startRig(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, answer)
			}), provider, first(anyModel))
			got := r.post(f.path, f.body("hello", stream))
			message, err := f.error([]byte(got.body))
			if got.status != http.StatusBadRequest || err != nil {
				t.Fatalf("%s: %d %s (%v)", format, got.status, got.body, err)
			}
			if f.path == "/v1/messages" {
				if !strings.HasPrefix(message, "prompt is too long: ") || strings.Count(message, "too long") != 1 || !strings.Contains(got.body, `"type":"invalid_request_error"`) {
					t.Errorf("%s: %s", format, got.body)
				}
			} else if !strings.Contains(got.body, `"code":"context_length_exceeded"`) {
				t.Errorf("%s: %s", format, got.body)
			}
		}
	})
}
