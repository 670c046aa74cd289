package alipayai_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// Claude Code puts instructions between turns for the model that it has asked for. Where the gateway asks for an older one in its
// place, which refuses that, they stand where it takes them; a client that names the older model itself is sent as it came.
func TestMessagesToAnOlderModel(t *testing.T) {
	const body = `{"model":"claude-opus-5","max_tokens":9,"messages":[{"role":"user","content":"q"},{"role":"system","content":[{"type":"text","text":"s"},{"type":"tool_removal","tool":{"type":"tool_reference","name":"f"}}]}]}`
	const moved = `{"model":"claude-haiku-4-5","max_tokens":9,"messages":[{"role":"user","content":"q"}],"system":[{"type":"text","text":"s"}]}`
	as := func(model string) string { return strings.Replace(body, "claude-opus-5", model, 1) }
	older := func(p *upstream.Provider) {
		p.Model, p.OwnModels = "", ""
		p.ModelMap = map[string]string{"claude-opus-5": "claude-haiku-4-5", "claude-opus-5-5": "claude-opus-4-8"}
	}
	for name, c := range map[string]struct {
		body, sent, unsupported string
		edit                    func(*upstream.Provider)
		status                  int
	}{
		"an older one":       {body, moved, "messages.content.tool_removal", older, 200},
		"refused instead":    {body, "", "", func(p *upstream.Provider) { older(p); p.OnUnsupported = upstream.OnUnsupportedReject }, 400},
		"another that takes": {as("claude-opus-5-5"), as("claude-opus-4-8"), "", older, 200},
		"the client's own":   {as("claude-haiku-4-5"), as("claude-haiku-4-5"), "", older, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claude := &heardClaude{status: http.StatusOK, kind: "application/json", answer: answerOfClaude}
			r := startRig(t, claude, claudeProvider, first(c.edit))
			got := r.post(messagesPath, c.body)
			if got.status != c.status || strings.Join(claude.bodies, "") != c.sent {
				t.Errorf("%d %s, sent\n%s, want\n%s", got.status, got.body, claude.bodies, c.sent)
			}
			wantHeader(t, got, "X-Alipayai-Unsupported", c.unsupported)
		})
	}
}
