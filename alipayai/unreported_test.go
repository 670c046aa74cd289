package alipayai_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/internal/testwait"
	"github.com/caddy-alipayai/gateway/limiter"
)

// What a stream has brought counts for its tenant's tokens where nothing says how many they were: its client left, it broke
// off, or the provider reports no usage.
func TestTokensOfStreamsThatDoNotEnd(t *testing.T) {
	delta := `{"choices":[{"delta":{"content":"` + strings.Repeat("word ", 80) + `"}}]}` // some 100 tokens
	const prompt = "hello"
	for name, test := range map[string]struct {
		next  func(leave context.CancelFunc) func(context.Context) error
		ended string
	}{
		"the client leaves": {func(leave context.CancelFunc) func(context.Context) error {
			return func(ctx context.Context) error { leave(); return silent(ctx) }
		}, ""},
		"it breaks off": {func(context.CancelFunc) func(context.Context) error {
			return func(context.Context) error { return http.ErrBodyReadAfterClose }
		}, ""},
		"no usage": {func(context.CancelFunc) func(context.Context) error { return nil }, "[DONE]"},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				events := []string{delta}
				if test.ended != "" {
					events = append(events, `{"choices":[{"delta":{},"finish_reason":"stop"}]}`, test.ended)
				}
				s := perform(t, [][]turn{{streams(test.next(leave), events...)}}, limitTenants(limiter.TenantLimit{TokensPerMinute: 60}))
				s.callWith(ctx, streamBody(prompt))
				if o := s.outcome(); o.Usage.OK || o.UsageEstimated {
					t.Errorf("usage is %+v, which nothing has reported", o.Usage)
				}
				again := s.call(chatBody(prompt))
				wantError(t, again, http.StatusTooManyRequests, "tenant_tokens")
				if seconds, _ := strconv.Atoi(again.header.Get("Retry-After")); seconds < 20 || seconds > 120 {
					t.Errorf("a tenant of a token a second waits for %d s", seconds)
				}
			})
		})
	}
}

// Embeddings whose provider reports no usage cost their prompt: vectors are no tokens.
func TestEmbeddingsWithoutUsage(t *testing.T) {
	l := new(lines)
	answer := `{"data":[{"index":0,"embedding":[` + strings.Repeat("0.12345678,", 1000) + `0]}]}`
	s := perform(t, [][]turn{{says(http.StatusOK, answer)}}, spends(l, alipayPrice()), limitTenants(limiter.TenantLimit{TokensPerMinute: 60}))
	for range 3 { // of a dozen tokens each
		if got := s.callAt(t.Context(), "/v1/embeddings", `{"model":"m","input":"hello"}`); got.status != http.StatusOK {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	for _, line := range l.taken() {
		if line.Outcome != ledger.Estimated || line.Completion != 0 || line.Prompt == 0 || line.Amount != 1250*24e3 {
			t.Errorf("%+v", line)
		}
	}
}

// What generates nothing reserves its prompt alone, and costs no more, whatever its provider says of an answer.
func TestEmbeddingsReserveTheirPrompt(t *testing.T) {
	l := new(lines)
	answer := `{"data":[{"index":0,"embedding":[1]}],"usage":{"prompt_tokens":2,"completion_tokens":100000,"total_tokens":100002}}`
	s := perform(t, [][]turn{{says(http.StatusOK, answer)}}, spends(l, alipayPrice(), daily(1250*24e3)))
	embed := func() reply { return s.callAt(t.Context(), "/v1/embeddings", `{"model":"m","input":"hello"}`) }
	if got := embed(); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
	wantError(t, embed(), http.StatusTooManyRequests, "tenant_budget")
	if state := s.gateway.Spending.Budgets.States()[0]; state.Used != 1250*24e3 || state.Open != 0 {
		t.Errorf("the budget has %+v", state)
	}
}

// Counts of tokens are free, and use nothing of a tenant's limit.
func TestCountsAreFree(t *testing.T) {
	claude := &heardClaude{status: http.StatusOK, kind: "application/json", answer: `{"input_tokens":11}`}
	r := startRig(t, claude, claudeProvider, first(anyModel), limitTenants(limiter.TenantLimit{TokensPerMinute: 1}))
	body := `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("word ", 100) + `"}]}`
	for range 3 {
		if got := r.post("/v1/messages/count_tokens", body); got.status != http.StatusOK {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	if len(claude.bodies) != 3 {
		t.Errorf("asked %d times", len(claude.bodies))
	}
}
