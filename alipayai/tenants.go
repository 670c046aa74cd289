package alipayai

import (
	"errors"
	"net/http"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/residency"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
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

// allow takes what c's tenant may use, or says what it exceeds. The call's Done comes when
// it is over, with the tokens that it took. What costs nothing counts apart, up to the same limit, as counts of tokens
// do at Anthropic (docs.claude.com/en/docs/build-with-claude/token-counting).
func (l *TenantLimits) allow(tenant string, endpoint upstream.Endpoint, now time.Time) (limiter.TenantCall, *failure.Failure) {
	if l == nil {
		return limiter.TenantCall{}, nil
	}
	limit := l.of(tenant)
	if limit == (limiter.TenantLimit{}) {
		return limiter.TenantCall{}, nil
	}
	if !endpoint.Costs() {
		limit.Kind = "free"
	}
	admitted, err := l.Usage.Allow(now, tenant, limit, 0)
	if rejection, ok := errors.AsType[*limiter.Rejection](err); ok {
		return admitted, failure.Limited(string(rejection.Reason), "your limit at this gateway is used up: "+limit.Of(rejection.Reason), rejection.RetryAfter)
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

// tenancy is whose a call is, and what it may use.
type tenancy struct {
	// limited is the call as the tenant's limits have admitted it.
	limited limiter.TenantCall
	// user is the tenant's user that the call names, where a provider serves users by themselves.
	user string
	// regions are those in which the call may be; nil for anywhere.
	regions residency.Regions
}

// enter takes what in may use of the tenant's limits, and reads which user it is for.
func (t *tenancy) enter(g *Gateway, in *Call) *failure.Failure {
	admitted, f := g.TenantLimits.allow(in.Tenant, in.Endpoint, in.Began)
	if f != nil {
		g.Observer.Rejected("", f.Code)
		return f
	}
	t.limited = admitted
	if g.hasUsers {
		t.user, f = in.endUser(g.userField)
	}
	return f
}

// endUser reads which of the tenant's users the call is for, where a provider has users: by that field of the header, or
// the body. Anonymous clients have none: whoever came could name another's.
func (c *Call) endUser(field string) (user string, f *failure.Failure) {
	user = c.Request.User()
	if c.Native != nil && c.Native.User != "" {
		user = c.Native.User
	}
	named := c.Header[field]
	if len(named) > 0 {
		user = named[0]
	}
	if user == "" && len(named) == 0 {
		return "", nil
	}
	if err := upstream.CheckUser(user); err != nil || len(named) > 1 {
		f := failure.InvalidRequest(http.StatusBadRequest, wire.CodeInvalidValue, "the call must name one user: a name has 1 to 255 bytes of UTF-8 without control characters")
		f.Param = "user"
		return "", f
	}
	if c.Tenant == AnonymousTenant {
		return "", failure.AuthorisationRequired("")
	}
	return user, nil
}

// tokenUser is the user whose token a request to p carries; empty for p's own token.
func (q at) tokenUser() string {
	if q.p.Users == nil || q.Endpoint == upstream.EndpointModels {
		return ""
	}
	return q.tenancy.user
}

// needsUser refuses a call that names no user, where p serves no other.
func (q at) needsUser() *failure.Failure {
	if q.p.Users == nil || !q.p.UserRequired || q.tenancy.user != "" || q.Endpoint == upstream.EndpointModels {
		return nil
	}
	f := failure.InvalidRequest(http.StatusBadRequest, wire.CodeMissingParameter, "provider "+q.p.Name+" serves calls of users only; name the user that this one is for")
	f.Param = "user"
	return f
}
