package alipaycaddy

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// A configuration's examples take the place of the built-in ones; a reload learns again only where they have changed, and
// one that is refused leaves what is served.
func TestIntentsOption(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.file("intents/fruit.txt", "apples and pears\na ripe banana\n")
	g.file("intents/metal.txt", "iron and steel\na copper wire\n")
	const global = "alipayai {\n\tintents ${dir}/intents\n}"
	const site = "http://${gateway} {\n\t@call alipayai\n\trespond @call {http.alipayai.intent}\n}"
	classifier := func() any {
		ctx := caddy.ActiveContext()
		return must(ctx.App("alipayai")).(*App).intents.classifier()
	}
	taken := func(prompt, want string) {
		t.Helper()
		if a := g.do("POST", chatPath, chatBody(prompt, false)); a.body != want {
			t.Errorf("%q is taken for %q, want %q", prompt, a.body, want)
		}
	}
	g.load(global, site)
	taken("a ripe banana", "fruit")
	first := classifier()
	g.load(global, site+"\n")
	if classifier() != first {
		t.Error("the same examples were learnt again")
	}
	g.file("intents/metal.txt", "iron and steel\na ripe banana\na ripe banana\n")
	g.file("intents/fruit.txt", "apples and pears\n")
	g.load(global, site)
	if classifier() == first {
		t.Error("changed examples were not learnt")
	}
	taken("a ripe banana", "metal")
	g.load("alipayai {\n\tintents ${dir}/intents {\n\t\tconfidence 0.999\n\t}\n}", site)
	taken("something else", "")

	for name, c := range map[string]struct{ global, site, want string }{
		"no folder":                  {"alipayai {\n\tintents ${dir}/gone\n}", site, "it has no file of examples"},
		"unknown intent":             {global, strings.Replace(site, "@call alipayai\n", "@call alipayai intent financial\n", 1), `intent "financial" has no examples; there are examples of fruit, metal`},
		"in an expression":           {global, strings.Replace(site, "@call alipayai\n", "@call `alipayai({'intent': 'money'})`\n", 1), `intent "money" has no examples`},
		"condition of an expression": {global, strings.Replace(site, "@call alipayai\n", "@call `alipayai({'topic': 'fruit'})`\n", 1), `unrecognized option "topic" of alipayai`},
	} {
		t.Run(name, func(t *testing.T) {
			if err := g.reload(c.global, c.site); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %s", err, c.want)
			}
			if a := g.do("POST", chatPath, chatBody("x", false)); a.status != http.StatusOK {
				t.Errorf("afterwards %d %s", a.status, a.body)
			}
		})
	}
}
