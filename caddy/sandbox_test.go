package alipaycaddy

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// TestSandboxDirective serves two simulated APIs, one with every option.
func TestSandboxDirective(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	t.Setenv("TEST_HMAC_KEY", hmacKey)
	t.Setenv("TEST_SECRET", oauthSecret)
	t.Setenv("TEST_REFRESH", "a-refresh-token")
	const global = `
alipayai {
	provider alipay {
		profile alipay
		base_url http://${gone}
		client_id app
		key 2 {env.TEST_HMAC_KEY}
		token http://${gone}/oauth2/token {env.TEST_SECRET}
	}
}`
	const sites = `
http://${gateway} {
	alipayai_proxy alipay
}
http://${gone} {
	handle /demo/* {
		uri strip_prefix /demo
		alipayai_sandbox
	}
	alipayai_sandbox {
		name blue
		mode production
		app app {
			key 2 {env.TEST_HMAC_KEY}
			oauth_secret {env.TEST_SECRET}
			refresh_token {env.TEST_REFRESH}
		}
		token_life 10m
		rotate_refresh_tokens
		requests_per_second unlimited
		models alipay-fin-1 own
	}
}`
	g.load(global, sites)
	g.chat("hello")
	if a := g.do("GET", "/v1/models", ""); !strings.Contains(a.body, `"own"`) || strings.Contains(a.body, "alipay-fin-mini") {
		t.Errorf("models: %s", a.body)
	}
	if a := g.do("POST", chatPath, chatBody("predict future income", false)); a.status != 403 || a.code() != "COMPLIANCE_BLOCKED" {
		t.Errorf("mode production: status %d: %s", a.status, a.body)
	}
	stats := func(prefix string) (s sandbox.Stats) {
		t.Helper()
		a := g.read(g.send("gone", "GET", prefix+"/_sandbox/stats", ""))
		if err := json.Unmarshal([]byte(a.body), &s); err != nil {
			t.Fatal(err, a.body)
		}
		return s
	}
	if n := stats("").Paths[chatPath]; n != 2 {
		t.Errorf("%d calls reached the simulator, want 2", n)
	}
	if n := stats("/demo").Requests; n != 0 {
		t.Errorf("%d requests reached the other simulator", n)
	}
	g.load(global, sites)
	g.chat("hello")
	if s := stats(""); s.Paths[chatPath] != 3 || s.TokenFetches["client_credentials"] != 1 {
		t.Errorf("after a reload the simulator has other statistics: %+v", s)
	}
	g.load(global, strings.Replace(sites, "name blue", "name green", 1))
	if s := stats(""); s.Paths[chatPath] != 0 {
		t.Errorf("another name gives the same simulator: %+v", s)
	}
}
