package alipaycaddy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/residency"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/caddy/routes"
)

// openLocation says where calls are, and reads where they may be whatever the process does with them.
func openLocation(s *setting, region string, shared sharedStore, of map[string][]string) (*location, error) {
	p := &location{setting: s, region: region, storeRegion: region}
	if region != "" {
		if err := residency.Check(region); err != nil {
			return nil, err
		}
	}
	if !shared.none() && shared.region() != "" {
		p.storeRegion = shared.region()
		if err := residency.Check(p.storeRegion); err != nil {
			return nil, fmt.Errorf("store %s: %w", shared.name, err)
		}
	}
	var err error
	p.residency, err = p.newResidency(of)
	return p, err
}

// newResidency makes the rules of an option, which this process keeps by being in one of their regions itself: it holds what
// calls carry in its memory, in its log and in its evidence.
func (p *location) newResidency(of map[string][]string) (*residency.Rules, error) {
	rules, err := residency.New(of)
	if err != nil {
		return nil, err
	}
	for tenant, regions := range rules.All() {
		switch {
		case p.region == "":
			return nil, fmt.Errorf("residency %s: this process does not say where it is, and calls pass through it; write region <region> in the alipayai global option, as region %s", tenant, regions[0])
		case !regions.Permit(p.region):
			return nil, fmt.Errorf("residency %s: calls pass through this process, which is in region %s; permit %s too, or run the gateway in %s", tenant, p.region, p.region, regions)
		}
		p.warnings.tenant("residency", tenant)
		for _, region := range regions {
			p.warnings.regions[region] = tenant
		}
	}
	return rules, nil
}

// provisionResidency pins the directive's calls: by its own option, and by the one of the process.
func (h *Proxy) provisionResidency(app *App) error {
	own, err := app.newResidency(h.Residency)
	if err != nil {
		return err
	}
	if h.gateway.Residency, err = app.residency.And(own); err != nil {
		return fmt.Errorf("%w: of the alipayai global option and of this directive", err)
	}
	if embedded := app.intents.embedded; embedded != nil {
		if err := h.gateway.CheckRegions(embedded.provider); err != nil {
			return fmt.Errorf("embeddings of intents, which see its calls: %w", err)
		}
	}
	h.gateway.StoreRegion = app.storeRegion
	if regions := app.residency.Of(residency.AnyTenant); regions != nil {
		if err := h.canServe(regions); err != nil {
			return fmt.Errorf("residency *: %w", err)
		}
	}
	for tenant, regions := range own.All() {
		if err := h.canServe(regions); err != nil {
			return fmt.Errorf("residency %s: %w", tenant, err)
		}
	}
	h.residency = own
	app.proxies = append(app.proxies, h)
	app.beforeProxies, err = app.beforeProxies.And(own)
	if err != nil {
		return fmt.Errorf("%w: of this directive and of another, before which calls are looked at", err)
	}
	for tenant, regions := range h.gateway.Residency.All() {
		if keeps := h.CachedAnswer != nil || h.StoreResponses > 0; keeps && !regions.Permit(h.gateway.StoreRegion) {
			app.logger.Warn("the store is in another region than a residency permits: no answers of the tenant's calls are kept there",
				zap.String("tenant", tenant), zap.String("store_region", h.gateway.StoreRegion), zap.String("permitted", regions.String()))
		}
	}
	return nil
}

// anyWithin reports whether one of the providers may see what has to be in those regions.
func anyWithin(providers []*upstream.Provider, regions residency.Regions) bool {
	for _, p := range providers {
		if p.Within(regions) {
			return true
		}
	}
	return false
}

// regionsOf says where providers are, for an error.
func regionsOf(providers []*upstream.Provider) string {
	of := make([]string, len(providers))
	for i, p := range providers {
		of[i] = regionOf(p)
	}
	return strings.Join(of, ", ")
}

func regionOf(p *upstream.Provider) string {
	regions := strings.Join(p.Regions(), " and ")
	if regions == "" {
		return p.Name + " declares no region"
	}
	return p.Name + " is in " + regions
}

// checkResidency refuses a residency that cannot be kept, once it is known what the configuration uses.
func (a *App) checkResidency() error {
	if err := a.checkBefore(); err != nil {
		return err
	}
	for tenant, regions := range a.residency.All() {
		if err := a.canServe(tenant, regions); err != nil {
			return fmt.Errorf("residency %s: %w", tenant, err)
		}
	}
	embedded := a.intents.embedded
	if embedded == nil {
		return nil
	}
	if regions := a.beforeProxies.Of(residency.AnyTenant); !embedded.provider.Within(regions) {
		return fmt.Errorf("residency: intents are recognised by embeddings of provider %s before it is known which directive a call goes to, and its text may only be in %s (%s); name a provider there, or none",
			embedded.provider.Name, regions, regionOf(embedded.provider))
	}
	return nil
}

// canServe reports whether a directive can serve a tenant that is pinned to those regions; for all tenants each has to.
func (a *App) canServe(tenant string, regions residency.Regions) error {
	served := len(a.proxies) == 0
	var why error
	for _, h := range a.proxies {
		err := h.canServe(regions)
		if err != nil && tenant == residency.AnyTenant {
			return err
		}
		why, served = cmp.Or(err, why), served || err == nil
	}
	if !served {
		return why
	}
	return nil
}

// canServe says why the directive cannot serve a tenant that is pinned to those regions.
func (h *Proxy) canServe(regions residency.Regions) error {
	directive := "alipayai_proxy " + strings.Join(h.Providers, " ")
	if !anyWithin(h.gateway.Providers, regions) {
		return fmt.Errorf("no provider of %s is in %s (%s); name one that is, or declare its region", directive, regions, regionsOf(h.gateway.Providers))
	}
	for _, m := range h.moderators {
		if p := m.moderator.model; p != nil && !p.Within(regions) {
			return fmt.Errorf("moderator %s, which sees the calls of %s, has a model that is not in %s (%s); give it one there, or put another moderator before the directive",
				m.Moderator, directive, regions, regionOf(p))
		}
	}
	return nil
}

// checkBefore finds the moderators before each directive: they see its calls first.
func (a *App) checkBefore() error {
	configured, err := a.ctx.AppIfConfigured("http")
	served, ok := configured.(*caddyhttp.App)
	if err != nil || !ok {
		return nil //nolint:nilerr // there is none
	}
	behind := make(map[*Moderate]*residency.Rules)
	for _, server := range served.Servers {
		routes.Visit(server, func(h caddyhttp.MiddlewareHandler, before []caddyhttp.MiddlewareHandler) {
			proxy, ok := h.(*Proxy)
			if !ok {
				return
			}
			for _, handler := range before {
				if m, ok := handler.(*Moderate); ok {
					if !slices.Contains(proxy.moderators, m) {
						proxy.moderators = append(proxy.moderators, m)
					}
					// Those of all handlers are known not to contradict each other.
					behind[m], _ = behind[m].And(proxy.gateway.Residency)
				}
			}
		})
	}
	for _, h := range a.proxies {
		if err := h.checkModerators(); err != nil {
			return fmt.Errorf("alipayai_proxy %s: %w", strings.Join(h.Providers, " "), err)
		}
	}
	for m, rules := range behind {
		m.residency.Store(&pinned{rules})
	}
	return nil
}

// pinned are the rules of what is behind a handler.
type pinned struct{ *residency.Rules }

// checkModerators refuses models of moderators before the directive that must not see its calls.
func (h *Proxy) checkModerators() error {
	for _, m := range h.moderators {
		if m.moderator.model == nil {
			continue
		}
		if err := h.gateway.CheckRegions(m.moderator.model); err != nil {
			return fmt.Errorf("moderator %s, which sees its calls: %w", m.Moderator, err)
		}
	}
	for tenant, regions := range h.residency.All() {
		if err := h.canServe(regions); err != nil {
			return fmt.Errorf("residency %s: %w", tenant, err)
		}
	}
	return nil
}

// regionsBefore gives where the text of a tenant's call may be before it is known which directive serves it: where each
// of those may have it that might.
func (r *served) regionsBefore(tenant string) residency.Regions {
	return regionsAhead(r.beforeProxies, tenant)
}

// regionsAhead gives the regions of a tenant to what may come before its authentication, as a matcher may: an anonymous
// one could then be any.
func regionsAhead(rules *residency.Rules, tenant string) residency.Regions {
	if tenant == alipayai.AnonymousTenant {
		return rules.OfUnknown()
	}
	return rules.Of(tenant)
}

// unmarshalResidency reads `residency <tenant>|* <regions...>`.
func unmarshalResidency(to *map[string][]string) func(d *caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		given := d.RemainingArgs()
		if len(given) < 2 || given[0] == "" {
			return errArguments
		}
		if _, ok := (*to)[given[0]]; ok {
			return d.Errf("residency %s is given twice", given[0])
		}
		for _, region := range given[1:] {
			if err := residency.Check(region); err != nil {
				return d.Errf("residency %s: %v", given[0], err)
			}
		}
		if *to == nil {
			*to = make(map[string][]string)
		}
		(*to)[given[0]] = given[1:]
		return nil
	}
}

// knownRegions are those that something of the configuration is in.
func (a *App) knownRegions() []string {
	known := []string{a.region, a.storeRegion}
	for _, p := range a.providers {
		known = append(known, p.Regions()...)
	}
	slices.Sort(known)
	return slices.DeleteFunc(slices.Compact(known), func(region string) bool { return region == "" })
}
