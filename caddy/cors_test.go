package alipaycaddy

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/tenants"
)

// TestCORS runs the README's site for browsers, with a moderator: a preflight needs no key, calls do, and a page of the
// origin may read answers and refusals, each with one Access-Control-Allow-Origin.
func TestCORS(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	key, hash := tenants.NewKey()
	site := strings.Replace(frontPage(t, "cors"), "	alipayai_proxy", "	alipayai_moderate words\n	alipayai_proxy", 1)
	g.load(strings.Replace(oneProvider, "alipayai {", "alipayai {\nmoderator words {\nwords forbidden\n}", 1), moved(t, site, map[string]string{
		"ai.example.com":     "http://${gateway}",
		"/etc/caddy/tenants": g.file("tenants", "shop "+hash.String()+"\n"),
	}))
	const page, other = "Origin: https://app.example.com", "Origin: https://evil.example.com"
	bearer := "Authorization: Bearer " + key
	asks := []string{"Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization,content-type,x-stainless-lang"}
	tests := map[string]struct {
		method, path, body string
		fields             []string
		status             int
		readable           bool
	}{
		"preflight":               {"OPTIONS", chatPath, "", append(asks, page), http.StatusNoContent, true},
		"preflight of a response": {"OPTIONS", "/v1/responses/r1", "", append(asks[1:], page, "Access-Control-Request-Method: DELETE"), http.StatusNoContent, true},
		"preflight, another page": {"OPTIONS", chatPath, "", append(asks, other), http.StatusNoContent, false},
		"preflight for PUT":       {"OPTIONS", chatPath, "", append(asks[1:], page, "Access-Control-Request-Method: PUT"), http.StatusNoContent, false},
		"OPTIONS of no page":      {"OPTIONS", chatPath, "", nil, http.StatusUnauthorized, false},
		"no key":                  {"POST", chatPath, chatBody("tea", false), []string{page}, http.StatusUnauthorized, true},
		"no key, another page":    {"POST", chatPath, chatBody("tea", false), []string{other}, http.StatusUnauthorized, false},
		"moderated":               {"POST", chatPath, chatBody("forbidden", false), []string{page, bearer}, http.StatusForbidden, true},
		"bad request":             {"POST", chatPath, "{", []string{page, bearer}, http.StatusBadRequest, true},
		"wrong path":              {"GET", "/chat", "", []string{page, bearer}, http.StatusNotFound, true},
		"answer":                  {"POST", chatPath, chatBody("tea", false), []string{page, bearer}, http.StatusOK, true},
		"stream":                  {"POST", chatPath, chatBody("tea", true), []string{page, bearer}, http.StatusOK, true},
		"Messages":                {"POST", "/v1/messages", `{"model":"alipay-fin-1","max_tokens":9,"messages":[{"role":"user","content":"tea"}]}`, []string{page, bearer}, http.StatusOK, true},
		"answer to another page":  {"POST", chatPath, chatBody("tea", false), []string{other, bearer}, http.StatusOK, false},
		"answer to no page":       {"POST", chatPath, chatBody("tea", false), []string{bearer}, http.StatusOK, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := g.do(test.method, test.path, test.body, test.fields...)
			if a.status != test.status {
				t.Errorf("status %d, want %d: %s", a.status, test.status, a.body)
			}
			var want []string
			if test.readable {
				want = []string{"https://app.example.com"}
			}
			if got := a.header.Values("Access-Control-Allow-Origin"); len(got) != len(want) || len(got) == 1 && got[0] != want[0] {
				t.Errorf("Access-Control-Allow-Origin is %q, want %q", got, want)
			}
			if got := a.header.Values("Vary"); !strings.Contains(strings.Join(got, ","), "Origin") && test.fields != nil {
				t.Errorf("a cache would give it to another page: Vary is %q", got)
			}
			if !test.readable {
				return
			}
			if test.method != "OPTIONS" {
				if got := a.header.Get("Access-Control-Expose-Headers"); !strings.Contains(got, "X-Request-Id") {
					t.Errorf("a page may read %q", got)
				}
				return
			}
			for field, part := range map[string]string{"Allow-Methods": test.fields[0][strings.LastIndex(test.fields[0], " ")+1:], "Allow-Headers": "authorization"} {
				if got := a.header.Get("Access-Control-" + field); field == "Allow-Headers" && !strings.Contains(got, part) || got == "" {
					t.Errorf("Access-Control-%s is %q, without %s", field, got, part)
				}
			}
		})
	}
}

// TestCORSAtEveryDoor has a page of the origin at each door: its preflight, with the header fields that vendors' SDKs send from
// a browser, the answer, and a refusal.
func TestCORSAtEveryDoor(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	key, hash := tenants.NewKey()
	g.vars["hash"] = hash.String()
	g.load(oneProvider, `
http://${gateway} {
	alipayai_auth {
		key acme ${hash}
	}
	alipayai_proxy alipay {
		cors https://app.example.com
	}
}`)
	const page = "https://app.example.com"
	for name, d := range doors {
		t.Run(name, func(t *testing.T) {
			fields := "content-type,x-stainless-lang,x-stainless-retry-count"
			if sent := "authorization"; d.claude {
				fields = "anthropic-beta,anthropic-dangerous-direct-browser-access,anthropic-version," + fields + ",x-api-key"
			} else {
				fields = sent + "," + fields
			}
			asked := g.do("OPTIONS", d.path, "", "Origin: "+page, "Access-Control-Request-Method: "+d.method, "Access-Control-Request-Headers: "+fields)
			if h := asked.header; asked.status != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != page || h.Get("Access-Control-Allow-Methods") != d.method || h.Get("Access-Control-Allow-Headers") != fields {
				t.Errorf("preflight: %d %v", asked.status, h)
			}
			for status, field := range map[int]string{http.StatusOK: "X-Api-Key: " + key, http.StatusUnauthorized: "X-Api-Key: sk-wrong"} {
				if a := d.at(g, "tea", field, "Origin: "+page); a.status != status || a.header.Get("Access-Control-Allow-Origin") != page {
					t.Errorf("%d %v %s, want %d", a.status, a.header, a.body, status)
				}
			}
		})
	}
}

// Of two sites, each answers its own pages; a refusal before them may be read by pages of either.
func TestCORSOfTwoSites(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	key, hash := tenants.NewKey()
	g.vars["hash"] = hash.String()
	g.load(oneProvider, `
http://${gateway} {
	alipayai_auth {
		key shop ${hash}
	}
	alipayai_proxy /a/* alipay {
		cors https://a.example.com
	}
	alipayai_proxy /b/* alipay {
		cors https://*.b.example.com
	}
	alipayai_proxy alipay
}`)
	bearer := "Authorization: Bearer " + key
	for name, test := range map[string]struct {
		path, origin string
		fields       []string
		readable     bool
	}{
		"its own":              {"/a", "https://a.example.com", []string{bearer}, true},
		"the other's":          {"/b", "https://a.example.com", []string{bearer}, false},
		"one of many":          {"/b", "https://x.b.example.com", []string{bearer}, true},
		"the parent of many":   {"/b", "https://b.example.com", []string{bearer}, false},
		"no option":            {"", "https://a.example.com", []string{bearer}, false},
		"refused, of any site": {"/b", "https://a.example.com", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			a := g.do("POST", test.path+chatPath, chatBody("tea", false), append(test.fields, "Origin: "+test.origin)...)
			if got := a.header.Get("Access-Control-Allow-Origin"); (got == test.origin) != test.readable || !test.readable && got != "" {
				t.Errorf("status %d, Access-Control-Allow-Origin %q", a.status, got)
			}
		})
	}
}

func TestOrigins(t *testing.T) {
	for origin, good := range map[string]bool{
		"*": true, "https://app.example.com": true, "http://localhost:3000": true, "https://*.example.com": true, "app://obsidian.md": true,
		"chrome-extension://abcdefghijklmnop": true, "http://[::1]:3000": true,
		"https://app.example.com/": false, "app.example.com": false, "https://App.example.com": false, "https://a.*.com": false,
		"https://*": false, "https://": false, "null": false, "https://u:p@a.example.com": false, "https://a.example.com?x": false, "**": false, "": false,
	} {
		if err := checkOrigin(origin); (err == nil) != good {
			t.Errorf("%q: %v", origin, err)
		}
	}
}
