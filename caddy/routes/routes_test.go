package routes

import (
	"net/http"
	"slices"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// visited is a handler by name.
type visited string

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (visited) ServeHTTP(http.ResponseWriter, *http.Request, caddyhttp.Handler) error { return nil }

// What a request may have been through before a handler is found however the two stand in a server, and nothing else.
func TestHandlersBefore(t *testing.T) {
	route := func(handlers ...caddyhttp.MiddlewareHandler) caddyhttp.Route {
		return caddyhttp.Route{Handlers: handlers}
	}
	terminal := func(r caddyhttp.Route) caddyhttp.Route { r.Terminal = true; return r }
	group := func(r caddyhttp.Route) caddyhttp.Route { r.Group = "g"; return r }
	of := func(r caddyhttp.Route, hosts ...string) caddyhttp.Route {
		m := caddyhttp.MatchHost(hosts)
		r.MatcherSets = caddyhttp.MatcherSets{{&m}}
		return r
	}
	list := func(routes ...caddyhttp.Route) caddyhttp.RouteList { return routes }
	failing := func(routes ...caddyhttp.Route) *caddyhttp.HTTPErrorConfig {
		return &caddyhttp.HTTPErrorConfig{Routes: routes}
	}
	responses := func(routes ...caddyhttp.Route) []caddyhttp.ResponseHandler {
		return []caddyhttp.ResponseHandler{{Routes: routes}}
	}
	host := &headers.Handler{Request: &headers.HeaderOps{Set: http.Header{"Host": {"b.example"}}}}
	guard, serve := visited("guard"), visited("serve")
	for name, tt := range map[string]struct {
		server *caddyhttp.Server
		found  bool
	}{
		"before":                 {&caddyhttp.Server{Routes: list(route(guard, serve))}, true},
		"behind":                 {&caddyhttp.Server{Routes: list(route(serve, guard))}, false},
		"in a route before":      {&caddyhttp.Server{Routes: list(route(guard), route(serve))}, true},
		"in a terminal one":      {&caddyhttp.Server{Routes: list(terminal(route(guard)), route(serve))}, false},
		"in another of a group":  {&caddyhttp.Server{Routes: list(group(route(guard)), group(route(serve)))}, false},
		"of another host":        {&caddyhttp.Server{Routes: list(of(route(guard), "a.example"), of(route(serve), "b.example"))}, false},
		"of a host among others": {&caddyhttp.Server{Routes: list(of(route(guard), "a.example", "B.example"), of(route(serve), "b.example"))}, true},
		"of any of a domain":     {&caddyhttp.Server{Routes: list(of(route(guard), "*.example"), of(route(serve), "b.example"))}, true},
		"of another domain":      {&caddyhttp.Server{Routes: list(of(route(guard), "*.example"), of(route(serve), "c.b.example"))}, false},
		"of a host not known":    {&caddyhttp.Server{Routes: list(of(route(guard), "{env.HOST}"), of(route(serve), "b.example"))}, true},
		"of a host that is set":  {&caddyhttp.Server{Routes: list(of(route(guard, host), "a.example"), of(route(serve), "b.example"))}, true},
		"of a host around it": {&caddyhttp.Server{Routes: list(
			of(route(&caddyhttp.Subroute{Routes: list(route(guard))}), "a.example"), of(route(&caddyhttp.Subroute{Routes: list(route(serve))}), "b.example"),
		)}, false},

		"before an error":              {&caddyhttp.Server{Routes: list(terminal(route(guard))), Errors: failing(route(serve))}, true},
		"before another host's error":  {&caddyhttp.Server{Routes: list(terminal(of(route(guard), "a.example"))), Errors: failing(of(route(serve), "b.example"))}, false},
		"before the error of any host": {&caddyhttp.Server{Routes: list(terminal(of(route(guard), "a.example"))), Errors: failing(route(serve))}, true},
		"before an error inside": {&caddyhttp.Server{Routes: list(route(
			&caddyhttp.Subroute{Routes: list(terminal(route(guard))), Errors: failing(route(serve))},
		))}, true},
		"behind what an error comes through": {&caddyhttp.Server{Routes: list(
			route(&caddyhttp.Subroute{Routes: list(route(visited("x"))), Errors: failing(route(serve))}), route(guard),
		)}, true},
		"for an error that goes on": {&caddyhttp.Server{Routes: list(route(
			&caddyhttp.Subroute{Routes: list(route(visited("x"))), Errors: failing(route(guard))}, serve,
		))}, true},

		"in a route by name": {&caddyhttp.Server{
			Routes:      list(route(&caddyhttp.Invoke{Name: "n"}, serve)),
			NamedRoutes: map[string]*caddyhttp.Route{"n": {Handlers: []caddyhttp.MiddlewareHandler{guard, &caddyhttp.Invoke{Name: "n"}}}},
		}, true},
		"behind an intercept": {&caddyhttp.Server{Routes: list(
			route(&intercept.Intercept{HandleResponse: responses(route(serve))}, visited("x")), route(guard),
		)}, true},
		"behind an intercept, in a route by name": {&caddyhttp.Server{
			Routes:      list(route(&intercept.Intercept{HandleResponse: responses(route(serve))}, &caddyhttp.Invoke{Name: "n"})),
			NamedRoutes: map[string]*caddyhttp.Route{"n": {Handlers: []caddyhttp.MiddlewareHandler{guard}}},
		}, true},
		"behind an intercept that is terminal": {&caddyhttp.Server{Routes: list(
			terminal(route(&intercept.Intercept{HandleResponse: responses(route(serve))})), route(guard),
		)}, false},
		"for an intercepted response": {&caddyhttp.Server{Routes: list(
			route(&intercept.Intercept{HandleResponse: responses(route(guard))}, serve),
		)}, false},
		"for a response that goes on": {&caddyhttp.Server{Routes: list(
			route(&reverseproxy.Handler{HandleResponse: responses(route(guard))}, serve),
		)}, true},
		"behind a proxy": {&caddyhttp.Server{Routes: list(
			route(&reverseproxy.Handler{HandleResponse: responses(route(serve))}, guard),
		)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			seen, found := false, false
			Visit(tt.server, func(h caddyhttp.MiddlewareHandler, before []caddyhttp.MiddlewareHandler) {
				if h == serve {
					seen, found = true, found || slices.Contains(before, caddyhttp.MiddlewareHandler(guard))
				}
			})
			if !seen || found != tt.found {
				t.Errorf("visited %v, found %v", seen, found)
			}
		})
	}
}
