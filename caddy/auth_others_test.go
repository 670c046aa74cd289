package alipaycaddy

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// The recipe of README.md takes the user from the service that forward_auth asks, and from no client.
func TestForwardAuthRecipe(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Cookie") {
		case "session=bob":
			w.Header().Set("X-User", "bob")
		case "session=guest": // who is let in without a name
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(service.Close)
	g.vars["1"] = "${1}" // which is the recipe's own
	// What lies beside is not asked about.
	g.load(oneProvider, moved(t, documented(t, "README.md", "forward_auth"), map[string]string{
		"ai.example.com {": "http://${gateway} {\n\tlog", "forward_auth auth.internal:9091": "forward_auth /v1/* " + service.Listener.Addr().String(),
	}))
	for name, test := range map[string]struct {
		path   string
		fields []string
		status int
		tenant string
	}{
		"a user":                    {chatPath, []string{"Cookie: session=bob"}, 200, "bob"},
		"a user, another one named": {chatPath, []string{"Cookie: session=bob", "X-User: zeta"}, 200, "bob"},
		"a guest":                   {chatPath, []string{"Cookie: session=guest"}, 200, "anonymous"},
		"a guest who names a user":  {chatPath, []string{"Cookie: session=guest", "X-User: zeta"}, 200, "anonymous"},
		"in other letters":          {chatPath, []string{"Cookie: session=guest", "x-user: zeta"}, 200, "anonymous"},
		"twice":                     {chatPath, []string{"Cookie: session=guest", "X-User: zeta", "X-User: bob"}, 200, "anonymous"},
		"beside":                    {"/beside" + chatPath, []string{"X-User: zeta"}, 200, "anonymous"},
		"without a session":         {chatPath, []string{"X-User: zeta"}, 401, ""},
	} {
		t.Run(name, func(t *testing.T) {
			before := g.chats()
			a := g.do("POST", test.path, chatBody("hello", false), test.fields...)
			if a.status != test.status {
				t.Fatalf("status %d: %s", a.status, a.body)
			}
			if test.status != http.StatusOK {
				if g.chats() != before {
					t.Error("the call was sent")
				}
				return
			}
			if got := g.outcome(a)["tenant"]; got != test.tenant {
				t.Errorf("tenant %v, want %s", got, test.tenant)
			}
		})
	}
}

// A rejected request has the challenge of the provider that has rejected it, and is advised about API keys only where they
// are taken.
func TestAuthOfOtherProviders(t *testing.T) {
	const (
		basic = `"http_basic":{"hash":{"algorithm":"bcrypt"},"realm":"models","accounts":[{"username":"bob","password":"` + bcryptOfPassword + `"}]}`
		keys  = `"alipayai_keys":{"keys":{"acme":["sha256:4296524c534b9ab6557d4163c184d41a24ce33c3c846ddee798450f18f7084d5"]}}`
	)
	for name, test := range map[string]struct {
		providers, challenge, says string
	}{
		"keys":      {keys, "Bearer", "no API key was sent"},
		"basic":     {basic, `Basic realm="models"`, "credentials"},
		"both ways": {basic + "," + keys, `Basic realm="models"`, "no API key was sent"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{})
			var config map[string]any
			if err := json.Unmarshal(g.config(oneProvider, "http://${gateway} {\n\talipayai_proxy alipay\n}"), &config); err != nil {
				t.Fatal(err)
			}
			text := string(must(json.Marshal(config)))
			const proxy = `{"handler":"alipayai_proxy"`
			if !strings.Contains(text, proxy) {
				t.Fatalf("no %s in %s", proxy, text)
			}
			text = strings.Replace(text, proxy, `{"handler":"alipayai_auth","providers":{`+test.providers+`}},`+proxy, 1)
			if err := g.loadJSON([]byte(text)); err != nil {
				t.Fatal(err)
			}
			a := g.do("POST", chatPath, chatBody("hello", false))
			if a.status != http.StatusUnauthorized || a.code() != "invalid_api_key" || a.header.Get("Www-Authenticate") != test.challenge {
				t.Errorf("status %d, challenge %q: %s", a.status, a.header.Get("Www-Authenticate"), a.body)
			}
			if !strings.Contains(a.body, test.says) || test.says == "credentials" && strings.Contains(a.body, "API key") {
				t.Errorf("%s, want one that says %s", a.body, test.says)
			}
		})
	}
}
