package alipaycaddy

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// Each placeholder holds what the matcher looks at, and is empty, false or 0 where the request makes no call.
func TestCallPlaceholders(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.load("", `http://${gateway} {
	@call alipayai
	vars @call seen yes
	respond "{http.alipayai.endpoint} {http.alipayai.model} {http.alipayai.stream} {http.alipayai.tools} {http.alipayai.images} {http.alipayai.messages} {http.alipayai.characters} {http.alipayai.last_characters} {http.alipayai.language} {http.alipayai.intent} {vars.seen}{vars.alipayai_call}"
}`)
	for name, c := range map[string]struct{ method, path, body, want string }{
		"chat": {"POST", chatPath, `{"model":"m/1","stream":true,"tools":[{"type":"function","function":{"name":"f"}}],"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"你好"},{"type":"image_url","image_url":{"url":"https://x.test/a"}}]}]}`,
			"chat m/1 true true true 2 28 2 han trivial yes"},
		"embeddings": {"POST", "/v1/embeddings", `{"model":"e","input":["my credit card","was declined"]}`,
			"embeddings e false false false 0 26 26 latin financial yes"},
		"models":       {"GET", "/v1/models", "", "models  false false false 0 0 0   yes"},
		"no JSON":      {"POST", chatPath, "{", "chat  false false false 0 0 0   "},
		"another path": {"POST", "/", "{}", "  false false false 0 0 0   "},
	} {
		t.Run(name, func(t *testing.T) {
			if a := g.do(c.method, c.path, c.body); a.body != c.want {
				t.Errorf("%q, want %q", a.body, c.want)
			}
		})
	}
}

// They serve Caddy's own directives: map, vars, headers of requests and answers, and the access log. Behind
// alipayai_proxy none of these needs a matcher.
func TestCallPlaceholdersInDirectives(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	for name, c := range map[string]struct {
		site string
		want func(a answer) bool
	}{
		"map": {`
	@call alipayai
	map @call {http.alipayai.intent} {tier} {
		financial gold
		default tin
	}
	respond @call "{tier}"`, func(a answer) bool { return a.body == "gold" }},
		"vars": {`
	@call alipayai
	vars @call tier {http.alipayai.intent}-{http.alipayai.language}
	respond {vars.tier}`, func(a answer) bool { return a.body == "financial-latin" }},
		"header of the request": {`
	@call alipayai
	request_header @call X-Intent {http.alipayai.intent}
	respond {header.X-Intent}`, func(a answer) bool { return a.body == "financial" }},
		"deferred header, no matcher": {`
	header >X-Intent {http.alipayai.intent}
	alipayai_proxy alipay`, func(a answer) bool { return a.header.Get("X-Intent") == "financial" }},
		"log, no matcher": {`
	log
	log_append about {http.alipayai.intent}
	alipayai_proxy alipay`, func(answer) bool {
			g.eventually("the log to say what it is about", func() bool { return strings.Contains(g.logs(), `"about":"financial"`) })
			return true
		}},
	} {
		t.Run(name, func(t *testing.T) {
			g.load(oneProvider, "http://${gateway} {"+c.site+"\n}")
			if a := g.do("POST", chatPath, chatBody("my credit card was declined", false)); a.status != http.StatusOK || !c.want(a) {
				t.Errorf("%d %q %v", a.status, a.body, a.header)
			}
		})
	}
}
