package alipaycaddy

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/caddy/routes"
)

// warnings collects what a configuration says that works, and most likely is not
// what was meant. Each is logged when the configuration is loaded.
type warnings struct {
	logger *zap.Logger
	// keys are the tables of tenants that authenticate here, and named are the
	// tenants that options of directives name, each with its option.
	keys  []func() []string
	named map[string]string
	// regions are those that residencies name, each with a tenant of them.
	regions map[string]string
}

// provider warns of a base URL that is most likely wrong, and of a weak layout.
func (w *warnings) provider(p *upstream.Provider) {
	w.unencrypted(p, "base_url", "keys and prompts", p.BaseURL)
	w.signature(p)
	w.path(p, p.BaseURL)
	for _, address := range p.Addresses {
		w.path(p, address.URL)
	}
}

// path warns of a base URL that has a part of the paths in it, as one that is copied from a call has, or lacks what the vendor's
// own one ends in.
func (w *warnings) path(p *upstream.Provider, base *url.URL) {
	chat := cmp.Or(p.Paths[upstream.EndpointChat], p.Profile.Paths[upstream.EndpointChat])
	if both := sharedSegments(base.Path, chat); both != "" {
		w.logger.Warn("base_url ends in "+both+", and so begins the profile's path: leave "+both+" out of base_url, or set path",
			zap.String("provider", p.Name), zap.String("profile", p.Profile.Name), zap.String("requests_go_to", base.JoinPath(chat).Path))
		return
	}
	own, err := url.Parse(p.Profile.BaseURL)
	if err == nil && base.Host == own.Host && strings.Trim(base.Path, "/") == "" && own.Path != "" && p.Paths[upstream.EndpointChat] == "" {
		w.logger.Warn("base_url lacks "+own.Path+", in which the vendor's own one ends",
			zap.String("provider", p.Name), zap.String("profile", p.Profile.Name), zap.String("base_url_of_the_vendor", p.Profile.BaseURL))
	}
}

// sharedSegments gives what a base path ends in and a path begins with, by whole segments.
func sharedSegments(base, path string) string {
	split := func(path string) []string {
		return strings.FieldsFunc(path, func(c rune) bool { return c == '/' })
	}
	end, begin := split(base), split(path)
	for n := min(len(end), len(begin)); n > 0; n-- {
		if slices.Equal(end[len(end)-n:], begin[:n]) {
			return "/" + strings.Join(begin[:n], "/")
		}
	}
	return ""
}

// leastPerMillion is less than any vendor asks for a million tokens, in any currency: half a US cent buys a million of the cheapest.
const leastPerMillion = "0.001"

// prices warns of own prices that are most likely those of one token, as LiteLLM's file has them: budgets would bound nothing.
func (w *warnings) prices(priced map[string]*alipayai.Priced) {
	least, _ := price.ParsePerMillion(leastPerMillion)
	for _, name := range slices.Sorted(maps.Keys(priced)) {
		models := maps.Clone(priced[name].ByModel)
		if each := priced[name].Any; each != nil {
			models[anyModel] = each
		}
		for _, model := range slices.Sorted(maps.Keys(models)) {
			if p := models[model]; p.Input > 0 && p.Input < least || p.Output > 0 && p.Output < least {
				w.logger.Warn("a price is less than "+leastPerMillion+" for a million tokens: write what a million costs, and not what one does",
					zap.String("provider", name), zap.String("model", model))
			}
		}
	}
}

// unencrypted warns of an address of a production provider that others can read along.
func (w *warnings) unencrypted(p *upstream.Provider, option, what string, u *url.URL) {
	if u.Scheme == "http" && p.Environment == upstream.Production && !upstream.IsLoopback(u.Hostname()) {
		w.logger.Warn(option+" of a production provider is plain http: "+what+" cross the network unencrypted; use https",
			zap.String("provider", p.Name), zap.String("host", u.Host))
	}
}

// deadline warns of providers that may take longer than the calls of their
// directive: then the deadline ends the call, and no other provider has a turn.
func (w *warnings) deadline(site string, providers []*upstream.Provider, deadline time.Duration) {
	for _, p := range providers {
		if p.Timeout > deadline {
			w.logger.Warn("timeout of a provider is longer than the directive's deadline: when it is slow, no other provider is asked",
				zap.String("providers", site), zap.String("provider", p.Name), zap.Duration("timeout", p.Timeout), zap.Duration("deadline", deadline))
		}
	}
}

// tenant notes that an option of a directive names a tenant.
func (w *warnings) tenant(option, name string) {
	if name != anyTenant {
		w.named[name] = option
	}
}

// tenants warns of named tenants that have no key, where there are keys.
// Another authenticator may know them.
func (w *warnings) tenants() {
	if len(w.keys) == 0 {
		return
	}
	known := make(map[string]bool)
	for _, tenants := range w.keys {
		for _, tenant := range tenants() {
			known[tenant] = true
		}
	}
	for _, tenant := range slices.Sorted(maps.Keys(w.named)) {
		if !known[tenant] {
			w.logger.Warn("an option names a tenant that no key of alipayai_auth has",
				zap.String("option", w.named[tenant]), zap.String("tenant", tenant))
		}
	}
}

// unknownRegions warns of regions in residencies that nothing is in.
func (w *warnings) unknownRegions(known []string) {
	for _, region := range slices.Sorted(maps.Keys(w.regions)) {
		if !slices.Contains(known, region) {
			w.logger.Warn("a residency names a region that nothing of the configuration is in: no provider, not the store, and not this process",
				zap.String("tenant", w.regions[region]), zap.String("region", region), zap.Strings("known", known))
		}
	}
}

// unauthenticated warns of handlers of a server that serve tenants alone, and have nothing before them that authenticates one.
func (w *warnings) unauthenticated(server *caddyhttp.Server) {
	warned := make(map[caddyhttp.MiddlewareHandler]bool) // of those two kinds alone: others need not be comparable
	routes.Visit(server, func(h caddyhttp.MiddlewareHandler, before []caddyhttp.MiddlewareHandler) {
		if slices.ContainsFunc(before, authenticates) {
			return
		}
		switch h := h.(type) {
		case *OAuth:
			if warned[h] {
				return
			}
			warned[h] = true
			w.logger.Warn("nothing before alipayai_oauth authenticates tenants: /links and /users answer 401 to all; write alipayai_auth, or another authenticator, before it",
				zap.String("provider", h.Provider))
		case *Proxy:
			if warned[h] {
				return
			}
			warned[h] = true
			if tenants := h.namedTenants(); len(tenants) > 0 {
				w.logger.Warn("options name tenants, and nothing before alipayai_proxy authenticates any, so that all calls are those of the tenant anonymous: write alipayai_auth, or another authenticator, before it",
					zap.Strings("providers", h.Providers), zap.Strings("tenants", tenants))
			}
			for _, p := range h.gateway.Providers {
				if p.Users != nil {
					w.logger.Warn("a provider has user_token, and nothing before alipayai_proxy authenticates tenants, whose users give their consent: write alipayai_auth, or another authenticator, before it",
						zap.String("provider", p.Name))
				}
			}
		}
	})
}

// unreached warns of handlers that authenticate, moderate or serve, and stand behind an alipayai_proxy that has answered all requests
// by then, as the order of a route may have it, or a second alipayai_proxy that is meant as the first one's fallback.
func (w *warnings) unreached(server *caddyhttp.Server) {
	for _, route := range server.NamedRoutes {
		w.behindProxies(caddyhttp.RouteList{*route}, false)
	}
	w.behindProxies(server.Routes, false)
}

// behindProxies goes through routes in their order, and reports whether a proxy has answered each request behind them; answered says
// that one has before. Of the routes of a group, as those of handle are, a request takes the first that matches.
func (w *warnings) behindProxies(routes caddyhttp.RouteList, answered bool) bool {
	open := make(map[string]bool) // the groups in which a request may be taken by a route that does not answer it
	for _, route := range routes {
		here := answered
		for _, handler := range route.Handlers {
			switch h := handler.(type) {
			case *Proxy:
				if here {
					w.logger.Warn("an alipayai_proxy stands behind another one, which answers all requests before it: name its providers in that one, behind its own, to be asked when those have no answer",
						zap.Strings("providers", h.Providers))
				}
				here = true
			case *Auth, *Moderate, *OAuth, *caddyauth.Authentication:
				if here {
					w.logger.Warn("a handler stands behind alipayai_proxy, which answers all requests before it: write it in front, or outside of route",
						zap.String("handler", string(h.(caddy.Module).CaddyModule().ID)))
				}
			case *caddyhttp.Subroute:
				here = w.behindProxies(h.Routes, here)
			}
		}
		if route.Group != "" && !here {
			open[route.Group] = true
		}
		answered = answered || here && len(route.MatcherSets) == 0 && !open[route.Group]
	}
	return answered
}

// namedTenants are those that options of the handler name, or the residency of all.
func (h *Proxy) namedTenants() []string {
	named := slices.Concat(slices.Collect(maps.Keys(h.Limits)), slices.Collect(maps.Keys(h.Weights)), slices.Collect(maps.Keys(h.Priorities)),
		slices.Collect(maps.Keys(h.Residency)), slices.Collect(maps.Keys(h.app.Residency)))
	for _, b := range h.Budgets {
		named = append(named, b.Tenant)
	}
	if h.Shadow != nil {
		named = append(named, h.Shadow.OptOut...)
	}
	slices.Sort(named)
	return slices.DeleteFunc(slices.Compact(named), func(tenant string) bool { return tenant == anyTenant || tenant == alipayai.AnonymousTenant })
}

// authenticates reports whether a handler says who a request's tenant is.
func authenticates(h caddyhttp.MiddlewareHandler) bool {
	switch h.(type) {
	case *Auth, *caddyauth.Authentication:
		return true
	}
	return false
}

// signature warns of a layout under which requests that differ have one signature.
func (w *warnings) signature(p *upstream.Provider) {
	if p.Scheme == nil {
		return
	}
	for _, warning := range p.Scheme.Traits().Warnings {
		w.logger.Warn("signature: "+warning, zap.String("provider", p.Name))
	}
}
