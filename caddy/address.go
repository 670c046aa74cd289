package alipaycaddy

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// Address is a further address of a provider.
type Address struct {
	// The address, as `base_url` is, or a placeholder. Required.
	BaseURL string `json:"base_url,omitempty" placeholder:"whole"`

	// Where data that is sent there stays. Default: the provider's `region`.
	Region string `json:"region,omitempty"`
}

// parseBase reads an address of a provider.
func parseBase(profile upstream.Profile, base string) (*url.URL, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, errors.New("base_url is not a URL; write it like https://api.example.com")
	}
	if profile.Simulated && !upstream.IsLoopback(u.Hostname()) {
		return nil, fmt.Errorf("base_url: profile %s has public demo keys and is for loopback hosts only, not %s", profile.Name, u.Hostname())
	}
	return u, nil
}

// addresses resolves the further ones, of what is described as to.
func (p *Provider) addresses(to *upstream.Provider, resolver secrets) error {
	for _, a := range p.Addresses {
		base, err := resolver.public("base_url", a.BaseURL)
		if err != nil {
			return err
		}
		u, err := parseBase(to.Profile, base)
		if err != nil {
			return err
		}
		to.Addresses = append(to.Addresses, &upstream.Address{URL: u, Region: a.Region})
	}
	return nil
}

// openRoutes acquires what is known of the addresses, which survives reloads, and measures them.
func (u *upstreams) openRoutes(p *upstream.Provider) {
	if len(p.Addresses) == 0 {
		return
	}
	identity := []string{p.BaseURL.String()}
	for _, address := range p.Addresses {
		identity = append(identity, address.URL.String())
	}
	p.Routes = acquireFor[upstream.Routes](&u.acquired, "routes", identity...)
	u.jobs.add("probes of provider "+p.Name, p.Probes)
}

// checkHosts refuses one app at one host under two rate caps: the cap of a provider is for all of its addresses, and is
// known by the first. Where one of two providers of an app has none, what that sends would not count.
func checkHosts(providers map[string]*upstream.Provider) error {
	type app struct{ host, client string }
	first := make(map[app]*upstream.Provider)
	for _, name := range slices.Sorted(maps.Keys(providers)) {
		p := providers[name]
		if p.ClientID == "" {
			continue
		}
		hosts := []string{hostOf(p.BaseURL)}
		for _, address := range p.Addresses {
			hosts = append(hosts, hostOf(address.URL))
		}
		for _, host := range hosts {
			other := first[app{host, p.ClientID}]
			if other != nil && hostOf(other.BaseURL) != hosts[0] {
				return fmt.Errorf("providers %s and %s are one app at %s, which has one rate limit: write the same base_url first in both", other.Name, name, host)
			}
			if other != nil && (other.Cap == nil) != (p.Cap == nil) {
				capped, without := other, p
				if other.Cap == nil {
					capped, without = p, other
				}
				return fmt.Errorf("providers %s and %s are one app at %s, which has one rate limit, and what %s sends would not count: write limit %d %v in both, or limit off",
					other.Name, name, host, without.Name, capped.Cap.Limit.Requests, capped.Cap.Limit.Per)
			}
			first[app{host, p.ClientID}] = p
		}
	}
	return nil
}

func hostOf(u *url.URL) string { return upstream.CanonicalHost(u.Host, u.Scheme == "https") }

// unmarshalBaseURL reads `base_url <url> [<region>] [<url> [<region>]...]`: what has "://" in it, or is a placeholder, is
// an address.
func (p *Provider) unmarshalBaseURL(d *caddyfile.Dispenser) error {
	given := d.RemainingArgs()
	if len(given) == 0 {
		return errArguments
	}
	for i, value := range given {
		switch {
		case value == "":
			return errArguments
		case i == 0 || strings.Contains(value, "://") || strings.HasPrefix(value, "{"):
			if p.BaseURL == "" {
				p.BaseURL = value
			} else {
				p.Addresses = append(p.Addresses, Address{BaseURL: value})
			}
		case len(p.Addresses) > 0 && p.Addresses[len(p.Addresses)-1].Region == "":
			p.Addresses[len(p.Addresses)-1].Region = value
		case len(p.Addresses) == 0 && p.Region == "":
			p.Region = value
		default:
			return d.Errf("base_url: region %s is one too many; write base_url <url> [<region>]", value)
		}
	}
	return nil
}

// unmarshalRegion reads `region <region>`: that of the first address, and of those that name none.
func (p *Provider) unmarshalRegion(d *caddyfile.Dispenser) error {
	if p.Region != "" {
		return d.Err("region is given twice, here and behind base_url")
	}
	return text(&p.Region)(d)
}
