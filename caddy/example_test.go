package alipaycaddy

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/heldport"
)

// exampleKey is the key of the example's tenant, as its text has it.
const exampleKey = "sk-alipayai-5HTKTRYENNC53RHC3SXUZX6DMXUNYYB6KIDCW5LGJVCUCEUN7LBT"

// TestExampleIsFormatted holds that `caddy fmt` leaves the example as it is.
func TestExampleIsFormatted(t *testing.T) {
	content, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	if formatted := string(caddyfile.Format(content)); formatted != string(content) {
		t.Errorf("it should be\n%s", formatted)
	}
}

// TestExample runs Caddyfile.example as it is, but for its addresses and its
// log, and walks the way that the README shows: Alipay fails, claude answers,
// the breaker opens and the alert arrives.
func TestExample(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.vars["alipay"], g.vars["claude"], g.vars["alerts"] = heldport.Addr(t), heldport.Addr(t), heldport.Addr(t)
	g.vars["spend"], g.vars["local"] = heldport.Addr(t), heldport.Addr(t)
	g.loadExample()
	g.chat("hello there")
	events, stop := g.openStream("hello there")
	defer stop()
	if line, err := events.ReadString('\n'); err != nil || line != "\n" {
		t.Errorf("after the first event: %q, %v", line, err)
	}
	// To its end: a success that is reported late would close what is to open.
	if rest, err := io.ReadAll(events); err != nil || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
		t.Errorf("the stream ends in %q, %v", rest[max(0, len(rest)-40):], err)
	}

	// What lacks /v1, and what Claude Code asks first.
	for _, site := range []string{"gateway", "spend"} {
		for _, path := range []string{"/chat/completions", "/responses", "/", "/v1"} {
			a := g.read(g.send(site, "POST", path, chatBody("tea", false), "Authorization: Bearer "+exampleKey))
			if a.status != http.StatusNotFound || a.code() != "unknown_url" || a.header.Get("Content-Type") != "application/json" {
				t.Errorf("%s of %s: %d %s", path, site, a.status, a.body)
			}
		}
		if a := g.read(g.send(site, "HEAD", "/", "", "Authorization: Bearer "+exampleKey)); a.status != http.StatusOK {
			t.Errorf("HEAD / of %s: %d", site, a.status)
		}
	}

	if a := g.read(g.send("alipay", "PUT", "/_sandbox/faults", `{"faults": [{"kind": "system_error_200"}]}`)); a.status != http.StatusOK {
		t.Fatalf("setting the fault: %d %s", a.status, a.body)
	}
	for n := range 5 {
		reason := "system_error"
		if n == 4 {
			reason = "breaker_open"
		}
		g.chat("tea").answeredBy(t, "claude", "claude-haiku-4-5", reason)
	}
	var stats sandbox.Stats
	if err := json.Unmarshal([]byte(g.read(g.send("alipay", "GET", "/_sandbox/stats", "")).body), &stats); err != nil {
		t.Fatal(err)
	}
	if n := stats.Faults[sandbox.SystemError200]; n != 4 {
		t.Errorf("Alipay was asked %d times while it failed, want 4", n)
	}
	if metrics := g.read(g.send("admin", "GET", "/metrics", "")).body; !strings.Contains(metrics, `caddy_alipayai_breakers{provider="alipay",state="open"} 1`) {
		t.Errorf("no breaker is open: %s", metrics)
	}
	g.eventually("the alert to arrive", func() bool {
		return strings.Contains(g.logs(), `"alert":"{\"action\":\"trigger\"`) && strings.Contains(g.logs(), `\"kind\":\"breaker_open\",\"provider\":\"alipay\"`)
	})
	if !strings.Contains(g.logs(), `"logger":"alipayai.evidence"`) {
		t.Error("the log has no evidence")
	}
}

// TestExampleSpendsLess walks the example's second site: who answers what, what that
// costs, and what is not asked at all.
func TestExampleSpendsLess(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	for _, name := range []string{"alipay", "claude", "alerts", "spend", "local"} {
		g.vars[name] = heldport.Addr(t)
	}
	g.loadExample()
	tests := map[string]struct {
		prompt, provider string
		status           int
	}{
		"a financial question":    {"how much interest do i pay on my credit card", "alipay", http.StatusOK},
		"a financial one, Han":    {"花呗怎么提前还款", "alipay", http.StatusOK},
		"small talk":              {"hello there", "local", http.StatusOK},
		"what the law forbids":    {"predict my income for next year", "", http.StatusForbidden},
		"any other question":      {"what is the weather in london tomorrow", "local", http.StatusOK},
		"what is forbidden as is": {"保证收益的理财产品有哪些", "", http.StatusForbidden},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			body, _ := json.Marshal(map[string]any{"model": "alipay-fin-1", "user": "u", "messages": []any{map[string]string{"role": "user", "content": tt.prompt}}})
			a := g.read(g.send("spend", "POST", chatPath, string(body), "Authorization: Bearer "+exampleKey))
			if a.status != tt.status || a.header.Get("X-Alipayai-Provider") != tt.provider {
				t.Errorf("%d of %q: %s", a.status, a.header.Get("X-Alipayai-Provider"), a.body)
			}
			if cost := a.header.Get("X-Alipayai-Cost"); tt.provider == "alipay" && !strings.HasSuffix(cost, " CNY") {
				t.Errorf("cost %q", cost)
			}
		})
	}
}

// TestReadmeCosts runs the two commands that README.md shows: what the call costs, and whose it was.
func TestReadmeCosts(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	g := newRig(t, sandbox.Config{})
	for _, name := range []string{"alipay", "claude", "alerts", "spend", "local"} {
		g.vars[name] = heldport.Addr(t)
	}
	g.loadExample()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, commands, _ := strings.Cut(string(readme), "### See what it costs")
	_, key, _ := strings.Cut(commands, "'Authorization: ")
	key, _, _ = strings.Cut(key, "'")
	_, body, _ := strings.Cut(commands, "-d '")
	body, report, _ := strings.Cut(body, "'\n")
	_, report, _ = strings.Cut(report, "alipayai ")
	report, _, _ = strings.Cut(report, "\n")
	a := g.read(g.send("spend", "POST", chatPath, body, "Authorization: "+key))
	cost, isCNY := strings.CutSuffix(a.header.Get("X-Alipayai-Cost"), " CNY")
	if a.status != http.StatusOK || a.header.Get("X-Alipayai-Provider") != "alipay" || !isCNY {
		t.Fatalf("%d %v: %s", a.status, a.header, a.body)
	}
	g.eventually("the report", func() bool {
		out, _, err := runCommandApart(t, append(strings.Fields(report), "--format", "csv", "--address", g.vars["admin"])...)
		return err == nil && strings.Contains(out, "demo,CNY,1,") && strings.Contains(out, ","+cost+",")
	})
}

// loadExample runs Caddyfile.example.
func (g *rig) loadExample() {
	g.t.Helper()
	example, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		g.t.Fatal(err)
	}
	moved := string(example)
	for old, to := range map[string]string{
		"admin 127.0.0.1:2019": "admin " + g.vars["admin"] + "\nlog {\noutput file " + g.vars["log"] + "\n}",
		"127.0.0.1:8080":       g.vars["gateway"], "127.0.0.1:8081": g.vars["alipay"],
		"127.0.0.1:8082": g.vars["claude"], "127.0.0.1:8083": g.vars["alerts"],
		"profile sandbox\n\t\t\t#":    "profile sandbox\nbase_url http://" + g.vars["alipay"] + "\n#",
		"profile sandbox_anthropic\n": "profile sandbox_anthropic\nbase_url http://" + g.vars["claude"] + "/v1\n",
		"127.0.0.1:8084":              g.vars["spend"], "127.0.0.1:8085": g.vars["local"],
	} {
		if !strings.Contains(moved, old) {
			g.t.Errorf("the example does not mention %q", old)
		}
		moved = strings.ReplaceAll(moved, old, to)
	}
	config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(moved), nil)
	if err != nil {
		g.t.Fatal(err, warnings)
	}
	if err := g.loadJSON(config); err != nil {
		g.t.Fatal(err)
	}
}
