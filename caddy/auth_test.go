package alipaycaddy

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/tenants"
)

// newAuthRig is a rig whose site has a key for the tenants acme and zeta, and
// upstream is what the API got as Idempotency-Key last.
func newAuthRig(t *testing.T) (g *rig, acme, zeta string, upstream func() string) {
	t.Helper()
	var last atomic.Value
	g = newRig(t, sandbox.Config{OnRequest: func(r *http.Request, _ []byte) {
		if id := r.Header.Get("Idempotency-Key"); id != "" {
			last.Store(id)
		}
	}})
	acme, acmeHash := tenants.NewKey()
	zeta, zetaHash := tenants.NewKey()
	g.vars["acme"], g.vars["zeta"] = acmeHash.String(), zetaHash.String()
	g.load(oneProvider, `
http://${gateway} {
	log
	alipayai_auth {
		key acme ${acme}
		key zeta ${zeta}
	}
	alipayai_proxy alipay {
		# The same key comes again and again.
		idempotency off
	}
}`)
	return g, acme, zeta, func() string { id, _ := last.Load().(string); return id }
}

func TestAuth(t *testing.T) {
	g, acme, zeta, _ := newAuthRig(t)
	tests := map[string]struct {
		fields []string
		tenant string // empty: refused
		says   string // in the error
	}{
		"right key":            {[]string{"Authorization: Bearer " + acme}, "acme", ""},
		"other tenant":         {[]string{"Authorization: Bearer " + zeta}, "zeta", ""},
		"scheme in lower case": {[]string{"Authorization: bearer " + acme}, "acme", ""},
		"no key":               {nil, "", "no API key was sent"},
		"empty key":            {[]string{"Authorization: Bearer "}, "", "no API key was sent"},
		"unknown key":          {[]string{"Authorization: Bearer " + acme + "x"}, "", "that was sent is not valid"},
		"half a key":           {[]string{"Authorization: Bearer " + acme[:40]}, "", "that was sent is not valid"},
		"the hash for the key": {[]string{"Authorization: Bearer " + g.vars["acme"]}, "", "that was sent is not valid"},
		"other scheme":         {[]string{"Authorization: Basic " + acme}, "", "not of the form Bearer"},
		"no scheme":            {[]string{"Authorization: " + acme}, "", "not of the form Bearer"},
		"as Anthropic's":       {[]string{"X-Api-Key: " + acme}, "acme", ""},
		"in another header":    {[]string{"Api-Key: " + acme}, "", "no API key was sent"},
		"both ways":            {[]string{"X-Api-Key: " + acme, "Authorization: Bearer " + acme}, "acme", ""},
		"both ways, two keys":  {[]string{"X-Api-Key: " + acme, "Authorization: Bearer " + zeta}, "", "hold different API keys"},
		"both ways, one bad":   {[]string{"X-Api-Key: " + acme + "x", "Authorization: Bearer " + acme}, "", "hold different API keys"},
		"both ways, no Bearer": {[]string{"X-Api-Key: " + acme, "Authorization: Basic " + acme}, "", "not of the form Bearer"},
		// Of two fields, one may be empty: https://github.com/Empreiteiro/data-talks/pull/242.
		"the other is empty":   {[]string{"X-Api-Key: ", "Authorization: Bearer " + acme}, "acme", ""},
		"the other has no key": {[]string{"X-Api-Key: " + acme, "Authorization: Bearer "}, "acme", ""},
		"Authorization, empty": {[]string{"X-Api-Key: " + acme, "Authorization: "}, "acme", ""},
		"both are empty":       {[]string{"X-Api-Key: ", "Authorization: "}, "", "no API key was sent"},
		// https://github.com/jetkvm/cloud-api/pull/85
		"spaces before the key": {[]string{"Authorization: BEARER   " + acme}, "acme", ""},
		"two of Anthropic's":    {[]string{"X-Api-Key: " + acme, "X-Api-Key: " + zeta}, "", "more than once"},
		"unknown, Anthropic's":  {[]string{"X-Api-Key: " + acme + "x"}, "", "that was sent is not valid"},
		"two keys":              {[]string{"Authorization: Bearer " + acme, "Authorization: Bearer " + zeta}, "", "more than once"},
		"the same key twice":    {[]string{"Authorization: Bearer " + acme, "Authorization: Bearer " + acme}, "", "more than once"},
		"two keys in one field": {[]string{"Authorization: Bearer " + acme + ", Bearer " + zeta}, "", "that was sent is not valid"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			before := g.chats()
			a := g.do("POST", chatPath, chatBody("hello", false), tt.fields...)
			if tt.tenant != "" {
				if got := g.outcome(a)["tenant"]; a.status != http.StatusOK || got != tt.tenant {
					t.Errorf("status %d for tenant %v: %s", a.status, got, a.body)
				}
				return
			}
			if a.status != http.StatusUnauthorized || a.code() != "invalid_api_key" {
				t.Errorf("status %d: %s", a.status, a.body)
			}
			if !strings.Contains(a.body, tt.says) {
				t.Errorf("%s, want one that says %s", a.body, tt.says)
			}
			if a.header.Get("Content-Type") != "application/json" || a.header.Get("Www-Authenticate") != "Bearer" {
				t.Errorf("header %v", a.header)
			}
			if a.header.Get("X-Request-Id") == "" {
				t.Error("no X-Request-Id")
			}
			if n := g.chats() - before; n != 0 {
				t.Errorf("the upstream was asked %d times", n)
			}
		})
	}
}

// TestTenantCannotBeSpoofed says in every place that a call is another
// tenant's. It stays who the key says: in the access log, and in the id that
// the upstream tells repeats by.
func TestTenantCannotBeSpoofed(t *testing.T) {
	g, acme, zeta, upstream := newAuthRig(t)
	key := []string{"Authorization: Bearer " + acme, "Idempotency-Key: same"}
	g.chat("as acme", key...)
	acmeID := upstream()
	g.chat("as zeta", "Authorization: Bearer "+zeta, "Idempotency-Key: same")
	if acmeID == upstream() || acmeID == "" || acmeID == "same" {
		t.Fatalf("ids %q and %q of two tenants with one key", acmeID, upstream())
	}
	tests := map[string]struct {
		fields, query, member string
	}{
		"X-Tenant":             {fields: "X-Tenant: zeta"},
		"X-Alipayai-Tenant":    {fields: "X-Alipayai-Tenant: zeta"},
		"Remote-User":          {fields: "Remote-User: zeta"},
		"X-Forwarded-User":     {fields: "X-Forwarded-User: zeta"},
		"X-Auth-Request-User":  {fields: "X-Auth-Request-User: zeta"},
		"OpenAI-Organization":  {fields: "OpenAI-Organization: zeta"},
		"placeholder's name":   {fields: "Http.auth.user.id: zeta"},
		"placeholder, dashes":  {fields: "Http-Auth-User-Id: zeta"},
		"placeholder, alias":   {fields: "http_auth_user_id: zeta"},
		"underscore alias":     {fields: "Authorization_: Bearer " + zeta},
		"dot alias":            {fields: "Authorization.: Bearer " + zeta},
		"proxy credentials":    {fields: "Proxy-Authorization: Bearer " + zeta},
		"cookie":               {fields: "Cookie: http.auth.user.id=zeta; tenant=zeta"},
		"replacing value":      {fields: "X-Any: {http.auth.user.id}zeta"},
		"request id":           {fields: "X-Request-Id: zeta"},
		"query":                {query: "?tenant=zeta&user=zeta&http.auth.user.id=zeta"},
		"query with key":       {query: "?api_key=" + zeta + "&access_token=" + zeta},
		"user of the body":     {member: `,"user":"zeta"`},
		"metadata of the body": {member: `,"metadata":{"tenant":"zeta"},"http.auth.user.id":"zeta"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			fields := key
			if tt.fields != "" {
				fields = append([]string{tt.fields}, key...)
			}
			body := strings.TrimSuffix(chatBody("hello", false), "}") + tt.member + "}"
			a := g.do("POST", chatPath+tt.query, body, fields...)
			if a.status != http.StatusOK {
				t.Fatalf("status %d: %s", a.status, a.body)
			}
			if got := g.outcome(a)["tenant"]; got != "acme" {
				t.Errorf("the access log says tenant %v", got)
			}
			if got := upstream(); got != acmeID {
				t.Errorf("the upstream got id %q, want acme's %q", got, acmeID)
			}
		})
	}
}

// TestTenantWithoutAuthentication stays anonymous, whatever a client says.
func TestTenantWithoutAuthentication(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.load(oneProvider, proxySite)
	a := g.chat("hello", "Authorization: Bearer sk-any", "X-Tenant: zeta", "Http.auth.user.id: zeta")
	if got := g.outcome(a)["tenant"]; got != "anonymous" {
		t.Errorf("tenant %v", got)
	}
}

// TestTenantOfAnotherAuthenticator takes the user that Caddy's own found.
func TestTenantOfAnotherAuthenticator(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.vars["bcrypt"] = bcryptOfPassword
	g.load(oneProvider, `
http://${gateway} {
	log
	basic_auth {
		bob ${bcrypt}
	}
	alipayai_proxy alipay
}`)
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+g.vars["gateway"]+chatPath, strings.NewReader(chatBody("hello", false)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth("bob", "a-password")
	a := g.read(g.http.Do(req))
	if got := g.outcome(a)["tenant"]; a.status != http.StatusOK || got != "bob" {
		t.Errorf("status %d for tenant %v: %s", a.status, got, a.body)
	}
	if a := g.do("POST", chatPath, chatBody("hello", false)); a.status != http.StatusUnauthorized {
		t.Errorf("status %d without a password", a.status)
	}
}

// bcryptOfPassword is the hash of "a-password", of the least cost there is.
const bcryptOfPassword = "$2a$04$yfVyfkPBEDRyLTB6SRXa0.gKeJR0PJ58kqypu.Bv61V1.58OyvtKi"

// TestEmptyKeyFile finds the file of keys empty, as it is while it is being written: no client is locked out.
func TestEmptyKeyFile(t *testing.T) {
	key, hash := tenants.NewKey()
	path := filepath.Join(t.TempDir(), "tenants")
	auth := &KeysAuth{File: path}
	for _, tt := range []struct {
		content string
		ok      bool
	}{{"acme " + hash.String() + "\n", true}, {"", false}, {"# people\n\n", false}} {
		if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := auth.load(); (err == nil) != tt.ok {
			t.Errorf("%q: %v", tt.content, err)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+key)
		if user, ok, err := auth.Authenticate(nil, r); !ok || err != nil || user.ID != "acme" {
			t.Errorf("%q: %v, %t, %v", tt.content, user, ok, err)
		}
	}
}
