package alipayai

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/toolcheck"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/failover/canary"
	"github.com/caddy-alipayai/gateway/limiter"
)

// TenantLimits hold each tenant to what it may use of the gateway, whichever
// provider serves it. They keep averages; a provider's Cap keeps every window.
type TenantLimits struct {
	// Usage is what the tenants have used lately; it survives a reload.
	Usage *limiter.TenantLimits
	// Of is the limit of a tenant by name, Default that of all others.
	Of      map[string]limiter.TenantLimit
	Default limiter.TenantLimit
}

// allow takes what c's tenant may use, or says what it exceeds. The call's Done comes when
// it is over, with the tokens that it took.
func (l *TenantLimits) allow(tenant string, now time.Time) (limiter.TenantCall, *failure.Failure) {
	if l == nil {
		return limiter.TenantCall{}, nil
	}
	limit := l.of(tenant)
	if limit == (limiter.TenantLimit{}) {
		return limiter.TenantCall{}, nil
	}
	admitted, err := l.Usage.Allow(now, tenant, limit, 0)
	if rejection, ok := errors.AsType[*limiter.Rejection](err); ok {
		return admitted, failure.Limited(string(rejection.Reason), "your limit at this gateway is used up: "+string(rejection.Reason), rejection.RetryAfter)
	}
	return admitted, nil
}

func (l *TenantLimits) of(tenant string) limiter.TenantLimit {
	if limit, ok := l.Of[tenant]; ok {
		return limit
	}
	return l.Default
}

// countTokens reports whether the tenant's tokens are limited.
func (l *TenantLimits) countTokens(tenant string) bool {
	return l != nil && l.of(tenant).TokensPerMinute > 0
}

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
		if p.Serves(c.Endpoint, c.Request.Model) {
			providers = append(providers, p)
		}
	}
	if len(providers) == 0 {
		f := failure.InvalidRequest(http.StatusNotFound, failure.CodeModelNotFound, "no provider of this gateway serves the model asked for; GET /v1/models lists those served")
		f.Param = "model"
		return nil, f
	}
	return c.g.Canary.plan(c, providers), nil
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
	case g.Answers != nil && k.Candidate.Profile.Format == wire.NextBuilder:
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
	if k == nil || !k.Candidate.Serves(c.Endpoint, c.Request.Model) {
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
	t := &trial{of: k, provider: k.Stable, conversation: k.conversation(c)}
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

// conversation names the call's conversation, of its tenant: by the header, the end user,
// or how it begins.
func (k *Canary) conversation(c *call) []byte {
	if named := c.Header[k.Header]; k.Header != "" && len(named) == 1 && named[0] != "" {
		return canary.Conversation(c.Tenant, "header", named[0])
	}
	if user := c.Request.User(); user != "" {
		return canary.Conversation(c.Tenant, "user", user)
	}
	return canary.Conversation(append([]string{c.Tenant, "opening"}, c.Request.Opening()...)...)
}
