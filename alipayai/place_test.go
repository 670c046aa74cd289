package alipayai_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/residency"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// A tenant that is kept to regions chooses no place of its own in a body: no provider is sent that, and each that is sent the
// body without it is asked. Another tenant's goes as it is.
func TestResidencyOfTheBody(t *testing.T) {
	for name, test := range map[string]struct {
		door, member string
		format       sandbox.Format
		// want is what the refusal names; empty where it is not sent on, so that nothing is refused.
		want string
	}{
		"Anthropic's region":       {"messages", `"inference_geo":"us"`, sandbox.Anthropic, "inference_geo"},
		"Anthropic's servers":      {"messages", `"mcp_servers":[{"type":"url","url":"https://x.example","name":"x"}]`, sandbox.Anthropic, "mcp_servers"},
		"OpenRouter's preferences": {"chat", `"provider":{"order":["x"]}`, sandbox.OpenAI, "provider"},
		"a server, translated":     {"messages", `"mcp_servers":[{"type":"url","url":"https://x.example","name":"x"}]`, sandbox.OpenAI, ""},
		"a tool, translated":       {"responses", `"tools":[{"type":"mcp","server_label":"x","server_url":"https://x.example"}]`, sandbox.OpenAI, ""},
	} {
		for _, of := range []string{"the process", "the directive", "nothing"} {
			t.Run(name+", of "+of, func(t *testing.T) {
				l := newLadder(t, []sandbox.Format{test.format}, func(g *alipayai.Gateway) {
					g.Providers[0].Region = "cn"
					rules, err := residency.New(map[string][]string{residency.AnyTenant: {"cn"}})
					if err != nil {
						t.Fatal(err)
					}
					switch of {
					case "the process":
						g.Providers[0].Residency = rules
					case "the directive":
						g.Residency = rules
					}
				})
				f := fronts[test.door]
				got := l.post(f.path, strings.Replace(f.body("hello", false), "{", "{"+test.member+",", 1))
				calls := len(l.upstreams[0].calls())
				if of == "nothing" || test.want == "" {
					if calls != 1 {
						t.Errorf("%d calls: %d %s", calls, got.status, got.body)
					}
					return
				}
				message, err := f.error([]byte(got.body))
				if got.status != http.StatusBadRequest || err != nil || !strings.Contains(message, test.want) || !strings.Contains(message, "cn") || calls != 0 {
					t.Errorf("%d calls: %d %s (%v)", calls, got.status, got.body, err)
				}
			})
		}
	}
}
