package alipaycaddy

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/tenants"
	"github.com/caddy-alipayai/gateway/internal/heldport"
)

// arrivals gives what notes in what order acme's and zeta's calls arrive at an API, as the letters a and z, and that order.
func arrivals() (note func(*http.Request, []byte), order func() string) {
	var mu sync.Mutex
	var arrived strings.Builder
	note = func(r *http.Request, body []byte) {
		if r.URL.Path == chatPath {
			mu.Lock()
			defer mu.Unlock()
			// The body is acme's or zeta's by its model.
			if strings.Contains(string(body), "alipay-fin-mini") {
				arrived.WriteByte('z')
			} else {
				arrived.WriteByte('a')
			}
		}
	}
	return note, func() string {
		mu.Lock()
		defer mu.Unlock()
		return arrived.String()
	}
}

// tenantsSite serves a provider to acme and zeta, at an address, with these options of the proxy.
func tenantsSite(at, provider, options string) string {
	return `
http://${` + at + `} {
	metrics /metrics
	@calls not path /metrics
	alipayai_auth @calls {
		key acme ${acme}
		key zeta ${zeta}
	}
	alipayai_proxy ` + provider + ` {
		` + options + `
	}
}`
}

// tenantKeys sets the hashes of acme's and zeta's keys, and gives their header fields.
func (g *rig) tenantKeys() (acme, zeta string) {
	acme, acmeHash := tenants.NewKey()
	zeta, zetaHash := tenants.NewKey()
	g.vars["acme"], g.vars["zeta"] = acmeHash.String(), zetaHash.String()
	return "Authorization: Bearer " + acme, "Authorization: Bearer " + zeta
}

func zetaBody() string {
	return strings.Replace(chatBody("hello", false), "alipay-fin-1", "alipay-fin-mini", 1)
}

// TestTenantLimits holds one tenant to its own limit and the others to theirs.
func TestTenantLimits(t *testing.T) {
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	acme, zeta := g.tenantKeys()
	g.load(oneProvider, tenantsSite("gateway", "alipay", `
		limit acme {
			requests_per_second 0.01
			burst 3
		}
		limit * {
			tokens_per_minute 1
		}`))
	for tenant, want := range map[string]struct {
		calls int
		code  string
	}{acme: {3, "tenant_requests"}, zeta: {1, "tenant_tokens"}} {
		for i := range want.calls + 1 {
			a := g.do("POST", chatPath, chatBody("hello", false), tenant)
			if i < want.calls && a.status != http.StatusOK {
				t.Errorf("call %d: %d %s", i, a.status, a.body)
			}
			if i == want.calls && (a.status != http.StatusTooManyRequests || a.code() != want.code || a.header.Get("Retry-After") == "") {
				t.Errorf("want %s: %d %s %v", want.code, a.status, a.body, a.header)
			}
		}
		g.eventually(want.code+" to be counted", func() bool {
			return g.scrape()[`caddy_alipayai_rejections_total{provider="",reason="`+want.code+`"}`] == "1"
		})
	}
}

// TestSharesOfTenants lets two tenants compete for caps that are used up: for each its own, all of which pass at the same time.
func TestSharesOfTenants(t *testing.T) {
	tests := map[string]struct {
		options     string
		least, most int // of acme's among the first 20 after all had come
	}{
		"equal":            {"", 8, 12},
		"by_weight":        {"weight acme 3", 13, 17},
		"by_weight_of_all": {"weight acme 1\nweight * 3", 3, 7},
		"by_priority":      {"priority acme high", 17, 19},
		"by_low_priority":  {"priority acme low", 1, 3},
	}
	const window, backlog = 20, 40
	g := newRig(t, sandbox.Config{})
	acme, zeta := g.tenantKeys()
	providers, sites := "", "http://${gateway} {\nmetrics /metrics\n}\n"
	orders, skipped := make(map[string]func() string), make(map[string]int)
	for name, test := range tests {
		var note func(*http.Request, []byte)
		note, orders[name] = arrivals()
		api := httptest.NewServer(must(sandbox.New(sandbox.Config{RequestsPerSecond: -1, OnRequest: note})))
		t.Cleanup(api.Close)
		g.vars[name] = heldport.Addr(t)
		providers += "provider " + name + " {\nprofile sandbox\nbase_url " + api.URL + "\nlimit 20 3s 300ms\nqueue {\nmax_wait 1m\n}\n}\n"
		sites += tenantsSite(name, name, test.options)
	}
	g.load("alipayai {\n"+providers+"}", sites)

	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	var calls sync.WaitGroup
	for name := range tests {
		for range window { // all the others come while it is used up
			g.read(g.send(name, "POST", chatPath, chatBody("first", false), acme))
		}
		for range backlog {
			for _, tenant := range []struct{ key, body string }{{acme, chatBody("hello", false)}, {zeta, zetaBody()}} {
				calls.Go(func() {
					req := must(http.NewRequestWithContext(ctx, "POST", "http://"+g.vars[name]+chatPath, strings.NewReader(tenant.body)))
					key, value, _ := strings.Cut(tenant.key, ": ")
					req.Header = http.Header{"Content-Type": {"application/json"}, key: {value}}
					if resp, err := g.http.Do(req); err == nil {
						resp.Body.Close()
					}
				})
			}
		}
		g.eventually("the calls to wait", func() bool {
			n, _ := strconv.Atoi(g.scrape()[`caddy_alipayai_queue_depth{provider="`+name+`"}`])
			return n+len(orders[name]()) >= window+2*backlog
		})
		skipped[name] = len(orders[name]())
	}
	waited := make(map[string]string)
	for name, skipped := range skipped {
		g.eventually("a window of those that waited", func() bool { return len(orders[name]()) >= skipped+window })
		waited[name] = orders[name]()[skipped : skipped+window]
	}
	leave()
	calls.Wait()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if n := strings.Count(waited[name], "a"); n < test.least || n > test.most {
				t.Errorf("%d of the first 20 are acme's, want %d to %d: %s", n, test.least, test.most, waited[name])
			}
		})
	}
}
