package alipaycaddy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/tenants"
)

// consentRig is a rig whose provider has users, with two tenants.
type consentRig struct {
	*rig
	mu sync.Mutex
	// served are the persons whose tokens came with chat calls, in order; empty for the app's own.
	served []string
	tokens []string
}

// The tenants' keys, as header fields.
const (
	acmeKey  = "Authorization: Bearer sk-alipayai-acme"
	otherKey = "Authorization: Bearer sk-alipayai-other"
)

// tenantPage is where users are sent back to.
const tenantPage = "https://app.example.com/connected"

const consentSite = `
http://${gateway} {
	log
	alipayai_auth {
		key acme ${acme}
		key other ${other}
	}
	alipayai_oauth alipay {
		address http://${gateway}/consent
		return_to ` + tenantPage + ` https://app.example.com/second?tab=1
	}
	alipayai_proxy alipay {
		${proxy}
	}
}`

func newConsentRig(t *testing.T, config sandbox.Config) *consentRig {
	t.Helper()
	g := new(consentRig)
	config.RequestsPerSecond = -1
	config.OnRequest = func(r *http.Request, _ []byte) {
		access, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if own := r.Header.Get("X-User-Token"); own != "" {
			access = own
		}
		if ok && r.URL.Path == chatPath {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.served, g.tokens = append(g.served, g.api.UserOf(access)), append(g.tokens, access)
		}
	}
	g.rig = newRig(t, config)
	t.Setenv("TEST_ENCRYPTION_KEY", strings.Repeat("5a", 32))
	g.vars["acme"], g.vars["other"] = tenants.HashKey("sk-alipayai-acme").String(), tenants.HashKey("sk-alipayai-other").String()
	g.vars["proxy"] = ""
	return g
}

// start runs a gateway with options of its app and of user_token.
func (g *consentRig) start(app, userToken string) {
	g.t.Helper()
	g.load(g.global(app, userToken), g.sites())
}

func (g *consentRig) sites() string {
	return strings.ReplaceAll(consentSite, "${proxy}", g.vars["proxy"])
}

func (g *consentRig) global(app, userToken string) string {
	return `
storage file_system ${dir}/storage
alipayai {
	encryption_key {env.TEST_ENCRYPTION_KEY}
	` + app + `
	provider alipay {
		profile sandbox
		base_url http://${api}
		limit off
		user_token {
			` + userToken + `
		}
	}
}`
}

// stop ends the gateway, so that what starts next is another process for all that it knows.
func (g *consentRig) stop() {
	g.t.Helper()
	if err := caddy.Stop(); err != nil {
		g.t.Fatal(err)
	}
	g.eventually("the last call to give back what it held", func() bool { return len(references()) == 0 })
}

// seen gives the persons who were served since the last time.
func (g *consentRig) seen() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	served := g.served
	g.served = nil
	return served
}

// user makes a chat call for a user.
func (g *consentRig) user(user, prompt string, fields ...string) answer {
	g.t.Helper()
	return g.do("POST", chatPath, fmt.Sprintf(`{"model":"alipay-fin-1","messages":[{"role":"user","content":%q}],"user":%q}`, prompt, user), fields...)
}

// link asks for an address for a user, with further members of the request.
func (g *consentRig) link(key, user string, more string) string {
	g.t.Helper()
	a := g.do("POST", "/consent/links", fmt.Sprintf(`{"user":%q%s}`, user, more), key)
	var made struct {
		URL     string `json:"url"`
		Expires string `json:"expires_at"`
	}
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || a.status != http.StatusOK || made.URL == "" || made.Expires == "" {
		g.t.Fatalf("no address: %d %s", a.status, a.body)
	}
	return made.URL
}

// browser opens pages without following where they lead.
type browser struct {
	g       *consentRig
	cookies map[string]string
}

func (g *consentRig) newBrowser() *browser { return &browser{g, make(map[string]string)} }

func (b *browser) open(address string) answer {
	b.g.t.Helper()
	req, err := http.NewRequestWithContext(b.g.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		b.g.t.Fatal(err)
	}
	for name, value := range b.cookies {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	resp, err := b.g.http.Transport.RoundTrip(req)
	if err != nil {
		b.g.t.Fatal(err)
	}
	defer resp.Body.Close()
	for _, cookie := range resp.Cookies() {
		if b.cookies[cookie.Name] = cookie.Value; cookie.MaxAge < 0 {
			delete(b.cookies, cookie.Name)
		}
	}
	body, _ := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// next opens a page and gives where it leads.
func (b *browser) next(address string) string {
	b.g.t.Helper()
	a := b.open(address)
	if a.header.Get("Location") == "" {
		b.g.t.Fatalf("%s leads nowhere: %d %s", address, a.status, a.body)
	}
	return a.header.Get("Location")
}

// callback goes from an address to the vendor, consents there as that person, and gives where the vendor leads back to.
func (b *browser) callback(address, as string) string {
	b.g.t.Helper()
	return b.next(b.next(address) + "&as=" + url.QueryEscape(as))
}

// consent takes a user of a tenant all the way.
func (g *consentRig) consent(key, user, as string) {
	g.t.Helper()
	b := g.newBrowser()
	if back := b.next(b.callback(g.link(key, user, ""), as)); back != tenantPage+"?authorisation=granted" {
		g.t.Fatalf("sent back to %s", back)
	}
}
