// Package routes goes through the routes of a server as its requests do.
package routes

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// Visit visits each handler of a server, wherever it stands: in routes, in those that invoke names, in those for
// errors and for the responses of others. before are the handlers that a request may have been through on its way there.
// One that is named by several is visited once for each. What modules of others have inside is not seen.
func Visit(server *caddyhttp.Server, visit func(h caddyhttp.MiddlewareHandler, before []caddyhttp.MiddlewareHandler)) {
	w := &routeWalk{named: server.NamedRoutes, inside: make(map[string]bool), visit: visit}
	all := w.within(server.Routes, nil)
	changing := func(p passed) bool { return changesHost(p.handler) }
	w.oneHost = !slices.ContainsFunc(all, changing) &&
		(server.Errors == nil || !slices.ContainsFunc(w.within(server.Errors.Routes, nil), changing))
	w.routes(server.Routes, nil, nil, nil)
	if server.Errors != nil { // which any handler may have made
		w.routes(server.Errors.Routes, all, nil, nil)
	}
}

// passed is a handler that a request may have been through, and the hosts of such requests; nil for any.
type passed struct {
	handler caddyhttp.MiddlewareHandler
	hosts   []string
}

// routeWalk is one way through the routes of a server.
type routeWalk struct {
	named map[string]*caddyhttp.Route
	// inside are the names of the routes that are being gone through: one may invoke itself.
	inside map[string]bool
	visit  func(h caddyhttp.MiddlewareHandler, before []caddyhttp.MiddlewareHandler)
	// oneHost says that a request keeps its host, so that what another host's have been through is not on its way.
	oneHost bool
}

// routes goes through routes for requests to hosts that have been through seen, and gives the handlers on the way behind
// them. behind are those that come after the routes. Of routes in one group only one is taken.
func (w *routeWalk) routes(routes caddyhttp.RouteList, seen, behind []passed, hosts []string) []passed {
	group, atGroup := "", seen
	for i, route := range routes {
		if route.Group == "" || route.Group != group {
			group, atGroup = route.Group, seen
		}
		var after []passed
		if !route.Terminal {
			for _, next := range routes[i+1:] {
				if next.Group == "" || next.Group != group {
					after = append(after, w.within(caddyhttp.RouteList{next}, hosts)...)
				}
			}
			after = append(after, behind...)
		}
		own := hostsOf(route, hosts)
		way := w.meeting(atGroup, own)
		on := w.handlers(route.Handlers, way, after, own)
		if !route.Terminal {
			seen = append(slices.Clip(seen), on[len(way):]...)
		}
	}
	return seen
}

// handlers goes through the handlers of a route on the way on, and gives those on the way behind them. behind are those
// that come after the route.
func (w *routeWalk) handlers(handlers []caddyhttp.MiddlewareHandler, on, behind []passed, hosts []string) []passed {
	for i, handler := range handlers {
		before := make([]caddyhttp.MiddlewareHandler, len(on))
		for j, p := range on {
			before[j] = p.handler
		}
		w.visit(handler, before)
		on = append(slices.Clip(on), passed{handler, hosts})
		after := append(w.through(handlers[i+1:], hosts), behind...)
		switch h := handler.(type) {
		case *caddyhttp.Subroute:
			on = w.routes(h.Routes, on, after, hosts)
			if h.Errors != nil { // of its own routes, and of what is behind it
				on = append(append(slices.Clip(on), w.within(h.Routes, hosts)...), after...)
				on = w.routes(h.Errors.Routes, on, after, hosts)
			}
		case *caddyhttp.Invoke:
			w.invoke(h, func(routes caddyhttp.RouteList) { on = w.routes(routes, on, after, hosts) })
		case *reverseproxy.Handler:
			for _, response := range h.HandleResponse {
				on = w.routes(response.Routes, on, after, hosts)
			}
		case *intercept.Intercept: // whose response is that of what is behind it
			answered := append(slices.Clip(on), after...)
			for _, response := range h.HandleResponse {
				w.routes(response.Routes, answered, nil, hosts)
			}
		}
	}
	return on
}

// invoke gives the route that h invokes, unless that is being gone through.
func (w *routeWalk) invoke(h *caddyhttp.Invoke, do func(caddyhttp.RouteList)) {
	if route := w.named[h.Name]; route != nil && !w.inside[h.Name] {
		w.inside[h.Name] = true
		do(caddyhttp.RouteList{*route})
		delete(w.inside, h.Name)
	}
}

// within gives all handlers of routes for requests to hosts, however deep they stand.
func (w *routeWalk) within(routes caddyhttp.RouteList, hosts []string) (all []passed) {
	for _, route := range routes {
		all = append(all, w.through(route.Handlers, hostsOf(route, hosts))...)
	}
	return all
}

// through gives handlers, and all that stand in them.
func (w *routeWalk) through(handlers []caddyhttp.MiddlewareHandler, hosts []string) (all []passed) {
	add := func(routes caddyhttp.RouteList) { all = append(all, w.within(routes, hosts)...) }
	for _, handler := range handlers {
		all = append(all, passed{handler, hosts})
		var responses []caddyhttp.ResponseHandler
		switch h := handler.(type) {
		case *caddyhttp.Subroute:
			add(h.Routes)
			if h.Errors != nil {
				add(h.Errors.Routes)
			}
		case *caddyhttp.Invoke:
			w.invoke(h, add)
		case *reverseproxy.Handler:
			responses = h.HandleResponse
		case *intercept.Intercept:
			responses = h.HandleResponse
		}
		for _, response := range responses {
			add(response.Routes)
		}
	}
	return all
}

// meeting gives those that a request to one of the hosts may have been through.
func (w *routeWalk) meeting(all []passed, hosts []string) []passed {
	if !w.oneHost {
		return slices.Clip(all)
	}
	return slices.DeleteFunc(slices.Clone(all), func(p passed) bool { return !meet(p.hosts, hosts) })
}

// hostsOf gives the hosts whose requests a route takes; those of the routes around it where it has none of its own.
func hostsOf(route caddyhttp.Route, around []string) (hosts []string) {
	for _, set := range route.MatcherSets {
		i := slices.IndexFunc(set, func(m any) bool { _, ok := m.(*caddyhttp.MatchHost); return ok })
		if i < 0 {
			return around
		}
		hosts = append(hosts, *set[i].(*caddyhttp.MatchHost)...)
	}
	if hosts == nil {
		return around
	}
	return hosts
}

// meet reports whether a request's host may be among both; nil for any.
func meet(a, b []string) bool {
	return a == nil || b == nil || slices.ContainsFunc(a, func(one string) bool {
		return slices.ContainsFunc(b, func(other string) bool { return meetHost(one, other) })
	})
}

// meetHost reports whether a host may match both patterns, as Caddy's matcher does: by labels, of which * is any, and with
// placeholders, which are not known.
func meetHost(a, b string) bool {
	if strings.Contains(a+b, "{") {
		return true
	}
	labels, others := strings.Split(a, "."), strings.Split(b, ".")
	return slices.EqualFunc(labels, others, func(l, o string) bool { return l == "*" || o == "*" || strings.EqualFold(l, o) })
}

// changesHost reports whether a handler may change a request's host.
func changesHost(handler caddyhttp.MiddlewareHandler) bool {
	h, ok := handler.(*headers.Handler)
	if !ok || h.Request == nil {
		return false
	}
	host := func(name string) bool {
		return http.CanonicalHeaderKey(name) == "Host" || strings.ContainsAny(name, "*{")
	}
	ops := h.Request
	return slices.ContainsFunc(slices.Collect(maps.Keys(ops.Add)), host) || slices.ContainsFunc(slices.Collect(maps.Keys(ops.Set)), host) ||
		slices.ContainsFunc(slices.Collect(maps.Keys(ops.Replace)), host) || slices.ContainsFunc(ops.Delete, host)
}
