package alipaycaddy

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// vectors is a provider of embeddings, which counts what it is asked.
type vectors struct {
	*judge
	api *sandbox.Server
	// embedded counts the requests, and gone breaks them off.
	embedded atomic.Int64
	gone     atomic.Bool
}

func newVectors(t *testing.T) *vectors {
	t.Helper()
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	g := &vectors{judge: newJudge(t), api: must(sandbox.New(sandbox.Config{}))}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/embeddings") {
			g.embedded.Add(1)
			if g.gone.Load() {
				panic(http.ErrAbortHandler)
			}
		}
		g.api.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	g.vars["vectors"] = server.Listener.Addr().String()
	g.file("intents/fruit.txt", "apples and pears\na ripe banana\nripe cherries\n")
	g.file("intents/metal.txt", "iron and steel\na copper wire\nsteel wires\n")
	return g
}

// embedding declares the rig's providers, with these lines in the embeddings' provider and these after `intents`.
func embedding(provider, intents string) string {
	return moderators(`provider vectors {
		profile sandbox
		base_url http://${vectors}
		` + provider + `
	}
	` + intents)
}

const byVectors = `intents ${dir}/intents {
		embeddings vectors alipay-embed-1 {
			timeout 5s
		}
	}`

// told is a site that answers with the intent.
var told = moderatedSite("@call alipayai\nrespond @call {http.alipayai.intent}")

// ready waits until the examples have been embedded.
func (g *vectors) ready() {
	g.t.Helper()
	g.eventually("the examples to be embedded", func() bool {
		return must(caddy.ActiveContext().App("alipayai")).(*App).intents.embedded.centroids.Ready()
	})
}

func (g *vectors) wantIntent(prompt, want string, fields ...string) {
	g.t.Helper()
	if a := g.do("POST", chatPath, chatBody(prompt, false), fields...); a.body != want {
		g.t.Errorf("%q is taken for %q, want %q", prompt, a.body, want)
	}
}

// The provider is asked once for the examples, whatever is loaded again, and once for what a tenant's text is about.
func TestIntentsByEmbeddings(t *testing.T) {
	g := newVectors(t)
	g.load(embedding("", byVectors), told)
	g.ready()
	if n := g.embedded.Load(); n != 1 {
		t.Errorf("%d requests for six examples", n)
	}
	g.wantIntent("ripe bananas", "fruit", g.acme)
	g.wantIntent("wiring of steel", "metal", g.acme)
	if n := g.embedded.Load(); n != 3 {
		t.Errorf("%d requests for the examples and two texts", n)
	}
	g.load(embedding("", byVectors), told+"\n")
	g.ready()
	g.wantIntent("ripe bananas", "fruit", g.acme)
	if n := g.embedded.Load(); n != 3 {
		t.Errorf("%d requests after the same configuration was loaded again", n)
	}
	g.wantIntent("ripe bananas", "fruit", g.zeta) // another tenant's is its own
	if n := g.embedded.Load(); n != 4 {
		t.Errorf("%d requests after another tenant's", n)
	}
	g.file("intents/metal.txt", "a ripe banana\nripe bananas\n")
	g.file("intents/fruit.txt", "apples and pears\n")
	g.load(embedding("", byVectors), told)
	g.ready()
	g.wantIntent("ripe bananas", "metal", g.acme)
	if n := g.embedded.Load(); n != 6 {
		t.Errorf("%d requests after the examples have changed", n)
	}
}

// A restart asks for no example again, and a new example is asked for alone.
func TestEmbeddingsOfExamplesOutliveARestart(t *testing.T) {
	g := newVectors(t)
	for _, step := range []struct {
		name, file, examples string
		requests             int64
	}{
		{"the first start", "", "", 1},
		{"a restart", "", "", 0},
		{"one example more", "intents/metal.txt", "iron and steel\na copper wire\nsteel wires\na tin of brass\n", 1},
		{"a restart after that", "", "", 0},
		{"one example less", "intents/metal.txt", "iron and steel\na copper wire\nsteel wires\n", 0},
	} {
		if step.file != "" {
			g.file(step.file, step.examples)
		}
		before := g.embedded.Load()
		g.load(embedding("", byVectors), told)
		g.ready()
		if n := g.embedded.Load() - before; n != step.requests {
			t.Errorf("%s: %d requests, want %d", step.name, n, step.requests)
		}
		g.wantIntent("wiring of steel", "metal", g.acme)
		if err := caddy.Stop(); err != nil { // which forgets all that this process knows
			t.Fatal(err)
		}
	}
}

// Nothing is remembered of those who cannot be told apart, nor with the cache off.
func TestIntentsByEmbeddingsRememberNothing(t *testing.T) {
	anyone := "http://${gateway} {\n@call alipayai\nrespond @call {http.alipayai.intent}\n}"
	for name, c := range map[string]struct{ global, site string }{
		"anonymous": {byVectors, anyone},
		"cache off": {strings.Replace(byVectors, "timeout 5s", "timeout 5s\ncache off", 1), told},
	} {
		t.Run(name, func(t *testing.T) {
			g := newVectors(t)
			g.load(embedding("", c.global), c.site)
			g.ready()
			before := g.embedded.Load()
			for range 3 {
				g.wantIntent("ripe bananas", "fruit", g.acme)
			}
			if n := g.embedded.Load() - before; n != 3 {
				t.Errorf("%d requests for three calls", n)
			}
		})
	}
}

// Without a vector, characters and words decide.
func TestIntentsWithoutVectors(t *testing.T) {
	g := newVectors(t)
	g.gone.Store(true)
	g.load(embedding("", byVectors), told)
	g.wantIntent("ripe bananas", "fruit", g.acme)
}

// The requests keep to the provider's own cap; who gets no vector in time is served without.
func TestIntentsKeepToTheirProvidersCap(t *testing.T) {
	g := newVectors(t)
	g.load(embedding("limit 2 1h", strings.Replace(byVectors, "timeout 5s", "timeout 3s", 1)), told)
	g.ready()
	before := g.embedded.Load()
	for i := range 3 {
		g.wantIntent(fmt.Sprint(i, " ripe bananas"), "fruit", g.acme)
	}
	if n := g.embedded.Load() - before; n != 1 {
		t.Errorf("%d requests, where the window has room for one", n)
	}
}

// What is small talk or anything else reaches no other provider than those that are named for it, with embeddings and
// moderation by models: neither of them asks Alipay.
func TestFenceWithEmbeddingsAndModeration(t *testing.T) {
	g := newVectors(t)
	g.file("intents/financial.txt", "why was my card payment declined\nthe interest rate of my savings account\n信用卡什么时候还款\n基金怎么赎回\n")
	g.file("intents/trivial.txt", "hi there\nthanks a lot\n你好\n谢谢你\n再见\n")
	g.file("intents/other.txt", "will it rain tomorrow\nwrite a sonnet\n红烧肉怎么做\n明天会下雨吗\ntranslate into Spanish\ntell me a story\n")
	g.load(embedding("", byVectors+`
	moderator law {
		model guard form llama_guard
		on_error closed
		timeout 5s
	}`), moderatedSite(`
	alipayai_moderate law
	@finance alipayai intent financial
	handle @finance {
		header X-Intent {http.alipayai.intent}
		alipayai_proxy alipay
	}
	handle {
		header X-Intent {http.alipayai.intent}
		alipayai_proxy guard
	}`))
	g.ready()
	var financial int64
	for _, prompt := range []string{
		"Why was my card declined?", "what is the interest rate of my account", "信用卡还款日是什么时候", "基金什么时候可以赎回",
		"hi there", "thanks a lot", "你好", "谢谢你", "再见", "tell me a joke",
		"will it rain in Paris tomorrow?", "write a sonnet about autumn", "红烧肉怎么做", "明天会下雨吗", "translate good night into Spanish",
	} {
		a := g.do("POST", chatPath, chatBody(prompt, false), g.acme)
		if a.status != http.StatusOK {
			t.Fatalf("%q: status %d: %s", prompt, a.status, a.body)
		}
		name, is := a.header.Get("X-Alipayai-Provider"), a.header.Get("X-Intent")
		if (name == "alipay") != (is == "financial") {
			t.Errorf("%q is taken for %q, and %s answered", prompt, is, name)
		}
		if is == "financial" {
			financial++
		}
	}
	if financial != 4 {
		t.Errorf("%d of 15 were taken for financial, want the first four", financial)
	}
	stats := g.judge.api.Stats()
	delete(stats.Paths, "/oauth2/token")
	if len(stats.Paths) != 1 || stats.Paths[chatPath] != financial {
		t.Errorf("Alipay was asked %v, and %d calls were financial", stats.Paths, financial)
	}
	if asked := g.asked.Load(); asked < 15 {
		t.Errorf("the moderator's model was asked %d times", asked)
	}
}

func TestMistakesInEmbeddings(t *testing.T) {
	g := newVectors(t)
	g.load(embedding("", byVectors), told)
	for name, c := range map[string]struct{ line, want string }{
		"unknown provider": {"embeddings gone bge", `provider "gone" is not declared`},
		"no model":         {"embeddings vectors", "provider vectors has no model of its own: write embeddings vectors <model>"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := g.reload(embedding("", "intents {\n"+c.line+"\n}"), told); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
}
