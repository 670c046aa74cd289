package alipayai

import (
	"errors"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
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

// allow takes what c's tenant may use, or says what it exceeds. done is called
// when the call is over, with the tokens that it took.
func (l *TenantLimits) allow(tenant string, now time.Time) (done func(now time.Time, tokens int), f *failure.Failure) {
	if l == nil {
		return func(time.Time, int) {}, nil
	}
	limit, ok := l.Of[tenant]
	if !ok {
		limit = l.Default
	}
	if limit == (limiter.TenantLimit{}) {
		return func(time.Time, int) {}, nil
	}
	done, err := l.Usage.Allow(now, tenant, limit, 0)
	if rejection, ok := errors.AsType[*limiter.Rejection](err); ok {
		return nil, failure.Limited(string(rejection.Reason), "your limit at this gateway is used up: "+string(rejection.Reason), rejection.RetryAfter)
	}
	return done, nil
}
