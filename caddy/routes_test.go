package alipaycaddy

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// visited is a handler by name.
type visited string

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (visited) ServeHTTP(http.ResponseWriter, *http.Request, caddyhttp.Handler) error { return nil }

// A moderator lets its verdict be waited for beside the proxy's queue only where nothing else may get the request, also after
// the proxy has answered.
func TestVerdictsOverlap(t *testing.T) {
	handle := func(handlers ...caddyhttp.MiddlewareHandler) caddyhttp.RouteList {
		return caddyhttp.RouteList{{Handlers: handlers}}
	}
	after := func(routes caddyhttp.RouteList) *intercept.Intercept {
		return &intercept.Intercept{HandleResponse: []caddyhttp.ResponseHandler{{Routes: routes}}}
	}
	proxy, other := new(Proxy), visited("other")
	for name, tt := range map[string]struct {
		routes   func(m *Moderate) caddyhttp.RouteList
		overlaps bool
	}{
		"before the proxy":    {func(m *Moderate) caddyhttp.RouteList { return handle(m, proxy) }, true},
		"in a subroute":       {func(m *Moderate) caddyhttp.RouteList { return handle(&caddyhttp.Subroute{Routes: handle(m, proxy)}) }, true},
		"before another":      {func(m *Moderate) caddyhttp.RouteList { return handle(m, other, proxy) }, false},
		"before none":         {func(m *Moderate) caddyhttp.RouteList { return handle(m) }, false},
		"behind an intercept": {func(m *Moderate) caddyhttp.RouteList { return handle(after(handle(other)), m, proxy) }, false},
		"in a subroute behind one": {func(m *Moderate) caddyhttp.RouteList {
			return handle(after(handle(other)), &caddyhttp.Subroute{Routes: handle(m, proxy)})
		}, false},
		"behind one of statuses only": {func(m *Moderate) caddyhttp.RouteList { return handle(after(nil), m, proxy) }, true},
		"behind a route of its group": {func(m *Moderate) caddyhttp.RouteList {
			some := caddyhttp.MatcherSets{{caddyhttp.MatchPath{"/v1/*"}}}
			return caddyhttp.RouteList{
				{Group: "g", MatcherSets: some, Handlers: []caddyhttp.MiddlewareHandler{m}},
				{Group: "g", Handlers: []caddyhttp.MiddlewareHandler{proxy}}, // which is passed over then
				{Handlers: []caddyhttp.MiddlewareHandler{other}},
			}
		}, false},
		"in a group that all goes on to the proxy": {func(m *Moderate) caddyhttp.RouteList {
			some := caddyhttp.MatcherSets{{caddyhttp.MatchPath{"/v1/*"}}}
			return caddyhttp.RouteList{
				{Group: "g", MatcherSets: some, Handlers: []caddyhttp.MiddlewareHandler{m}},
				{Group: "g", Handlers: []caddyhttp.MiddlewareHandler{other}},
				{Handlers: []caddyhttp.MiddlewareHandler{proxy}},
			}
		}, true},
		"before one that makes errors": {func(m *Moderate) caddyhttp.RouteList {
			return handle(m, new(caddyauth.Authentication), proxy)
		}, false},
		"between it and the proxy": {func(m *Moderate) caddyhttp.RouteList { return handle(m, after(handle(other)), proxy) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := new(Moderate)
			overlap(&caddyhttp.App{Servers: map[string]*caddyhttp.Server{"s": {Routes: tt.routes(m)}}})
			if got := m.overlaps.Load(); got != tt.overlaps {
				t.Errorf("overlaps %v", got)
			}
		})
	}
}

// What stands before another site's directive does not see a pinned call, and is no reason to refuse it.
func TestResidencyPassesOtherSites(t *testing.T) {
	const serve, guard = "alipayai_proxy cn {\nallow_cross_region\n}\n", "alipayai_moderate law\n"
	g := newRig(t, sandbox.Config{})
	declared, _ := g.regional(t, map[string]string{"cn": "cn", "us": "us"})
	global := "alipayai {\n" + declared + "moderator law {\nmodel us llama\non_error closed\n}\nregion cn\nresidency shop cn\n}"
	_, port, _ := net.SplitHostPort(g.vars["gateway"])
	sites := "http://${gateway} {\nerror 503\nhandle_errors {\n" + serve + "}\n}\nhttp://other.example:" + port + " {\n" + guard + "error 503\n}\n"
	if err := g.reload(global, sites); err != nil {
		t.Error(err)
	}
}

// A moderator that must not see a pinned call is found wherever it stands before the directive.
func TestResidencyFindsModerators(t *testing.T) {
	const serve, guard = "alipayai_proxy cn {\nallow_cross_region\n}\n", "alipayai_moderate law\n"
	for name, site := range map[string]string{
		"before it":                     guard + serve,
		"in a handle":                   "handle {\n" + guard + serve + "}\n",
		"in a named route":              "invoke both\n",
		"before an invocation":          guard + "invoke serve\n",
		"in a named route of its own":   "invoke guard\ninvoke serve\n",
		"in a route that invokes twice": "invoke again\n",
		"for errors":                    "error 503\nhandle_errors {\n" + guard + serve + "}\n",
		"before an error":               guard + "error 503\nhandle_errors {\n" + serve + "}\n",
		"for responses":                 "reverse_proxy http://${us} {\n@bad status 5xx\nhandle_response @bad {\n" + guard + serve + "}\n}\n",
		"behind an intercept":           "route {\nintercept {\n@bad status 5xx\nhandle_response @bad {\n" + serve + "}\n}\n" + guard + "respond 503\n}\n",
		"for intercepted responses":     "intercept {\n@bad status 5xx\nhandle_response @bad {\n" + guard + serve + "}\n}\nrespond 503\n",
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{})
			declared, _ := g.regional(t, map[string]string{"cn": "cn", "us": "us"})
			global := "alipayai {\n" + declared + "moderator law {\nmodel us llama\non_error closed\n}\nregion cn\nresidency shop cn\n}"
			// Of several directives in a named route Caddy keeps the first alone; route is one.
			named := "&(serve) {\n" + serve + "}\n&(guard) {\n" + guard + "}\n&(both) {\nroute {\n" + guard + serve + "}\n}\n&(again) {\nroute {\ninvoke again\ninvoke both\n}\n}\n"
			err := g.reload(global, named+"http://${gateway} {\n"+site+"}\n")
			if err == nil || !strings.Contains(err.Error(), "residency shop: moderator law, which sees the calls of alipayai_proxy cn, has a model that is not in cn (us is in us)") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// Of several directives in a named route Caddy keeps the first alone, and all that stand in a route inside, as
// caddy/README.md says.
func TestNamedRouteKeepsOneDirective(t *testing.T) {
	const both = "alipayai_moderate law\nalipayai_proxy alipay\n"
	for name, tt := range map[string]struct {
		inside string
		kept   []string
	}{
		"as they are": {both, []string{"alipayai_moderate"}},
		"in a route":  {"route {\n" + both + "}\n", []string{"alipayai_moderate", "alipayai_proxy"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, failed := adapted(t, string(caddyfile.Format([]byte("&(guarded) {\n"+tt.inside+"}\n:80 {\ninvoke guarded\n}\n"))))
			var kept []string
			for _, handler := range []string{"alipayai_moderate", "alipayai_proxy"} {
				if strings.Contains(got, `"handler": "`+handler+`"`) {
					kept = append(kept, handler)
				}
			}
			if failed || !slices.Equal(kept, tt.kept) {
				t.Errorf("kept are %v of\n%s", kept, got)
			}
		})
	}
}
