package alipaycaddy

import (
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// visitHandlers visits each handler of a server, wherever it stands: in routes, in those that invoke names, in those for
// errors and for the responses of others. before are the handlers that a request may have been through on its way there.
// One that is named by several is visited once for each.
func visitHandlers(server *caddyhttp.Server, visit func(h caddyhttp.MiddlewareHandler, before []caddyhttp.MiddlewareHandler)) {
	w := &routeWalk{named: server.NamedRoutes, inside: make(map[string]bool), visit: visit}
	w.routes(server.Routes, nil)
	w.errors(server.Errors, nil)
}

// routeWalk is one way through the routes of a server.
type routeWalk struct {
	named map[string]*caddyhttp.Route
	// inside are the names of the routes that are being gone through: one may invoke itself.
	inside map[string]bool
	visit  func(h caddyhttp.MiddlewareHandler, before []caddyhttp.MiddlewareHandler)
	// visited are all handlers until now.
	visited []caddyhttp.MiddlewareHandler
}

// routes goes through routes behind seen, and gives the handlers on the way behind them. Of routes in one group only one is
// taken.
func (w *routeWalk) routes(routes caddyhttp.RouteList, seen []caddyhttp.MiddlewareHandler) []caddyhttp.MiddlewareHandler {
	group, atGroup := "", seen
	for _, route := range routes {
		if route.Group == "" || route.Group != group {
			group, atGroup = route.Group, seen
		}
		on := w.handlers(route.Handlers, slices.Clip(atGroup))
		if !route.Terminal {
			seen = append(slices.Clip(seen), on[len(atGroup):]...)
		}
	}
	return seen
}

// handlers goes through the handlers of a route behind on, and gives those on the way behind them.
func (w *routeWalk) handlers(handlers []caddyhttp.MiddlewareHandler, on []caddyhttp.MiddlewareHandler) []caddyhttp.MiddlewareHandler {
	for _, handler := range handlers {
		w.visit(handler, on)
		w.visited = append(w.visited, handler)
		on = append(on, handler)
		switch h := handler.(type) {
		case *caddyhttp.Subroute:
			on = w.routes(h.Routes, on)
			w.errors(h.Errors, on)
		case *caddyhttp.Invoke:
			if route := w.named[h.Name]; route != nil && !w.inside[h.Name] {
				w.inside[h.Name] = true
				on = w.routes(caddyhttp.RouteList{*route}, on)
				delete(w.inside, h.Name)
			}
		case *reverseproxy.Handler:
			w.responses(h.HandleResponse, on)
		case *intercept.Intercept:
			w.responses(h.HandleResponse, w.visited)
		}
	}
	return on
}

// errors goes through the routes for errors, which any handler until now may have made.
func (w *routeWalk) errors(of *caddyhttp.HTTPErrorConfig, on []caddyhttp.MiddlewareHandler) {
	if of != nil {
		w.routes(of.Routes, append(slices.Clip(on), w.visited...))
	}
}

// responses goes through the routes for responses.
func (w *routeWalk) responses(of []caddyhttp.ResponseHandler, on []caddyhttp.MiddlewareHandler) {
	for _, response := range of {
		w.routes(response.Routes, on)
	}
}
