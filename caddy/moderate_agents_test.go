package alipaycaddy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
)

// agentBodies are requests as agents send them to each door, around their instructions and what a user says: the text
// stands in the system prompt, in the description of a tool and in a tool's result.
var agentBodies = map[string]struct{ path, body string }{
	"chat": {chatPath, `{"model":"alipay-fin-1","messages":[{"role":"system","content":%[1]s},{"role":"user","content":"look"},` +
		`{"role":"assistant","tool_calls":[{"id":"c1","type":"function","function":{"name":"Read","arguments":"{\"file_path\":\"/a\"}"}}]},{"role":"tool","tool_call_id":"c1","content":%[1]s},{"role":"user","content":%[2]s}],` +
		`"tools":[{"type":"function","function":{"name":"Read","description":%[1]s,"parameters":{"type":"object","properties":{"file_path":{"type":"string","description":%[1]s}}}}}]}`},
	"messages": {"/v1/messages?beta=true", `{"model":"alipay-fin-1","max_tokens":100,"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.0;"},{"type":"text","text":%[1]s,"cache_control":{"type":"ephemeral"}}],` +
		`"messages":[{"role":"user","content":[{"type":"text","text":%[1]s},{"type":"text","text":"look"}]},{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"Read","input":{"file_path":"/a"}}]},` +
		`{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":%[1]s},{"type":"text","text":%[2]s}]}],` +
		`"tools":[{"name":"Read","description":%[1]s,"input_schema":{"type":"object","properties":{"file_path":{"type":"string","description":%[1]s}}}}]}`},
	"responses": {"/v1/responses", `{"model":"alipay-fin-1","instructions":%[1]s,"input":[{"type":"message","role":"developer","content":[{"type":"input_text","text":%[1]s}]},{"type":"message","role":"user","content":[{"type":"input_text","text":"look"}]},` +
		`{"type":"function_call","name":"exec","arguments":"{}","call_id":"c1"},{"type":"function_call_output","call_id":"c1","output":%[1]s},{"type":"message","role":"user","content":[{"type":"input_text","text":%[2]s}]}],` +
		`"tools":[{"type":"function","name":"exec","description":%[1]s,"strict":false,"parameters":{"type":"object","properties":{"cmd":{"type":"string","description":%[1]s}}}},` +
		`{"type":"namespace","name":"mcp__docs","description":%[1]s,"tools":[{"type":"function","name":"search","description":%[1]s,"strict":false,"parameters":{"type":"object","properties":{}}}]}],"store":false}`},
}

// Coding agents and assistants of banks work behind the built-in rules at every door, as in Caddyfile.example; what is asked of
// them that the rules forbid is still refused.
func TestAgentsBehindTheBuiltinRules(t *testing.T) {
	g := newJudge(t)
	g.load(moderators(`moderator law {
		rules builtin china
	}`), moderatedSite("alipayai_moderate law\nalipayai_proxy alipay"))
	file, err := os.ReadFile("../alipayai/moderate/testdata/agents.txt")
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for part := range strings.SplitSeq(string(file), "=== ") {
		name, text, ok := strings.Cut(part, "\n")
		if !ok {
			continue
		}
		tried++
		system, _ := json.Marshal(text)
		for door, c := range agentBodies {
			t.Run(name+", "+door, func(t *testing.T) {
				if a := g.do("POST", c.path, fmt.Sprintf(c.body, system, `"go on"`), g.acme); a.status != http.StatusOK {
					t.Errorf("status %d: %s", a.status, a.body)
				}
				asked := `"Which stock should I buy today? Predict what it will cost next year."`
				if a := g.do("POST", c.path, fmt.Sprintf(c.body, system, asked), g.acme); a.status != http.StatusForbidden || !strings.Contains(a.body, "policy law") {
					t.Errorf("what is forbidden: status %d: %s", a.status, a.body)
				}
			})
		}
	}
	if tried < 10 {
		t.Errorf("%d texts were tried", tried)
	}
}
