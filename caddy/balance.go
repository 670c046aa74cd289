package alipaycaddy

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/failover/balance"
)

// LoadBalancing says how calls choose among equal providers, which are joined by `|` in
// the directive's list.
type LoadBalancing struct {
	// How to choose: `least_wait` takes the provider of the conversation and, where that is
	// over-full, the one whose rate window gives a slot first; `weighted` gives each
	// provider a part of the conversations by its weight; `fastest` takes the better of
	// two by their time to first content; `cheapest` takes the one where the call should
	// cost least. Default: `least_wait`
	Policy string `json:"policy,omitempty"`

	// For `weighted`, the weights of the joined providers, from 1, in their order.
	// Required there, and refused elsewhere.
	Weights []int `json:"weights,omitempty"`

	// What stays with one of equal providers, unless that is over-full: each
	// `conversation`, or each `tenant`. Default: `conversation`
	Sticky string `json:"sticky,omitempty"`

	// A header field that names the conversation. Where a call has none, its `user` does, and
	// else its system prompt together with the first message of the user. Default: none.
	ConversationHeader string `json:"conversation_header,omitempty"`
}

// check refuses options that cannot be, for so many joined providers.
func (l *LoadBalancing) check(joined int) error {
	policy, err := balance.ParsePolicy(l.Policy)
	switch {
	case err != nil:
		return err
	case joined == 0:
		return errors.New("lb_policy and lb_sticky choose among equal providers, and there are none; join them as a|b")
	case policy != balance.Weighted && len(l.Weights) > 0:
		return fmt.Errorf("lb_policy %s takes no weights; lb_policy weighted does", policy)
	case policy == balance.Weighted && len(l.Weights) != joined:
		return fmt.Errorf("lb_policy weighted has %d weights for %d joined providers; give one for each, in their order", len(l.Weights), joined)
	case slices.ContainsFunc(l.Weights, func(weight int) bool { return weight < 1 || weight > maxWeight }):
		return fmt.Errorf("lb_policy weighted: weights are numbers from 1 to %d", maxWeight)
	}
	return checkSticky("lb_sticky", l.Sticky, l.ConversationHeader)
}

// maxWeight bounds a provider's weight.
const maxWeight = 1000

// checkSticky refuses what an option cannot keep together.
func checkSticky(option, what, header string) error {
	switch {
	case what != "" && what != "conversation" && what != "tenant":
		return fmt.Errorf("%s %q is unknown; use conversation or tenant", option, what)
	case header != "" && what == "tenant":
		return fmt.Errorf("%s tenant takes no header field", option)
	case header != "" && !httpguts.ValidHeaderFieldName(header):
		return fmt.Errorf("%s: %q is no name of a header field", option, header)
	}
	return nil
}

// unmarshalSticky reads `conversation [<header>]` or `tenant`.
func unmarshalSticky(what, header *string) func(d *caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		given := d.RemainingArgs()
		if len(given) != 1 && len(given) != 2 || slices.Contains(given, "") {
			return errArguments
		}
		if *what = given[0]; len(given) == 2 {
			*header = given[1]
		}
		return nil
	}
}

// groups are the providers as they are listed: those that are joined by | in one group.
func groups(listed []string) (all [][]string, joined int, err error) {
	for _, one := range listed {
		group := strings.Split(one, "|")
		if len(group) > 1 {
			if slices.Contains(group, "") {
				return nil, 0, fmt.Errorf("%q: write equal providers without spaces between them, as a|b", one)
			}
			joined += len(group)
		}
		all = append(all, group)
	}
	return all, joined, nil
}

// names are the providers of the directive, one by one.
func (h *Proxy) names() []string {
	all, _, _ := groups(h.Providers)
	return slices.Concat(all...)
}

// checkBalance refuses a list of providers and options of balancing that cannot be.
func (h *Proxy) checkBalance() error {
	_, joined, err := groups(h.Providers)
	if err == nil && h.LoadBalancing != nil {
		err = h.LoadBalancing.check(joined)
	}
	return err
}

// provisionBalance finds the providers, and says which are equal; nil for none.
func (h *Proxy) provisionBalance(app *App) (providers []*upstream.Provider, b *alipayai.Balance, err error) {
	if err := h.checkBalance(); err != nil {
		return nil, nil, err
	}
	l := h.LoadBalancing
	if l == nil {
		l = new(LoadBalancing)
	}
	b = &alipayai.Balance{
		Policy: balance.Policy(l.Policy), Weights: make(map[string]int),
		ByTenant: l.Sticky == "tenant", Header: http.CanonicalHeaderKey(l.ConversationHeader),
	}
	all, joined, _ := groups(h.Providers)
	weights := l.Weights
	for _, group := range all {
		first := len(providers)
		for _, name := range group {
			p, err := app.provider(name)
			if err != nil {
				return nil, nil, err
			}
			if slices.Contains(providers, p) {
				return nil, nil, fmt.Errorf("provider %s is named twice", name)
			}
			providers = append(providers, p)
			if len(group) > 1 && len(weights) > 0 {
				b.Weights[name], weights = weights[0], weights[1:]
			}
		}
		if len(group) > 1 {
			b.Equals = append(b.Equals, slices.Clone(providers[first:])) // the list may grow
		}
	}
	if joined == 0 {
		return providers, nil, nil
	}
	b.Latencies = acquireFor[balance.Latencies](&h.acquired, "latencies", h.Providers...)
	return providers, b, nil
}

// loadBalancing gives the options, to be read.
func (h *Proxy) loadBalancing() *LoadBalancing {
	if h.LoadBalancing == nil {
		h.LoadBalancing = new(LoadBalancing)
	}
	return h.LoadBalancing
}

// unmarshalPolicy reads `lb_policy <policy> [<weights...>]`.
func (h *Proxy) unmarshalPolicy(d *caddyfile.Dispenser) error {
	l, given := h.loadBalancing(), d.RemainingArgs()
	if len(given) == 0 {
		return errArguments
	}
	l.Policy = given[0]
	for _, value := range given[1:] {
		var weight int
		if err := parseNumber(d, "lb_policy "+l.Policy+": weight", value, &weight); err != nil {
			return err
		}
		l.Weights = append(l.Weights, weight)
	}
	return nil
}

// unmarshalBalanceSticky reads `lb_sticky conversation [<header>]` or `lb_sticky tenant`.
func (h *Proxy) unmarshalBalanceSticky(d *caddyfile.Dispenser) error {
	l := h.loadBalancing()
	return unmarshalSticky(&l.Sticky, &l.ConversationHeader)(d)
}
