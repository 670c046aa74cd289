package alipayai_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// All calls of what a canary is sticky to are with one arm, and both arms have some of them. What else differs between the
// calls does not matter, and the same name at two tenants is two.
func TestCanaryIsSticky(t *testing.T) {
	const header = "X-Conversation"
	user := func(name, prompt string) string {
		return strings.Replace(chatBody(prompt), `{`, `{"user":"`+name+`",`, 1)
	}
	for name, test := range map[string]struct {
		edit func(*alipayai.Canary)
		// call gives the k-th call of what is sticky: its tenant, its body and the value of the header.
		call func(sticky, k int) (tenant, body, header string)
	}{
		"to tenants": {func(k *alipayai.Canary) { k.ByTenant = true }, func(sticky, k int) (string, string, string) {
			return fmt.Sprint("tenant-", sticky), user(fmt.Sprint("user-", k), fmt.Sprint("prompt ", k)), fmt.Sprint(k)
		}},
		"to users": {func(*alipayai.Canary) {}, func(sticky, k int) (string, string, string) {
			return "acme", user(fmt.Sprint("user-", sticky), fmt.Sprint("prompt ", k)), fmt.Sprint(k)
		}},
		"to a header": {func(k *alipayai.Canary) { k.Header = header }, func(sticky, k int) (string, string, string) {
			return "acme", user(fmt.Sprint("user-", k), fmt.Sprint("prompt ", k)), fmt.Sprint(sticky)
		}},
		"to how they begin": {func(*alipayai.Canary) {}, func(sticky, _ int) (string, string, string) {
			return "acme", chatBody(fmt.Sprint("prompt ", sticky)), ""
		}},
		"to users of a tenant": {func(*alipayai.Canary) {}, func(sticky, k int) (string, string, string) {
			return fmt.Sprint("tenant-", sticky), user("the same", fmt.Sprint("prompt ", k)), ""
		}},
	} {
		t.Run(name, func(t *testing.T) {
			sim, with := withCanary(t, newTrial(t, false), sandbox.Config{})
			r := newRig(t, sandbox.Config{RequestsPerSecond: -1}, func(g *alipayai.Gateway) {
				with(g)
				test.edit(g.Canary)
			})
			arms := make(map[string]int64)
			for sticky := range 40 {
				first := ""
				for k := range 3 {
					tenant, body, value := test.call(sticky, k)
					w := served(t.Context(), r.gateway, tenant, chatPath, body, header, value)
					got := w.Header().Get(alipayai.HeaderProvider)
					if first == "" {
						first = got
					}
					if w.Code != http.StatusOK || got != first {
						t.Errorf("call %d of %d: %d by %q, and before by %q", k, sticky, w.Code, got, first)
					}
					arms[got]++
				}
			}
			if arms["next"] < 15 || arms["next"] > 105 || sim.Stats().Paths[chatPath] != arms["next"] {
				t.Errorf("calls by provider: %v; %d reached the candidate", arms, sim.Stats().Paths[chatPath])
			}
		})
	}
}
