package alipaycaddy

import (
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// TestBudgetsAreProvidersOwn has two providers of one host and client, of which each pays for its own repeats; a
// reload changes nothing about that.
func TestBudgetsAreProvidersOwn(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	two := "alipayai {\nprovider a {\nprofile sandbox\nbase_url http://${api}\n}\nprovider b {\nprofile sandbox\nbase_url http://${api}\n}\n}"
	budget := func(name string) any {
		t.Helper()
		app := must(caddy.ActiveContext().App("alipayai")).(*App)
		return must(app.provider(name)).Budget
	}
	g.load(two, proxySite2)
	a, b := budget("a"), budget("b")
	if a == b {
		t.Error("both have one budget")
	}
	g.load(two, proxySite2+"\n# again")
	if budget("a") != a || budget("b") != b {
		t.Error("a reload gave them new budgets")
	}
}

// proxySite2 is a site that serves providers a and b.
const proxySite2 = `
http://${gateway} {
	alipayai_proxy a b
}`
