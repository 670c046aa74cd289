package alipaycaddy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/tenants"
	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// inSingapore is the documents' gateway in Singapore, between simulated upstreams.
type inSingapore struct {
	*rig
	alipay, claude *sandbox.Server
	redis          *redistest.Server
	keys           map[string]string // of the tenants shop and bank, as header fields

	mu sync.Mutex
	// texts are what arrived at each upstream, by its name, and fails says that Qwen fails.
	texts map[string][]string
	fails bool
}

func newInSingapore(t *testing.T) *inSingapore {
	t.Helper()
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	g := &inSingapore{rig: newRig(t, sandbox.Config{}), redis: redistest.Start(t), keys: make(map[string]string), texts: make(map[string][]string)}
	arrives := func(name string) func(*http.Request, []byte) {
		return func(_ *http.Request, body []byte) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.texts[name] = append(g.texts[name], string(body))
		}
	}
	serve := func(h http.Handler) string {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		return server.URL
	}
	key := "a signing key of more than 16 bytes"
	g.alipay = must(sandbox.New(sandbox.Config{OnRequest: arrives("alipay"), Apps: []sandbox.App{{
		ClientID: "5Y000000000000001", Keys: map[int][]byte{1: []byte(key)}, OAuthSecret: "a client secret of the app",
	}}}))
	g.claude = must(sandbox.New(sandbox.Config{OnRequest: arrives("claude"), Format: sandbox.Anthropic, Apps: []sandbox.App{{ClientID: "a", APIKey: "sk-ant-a-key"}}}))
	qwen := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		arrives("qwen")(r, body)
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.fails {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"q","object":"chat.completion","model":"qwen-plus","choices":[{"index":0,"message":{"role":"assistant","content":"from Qwen"},"finish_reason":"stop"}]}`)
	})
	var keyFile strings.Builder
	for _, tenant := range []string{"shop", "bank"} {
		key, hash := tenants.NewKey()
		g.keys[tenant] = "Authorization: Bearer " + key
		keyFile.WriteString(tenant + " " + hash.String() + "\n")
	}
	for name, value := range map[string]string{
		"ALIPAYAI_ENCRYPTION_KEY": strings.Repeat("0123456789abcdef", 4), "ALIPAY_CLIENT_ID": "5Y000000000000001",
		"ALIPAY_OAUTH_SECRET": "a client secret of the app", "DASHSCOPE_API_KEY": "sk-qwen", "ANTHROPIC_API_KEY": "sk-ant-a-key",
	} {
		t.Setenv(name, value)
	}
	alipay := serve(g.alipay)
	recipe := moved(t, documented(t, "README.md", "singapore"), map[string]string{
		"redis.sg.example.com:6379":                              g.redis.Addr,
		"https://cn.example-alipay.test":                         alipay,
		"https://auth.example-alipay.test":                       alipay,
		"https://dashscope-intl.aliyuncs.com/compatible-mode/v1": serve(qwen) + "/v1",
		"profile anthropic\n":                                    "profile anthropic\nbase_url " + serve(g.claude) + "/v1\n",
		"/run/secrets/alipay":                                    filepath.Dir(g.file("keys/1", key)),
		"/etc/caddy/tenants":                                     g.file("tenants", keyFile.String()),
		"\nai.example.com {\n":                                   "\nhttp://${gateway} {\n",
	})
	global, sites, found := strings.Cut(strings.TrimPrefix(recipe, "{\n"), "\n}\n")
	if !found {
		t.Fatalf("the Caddyfile has no global options:\n%s", recipe)
	}
	g.load(global, sites)
	return g
}

// fail makes the two that may see the shop's text fail, or answer again.
func (g *inSingapore) fail(alipay, qwen bool) {
	g.t.Helper()
	var faults []sandbox.Fault
	if alipay {
		faults = []sandbox.Fault{{Kind: sandbox.HTTPStatus, Status: http.StatusServiceUnavailable}}
	}
	if err := g.alipay.SetFaults(faults...); err != nil {
		g.t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fails = qwen
}

// seen reports whether a text has arrived at an upstream.
func (g *inSingapore) seen(upstream, text string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.Contains(strings.Join(g.texts[upstream], "\n"), text)
}

// The recipe for a proxy in Singapore does what the documents say: the shop's text reaches Alipay and Qwen alone, whatever
// fails, and where neither answers the shop gets 503 residency_unavailable, while another tenant goes on to Claude.
func TestSingaporeRecipe(t *testing.T) {
	g := newInSingapore(t)
	for _, c := range []struct {
		name         string
		alipay, qwen bool // which of them fail
		lost         bool // Redis does not answer
		serves       map[string]string
	}{
		{"all is well", false, false, false, map[string]string{"shop": "alipay", "bank": "alipay"}},
		{"Alipay fails", true, false, false, map[string]string{"shop": "qwen", "bank": "qwen"}},
		{"both fail", true, true, false, map[string]string{"shop": "", "bank": "claude"}},
		{"both fail, without Redis", true, true, true, map[string]string{"shop": "", "bank": "claude"}},
		{"Alipay's breaker is open, without Redis", false, false, true, map[string]string{"shop": "qwen", "bank": "qwen"}},
	} {
		if c.lost {
			g.redis.Kill()
		}
		g.fail(c.alipay, c.qwen)
		for tenant, want := range c.serves {
			for _, stream := range []bool{false, true} {
				text := c.name + ", " + tenant
				if stream {
					text += ", streamed"
				}
				a := g.do("POST", chatPath, chatBody(text, stream), g.keys[tenant])
				if want == "" {
					if a.status != http.StatusServiceUnavailable || a.code() != "residency_unavailable" {
						t.Errorf("%s: %d %s", text, a.status, a.body)
					}
				} else if a.status != http.StatusOK || a.header.Get("X-Alipayai-Provider") != want {
					t.Errorf("%s: %d by %q: %s", text, a.status, a.header.Get("X-Alipayai-Provider"), a.body)
				}
				if tenant == "shop" && g.seen("claude", text) {
					t.Errorf("%s: the text has reached Claude", text)
				}
				if want != "" && !g.seen(want, text) {
					t.Errorf("%s: the text has not reached %s", text, want)
				}
			}
		}
		if c.name == "both fail" { // what is kept in the region is given again
			a := g.do("POST", chatPath, chatBody("all is well, shop", false), g.keys["shop"])
			if a.status != http.StatusOK || a.header.Get("Cache-Status") == "" {
				t.Errorf("the last good answer: %d %s", a.status, a.body)
			}
		}
	}
	if n := g.claude.Stats().Paths["/v1/messages"]; n == 0 || g.seen("claude", "shop") {
		t.Errorf("Claude had %d calls, with the shop's text: %v", n, g.seen("claude", "shop"))
	}
}
