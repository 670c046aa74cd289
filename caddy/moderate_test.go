package alipaycaddy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// judge is a moderation model behind HTTP, which answers as say does; and another upstream, which counts what reaches it.
type judge struct {
	*failoverRig
	// asked are the requests to the model, and passed those to the other upstream.
	asked, passed atomic.Int64
	// last is what reached the other upstream last.
	last atomic.Pointer[string]
	// say gives the text of the model's answer to a prompt; empty hangs up.
	say atomic.Pointer[func(prompt string) string]
}

func newJudge(t *testing.T) *judge {
	g := &judge{failoverRig: newFailoverRig(t)}
	g.answers(func(string) string { return "safe" })
	serve := func(h http.HandlerFunc) string {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		return server.Listener.Addr().String()
	}
	g.vars["guard"] = serve(func(w http.ResponseWriter, r *http.Request) {
		g.asked.Add(1)
		var asked struct {
			Messages []struct{ Content string }
			Input    []string
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Errorf("the model was sent no JSON: %v", err)
		}
		var prompt strings.Builder
		for _, m := range asked.Messages {
			prompt.WriteString(m.Content + "\n")
		}
		prompt.WriteString(strings.Join(asked.Input, "\n"))
		text := (*g.say.Load())(prompt.String())
		switch {
		case text == "":
			panic(http.ErrAbortHandler)
		case strings.HasPrefix(text, "{\"results\""):
			_, _ = io.WriteString(w, text)
		default:
			quoted, _ := json.Marshal(text)
			fmt.Fprintf(w, `{"choices":[{"index":0,"message":{"role":"assistant","content":%s},"finish_reason":"stop"}]}`, quoted)
		}
	})
	g.vars["plain"] = serve(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		text := string(body)
		g.last.Store(&text)
		g.passed.Add(1)
		_, _ = io.WriteString(w, "plain")
	})
	return g
}

func (g *judge) answers(say func(prompt string) string) { g.say.Store(&say) }

// moderators declares the rig's API, the model and moderators.
func moderators(declared string) string {
	return `
alipayai {
	provider alipay {
		profile sandbox
		base_url http://${api}
		limit off
	}
	provider guard {
		profile ollama
		base_url http://${guard}/v1
		model llama-guard
	}
	` + declared + `
}`
}

// moderatedSite is a site with these directives behind its authentication.
func moderatedSite(directives string) string {
	return `
http://${gateway} {
	log
	metrics /metrics
	@calls not path /metrics
	alipayai_auth @calls {
		key acme ${acme}
		key zeta ${zeta}
	}
	` + directives + `
}`
}

func TestModerateRefusesByRules(t *testing.T) {
	g := newJudge(t)
	g.load(moderators(`moderator law {
		words "guaranteed profit" 稳赚不赔
		pattern "\b1[3-9][0-9]{9}\b"
	}`), moderatedSite("alipayai_moderate law\nalipayai_proxy alipay"))
	for name, body := range map[string]string{
		"word":          chatBody("a GUARANTEED   profit, please", false),
		"stream":        chatBody("稳赚不赔", true),
		"pattern":       chatBody("call 13800138000", false),
		"first message": `{"model":"alipay-fin-1","messages":[{"role":"user","content":"稳赚不赔"},{"role":"assistant","content":"no"},{"role":"user","content":"go on"}]}`,
		"system prompt": `{"model":"alipay-fin-1","messages":[{"role":"system","content":"稳赚不赔"},{"role":"user","content":"go on"}]}`,
		"tool result":   `{"model":"alipay-fin-1","messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"x","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"x","content":"稳赚不赔"}]}`,
		"arguments":     `{"model":"alipay-fin-1","messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"x","type":"function","function":{"name":"f","arguments":"{\"q\":\"\\u7a33\\u8d5a不赔\"}"}}]},{"role":"tool","tool_call_id":"x","content":"r"}]}`,
		"parts":         `{"model":"alipay-fin-1","messages":[{"role":"user","content":[{"type":"text","text":"稳赚"},{"type":"text","text":"不赔"}]}]}`,
		"split word":    `{"model":"alipay-fin-1","messages":[{"role":"user","content":[{"type":"text","text":"guaran"},{"type":"text","text":"teed profit"}]}]}`,
		"messages":      `{"model":"alipay-fin-1","messages":[{"role":"user","content":"稳赚"},{"role":"user","content":"不赔"}]}`,
		"tools":         `{"model":"alipay-fin-1","messages":[{"role":"user","content":"a"}],"tools":[{"type":"function","function":{"name":"f","description":"稳赚不赔"}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			a := g.do("POST", chatPath, body, g.acme)
			if a.status != http.StatusForbidden || a.code() != "moderation_blocked" || !strings.Contains(a.body, "policy law") {
				t.Errorf("status %d: %s", a.status, a.body)
			}
		})
	}
	embed := g.do("POST", "/v1/embeddings", `{"model":"alipay-embed-1","input":["fine","稳赚不赔"]}`, g.acme)
	if embed.status != http.StatusForbidden {
		t.Errorf("embeddings: status %d: %s", embed.status, embed.body)
	}
	if n := g.chats(); n != 0 {
		t.Errorf("%d calls reached the API", n)
	}
	g.chat("a fair profit", g.acme)
	if models := g.do("GET", "/v1/models", "", g.acme); models.status != http.StatusOK {
		t.Errorf("models: status %d: %s", models.status, models.body)
	}
	logs := g.logs()
	if !strings.Contains(logs, "request blocked") || strings.Contains(logs, "稳赚不赔") || strings.Contains(logs, "13800138000") {
		t.Error("the log lacks the refusals, or has what was refused")
	}
	metrics := g.do("GET", "/metrics", "").body
	for _, want := range []string{
		`caddy_alipayai_moderation_total{by="rules",moderator="law",result="blocked"} 12`,
		`caddy_alipayai_moderation_total{by="rules",moderator="law",result="allowed"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

func TestModerateBeforeReverseProxy(t *testing.T) {
	g := newJudge(t)
	g.load(moderators(`moderator law {
		words 稳赚不赔
		model guard form llama_guard
		on_error closed
		timeout 5s
	}`), moderatedSite("alipayai_moderate law\nreverse_proxy ${plain}"))
	g.answers(func(prompt string) string {
		if strings.Contains(prompt, "bomb") {
			return "unsafe\nS1,S9"
		}
		return "safe"
	})
	const odd = "{\"x\": 1.0e0,\t\"messages\":[ {\"content\" : \"hello\"} ] }\n"
	for path, body := range map[string]string{
		"/v1/chat/completions": `{"model": "m",  "messages":[{"role":"user","content":"hello"}]}` + "\n",
		"/v1/responses":        `{"model": "m",  "input":"hello"}`,
		"/v1/messages":         odd,
		"/anything":            odd,
	} {
		a := g.do("POST", path, body, g.acme)
		if got := g.last.Swap(nil); a.status != http.StatusOK || got == nil || *got != body {
			t.Errorf("%s: status %d, upstream got %v, want %q", path, a.status, got, body)
		}
	}
	passed := g.passed.Load()
	for name, tc := range map[string]struct{ path, body, code string }{
		"rules":             {"/v1/responses", `{"model":"m","input":"稳赚不赔"}`, "moderation_blocked"},
		"model":             {"/v1/responses", `{"model":"m","instructions":"build a bomb","input":"hello"}`, "moderation_blocked"},
		"no JSON":           {"/v1/responses", `hello`, "invalid_json"},
		"doubled key":       {"/anything", `{"a":"hello","a":"稳赚不赔"}`, "duplicate_key"},
		"chat, no messages": {"/v1/chat/completions", `{"model":"m"}`, "missing_required_parameter"},
	} {
		t.Run(name, func(t *testing.T) {
			a := g.do("POST", tc.path, tc.body, g.acme)
			if a.code() != tc.code {
				t.Errorf("status %d: %s", a.status, a.body)
			}
		})
	}
	claude := g.do("POST", "/v1/messages", `{"model":"m","messages":[{"role":"user","content":"稳赚不赔"}]}`, g.acme)
	if claude.status != http.StatusForbidden || !strings.HasPrefix(claude.body, `{"type":"error","error":{"type":"permission_error","message":`) {
		t.Errorf("in Anthropic's form: status %d: %s", claude.status, claude.body)
	}
	if g.passed.Load() != passed {
		t.Error("what was refused reached the upstream")
	}
	g.answers(func(string) string { return "" })
	down := g.do("POST", "/v1/responses", `{"model":"m","input":"something new"}`, g.acme)
	if down.status != http.StatusServiceUnavailable || down.code() != "moderation_unavailable" || g.passed.Load() != passed {
		t.Errorf("without a verdict: status %d: %s", down.status, down.body)
	}
}

func TestModerateRoutes(t *testing.T) {
	g := newJudge(t)
	g.load(moderators(`moderator law {
		words 稳赚不赔
		on_block route
	}`), moderatedSite(`
	route {
		alipayai_moderate law
		@blocked vars {http.alipayai.moderation} blocked
		header @blocked X-Policy {http.alipayai.moderation.policy}
		reverse_proxy @blocked ${plain}
		alipayai_proxy alipay
	}`))
	g.chat("hello", g.acme)
	a := g.do("POST", chatPath, chatBody("稳赚不赔", false), g.acme)
	if a.body != "plain" || a.header.Get("X-Policy") != "law" || g.chats() != 1 {
		t.Errorf("status %d, policy %q: %s", a.status, a.header.Get("X-Policy"), a.body)
	}
}

func TestModerateGuardsAnswers(t *testing.T) {
	g := newJudge(t)
	g.load(moderators(`moderator out {
		words "secret handshake"
	}
	moderator off {
		words "secret handshake"
		output off
	}`), moderatedSite(`
	handle /metrics {
		metrics
	}
	handle_path /off/* {
		alipayai_moderate off
		alipayai_proxy guard
	}
	handle {
		alipayai_moderate out
		alipayai_proxy guard
	}`))
	g.answers(func(string) string { return "here is the secret handshake" })
	a := g.do("POST", chatPath, chatBody("hello", false), g.acme)
	if a.status != http.StatusForbidden || a.code() != "moderation_blocked" || strings.Contains(a.body, "secret") || a.header.Get("X-Should-Retry") != "false" {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	logged := g.logs()
	at := strings.Index(logged, "answer blocked")
	if at < 0 {
		t.Fatal("the log lacks the refused answer")
	}
	line, _, _ := strings.Cut(logged[at:], "\n")
	for _, want := range []string{`"moderator":"out","policy":"out","version":"`, `"tenant":"acme"`, `"provider":"guard"`, `"request_id":"` + a.header.Get("X-Request-Id") + `"`} {
		if !strings.Contains(line, want) {
			t.Errorf("the log lacks %s: %s", want, line)
		}
	}
	if strings.Contains(line, "secret") {
		t.Errorf("the log has the text: %s", line)
	}
	if off := g.do("POST", "/off"+chatPath, chatBody("hello", false), g.acme); off.status != http.StatusOK {
		t.Errorf("with output off: status %d: %s", off.status, off.body)
	}
	if metrics := g.do("GET", "/metrics", "").body; !strings.Contains(metrics, `caddy_alipayai_moderation_total{by="output",moderator="out",result="blocked"} 1`) {
		t.Error("the metrics lack the refused answer")
	}
}

// With the built-in rules before it, the simulated production blocks hardly a prompt of the test set.
func TestModerateSparesCompliance(t *testing.T) {
	set := string(must(os.ReadFile("../alipayai/moderate/testdata/china.tsv")))
	g := newJudge(t)
	api := must(sandbox.New(sandbox.Config{RequestsPerSecond: -1, Mode: sandbox.Production}))
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	g.vars["api"] = server.Listener.Addr().String()
	g.load(moderators(`moderator china {
		rules builtin china
	}`), moderatedSite(`
	handle_path /bare/* {
		alipayai_proxy alipay {
			remember_blocked off
		}
	}
	handle {
		alipayai_moderate china
		alipayai_proxy alipay
	}`))
	blocked, caught, rest, wrong := 0, 0, 0, 0
	for line := range strings.Lines(set) {
		_, prompt, _ := strings.Cut(strings.TrimSpace(line), "\t")
		bare := g.do("POST", "/bare"+chatPath, chatBody(prompt, false), g.acme)
		moderated := g.do("POST", chatPath, chatBody(prompt, false), g.acme)
		refused := moderated.status == http.StatusForbidden && moderated.code() == "moderation_blocked"
		if bare.status == http.StatusForbidden {
			blocked++
			if refused {
				caught++
			}
			continue
		}
		rest++
		if refused {
			wrong++
		}
	}
	if blocked != 100 || rest != 100 || caught < 95 || wrong > 3 {
		t.Errorf("of %d that production blocks %d are caught before, and %d of %d others", blocked, caught, wrong, rest)
	}
}

func TestModerateRemembersBlocks(t *testing.T) {
	g := newJudge(t)
	api := must(sandbox.New(sandbox.Config{RequestsPerSecond: -1, Mode: sandbox.Production}))
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	g.vars["api"] = server.Listener.Addr().String()
	g.load(moderators(""), moderatedSite("alipayai_proxy alipay"))
	for range 3 {
		a := g.do("POST", chatPath, chatBody("predict my future income", false), g.acme)
		if a.status != http.StatusForbidden || a.code() != "COMPLIANCE_BLOCKED" {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
	}
	if n := api.Stats().Paths[chatPath]; n != 1 {
		t.Errorf("%d calls reached the API, want 1", n)
	}
	g.load(moderators(""), moderatedSite("alipayai_proxy alipay {\nremember_blocked off\n}"))
	g.do("POST", chatPath, chatBody("predict my future income", false), g.acme)
	if n := api.Stats().Paths[chatPath]; n != 2 {
		t.Errorf("%d calls reached the API, want 2", n)
	}
}
