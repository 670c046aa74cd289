package upstream

import (
	"errors"
	"net/http"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/credentials"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// Broken makes the failure of an answer that could not be read to its end, since it
// is ErrAnswerTooLarge or its connection ended in err.
func (x *Exchange) Broken(err error) *failure.Failure {
	if errors.Is(err, ErrAnswerTooLarge) {
		return failure.BadAnswer(failure.CodeResponseTooLarge, "the provider's answer is larger than this gateway takes")
	}
	return failure.OfTransport(x.client, &x.ctx, err, true)
}

// Failed makes the failure that the answer reports, or an event of it, and
// applies it: a provider that is throttling is not asked before it says. What mask finds is left out.
func (x *Exchange) Failed(reported *wire.Failure, mask *credentials.Mask) *failure.Failure {
	p, now := x.provider, x.now()
	f := p.failed(x.Response, reported, x.translated, now, mask)
	f.Token, f.UserToken = x.token, x.user
	// Another exchange may have been the one that taught the clock.
	f.ClockLearned = (p.Clock.Skew() - x.skew).Abs() > MinSkew
	if f.Class == failure.Throttle {
		p.Throttled(now, f.RetryAfter, x.model)
	}
	if p.Keys != nil && x.keyVersion > 0 && failure.RefusesKey(f.Code) {
		f.KeyChanged = p.Keys.Refused(x.keyVersion)
	}
	return f
}

// failed makes the failure that an answer of p reports. What mask finds in it is
// left out.
func (p *Provider) failed(resp *http.Response, reported *wire.Failure, translated bool, now time.Time, mask *credentials.Mask) *failure.Failure {
	f := failure.OfUpstream(resp.StatusCode, resp.Header, reported, p.rules, translated, now)
	code, message, param := f.Code, f.Message, f.Param
	mask.Texts(&f.Code, &f.Message, &f.Param, &f.UpstreamID)
	if f.Message != message {
		f.Message = "the provider reports a failure"
	}
	if f.Code != code || f.Param != param {
		f.Code, f.Param = "", ""
	}
	return f
}

// DropToken drops the tokens that f was refused with, that of the tenant's user if the
// request had one, and reports whether another one may help.
func (p *Provider) DropToken(f *failure.Failure, tenant, user string) (another bool) {
	if p.Users != nil && user != "" && f.UserToken != "" {
		another = p.Users.Drop(tenant, user, f.UserToken)
	}
	if p.Tokens == nil || f.Token == "" {
		return another
	}
	return p.Tokens.Drop(f.Token) || another
}
