package alipaycaddy

import (
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/tenants"
)

// witness remembers what only the API may see: access tokens and signatures.
type witness struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (w *witness) request(r *http.Request, _ []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		w.seen[token] = true
	}
	if _, mac, ok := strings.Cut(r.Header.Get("Signature"), ",signature="); ok {
		w.seen[mac] = true
	}
}

func (w *witness) secrets() (list []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for secret := range w.seen {
		list = append(list, secret)
	}
	return list
}

// TestSecretsAreNotShown calls in every way that leaves a trace, well and
// badly, and then looks at all that Caddy shows: the configuration, its
// autosave, the metrics, the logs at level DEBUG and the answers.
func TestSecretsAreNotShown(t *testing.T) {
	w := &witness{seen: make(map[string]bool)}
	const refresh = "a-refresh-token-for-tests"
	const refusedKey = "an-api-key-that-is-refused"
	g := newRig(t, sandbox.Config{
		Apps: []sandbox.App{{
			ClientID: "app", Keys: map[int][]byte{1: []byte(hmacKey)}, OAuthSecret: oauthSecret, RefreshToken: refresh,
		}},
		RotateRefreshTokens: true,
		OnRequest:           w.request,
	})
	clientKey, clientHash := tenants.NewKey()
	encryptionKey := strings.Repeat("5a", 32)
	t.Setenv("TEST_HMAC_KEY", hmacKey)
	t.Setenv("TEST_SECRET", oauthSecret)
	t.Setenv("TEST_REFRESH", refresh)
	t.Setenv("TEST_ENCRYPTION_KEY", encryptionKey)
	t.Setenv("TEST_API_KEY", refusedKey)
	g.vars["hash"] = clientHash.String()
	g.load(`
metrics
storage file_system ${dir}
alipayai {
	encryption_key {env.TEST_ENCRYPTION_KEY}
	provider alipay {
		profile alipay
		base_url http://${api}
		client_id app
		key 1 {env.TEST_HMAC_KEY}
		token http://${api}/oauth2/token {env.TEST_SECRET} {
			refresh_token {env.TEST_REFRESH}
		}
	}
	provider refused {
		profile openai
		base_url http://${api}/v1
		api_key {env.TEST_API_KEY}
	}
	provider gone {
		profile alipay
		base_url http://${gone}
		client_id app
		key 1 {env.TEST_HMAC_KEY}
		token http://${gone}/oauth2/token {env.TEST_SECRET}
	}
}`, `
http://${gateway} {
	log
	metrics /metrics
	alipayai_auth {
		key acme ${hash}
	}
	handle /refused/* {
		alipayai_proxy refused
	}
	handle /gone/* {
		alipayai_proxy gone {
			deadline 100ms
		}
	}
	handle /raw/* {
		uri strip_prefix /raw
		reverse_proxy http://${api} {
			transport alipayai alipay {
				paths /v1/embeddings
			}
		}
	}
	alipayai_proxy alipay
}`)
	auth := "Authorization: Bearer " + clientKey
	var shown []string
	for prompt, path := range map[string]string{
		"well":                                chatPath,
		"[[fault:expired_token]]":             chatPath,
		"[[fault:reset_before]]":              chatPath,
		"[[fault:wrong_response_signature]]":  chatPath,
		"[[fault:malformed_json]]":            chatPath,
		"[[fault:http_status=401,code=ODD]]":  chatPath,
		"[[fault:system_error_500]] and more": chatPath,
		"refused":                             "/refused" + chatPath,
		"gone":                                "/gone" + chatPath,
		"refused by the signing transport":    "/raw/v1/models",
	} {
		a := g.do("POST", path, chatBody(prompt, false), auth)
		shown = append(shown, a.body)
		for name, values := range a.header {
			shown = append(shown, name+": "+strings.Join(values, ","))
		}
	}
	shown = append(shown, g.do("POST", "/raw/v1/embeddings", `{"model":"alipay-embed-1","input":"x"}`, auth).header.Get("Content-Type"))
	shown = append(shown, g.do("POST", chatPath, chatBody("x", false), auth+"x").body)
	resp, err := g.send("gateway", "POST", chatPath, chatBody("x", true), auth)
	shown = append(shown, g.read(resp, err).body)
	secrets := append(w.secrets(), hmacKey, oauthSecret, refresh, encryptionKey, clientKey)
	if len(secrets) < 5+8 {
		t.Fatalf("only %d secrets were seen", len(secrets))
	}
	g.wantHidden(shown, secrets...)
	if !strings.Contains(g.logs(), "access token could not be fetched") {
		t.Error("the logs do not mention the token endpoint that is gone")
	}
}

// wantHidden stops Caddy and looks for secrets in what was shown, and in all
// else that Caddy shows. The configuration names TEST_HMAC_KEY.
func (g *rig) wantHidden(shown []string, secrets ...string) {
	g.t.Helper()
	shown = append(shown, g.do("GET", "/metrics", "").body)
	config := g.read(g.send("admin", "GET", "/config/", ""))
	if !strings.Contains(config.body, "{env.TEST_HMAC_KEY}") {
		g.t.Fatalf("/config/ does not show the configuration: %s", config.body)
	}
	autosave, err := os.ReadFile(caddy.ConfigAutosavePath)
	if err != nil || !strings.Contains(string(autosave), "{env.TEST_HMAC_KEY}") {
		g.t.Fatalf("no autosave: %v", err)
	}
	if err := caddy.Stop(); err != nil { // so that everything is logged
		g.t.Fatal(err)
	}
	for _, text := range append(shown, config.body, string(autosave), g.logs()) {
		for _, secret := range secrets {
			if at := strings.Index(text, secret); at >= 0 {
				g.t.Errorf("%q is shown in …%s…", secret, text[max(0, at-200):min(len(text), at+200)])
			}
		}
	}
}

// TestLiteralSecretsWhereTheyArePermitted is what insecure_literals is for.
func TestLiteralSecretsWhereTheyArePermitted(t *testing.T) {
	g := newRig(t, sandbox.Config{Apps: []sandbox.App{{
		ClientID: "app", Keys: map[int][]byte{1: []byte(hmacKey)}, OAuthSecret: oauthSecret,
	}}})
	g.load(`
alipayai {
	insecure_literals
	provider alipay {
		profile alipay
		base_url http://${api}
		client_id app
		key 1 `+hmacKey+`
		token http://${api}/oauth2/token `+oauthSecret+`
	}
}`, proxySite)
	g.chat("hello")
}

// TestPlaceholders resolves what may differ from machine to machine.
func TestPlaceholders(t *testing.T) {
	g := newRig(t, sandbox.Config{Apps: []sandbox.App{{
		ClientID: "app", Keys: map[int][]byte{3: []byte(hmacKey)}, OAuthSecret: oauthSecret,
	}}})
	t.Setenv("TEST_BASE_URL", "http://"+g.vars["api"])
	t.Setenv("TEST_CLIENT_ID", "app")
	t.Setenv("TEST_TOKEN_URL", "http://"+g.vars["api"]+"/oauth2/token")
	g.vars["key"] = g.file("key", hmacKey)
	g.vars["secret"] = g.file("secret", oauthSecret)
	g.load(`
alipayai {
	provider alipay {
		profile alipay
		base_url {env.TEST_BASE_URL}
		client_id {env.TEST_CLIENT_ID}
		key 3 {file.${key}}
		token {env.TEST_TOKEN_URL} {file.${secret}} {
			client_id {env.TEST_CLIENT_ID}
		}
	}
}`, proxySite)
	g.chat("hello")
}
