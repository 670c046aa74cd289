package alipaycaddy

import (
	"errors"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"

	"github.com/caddy-alipayai/gateway/caddy/routes"
)

var errNegativeBody = errors.New("max_body must not be negative")

// passOn are the handlers that pass a request on, and send it nowhere themselves, nor to a server's routes for errors, as
// http.handlers.authentication does.
var passOn = map[caddy.ModuleID]bool{
	"http.handlers.alipayai_auth": true, "http.handlers.alipayai_moderate": true,
	"http.handlers.encode": true, "http.handlers.headers": true, "http.handlers.log_append": true, "http.handlers.map": true,
	"http.handlers.rewrite": true, "http.handlers.tracing": true, "http.handlers.vars": true,
}

// overlap lets the moderators of app have their model's verdict waited for by alipayai_proxy, beside its queue, where every way
// behind them ends there, and what it answers goes to the client: whatever else there is must not see a request without a
// verdict. Until this has run they all wait first.
func overlap(app *caddyhttp.App) {
	for _, server := range app.Servers {
		waits := make(map[*Moderate]bool)
		routes.Visit(server, func(h caddyhttp.MiddlewareHandler, before []caddyhttp.MiddlewareHandler) {
			if m, ok := h.(*Moderate); ok {
				waits[m] = waits[m] || slices.ContainsFunc(before, answersAnew)
			}
		})
		overlapIn(server.Routes, false, func(m *Moderate, overlaps bool) { m.overlaps.Store(overlaps && !waits[m]) })
	}
}

// answersAnew reports whether a handler may send a request on once what is behind it has answered.
func answersAnew(h caddyhttp.MiddlewareHandler) bool {
	i, ok := h.(*intercept.Intercept)
	return ok && slices.ContainsFunc(i.HandleResponse, func(r caddyhttp.ResponseHandler) bool { return len(r.Routes) > 0 })
}

// overlapIn goes through routes from the last handler to the first. proxied says that every way behind the last one ends
// at alipayai_proxy; it reports the same of the first, and to found of each moderator. Behind a route of a group the others
// of the group are passed over.
func overlapIn(routes caddyhttp.RouteList, proxied bool, found func(m *Moderate, proxied bool)) bool {
	end := proxied
	for i, route := range slices.Backward(routes) {
		matched := proxied
		if route.Group != "" {
			others := slices.DeleteFunc(slices.Clone(routes[i+1:]), func(r caddyhttp.Route) bool { return r.Group == route.Group })
			matched = overlapIn(others, end, func(*Moderate, bool) {})
		}
		matched = matched && !route.Terminal
		for _, handler := range slices.Backward(route.Handlers) {
			switch h := handler.(type) {
			case *Proxy:
				matched = true
			case *Moderate:
				found(h, matched)
			case *caddyhttp.Subroute:
				matched = overlapIn(h.Routes, matched, found)
			case caddy.Module:
				matched = matched && passOn[h.CaddyModule().ID]
			default:
				matched = false
			}
		}
		proxied = matched && (proxied || len(route.MatcherSets) == 0)
	}
	return proxied
}
