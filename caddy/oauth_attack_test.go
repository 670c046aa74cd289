package alipaycaddy

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// sandboxCodes is how often the simulator was asked to exchange a code.
func (g *consentRig) sandboxCodes() int64 { return g.api.Stats().TokenFetches["authorization_code"] }

// What is no step of the browser that began, each for the first time, changes nothing.
func TestConsentAttacks(t *testing.T) {
	g := newConsentRig(t, sandbox.Config{})
	g.start("", "")
	withParam := func(address, name, value string) string {
		u := must(url.Parse(address))
		query := u.Query()
		query.Set(name, value)
		u.RawQuery = query.Encode()
		return u.String()
	}
	param := func(address, name string) string { return must(url.Parse(address)).Query().Get(name) }
	for name, attack := range map[string]func(b *browser) (address string, by *browser){
		"an address twice": func(b *browser) (string, *browser) {
			address := g.link(acmeKey, "victim", "")
			b.next(address)
			return address, g.newBrowser()
		},
		"an address that was not made": func(*browser) (string, *browser) {
			return "http://" + g.vars["gateway"] + "/consent/authorize?ticket=AAAA", g.newBrowser()
		},
		"an address that was changed": func(*browser) (string, *browser) {
			address := g.link(acmeKey, "victim", "")
			return address[:len(address)-4] + "AAAA", g.newBrowser()
		},
		"a code twice": func(b *browser) (string, *browser) {
			back := b.callback(g.link(acmeKey, "once", ""), "alice")
			kept := map[string]string{}
			maps.Copy(kept, b.cookies)
			b.next(back)
			return back, &browser{g, kept}
		},
		"another browser": func(b *browser) (string, *browser) {
			return b.callback(g.link(acmeKey, "victim", ""), "alice"), g.newBrowser()
		},
		"another one's code": func(b *browser) (string, *browser) {
			mallory := g.newBrowser()
			code := param(mallory.callback(g.link(acmeKey, "mallory", ""), "bob"), "code")
			stolen := b.callback(g.link(acmeKey, "victim", ""), "alice")
			return withParam(withParam(stolen, "code", code), "state", "another"), b
		},
		"another one's state": func(b *browser) (string, *browser) {
			mallory := g.newBrowser()
			state := param(mallory.callback(g.link(acmeKey, "mallory", ""), "bob"), "state")
			return withParam(b.callback(g.link(acmeKey, "victim", ""), "alice"), "state", state), b
		},
		"a cookie that was set by another": func(b *browser) (string, *browser) {
			mallory := g.newBrowser()
			back := mallory.callback(g.link(acmeKey, "mallory", ""), "bob")
			stolen := b.callback(g.link(acmeKey, "victim", ""), "alice")
			for name := range b.cookies { // the right name with another's value
				for _, value := range mallory.cookies {
					b.cookies[name] = value
				}
			}
			_ = back
			return stolen, b
		},
		"no state": func(b *browser) (string, *browser) {
			b.callback(g.link(acmeKey, "victim", ""), "alice")
			return "http://" + g.vars["gateway"] + "/consent/callback?code=x", b
		},
		"two states": func(b *browser) (string, *browser) {
			return b.callback(g.link(acmeKey, "victim", ""), "alice") + "&state=two", b
		},
	} {
		t.Run(name, func(t *testing.T) {
			address, by := attack(g.newBrowser())
			exchanged := g.sandboxCodes()
			a := by.open(address)
			if a.status != http.StatusBadRequest || a.header.Get("Location") != "" || len(a.header["Set-Cookie"]) > 0 {
				t.Errorf("%d %v %s", a.status, a.header, a.body)
			}
			if n := g.sandboxCodes() - exchanged; n != 0 {
				t.Errorf("%d codes were exchanged", n)
			}
			if a := g.do("GET", "/consent/users/victim", "", acmeKey); a.code() != "consent_not_found" {
				t.Errorf("the victim has a consent: %d %s", a.status, a.body)
			}
		})
	}
}

// A code comes with the verifier of the browser that began: the vendor refuses it with another's.
func TestConsentCodeOfAnother(t *testing.T) {
	g := newConsentRig(t, sandbox.Config{})
	g.start("", "")
	mallory, victim := g.newBrowser(), g.newBrowser()
	stolen := must(url.Parse(mallory.callback(g.link(acmeKey, "mallory", ""), "bob"))).Query().Get("code")
	own := must(url.Parse(victim.callback(g.link(acmeKey, "victim", `,"state":"s1"`), "alice")))
	query := own.Query()
	query.Set("code", stolen)
	own.RawQuery = query.Encode()
	if back := victim.next(own.String()); back != tenantPage+"?authorisation=failed&state=s1" {
		t.Errorf("sent back to %s", back)
	}
	if a := g.do("GET", "/consent/users/victim", "", acmeKey); a.code() != "consent_not_found" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// Of clicks at the same time one wins, at each step.
func TestConsentDoubleClick(t *testing.T) {
	g := newConsentRig(t, sandbox.Config{})
	g.start("", "")
	const clicks = 8
	click := func(address string, cookies map[string]string) (won []answer) {
		var mu sync.Mutex
		var all sync.WaitGroup
		for range clicks {
			all.Go(func() {
				b := &browser{g, make(map[string]string)}
				maps.Copy(b.cookies, cookies)
				if a := b.open(address); a.status == http.StatusSeeOther {
					mu.Lock()
					defer mu.Unlock()
					won = append(won, a)
				}
			})
		}
		all.Wait()
		return won
	}
	won := click(g.link(acmeKey, "u1", ""), nil)
	if len(won) != 1 {
		t.Fatalf("%d of %d opened the address", len(won), clicks)
	}
	b := g.newBrowser()
	back := b.callback(g.link(acmeKey, "u1", ""), "alice")
	if won := click(back, b.cookies); len(won) != 1 || won[0].header.Get("Location") != tenantPage+"?authorisation=granted" {
		t.Fatalf("%d of %d came back: %v", len(won), clicks, won)
	}
	if n := g.sandboxCodes(); n != 1 {
		t.Errorf("%d codes were exchanged", n)
	}
}

// Where users are sent back to stands in a list, and nothing that a request says gets into a page or a header.
func TestConsentGoesNowhereElse(t *testing.T) {
	g := newConsentRig(t, sandbox.Config{})
	g.start("", "")
	for name, test := range map[string]struct{ body, param string }{
		"another site":       {`{"user":"u","return_to":"https://evil.example/"}`, "return_to"},
		"below a page":       {`{"user":"u","return_to":"` + tenantPage + `/x"}`, "return_to"},
		"a page's query":     {`{"user":"u","return_to":"` + tenantPage + `?x=1"}`, "return_to"},
		"a page's fragment":  {`{"user":"u","return_to":"` + tenantPage + `#x"}`, "return_to"},
		"of another case":    {`{"user":"u","return_to":"` + strings.ToUpper(tenantPage) + `"}`, "return_to"},
		"a user at the host": {`{"user":"u","return_to":"https://app.example.com@evil.example/connected"}`, "return_to"},
		"a script":           {`{"user":"u","return_to":"javascript:alert(1)"}`, "return_to"},
		"a header in state":  {`{"user":"u","state":"a\r\nSet-Cookie: x=y"}`, "state"},
		"a long state":       {`{"user":"u","state":"` + strings.Repeat("s", 256) + `"}`, "state"},
		"a header in a user": {`{"user":"a\r\nX: y"}`, "user"},
		"no user":            {`{}`, "user"},
		"a long user":        {`{"user":"` + strings.Repeat("u", 256) + `"}`, "user"},
		"an unknown member":  {`{"user":"u","tenant":"other"}`, ""},
		"no JSON":            {`user=u`, ""},
		"two values":         {`{"user":"u"}{"user":"v"}`, ""},
	} {
		a := g.do("POST", "/consent/links", test.body, acmeKey)
		if a.status != http.StatusBadRequest || test.param != "" && !strings.Contains(a.body, `"param":"`+test.param+`"`) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	const evil = `<script>alert("1")</script>`
	b := g.newBrowser()
	address := g.link(acmeKey, evil, `,"return_to":"https://app.example.com/second?tab=1","state":"`+`\u0022><b>`+`"`)
	first := b.open(address)
	vendor := first.header.Get("Location")
	back := b.next(vendor + "&as=")
	denied := b.open(back)
	if got := denied.header.Get("Location"); got != "https://app.example.com/second?authorisation=denied&state=%22%3E%3Cb%3E&tab=1" {
		t.Errorf("sent back to %s", got)
	}
	pages := []answer{first, denied, b.open(back), b.open(address), b.open("http://" + g.vars["gateway"] + "/consent/callback?state=" + url.QueryEscape(evil) + "&code=" + url.QueryEscape(evil))}
	for i, a := range pages {
		if strings.Contains(a.body, "<") || strings.Contains(a.body, "script") {
			t.Errorf("page %d: %s", i, a.body)
		}
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("page %d: %s %q", i, name, got)
			}
		}
		if got := a.header.Get("Content-Security-Policy"); !strings.Contains(got, "frame-ancestors 'none'") || !strings.Contains(got, "default-src 'none'") {
			t.Errorf("page %d: Content-Security-Policy %q", i, got)
		}
	}
	cookie := first.header.Get("Set-Cookie")
	for _, part := range []string{"__Host-", "; Path=/", "; HttpOnly", "; Secure", "; SameSite=Lax", "; Max-Age=600"} {
		if !strings.Contains(cookie, part) {
			t.Errorf("the cookie has no %q: %s", part, cookie)
		}
	}
	if strings.Contains(cookie, "Domain") {
		t.Errorf("the cookie is for others too: %s", cookie)
	}
	if resp, err := g.send("gateway", "HEAD", must(url.Parse(g.link(acmeKey, "u", ""))).RequestURI(), ""); err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("HEAD: %v %v", resp, err)
	}
}

// One of another tenant and one that does not exist get the same answer, but for what is random in it.
func TestConsentSameAnswers(t *testing.T) {
	g := newConsentRig(t, sandbox.Config{})
	g.start("", "")
	g.consent(otherKey, "known1", "alice")
	random := regexp.MustCompile(`ticket=[\w-]+|req_[0-9a-f]+`)
	same := func(a answer) string {
		names := []string{}
		for name, values := range a.header {
			if name != "Date" {
				names = append(names, fmt.Sprint(name, values))
			}
		}
		return fmt.Sprint(a.status, len(a.body), len(names), random.ReplaceAllString(a.body, "*"))
	}
	for name, ask := range map[string]func(user string) answer{
		"a call":   func(user string) answer { return g.user(user, "hello", acmeKey) },
		"a GET":    func(user string) answer { return g.do("GET", "/consent/users/"+user, "", acmeKey) },
		"a DELETE": func(user string) answer { return g.do("DELETE", "/consent/users/"+user, "", acmeKey) },
	} {
		if of, none := same(ask("known1")), same(ask("absent")); of != none {
			t.Errorf("%s:\n%s\n%s", name, of, none)
		}
	}
	if n := g.chats(); n != 0 {
		t.Errorf("%d calls reached the upstream", n)
	}
}

// What is in the query of a page, and the tokens after it, stand in no log: neither Caddy's access and error logs at
// level DEBUG, nor what tracing and log_append put together from placeholders.
func TestConsentInNoLog(t *testing.T) {
	g := newConsentRig(t, sandbox.Config{})
	traces := newTraces(t)
	sites := strings.Replace(g.sites(), "	log\n", `	log
	tracing {
		span "consent {http.request.orig_uri} {http.request.uri.query.code}"
		span_attributes {
			uri {http.request.uri}
		}
	}
	log_append uri {http.request.uri}
	log_append first {http.request.orig_uri}
	log_append query {http.request.orig_uri.query}
	log_append code {http.request.uri.query.code}
	header +X-Seen {http.request.orig_uri}?{http.request.uri.query}
`, 1)
	sites = strings.Replace(sites, "header +X-Seen", "header >X-Seen", 1)
	g.load(g.global("", ""), sites)
	b := g.newBrowser()
	address := g.link(acmeKey, "u1", "")
	vendor := b.next(address)
	back := b.next(vendor + "&as=alice")
	end := b.open(back)
	b.open(back) // once more, which is refused
	b.open(address)
	g.user("u1", "hello", acmeKey)
	query := must(url.Parse(back)).Query()
	secrets := []string{must(url.Parse(address)).Query().Get("ticket"), query.Get("code"), query.Get("state"), must(url.Parse(vendor)).Query().Get("code_challenge")}
	g.mu.Lock()
	secrets = append(secrets, g.tokens...)
	g.mu.Unlock()
	if len(secrets) != 5 {
		t.Fatalf("%d secrets", len(secrets))
	}
	g.stop() // which sends the last spans
	logs, spans := g.logs(), traces.all()
	for i, secret := range secrets {
		if secret == "" || strings.Contains(logs, secret) {
			t.Errorf("secret %d (%q) is in the log", i, secret)
		}
		if strings.Contains(spans, secret) {
			t.Errorf("secret %d (%q) is in the traces", i, secret)
		}
		if strings.Contains(fmt.Sprint(end.header), secret) {
			t.Errorf("secret %d is in the last page: %v", i, end.header)
		}
	}
	if !strings.Contains(logs, `"consent page"`) || !strings.Contains(logs, `"/consent/callback"`) || !strings.Contains(logs, `"result":"granted"`) {
		t.Error("the log says nothing of the pages")
	}
	if !strings.Contains(spans, "/consent/callback") || !strings.Contains(spans, "consent /v1/chat/completions ") {
		t.Errorf("the traces say nothing of the pages: %q", spans)
	}
}

// traces collects what an OpenTelemetry exporter sends, as protobuf.
type traces struct {
	mu   sync.Mutex
	sent strings.Builder
}

func newTraces(t *testing.T) *traces {
	t.Helper()
	c := new(traces)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s %v: %v", r.URL, r.Header, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.sent.Write(body)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(server.Close)
	t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	return c
}

func (c *traces) all() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent.String()
}
