package alipaycaddy

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

const claudeBody = `{"model":"claude-haiku-4-5","max_tokens":99,"messages":[{"role":"user","content":"hello"}]}`

// TestSandboxFormats serves one simulator of each format, and two of one, in one
// process: each has its own faults and statistics, and its own /_sandbox/.
func TestSandboxFormats(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	t.Setenv("TEST_API_KEY", "a-key-of-the-test")
	g.vars["public"] = g.file("public.pem", publicPEM(&rsaKey().PublicKey))
	const sites = `
http://${gone} {
	handle_path /claude/* {
		alipayai_sandbox {
			format anthropic
		}
	}
	handle_path /other/* {
		alipayai_sandbox {
			name other
			format anthropic
			app gateway {
				api_key {env.TEST_API_KEY}
			}
		}
	}
	handle_path /agent/* {
		alipayai_sandbox {
			format nextbuilder
			app 2021000000000001 {
				public_key {file.${public}}
			}
		}
	}
	alipayai_sandbox
}`
	g.load("", sites)
	message := func(prefix, key string) answer {
		t.Helper()
		return g.read(g.send("gone", "POST", prefix+"/v1/messages", claudeBody, "X-Api-Key: "+key, "Anthropic-Version: 2023-06-01"))
	}
	stats := func(prefix string) (s sandbox.Stats) {
		t.Helper()
		a := g.read(g.send("gone", "GET", prefix+"/_sandbox/stats", ""))
		if err := json.Unmarshal([]byte(a.body), &s); err != nil {
			t.Fatal(err, a.body)
		}
		return s
	}
	put := g.read(g.send("gone", "PUT", "/claude/_sandbox/faults", `{"faults":[{"kind":"http_status","status":529}]}`))
	if put.status != 200 {
		t.Fatalf("setting a fault: %d %s", put.status, put.body)
	}
	if a := message("/claude", sandbox.DemoAPIKey); a.status != 529 || !strings.Contains(a.body, `"overloaded_error"`) {
		t.Errorf("with a fault: %d %s", a.status, a.body)
	}
	if a := message("/other", "a-key-of-the-test"); a.status != 200 || !strings.Contains(a.body, "You said: hello") {
		t.Errorf("the other one: %d %s", a.status, a.body)
	}
	if a := message("/other", sandbox.DemoAPIKey); a.status != 401 {
		t.Errorf("the demo key where an app is configured: %d %s", a.status, a.body)
	}
	agent := g.read(g.send("gone", "POST", "/agent/v3/stream/alipay/cloud/nextbuilder/agent/chat/generate", "{}"))
	if agent.status != 401 || !strings.Contains(agent.body, `"missing-signature"`) {
		t.Errorf("the agent: %d %s", agent.status, agent.body)
	}
	for prefix, want := range map[string]map[string]int64{
		"/claude": {"overloaded_error": 1}, "/other": {"OK": 1, "authentication_error": 1}, "/agent": {"missing-signature": 1}, "": {},
	} {
		got := stats(prefix).Codes
		if len(got) != len(want) {
			t.Errorf("%s counted %v, want %v", prefix, got, want)
		}
		for code, n := range want {
			if got[code] != n {
				t.Errorf("%s counted %v, want %v", prefix, got, want)
			}
		}
		faults := g.read(g.send("gone", "GET", prefix+"/_sandbox/faults", ""))
		if has := strings.Contains(faults.body, "http_status"); has != (prefix == "/claude") {
			t.Errorf("%s has the faults %s", prefix, faults.body)
		}
	}
	g.load("", sites)
	if n := stats("/claude").Codes["overloaded_error"]; n != 1 {
		t.Errorf("after a reload the statistics are another's")
	}
}

func TestSandboxFormatMistakes(t *testing.T) {
	app := func(format, options string) string {
		return "alipayai_sandbox {\nformat " + format + "\napp a {\n" + options + "\n}\n}"
	}
	for name, tt := range map[string]struct {
		site string
		want []string
	}{
		"format":                   {"alipayai_sandbox {\nformat grpc\n}", []string{"Format", `"grpc"`}},
		"agent without app":        {"alipayai_sandbox {\nformat nextbuilder\n}", []string{"nextbuilder", "no demo app"}},
		"agent without public key": {app("nextbuilder", ""), []string{"app a: public_key is empty"}},
		"agent with nonsense":      {app("nextbuilder", "public_key nonsense"), []string{"Apps[0].PublicKey"}},
		"agent with a key":         {app("nextbuilder", "key 1 {env.TEST_HMAC_KEY}"), []string{"app a: key is not used by format nextbuilder"}},
		"claude without key":       {app("anthropic", ""), []string{"app a: api_key is empty"}},
		"claude, literal key":      {app("anthropic", "api_key "+aSecret), []string{"app a: api_key", "literal"}},
		"claude with a secret":     {app("anthropic", "api_key {env.TEST_SECRET}\noauth_secret {env.TEST_SECRET}"), []string{"app a: oauth_secret is not used by format anthropic"}},
		"chat with an API key":     {app("openai", "key 1 {env.TEST_HMAC_KEY}\noauth_secret {env.TEST_SECRET}\napi_key {env.TEST_SECRET}"), []string{"app a: api_key is not used by format openai"}},
		"claude in production":     {"alipayai_sandbox {\nformat anthropic\nmode production\n}", []string{"Mode", "anthropic"}},
	} {
		t.Run(name, func(t *testing.T) {
			refuses(t, "", tt.site, tt.want)
		})
	}
}
