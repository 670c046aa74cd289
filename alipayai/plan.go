package alipayai

import (
	"errors"
	"net/http"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
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
	return providers, nil
}
