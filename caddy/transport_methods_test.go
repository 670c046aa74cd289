package alipaycaddy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// openAPIV2 declares a provider of the Open Platform v2 that is complete but
// for options.
func openAPIV2(options ...string) string {
	return provider(append([]string{"profile openapi-v2", "client_id 2021000000000001", "key 1 {file.${rsa}}"}, options...)...)
}

// gatewayDo is a stand-in for gateway.do, behind a site that signs for it.
type gatewayDo struct {
	*rig
	mu   sync.Mutex
	seen []url.Values
}

func newGatewayDo(t *testing.T, options ...string) *gatewayDo {
	t.Helper()
	g := &gatewayDo{rig: newRig(t, sandbox.Config{})}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		params, err := url.ParseQuery(strings.Trim(r.URL.RawQuery+"&"+string(body), "&"))
		if err != nil {
			t.Error(err)
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.seen = append(g.seen, params)
	}))
	t.Cleanup(server.Close)
	t.Setenv("TEST_MERCHANT", "our-merchant")
	g.vars["upstream"], g.vars["rsa"] = server.URL, g.file("rsa", privatePEM(rsaKey()))
	g.load(openAPIV2(append(options, "base_url ${upstream}")...), `
http://${gateway} {
	reverse_proxy ${upstream} {
		transport alipayai alipay {
			paths /gateway.do
			methods alipay.trade.query alipay.user.*
			allow_anonymous
		}
	}
}`)
	return g
}

// arrived gives the parameters of what reached the upstream since the last time.
func (g *gatewayDo) arrived() []url.Values {
	g.mu.Lock()
	defer g.mu.Unlock()
	seen := g.seen
	g.seen = nil
	return seen
}

// TestTransportSignsListedAPIs asks for APIs of openapi-v2, all of which are
// under one path.
func TestTransportSignsListedAPIs(t *testing.T) {
	g := newGatewayDo(t)
	const form = "Content-Type: application/x-www-form-urlencoded"
	tests := map[string]struct {
		query, form string
		status      int
	}{
		"listed":                  {"?method=alipay.trade.query", "", 200},
		"listed by prefix":        {"?method=alipay.user.info.share", "", 200},
		"in the form":             {"", "method=alipay.trade.query&biz_content=%7B%7D", 200},
		"escaped":                 {"?m%65thod=alipay%2Etrade.query", "", 200},
		"another":                 {"?method=alipay.fund.trans.uni.transfer", "", 403},
		"another in the form":     {"", "method=alipay.fund.trans.uni.transfer", 403},
		"another, escaped":        {"?m%65thod=alipay.fund%2Etrans.uni.transfer", "", 403},
		"below an exact name":     {"?method=alipay.trade.query.more", "", 403},
		"in capitals":             {"?method=alipay.trade.QUERY", "", 403},
		"none":                    {"?charset=utf-8", "", 403},
		"none at all":             {"", "", 403},
		"in query and form":       {"?method=alipay.trade.query", "method=alipay.trade.query", 403},
		"differs in the form":     {"?method=alipay.trade.query", "method=alipay.fund.trans.uni.transfer", 403},
		"twice in the query":      {"?method=alipay.trade.query&method=alipay.fund.trans.uni.transfer", "", 403},
		"behind a semicolon":      {"?method=alipay.trade.query;method=alipay.fund.trans.uni.transfer", "", 403},
		"damaged escape":          {"?method=alipay.trade.query&a=%zz", "", 403},
		"repeated parameter":      {"?method=alipay.trade.query&a=1", "a=2", 403},
		"another app":             {"?method=alipay.trade.query&app_id=2", "", 403},
		"another merchant":        {"?method=alipay.trade.query&app_auth_token=theirs", "", 403},
		"another merchant, form":  {"?method=alipay.trade.query", "app_auth_token=theirs", 403},
		"JSON in place of a form": {"?method=alipay.trade.query", `{"method":"alipay.fund.trans.uni.transfer"}`, 403},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := g.raw("POST", "/gateway.do"+tt.query, tt.form, form)
			if a.status != tt.status || tt.status == http.StatusForbidden && a.code() != "not_signed" {
				t.Errorf("status %d, want %d: %s", a.status, tt.status, a.body)
			}
			if strings.Contains(a.body, "theirs") {
				t.Errorf("the answer shows a token: %s", a.body)
			}
			arrived := g.arrived()
			if tt.status != http.StatusOK {
				if len(arrived) > 0 {
					t.Errorf("the upstream got %v", arrived)
				}
			} else if len(arrived) != 1 || arrived[0].Get("sign") == "" || len(arrived[0]["method"]) != 1 {
				t.Errorf("the upstream got %v", arrived)
			}
		})
	}
}

// TestTransportActsForItsOwnMerchant has an app_auth_token configured.
func TestTransportActsForItsOwnMerchant(t *testing.T) {
	g := newGatewayDo(t, "app_auth_token {env.TEST_MERCHANT}")
	for target, status := range map[string]int{
		"/gateway.do?method=alipay.trade.query":                             200,
		"/gateway.do?method=alipay.trade.query&app_auth_token=our-merchant": 200,
		"/gateway.do?method=alipay.trade.query&app_auth_token=ATTACKER":     403,
	} {
		a := g.do("GET", target, "")
		if a.status != status {
			t.Errorf("%s: status %d, want %d: %s", target, a.status, status, a.body)
		}
		for _, params := range g.arrived() {
			if got := params["app_auth_token"]; status != http.StatusOK || len(got) != 1 || got[0] != "our-merchant" {
				t.Errorf("%s: signed for %q", target, got)
			}
		}
	}
}

// TestTransportSignsKnownMethods asks with other HTTP methods and spellings.
func TestTransportSignsKnownMethods(t *testing.T) {
	g := newGatewayDo(t)
	for method, status := range map[string]int{
		"GET": 200, "HEAD": 200, "POST": 200, "PUT": 200, "PATCH": 200, "DELETE": 200, "OPTIONS": 200,
		"get": 403, "Post": 403, "TRACE": 403, "PROPFIND": 403, "PURGE": 403, "QUERY": 403,
	} {
		resp, err := g.send("gateway", method, "/gateway.do?method=alipay.trade.query", "")
		a := g.read(resp, err)
		if a.status != status || status != http.StatusOK && a.code() != "not_signed" {
			t.Errorf("%s: status %d, want %d: %s", method, a.status, status, a.body)
		}
		if n := len(g.arrived()); (n == 1) != (status == http.StatusOK) {
			t.Errorf("%s: %d requests reached the upstream", method, n)
		}
	}
}

// TestTransportNamesWhatComesTwice gives two APIs that are both listed.
func TestTransportNamesWhatComesTwice(t *testing.T) {
	g := newGatewayDo(t)
	a := g.do("GET", "/gateway.do?method=alipay.trade.query&method=alipay.user.info", "")
	if a.status != http.StatusForbidden || !strings.Contains(a.body, "method must be there once") || len(g.arrived()) != 0 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestCanonicalHost spells one host in several ways.
func TestCanonicalHost(t *testing.T) {
	for name, tt := range map[string]struct {
		a, b string
		tls  bool
		same bool
	}{
		"other letters":   {"API.Example.COM", "api.example.com", true, true},
		"with its port":   {"api.example.com:443", "API.EXAMPLE.com", true, true},
		"another port":    {"api.example.com:80", "api.example.com", true, false},
		"without TLS":     {"api.example.com:80", "Api.example.com", false, true},
		"address":         {"[::1]", "[::1]:443", true, true},
		"another host":    {"api.example.org", "api.example.com", true, false},
		"letters in IPv6": {"[FE80::1]:443", "[fe80::1]", true, true},
	} {
		if a, b := upstream.CanonicalHost(tt.a, tt.tls), upstream.CanonicalHost(tt.b, tt.tls); (a == b) != tt.same {
			t.Errorf("%s: %s and %s", name, a, b)
		}
	}
}
