package alipayai

import (
	"errors"
	"net/http"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
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
func (l *TenantLimits) allow(tenant string, now time.Time) (done func(now time.Time, tokens int), f *failure) {
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
		f := &failure{action: ActionThrottle}
		f.Error = wire.Error{
			Status: http.StatusTooManyRequests, Code: string(rejection.Reason),
			Message:    "your limit at this gateway is used up: " + string(rejection.Reason),
			RetryAfter: rejection.RetryAfter,
		}
		return nil, f
	}
	return done, nil
}
