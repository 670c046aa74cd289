package alipaycaddy

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// A user gives consent, and calls that name the user carry the user's own token, in each form of the exchange.
func TestConsent(t *testing.T) {
	for name, userToken := range map[string]string{
		"oauth":                    "scope user_info",
		"oauth without PKCE":       "no_pkce",
		"a header of its own":      "header X-User-Token",
		"the Open Platform's form": "form openplatform\nauthorize http://${api}/oauth2/publicAppAuthorize.htm\nurl http://${api}/gateway.do",
		"the global form":          "form global\nauthorize http://${api}/ams/authorize\nurl http://${api}/ams/api/v1/authorizations/applyToken",
	} {
		t.Run(name, func(t *testing.T) {
			g := newConsentRig(t, sandbox.Config{RotateRefreshTokens: true})
			global := g.global("", userToken)
			if before, after, ok := strings.Cut(userToken, "url "); ok {
				global = strings.Replace(g.global("", before), "user_token {", "user_token "+after+" {", 1)
			}
			g.load(global, g.sites())
			refused := g.user("u1", "hello", acmeKey)
			var e struct {
				Error struct {
					Code string
					URL  string `json:"authorisation_url"`
				}
			}
			if json.Unmarshal([]byte(refused.body), &e) != nil || refused.status != http.StatusForbidden || e.Error.Code != "authorisation_required" {
				t.Fatalf("without a consent: %d %s", refused.status, refused.body)
			}
			if n := g.chats(); n != 0 {
				t.Errorf("%d calls reached the upstream without a consent", n)
			}
			b := g.newBrowser()
			if back := b.next(b.callback(e.Error.URL, "alice")); back != tenantPage+"?authorisation=granted" {
				t.Fatalf("sent back to %s", back)
			}
			if len(b.cookies) != 0 {
				t.Errorf("cookies are left: %v", b.cookies)
			}
			g.consent(acmeKey, "u2", "bob")
			for _, user := range []string{"u1", "u2", "u1"} {
				if a := g.user(user, "hello", acmeKey); a.status != http.StatusOK {
					t.Fatalf("%s: %d %s", user, a.status, a.body)
				}
			}
			g.chat("hello", acmeKey) // for no user
			if got := g.seen(); !slices.Equal(got, []string{"alice", "bob", "alice", ""}) {
				t.Errorf("served as %q", got)
			}
			if a := g.user("u1", "hello", otherKey); a.code() != "authorisation_required" || len(g.seen()) != 0 {
				t.Errorf("another tenant's u1: %d %s", a.status, a.body)
			}
		})
	}
}

// What a tenant may know of a user's consent, and end.
func TestConsentOfUser(t *testing.T) {
	g := newConsentRig(t, sandbox.Config{})
	g.start("", "scope user_info")
	const user = "Ann/b<i>?%"
	path := "/consent/users/" + url.PathEscape(user)
	g.consent(acmeKey, user, "alice")
	a := g.do("GET", path, "", acmeKey)
	var given map[string]string
	if json.Unmarshal([]byte(a.body), &given) != nil || given["user"] != user || given["granted_at"] == "" || given["scope"] != "user_info" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q", got)
	}
	for name, test := range map[string]struct{ method, path, key, code string }{
		"another tenant":    {"GET", path, otherKey, "consent_not_found"},
		"no such user":      {"GET", "/consent/users/unknown", acmeKey, "consent_not_found"},
		"without a key":     {"GET", path, "X: y", "invalid_api_key"},
		"no method":         {"PUT", path, acmeKey, "method_not_allowed"},
		"no user":           {"GET", "/consent/users/", acmeKey, "invalid_value"},
		"no route":          {"GET", "/consent/other", acmeKey, "unknown_url"},
		"a link without it": {"POST", "/consent/links", "X: y", "invalid_api_key"},
	} {
		if a := g.do(test.method, test.path, "", test.key); a.code() != test.code {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := g.do("DELETE", path, "", otherKey); a.status != http.StatusNoContent {
		t.Errorf("another tenant's DELETE: %d %s", a.status, a.body)
	}
	if a := g.user(user, "hello", acmeKey); a.status != http.StatusOK {
		t.Errorf("after another tenant's DELETE: %d %s", a.status, a.body)
	}
	if a := g.do("DELETE", path, "", acmeKey); a.status != http.StatusNoContent {
		t.Errorf("DELETE: %d %s", a.status, a.body)
	}
	if a := g.do("GET", path, "", acmeKey); a.code() != "consent_not_found" {
		t.Errorf("after DELETE: %d %s", a.status, a.body)
	}
	g.seen()
	if a := g.user(user, "hello", acmeKey); a.code() != "authorisation_required" || len(g.seen()) != 0 {
		t.Errorf("a call after DELETE: %d %s", a.status, a.body)
	}
}

// A page at a site's root leaves all but its own routes to the handlers behind it.
func TestConsentPageAtTheRoot(t *testing.T) {
	g := newConsentRig(t, sandbox.Config{})
	g.load(g.global("", ""), strings.Replace(g.sites(), "http://${gateway}/consent", "http://${gateway}", 1))
	if a := g.chat("hello", acmeKey); a.header.Get("Cache-Control") == "no-store" {
		t.Error("a call's answer has the page's Cache-Control")
	}
	for path, code := range map[string]string{"/users/u1": "consent_not_found", "/links": "method_not_allowed"} {
		if a := g.do("GET", path, "", acmeKey); a.code() != code {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

// A page that could not be served, or not safely, is refused when the configuration is loaded.
func TestConsentPageIsRefused(t *testing.T) {
	const address, back = "address https://ai.example.com/consent", "return_to https://app.example.com/done"
	long := "https://app.example.com/" + strings.Repeat("r", 1025)
	for want, options := range map[string]string{
		"return_to is missing; write return_to <urls...>": address,
		"return_to has 1049 bytes, and may have 1024":     address + "\nreturn_to " + long,
		"return_to must be an absolute https URL":         address + "\nreturn_to http://app.example.com/done",
		"address must be an absolute https URL":           back + "\naddress ai.example.com/consent",
		"address takes no query":                          back + "\naddress https://ai.example.com/consent?a=b",
		"alipayai_oauth alipay is given twice":            address + "\n" + back + "\n}\nalipayai_oauth alipay {\n" + address + "\n" + back,
		"provider alipay has no user_token":               address + "\n" + back,
	} {
		t.Run(want, func(t *testing.T) {
			users := "user_token\n"
			if strings.Contains(want, "no user_token") {
				users = ""
			}
			global := "alipayai {\ninsecure_literals\nencryption_key " + strings.Repeat("5a", 32) + "\nprovider alipay {\nprofile sandbox\nbase_url http://127.0.0.1:9\n" + users + "}\n}"
			refuses(t, global, "alipayai_oauth alipay {\n"+options+"\n}", []string{want})
		})
	}
}
