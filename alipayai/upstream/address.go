package upstream

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/residency"
)

// Address is a place at which a provider is reached: one account, one rate cap, the same models and paths, whichever
// address it is.
type Address struct {
	// URL is what paths are appended to.
	URL *url.URL
	// Region is where what is sent there stays; the provider's when empty.
	Region string

	targets map[Endpoint]target
}

// prepareAddresses checks them and works out what every request needs.
func (p *Provider) prepareAddresses() error {
	p.addresses = append([]*Address{{URL: p.BaseURL, Region: p.Region}}, p.Addresses...)
	for i, a := range p.addresses {
		if err := checkBase(a.URL); err != nil {
			return err
		}
		if slices.ContainsFunc(p.addresses[:i], func(other *Address) bool { return canonicalHost(other.URL) == canonicalHost(a.URL) }) {
			return fmt.Errorf("base_url: %s is given twice", a.URL.Host)
		}
		if a.Region == "" {
			a.Region = p.Region
		}
		if hasControl(a.Region) {
			return errors.New("region has a line break or another control character in it")
		}
		var err error
		if a.targets, err = p.targetsAt(a.URL); err != nil {
			return err
		}
	}
	p.targets = p.addresses[0].targets
	if len(p.addresses) > 1 && p.Routes == nil {
		p.Routes = new(Routes)
	}
	return nil
}

// Asked is what answers at the endpoint for a model: the provider's name, its addresses, and what the model is called there. It
// holds no secret.
func (p *Provider) Asked(endpoint Endpoint, model string) []string {
	asked := []string{p.Name, p.UpstreamModel(model)}
	for _, a := range p.addresses {
		if t, ok := a.targets[endpoint]; ok {
			asked = append(asked, t.url.Scheme+"://"+t.url.Host+t.requestTarget)
		}
	}
	return asked
}

// Regions are those of the provider's addresses, sorted; that of one which does not say so is empty.
func (p *Provider) Regions() []string {
	regions := []string{p.Region}
	for _, a := range p.addresses {
		regions = append(regions, a.Region)
	}
	slices.Sort(regions)
	return slices.Compact(regions)
}

// Within reports whether the provider can be asked in one of those regions.
func (p *Provider) Within(regions residency.Regions) bool {
	return regions == nil || slices.ContainsFunc(p.addresses, func(a *Address) bool { return regions.Permit(a.Region) })
}

// HasHost reports whether one of the provider's addresses is of that scheme and host, where same compares hosts.
func (p *Provider) HasHost(same func(u *url.URL) bool) bool {
	return slices.ContainsFunc(p.addresses, func(a *Address) bool { return same(a.URL) })
}

// permits reports whether both what is said of the tenant and what r says permit an address.
func (p *Provider) permits(r *Request, a *Address) bool {
	return r.Regions.Permit(a.Region) && p.Residency.Of(r.Tenant).Permit(a.Region)
}

// outside gives the failure of a request that no address may see; nil where one may. Whoever composes requests, and
// whatever has been checked before, this is the one way out. A list of models is asked for without any text of a tenant's.
func (x *Exchange) outside(r *Request) *failure.Failure {
	p := x.provider
	if r.carriesNothing() || r.Regions == nil && p.Residency.Of(r.Tenant) == nil {
		return nil
	}
	if r.Client != nil {
		if a := p.addressOf(r.Client.URL); a != nil && p.permits(r, a) {
			return nil
		}
	} else if slices.ContainsFunc(p.addresses, func(a *Address) bool { return p.permits(r, a) }) {
		return nil
	}
	f := failure.Unavailable(failure.CodeResidencyUnavailable, "provider "+p.Name+" is in no region where your data may be")
	r.Caller.Rejected(p, f.Code)
	return f
}

// carriesNothing reports whether there is no text of a tenant's in the request.
func (r *Request) carriesNothing() bool { return r.Client == nil && r.Endpoint == EndpointModels }

// CanonicalHost gives the host of a URL with its port, which may be the scheme's own, in lower case.
func CanonicalHost(host string, tls bool) string {
	if _, _, err := net.SplitHostPort(host); err != nil {
		port := "80"
		if tls {
			port = "443"
		}
		host = net.JoinHostPort(strings.Trim(host, "[]"), port)
	}
	return strings.ToLower(host)
}

func canonicalHost(u *url.URL) string { return CanonicalHost(u.Host, u.Scheme == "https") }

// addressOf gives the address of that host; nil where it is none. Who has composed a request may write the port.
func (p *Provider) addressOf(u *url.URL) *Address {
	host := canonicalHost(u)
	i := slices.IndexFunc(p.addresses, func(a *Address) bool { return canonicalHost(a.URL) == host })
	if i < 0 {
		return nil
	}
	return p.addresses[i]
}

// choose gives the address that the request goes to: of those that may see it, the fastest that has not failed.
func (x *Exchange) choose(r *Request) *Address {
	p := x.provider
	switch {
	case r.Address != nil:
		return r.Address
	case r.Client != nil:
		if a := p.addressOf(r.Client.URL); a != nil {
			return a
		}
		return p.addresses[0]
	case len(p.addresses) == 1:
		return p.addresses[0]
	}
	var permitted []*Address
	for _, a := range p.addresses {
		if r.carriesNothing() || p.permits(r, a) {
			permitted = append(permitted, a)
		}
	}
	return p.Routes.choose(permitted, x.at)
}

// HasOther reports whether there is an address besides the one that has failed last, in one of those regions, which is
// not known to fail.
func (p *Provider) HasOther(tenant string, regions residency.Regions) bool {
	if len(p.addresses) == 1 {
		return false
	}
	r := Request{Tenant: tenant, Regions: regions}
	return slices.ContainsFunc(p.addresses, func(a *Address) bool { return p.permits(&r, a) && p.Routes.up(a) })
}
