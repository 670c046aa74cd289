package alipayai

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/residency"
	"github.com/caddy-alipayai/gateway/alipayai/toolcheck"
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
	providers := c.providersRoom[:0]
	for _, p := range c.g.Providers {
		switch {
		case !p.Serves(c.Endpoint, c.Request.Model):
		case !p.Within(c.regions):
			c.keptOut = true
		default:
			providers = append(providers, p)
		}
	}
	if len(providers) == 0 && c.keptOut {
		return nil, OutsideResidency(c.regions)
	}
	if len(providers) == 0 && (c.Request.Model == "" || !slices.ContainsFunc(c.g.Providers, func(p *upstream.Provider) bool { return p.Has(c.Endpoint) })) {
		return nil, noEndpoint(c.Endpoint)
	}
	if len(providers) == 0 {
		f := failure.InvalidRequest(http.StatusNotFound, failure.CodeModelNotFound, "no provider of this gateway serves the model asked for; GET /v1/models lists those served")
		f.Param = "model"
		return nil, f
	}
	return c.g.Canary.plan(c, providers), nil
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

// Canary has a part of the conversations with one provider go to another, and judges the
// calls of both. Its fields do not change after Prepare.
type Canary struct {
	// Trial says which conversations those are.
	Trial *canary.Canary
	// Stable is one of the gateway's providers, and Candidate none of them. A call that the
	// candidate does not answer goes to Stable, and from there on as any.
	Stable, Candidate *upstream.Provider
	// ByTenant keeps all conversations of a tenant with one arm.
	ByTenant bool
	// Header is a field, in canonical form, that names the conversation; empty for none.
	Header string
	// Tools judges tool calls; nil where they are not compared.
	Tools *toolcheck.Checker
}

// check refuses a canary that cannot be.
func (k *Canary) check(g *Gateway) error {
	switch {
	case k == nil:
		return nil
	case g.Class == ClassMoney:
		return errors.New("canary has no meaning for class money, whose calls are not tried out")
	case !slices.Contains(g.Providers, k.Stable):
		return fmt.Errorf("canary: %s is none of the providers here; name one that is, and then the candidate", k.Stable.Name)
	case slices.Contains(g.Providers, k.Candidate):
		return fmt.Errorf("canary: the candidate %s gets calls by being one of the providers here; take it out", k.Candidate.Name)
	case k.Candidate.Profile.Kind().SignsParameters:
		return fmt.Errorf("canary: provider %s: profile %s signs form parameters, not OpenAI calls", k.Candidate.Name, k.Candidate.Profile.Name)
	case g.Answers != nil && k.Candidate.Profile.Agent:
		return fmt.Errorf("cached_answer has no meaning with provider %s: what an agent answers depends on its session as well", k.Candidate.Name)
	}
	return nil
}

// candidate is that of a canary, if there is one.
func (k *Canary) candidate() []*upstream.Provider {
	if k == nil {
		return nil
	}
	return []*upstream.Provider{k.Candidate}
}

// plan puts the candidate before the stable provider where the call is one for it. Only
// chats take part that do not act: what two versions embed cannot be compared, and belongs
// to one index. The others go to the candidate when it has been promoted.
func (k *Canary) plan(c *call, providers []*upstream.Provider) []*upstream.Provider {
	if k == nil || !k.Candidate.Serves(c.Endpoint, c.Request.Model) || !k.Candidate.Within(c.regions) {
		return providers
	}
	i := slices.Index(providers, k.Stable)
	if i < 0 {
		return providers
	}
	if c.Endpoint != upstream.EndpointChat || c.Request.HostedTools {
		if k.Trial.Promoted() {
			return slices.Insert(providers, i, k.Candidate)
		}
		return providers
	}
	t := &trial{of: k, provider: k.Stable, conversation: c.conversation(k.Header)}
	sticky := t.conversation
	if k.ByTenant {
		sticky = canary.Conversation(c.Tenant)
	}
	if t.arm = k.Trial.Arm(sticky); t.arm == canary.Candidate {
		t.provider = k.Candidate
		providers = slices.Insert(providers, i, k.Candidate)
	}
	c.trial, c.outcome.Canary = t, t.arm.String()
	return providers
}

// conversation names the call's conversation, of its tenant: by the header of that name, where
// it is one, the end user, or how it begins.
func (c *call) conversation(header string) []byte {
	if named := c.Header[header]; header != "" && len(named) == 1 && named[0] != "" {
		return canary.Conversation(c.Tenant, "header", named[0])
	}
	if user := c.Request.User(); user != "" {
		return canary.Conversation(c.Tenant, "user", user)
	}
	return canary.Conversation(append([]string{c.Tenant, "opening"}, c.Request.Opening()...)...)
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

// arrange puts the equals that rest begins with in the order in which c asks them, and says how
// many providers they are, with the candidate of a canary, which stays before the stable one.
// It sets c.equals; nil where c waits for each of them in turn.
func (b *Balance) arrange(c *call, rest []*upstream.Provider) (n int) {
	c.equals = nil
	if b == nil || len(rest) == 1 {
		return 1
	}
	k := c.g.Canary
	group := b.group(k, rest[0])
	if group == nil {
		return 1
	}
	members := make([]*upstream.Provider, 0, len(group))
	for n < len(rest) && slices.Equal(b.group(k, rest[n]), group) {
		if k == nil || rest[n] != k.Candidate {
			members = append(members, rest[n])
		}
		n++
	}
	now := c.g.Now()
	states := make([]balance.Provider, len(members))
	for i, p := range members {
		states[i] = balance.Provider{Name: p.Name, Weight: b.Weights[p.Name], Wait: c.waitAt(p)}
		switch b.Policy {
		case balance.Fastest:
			states[i].Cost = b.Latencies.Cost(p.Name, now)
		case balance.Cheapest:
			q := c.quote(p)
			states[i].Price, states[i].Priced = int64(q.quoted), q.price != nil
		}
	}
	var order []int
	if c.isPinned() {
		order = balance.Pinned(b.sticky(c), states)
	} else {
		c.equals = new(upstream.Equals)
		order, c.equals.Alone = balance.Order(b.Policy, b.sticky(c), states)
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
	return n
}

// isPinned reports whether the call has to go to the same one of equal providers each time:
// what may move money, and what the provider itself has to recognise by its Idempotency-Key.
func (c *call) isPinned() bool {
	return c.class() == ClassMoney || c.IdempotencyKey != "" && c.g.Claims == nil
}

// sticky names what stays with one provider: a conversation, whose prompt is cached there, or
// the calls that may be packed. Nil for none.
func (b *Balance) sticky(c *call) []byte {
	switch {
	case c.isPinned() && c.IdempotencyKey != "":
		return canary.Conversation(c.Tenant, "key", c.IdempotencyKey)
	case c.readPackable() != &notPackable:
		return c.packable.key[:]
	case c.Endpoint != upstream.EndpointChat:
		return nil
	case b.ByTenant:
		return canary.Conversation(c.Tenant)
	}
	return c.conversation(b.Header)
}
