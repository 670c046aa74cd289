package alipaycaddy

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// frontPage gives the Caddyfile of the repository's README.md that has this mark.
func frontPage(t *testing.T, mark string) string { return documented(t, "../README.md", mark) }

// documented gives the Caddyfile of a document that has this mark.
func documented(t *testing.T, document, mark string) string {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "<!-- validated: "+mark+" -->\n```\n")
	block, _, closed := strings.Cut(rest, "\n```\n")
	if !found || !closed {
		t.Fatalf("%s has no Caddyfile with the mark %q", document, mark)
	}
	block += "\n"
	if formatted := string(caddyfile.Format([]byte(block))); formatted != block {
		t.Errorf("the Caddyfile is not formatted; it should be\n%s", formatted)
	}
	return block
}

// moved is text with each of what it mentions at another place.
func moved(t *testing.T, text string, places map[string]string) string {
	t.Helper()
	for from, to := range places {
		if !strings.Contains(text, from) {
			t.Errorf("the Caddyfile does not mention %q", from)
		}
		text = strings.ReplaceAll(text, from, to)
	}
	return text
}

// TestProductionCaddyfile validates the README's production Caddyfile as `caddy
// validate` does, with its files in a folder and its environment set.
func TestProductionCaddyfile(t *testing.T) {
	block := frontPage(t, "production")
	environment := map[string]string{
		"ALIPAYAI_ENCRYPTION_KEY": strings.Repeat("0123456789abcdef", 4),
		"REDIS_ADDRESS":           "127.0.0.1:6379",
		"REDIS_PASSWORD":          "a password of Redis",
		"AGE_RECIPIENT":           "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
		"SLACK_WEBHOOK_URL":       "https://hooks.slack.com/services/T0/B0/a-secret",
		"PAGERDUTY_ROUTING_KEY":   strings.Repeat("0123456789abcdef", 2),
		"ALIPAY_CLIENT_ID":        "5Y000000000000001",
		"ALIPAY_OAUTH_SECRET":     "a client secret of the app",
		"ANTHROPIC_API_KEY":       "sk-ant-a-key-of-the-provider",
	}
	for _, m := range regexp.MustCompile(`\{env\.(\w+)\}`).FindAllStringSubmatch(block, -1) {
		if _, ok := environment[m[1]]; !ok {
			t.Errorf("the Caddyfile needs %s, which this test does not set", m[1])
		}
	}
	for name, value := range environment {
		if !strings.Contains(block, "{env."+name+"}") {
			t.Errorf("the Caddyfile does not need %s", name)
		}
		t.Setenv(name, value)
	}

	dir := t.TempDir()
	_, hash := alipayai.NewKey()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	block = moved(t, block, map[string]string{
		"/etc/caddy/tenants":      write("tenants", "shop "+hash.String()+"\n"),
		"/run/secrets/alipay":     filepath.Dir(write("keys/1", "a signing key of more than 16 bytes")),
		"/var/lib/caddy/evidence": filepath.Join(dir, "evidence"),
	})
	adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(block), nil)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	var config *caddy.Config
	if err := json.Unmarshal(adapted, &config); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(config); err != nil {
		t.Error(err)
	}
}

// The recipe of a proxy in Singapore is valid as it stands; with its addresses moved to this machine, the shop's calls go
// to Alipay, then to Qwen, and never to the United States, where others' do.
func TestSingaporeCaddyfile(t *testing.T) {
	const secret = "a client secret of the app"
	key := []byte("a signing key of more than 16 bytes")
	server := func(config sandbox.Config) (*sandbox.Server, string) {
		config.RequestsPerSecond = -1
		api := must(sandbox.New(config))
		listening := httptest.NewServer(api)
		t.Cleanup(listening.Close)
		return api, listening.URL
	}
	g := newRig(t, sandbox.Config{Apps: []sandbox.App{{ClientID: "app", OAuthSecret: secret, Keys: map[int][]byte{1: key}}}, RequestsPerSecond: -1})
	qwen, qwenAt := server(sandbox.Config{Format: sandbox.OpenAI})
	claude, claudeAt := server(sandbox.Config{Format: sandbox.Anthropic})
	for name, value := range map[string]string{
		"ALIPAYAI_ENCRYPTION_KEY": strings.Repeat("0123456789abcdef", 4), "ALIPAY_CLIENT_ID": "app", "ALIPAY_OAUTH_SECRET": secret,
		"DASHSCOPE_API_KEY": sandbox.DemoAPIKey, "ANTHROPIC_API_KEY": sandbox.DemoAPIKey,
	} {
		t.Setenv(name, value)
	}
	shop, shopHash := alipayai.NewKey()
	other, otherHash := alipayai.NewKey()
	g.file("keys/1", string(key))
	here := map[string]string{
		"/etc/caddy/tenants":  g.file("tenants", "shop "+shopHash.String()+"\nother "+otherHash.String()+"\n"),
		"/run/secrets/alipay": filepath.Join(g.vars["dir"], "keys"),
	}
	block := documented(t, "README.md", "singapore")
	adapt := func(block string) (config *caddy.Config, adapted []byte) {
		t.Helper()
		adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(block), nil)
		if err != nil || len(warnings) > 0 {
			t.Fatal(err, warnings)
		}
		if err := json.Unmarshal(adapted, &config); err != nil {
			t.Fatal(err)
		}
		return config, adapted
	}
	config, _ := adapt(moved(t, block, here))
	if err := caddy.Validate(config); err != nil {
		t.Fatal(err)
	}
	alipayAt := "http://" + g.vars["api"]
	maps.Copy(here, map[string]string{
		"https://cn.example-alipay.test": alipayAt, "https://auth.example-alipay.test": alipayAt, "redis.sg.example.com:6379": redistest.Start(t).Addr,
		"https://dashscope-intl.aliyuncs.com/compatible-mode/v1": qwenAt + "/v1", "profile anthropic": "profile anthropic\nbase_url " + claudeAt + "/v1",
		"ai.example.com {": "http://" + g.vars["gateway"] + " {", "{\n\talipayai {": "{\nadmin " + g.vars["admin"] + "\ndefault_bind 127.0.0.1\nalipayai {",
	})
	_, adapted := adapt(moved(t, block, here))
	if err := caddy.Load(adapted, true); err != nil {
		t.Fatal(err)
	}
	down := func(apis ...*sandbox.Server) {
		for _, api := range []*sandbox.Server{g.api, qwen, claude} {
			var faults []sandbox.Fault
			if slices.Contains(apis, api) {
				faults = append(faults, sandbox.Fault{Kind: sandbox.HTTPStatus, Status: http.StatusServiceUnavailable})
			}
			if err := api.SetFaults(faults...); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, step := range []struct {
		down       []*sandbox.Server
		key, by    string
		unanswered bool
	}{
		{nil, shop, "alipay", false},
		{nil, other, "alipay", false},
		{[]*sandbox.Server{g.api}, shop, "qwen", false},
		{[]*sandbox.Server{g.api, qwen}, shop, "", true},
		{[]*sandbox.Server{g.api, qwen}, other, "claude", false},
	} {
		down(step.down...)
		a := g.do("POST", chatPath, chatBody(fmt.Sprint("hello ", i), false), "Authorization: Bearer "+step.key)
		if got := a.header.Get("X-Alipayai-Provider"); got != step.by || step.unanswered != (a.code() == "residency_unavailable") {
			t.Errorf("step %d: by %q, want %q: %d %s", i, got, step.by, a.status, a.body)
		}
	}
	if n := claude.Stats().Paths["/v1/messages"]; n != 1 {
		t.Errorf("%d calls went to the United States, want that of the other tenant", n)
	}
}
