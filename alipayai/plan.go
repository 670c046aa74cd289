package alipayai

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/residency"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/failover/balance"
	"github.com/caddy-alipayai/gateway/failover/canary"
)

// Class is what repeating a call may cost.
type Class string

// The classes.
const (
	// ClassInference only generates text: a retry costs tokens.
	ClassInference Class = "inference"
	// ClassMoney acts, and may move money: it is repeated only if it provably
	// never left, and has one provider and no cached answers.
	ClassMoney Class = "money"
)

// class is that of the call. Tools that the provider runs may act, and a proof of
// payment is good for one call at one provider.
func (c *call) class() Class {
	if c.Request.HostedTools || len(c.Header["Payment-Proof"]) > 0 {
		return ClassMoney
	}
	return c.g.Class
}

// plan gives the providers that may serve the call, in order of preference.
func (c *call) plan() ([]*upstream.Provider, *failure.Failure) {
	providers := c.route.room[:0]
	for _, p := range c.g.Providers {
		switch {
		case !p.Serves(c.Endpoint, c.Request.Model):
		case !p.Within(c.tenancy.regions):
			c.route.keptOut = true
		default:
			providers = append(providers, p)
		}
	}
	if len(providers) == 0 && c.route.keptOut {
		return nil, OutsideResidency(c.tenancy.regions)
	}
	if len(providers) == 0 && (c.Request.Model == "" || !slices.ContainsFunc(c.g.Providers, func(p *upstream.Provider) bool { return p.Has(c.Endpoint) })) {
		return nil, noEndpoint(c.Endpoint)
	}
	if len(providers) == 0 {
		f := failure.InvalidRequest(http.StatusNotFound, failure.CodeModelNotFound, "no provider of this gateway serves the model asked for; GET /v1/models lists those served")
		f.Param = "model"
		return nil, f
	}
	providers, c.trial = c.g.Canary.plan(&c.Call, c.tenancy.regions, providers)
	if c.trial != nil {
		c.outcome.Canary = c.trial.arm.String()
	}
	return providers, nil
}

// noEndpoint makes the failure of a call for what no provider of a gateway has, whatever the model.
func noEndpoint(endpoint upstream.Endpoint) *failure.Failure {
	message := "no provider of this gateway serves " + string(endpoint)
	if endpoint == upstream.EndpointModerations {
		message += ", and no moderator answers here: this path needs alipayai_moderate, or a provider with path moderations"
	}
	return failure.InvalidRequest(http.StatusNotFound, failure.CodeUnknownURL, message)
}

// OutsideResidency makes the failure of a call that nothing in its tenant's regions can serve.
func OutsideResidency(regions residency.Regions) *failure.Failure {
	f := failure.Unavailable(failure.CodeResidencyUnavailable, "nothing that could serve this call is in a region where your data may be: "+regions.String())
	f.Class = failure.Blocked // no other provider may be asked either
	return f
}

// Balance says which of the gateway's providers are equal, and how calls choose among them.
// Its fields do not change after Prepare. The methods of a nil Balance do nothing.
type Balance struct {
	// Equals are groups of the gateway's providers, each as they follow one another there.
	Equals [][]*upstream.Provider
	// Policy chooses; balance.LeastWait when empty.
	Policy balance.Policy
	// Weights are those of providers by name, for balance.Weighted; 1 for others.
	Weights map[string]int
	// ByTenant keeps all conversations of a tenant together. Header is a field, in canonical
	// form, that names the conversation; empty for none.
	ByTenant bool
	Header   string
	// Latencies outlive configurations; new ones when nil.
	Latencies *balance.Latencies
}

// check refuses providers that are not equal.
func (b *Balance) check(g *Gateway) (err error) {
	if b == nil {
		return nil
	}
	if b.Policy, err = balance.ParsePolicy(string(b.Policy)); err != nil {
		return err
	}
	if b.Latencies == nil {
		b.Latencies = new(balance.Latencies)
	}
	for _, group := range b.Equals {
		for _, p := range group[1:] { // which are equal to each other if they are to the first
			if what := differ(group[0], p, g.Spending); what != "" {
				return fmt.Errorf("%s|%s: the two are not equal: %s; with a space between them one follows where the other fails", group[0].Name, p.Name, what)
			}
		}
		if b.Policy == balance.Cheapest && len(g.Spending.currencies(group[0])) == 0 {
			return fmt.Errorf("lb_policy cheapest: provider %s has no price; declare what its models cost", group[0].Name)
		}
		if b.Policy == balance.Cheapest && len(g.Spending.currencies(group[0])) > 1 {
			return fmt.Errorf("lb_policy cheapest: provider %s has prices in several currencies, which cannot be compared", group[0].Name)
		}
	}
	return nil
}

// differ says in what two providers are not equal; empty where they are. Either may then answer
// any call, at the same cost in the same currency, and data stays in the same place.
func differ(a, b *upstream.Provider, s *Spending) string {
	unequal := func(what, of, other string) string {
		return fmt.Sprintf("%s has %s %s and %s %s", a.Name, what, cmp.Or(of, "none"), b.Name, cmp.Or(other, "none"))
	}
	switch {
	case a.Environment != b.Environment:
		return unequal("environment", string(a.Environment), string(b.Environment))
	case !slices.Equal(a.Regions(), b.Regions()):
		return unequal("region", strings.Join(a.Regions(), ", "), strings.Join(b.Regions(), ", "))
	case a.Format.Name() != b.Format.Name():
		return unequal("format", a.Format.Name(), b.Format.Name())
	case a.Dialect != b.Dialect:
		return unequal("dialect", a.Dialect, b.Dialect)
	case a.OnUnsupported != b.OnUnsupported:
		return unequal("on_unsupported", string(a.OnUnsupported), string(b.OnUnsupported))
	case a.Model != b.Model || a.OwnModels != b.OwnModels:
		return unequal("model", a.Model, b.Model)
	case !maps.Equal(a.ModelMap, b.ModelMap):
		return unequal("models renamed to", listed(slices.Sorted(maps.Values(a.ModelMap))), listed(slices.Sorted(maps.Values(b.ModelMap))))
	case !slices.Equal(slices.Sorted(slices.Values(a.Models)), slices.Sorted(slices.Values(b.Models))):
		return unequal("models", listed(a.Models), listed(b.Models))
	case (a.Cap == nil) != (b.Cap == nil):
		return "one has a limit and the other none, which would take all calls that have to wait"
	case a.ClientID != "" && a.ClientID == b.ClientID && a.BaseURL.Host == b.BaseURL.Host:
		return "both are the app " + a.ClientID + " at " + a.BaseURL.Host + ", which has one rate limit for both"
	}
	if of, other := s.currencies(a), s.currencies(b); !slices.Equal(of, other) {
		return unequal("prices in", listed(of), listed(other))
	}
	return ""
}

// group gives the equals that p belongs to; nil for none. The candidate of a canary stands for
// the stable provider.
func (b *Balance) group(k *Canary, p *upstream.Provider) []*upstream.Provider {
	if k != nil && p == k.Candidate {
		p = k.Stable
	}
	for _, group := range b.Equals {
		if slices.Contains(group, p) {
			return group
		}
	}
	return nil
}

// balanced is what the order of equal providers depends on: a [call].
type balanced interface {
	// isPinned reports whether it has to go to the same one each time.
	isPinned() bool
	// sticky names what stays with one of b's providers; nil for nothing.
	sticky(b *Balance) []byte
	// waitAt is how long it would wait for p's cap, and priceAt what it should cost there, if that is known.
	waitAt(p *upstream.Provider) time.Duration
	priceAt(p *upstream.Provider) (amount price.Amount, known bool)
}

// arrange puts the equals that rest begins with in the order in which of asks them, and says how
// many providers they are, with the candidate of k, which stays before the stable one.
// The equals that it gives are nil where of waits for each of them in turn.
func (b *Balance) arrange(of balanced, k *Canary, now func() time.Time, rest []*upstream.Provider) (n int, equals *upstream.Equals) {
	if b == nil || len(rest) == 1 {
		return 1, nil
	}
	group := b.group(k, rest[0])
	if group == nil {
		return 1, nil
	}
	members := make([]*upstream.Provider, 0, len(group))
	for n < len(rest) && slices.Equal(b.group(k, rest[n]), group) {
		if k == nil || rest[n] != k.Candidate {
			members = append(members, rest[n])
		}
		n++
	}
	at, states := now(), make([]balance.Provider, len(members))
	for i, p := range members {
		states[i] = balance.Provider{Name: p.Name, Weight: b.Weights[p.Name], Wait: of.waitAt(p)}
		switch b.Policy {
		case balance.Fastest:
			states[i].Cost = b.Latencies.Cost(p.Name, at)
		case balance.Cheapest:
			amount, known := of.priceAt(p)
			states[i].Price, states[i].Priced = int64(amount), known
		}
	}
	var order []int
	if of.isPinned() {
		order = balance.Pinned(of.sticky(b), states)
	} else {
		equals = new(upstream.Equals)
		order, equals.Alone = balance.Order(b.Policy, of.sticky(b), states)
	}
	candidate := n > len(members)
	i := 0
	for _, next := range order {
		if candidate && members[next] == k.Stable {
			rest[i] = k.Candidate
			i++
		}
		rest[i] = members[next]
		i++
	}
	return n, equals
}

func (c *call) waitAt(p *upstream.Provider) time.Duration { return c.at(p).waits() }

func (c *call) priceAt(p *upstream.Provider) (amount price.Amount, known bool) {
	q := c.account.quote(p)
	return q.quoted, q.Price != nil
}

// isPinned reports whether the call has to go to the same one of equal providers each time:
// what may move money, and what the provider itself has to recognise by its Idempotency-Key.
func (c *call) isPinned() bool {
	return c.class() == ClassMoney || c.IdempotencyKey != "" && c.g.Claims == nil
}

// sticky names what stays with one provider: a conversation, whose prompt is cached there, or
// the calls that may be packed. Nil for none.
func (c *call) sticky(b *Balance) []byte {
	switch {
	case c.isPinned() && c.IdempotencyKey != "":
		return canary.Conversation(c.Tenant, "key", c.IdempotencyKey)
	case c.readPackable() != &notPackable:
		return c.packing.one.key[:]
	case c.Endpoint != upstream.EndpointChat:
		return nil
	case b.ByTenant:
		return canary.Conversation(c.Tenant)
	}
	return c.conversation(b.Header)
}
