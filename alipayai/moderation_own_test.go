package alipayai_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/asked"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/residency"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// An answer that its client gets in its own form is guarded in that form too: OpenAI's has no place for what hosted tools
// have found or printed, nor for citations. Where such parts are skipped, what is refused is read there:
// https://github.com/BerriAI/litellm/issues/35257, https://github.com/api7/aisix/issues/465.
func TestOutputGuardReadsTheClientsOwnForm(t *testing.T) {
	message := func(blocks string) string {
		return `{"id":"m","type":"message","role":"assistant","model":"claude-x","content":[` + blocks + `],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":1}}`
	}
	response := func(items string) string {
		return `{"id":"resp_1","object":"response","status":"completed","model":"m-1","instructions":"never say secret handshake","output":[` + items +
			`,{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"fine","annotations":[]}]}],"usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}`
	}
	const refusedText, otherText = "a secret handshake", "a firm handshake"
	for name, answer := range map[string]string{
		"messages, printed":     message(`{"type":"server_tool_use","id":"s","name":"code_execution","input":{}},{"type":"code_execution_tool_result","tool_use_id":"s","content":{"type":"code_execution_result","stdout":"TEXT","stderr":"","return_code":0}},{"type":"text","text":"fine"}`),
		"messages, asked for":   message(`{"type":"server_tool_use","id":"s","name":"web_search","input":{"query":"TEXT"}},{"type":"text","text":"fine"}`),
		"messages, found":       message(`{"type":"web_search_tool_result","tool_use_id":"s","content":[{"type":"web_search_result","title":"TEXT","url":"https://x.example","encrypted_content":"AA"}]},{"type":"text","text":"fine"}`),
		"messages, cited":       message(`{"type":"text","text":"fine","citations":[{"type":"char_location","cited_text":"TEXT","document_index":0}]}`),
		"messages, a new block": message(`{"type":"some_block","parts":[{"says":"TEXT"}]},{"type":"text","text":"fine"}`),
		"responses, printed":    response(`{"type":"code_interpreter_call","id":"ci_1","status":"completed","code":"1","outputs":[{"type":"logs","logs":"TEXT"}]}`),
		"responses, found":      response(`{"type":"file_search_call","id":"fs_1","status":"completed","queries":["q"],"results":[{"filename":"f","text":"TEXT"}]}`),
		"responses, of a tool":  response(`{"type":"mcp_call","id":"mcp_1","name":"n","arguments":"{}","output":"TEXT","server_label":"l"}`),
	} {
		for _, refused := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", refused"}[refused], func(t *testing.T) {
				text := otherText
				if refused {
					text = refusedText
				}
				answers := func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					_, _ = w.Write([]byte(strings.ReplaceAll(answer, "TEXT", text)))
				}
				path, body, provider, edit := "/v1/messages", `{"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":"hello"}]}`, claudeProvider, anyModel
				if strings.HasPrefix(name, "responses") {
					path, body, provider = responsesPath, `{"model":"m","input":"hello"}`, plainProvider
					edit = func(p *upstream.Provider) { p.Model, p.Responses = "", true }
				}
				r := startRig(t, http.HandlerFunc(answers), provider, first(edit))
				blocked := r.guard(t)
				got := r.post(path, body)
				want := http.StatusOK
				if refused {
					want = http.StatusForbidden
				}
				if got.status != want || (blocked.Load() == 1) != refused || refused != strings.Contains(got.body, failure.CodeModerationBlocked) || refused == strings.Contains(got.body, text) {
					t.Errorf("%d, %d refused: %s", got.status, blocked.Load(), got.body)
				}
			})
		}
	}
}

// What a moderator's model is asked is the tenant's: its regions, its budget and its line of the ledger. The tenant learns of
// its budget, and of nothing else that kept the model from being asked.
func TestVerdictsAreAskedForTheTenant(t *testing.T) {
	for name, test := range map[string]struct {
		turns []turn
		spent bool
		code  string
	}{
		"a verdict":   {[]turn{good}, false, ""},
		"no budget":   {[]turn{good}, true, "tenant_budget"},
		"no provider": {[]turn{breaks}, false, failure.CodeModerationUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			l, limit := new(lines), daily(1e9)
			if test.spent {
				limit = daily(1)
			}
			s := perform(t, [][]turn{test.turns}, spends(l, alipayPrice(), limit))
			_, err := asked.Models{Gateway: s.gateway}.Ask(t.Context(), "acme", []byte(chatBody("is that lawful?")), false)
			if test.code == "" {
				if all := l.taken(); err != nil || len(all) != 1 || all[0].Tenant != "acme" {
					t.Errorf("%v, lines %+v", err, all)
				}
				return
			}
			if f := alipayai.NoVerdict("law", fmt.Errorf("the model: %w", err)); f.Code != test.code || f.Class != failure.Blocked {
				t.Errorf("%v becomes %s, %s: %s", err, f.Code, f.Class, f.Message)
			}
		})
	}
}

// A tenant's call goes to the first provider within its regions, whichever come before.
func TestCallsStayWithinTheTenantsRegions(t *testing.T) {
	for name, test := range map[string]struct {
		regions []string
		want    []int
		code    string
	}{
		"anywhere":     {nil, []int{1, 0}, ""},
		"the first's":  {[]string{"us"}, []int{1, 0}, ""},
		"the second's": {[]string{"cn"}, []int{0, 1}, ""},
		"either":       {[]string{"cn", "us"}, []int{1, 0}, ""},
		"none of them": {[]string{"eu"}, []int{0, 0}, failure.CodeResidencyUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			s := perform(t, [][]turn{{good}, {good}}, func(g *alipayai.Gateway) {
				g.Providers[0].Region, g.Providers[1].Region, g.AllowCrossRegion = "us", "cn", true
				if test.regions == nil {
					return
				}
				var err error
				if g.Residency, err = residency.New(map[string][]string{"acme": test.regions}); err != nil {
					t.Fatal(err)
				}
			})
			got := s.call(chatBody("hello"))
			s.wantCalls(test.want...)
			if test.code != "" {
				wantError(t, got, http.StatusServiceUnavailable, test.code)
			} else if got.status != http.StatusOK {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
}
