package alipayai

import (
	"context"
	"net/http"
	"time"
)

// admit gets what an attempt at p needs before anything is sent: a provider
// that can be used now and, where p takes one, a live access token.
func (c *call) admit(ctx context.Context, p *Provider, now time.Time) (token string, f *failure) {
	if p.Unavailable != nil {
		if err := p.Unavailable(now); err != nil {
			return "", down(codeProviderDown, "provider "+p.Name+" is unavailable: "+err.Error())
		}
	}
	if p.Tokens == nil {
		return "", nil
	}
	token, err := p.Tokens.Token(ctx)
	if err == nil {
		return token, nil
	}
	if c.r.Context().Err() != nil {
		return "", c.lost(ctx, err, false)
	}
	return "", down(codeNoToken, "provider "+p.Name+" has no access token: "+err.Error())
}

// down makes the failure of a provider that was not asked.
func down(code, message string) *failure {
	f := &failure{action: ActionRetry}
	f.Status, f.Code, f.Message = http.StatusServiceUnavailable, code, message
	f.RetryAfter = time.Second
	return f
}
