package alipayai_test

import (
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
)

// inDialect gives the i-th provider a dialect.
func inDialect(t *testing.T, i int, name string) func(*alipayai.Gateway) {
	t.Helper()
	dialect, err := openai.LookupDialect(name)
	if err != nil {
		t.Fatal(err)
	}
	return func(g *alipayai.Gateway) { g.Providers[i].Format = openai.Format{Dialect: dialect} }
}

// A dialect's rules hold where the gateway chose the provider or its model. What the client chose goes byte for byte.
func TestDialectsWhereTheGatewayChose(t *testing.T) {
	chat := with(chatBody("hello"), `"seed":7 ,"user":"li"`)
	for name, test := range map[string]struct {
		edit   func(*alipayai.Gateway)
		fault  bool // at the first
		served int
		edited bool
	}{
		"the client's choice":      {served: 0},
		"a model's new name":       {edit: func(g *alipayai.Gateway) { g.Providers[0].Model = "alipay-fin-mini" }, served: 0, edited: true},
		"a fallback":               {fault: true, served: 1, edited: true},
		"the only one that serves": {edit: func(g *alipayai.Gateway) { g.Providers[0].Models = []string{"another"} }, served: 1},
	} {
		for _, stream := range []bool{false, true} {
			t.Run(name+", "+map[bool]string{false: "JSON", true: "stream"}[stream], func(t *testing.T) {
				t.Parallel()
				l := newLadder(t, []sandbox.Format{sandbox.OpenAI, sandbox.OpenAI}, inDialect(t, 0, "mistral"), inDialect(t, 1, "mistral"), func(g *alipayai.Gateway) {
					if test.edit != nil {
						test.edit(g)
					}
				})
				if test.fault {
					l.upstreams[0].set(t, sandbox.Fault{Kind: sandbox.SystemError500})
				}
				body := chat
				if stream {
					body = with(body, `"stream":true`)
				}
				got := l.post(chatPath, body)
				if got.status != 200 || got.header.Get("X-Alipayai-Provider") != []string{"first", "second"}[test.served] {
					t.Fatalf("%d %v %s", got.status, got.header, got.body)
				}
				left := ""
				if test.edited {
					left = "user"
				}
				wantHeader(t, got, "X-Alipayai-Unsupported", left)
				for i, u := range l.upstreams {
					for _, call := range u.calls() {
						want := body
						if i == test.served && test.edited {
							want = strings.Replace(strings.Replace(body, `"seed":7 ,"user":"li"`, `"random_seed":7`, 1), "alipay-fin-1", u.provider.UpstreamModel("alipay-fin-1"), 1)
						}
						if string(call.body) != want {
							t.Errorf("%s was sent %s, want %s", u.provider.Name, call.body, want)
						}
					}
				}
			})
		}
	}
}

// Embeddings have no dialects.
func TestEmbeddingsHaveNoDialect(t *testing.T) {
	t.Parallel()
	l := newLadder(t, []sandbox.Format{sandbox.OpenAI}, inDialect(t, 0, "mistral"), func(g *alipayai.Gateway) {
		g.Providers[0].ModelMap = map[string]string{"e": "alipay-embed-1"}
	})
	got := l.post("/v1/embeddings", `{"model":"e","input":"hello","user":"li"}`)
	wantServed(t, got, "first", "1", "")
	wantHeader(t, got, "X-Alipayai-Unsupported", "")
}
