package alipayai

import (
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/credentials"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// Permitted implements [upstream.Caller].
func (c *call) Permitted(p *upstream.Provider, waited time.Duration) {
	c.g.Observer.Permitted(p.Name, waited)
}

// Rejected implements [upstream.Caller].
func (c *call) Rejected(p *upstream.Provider, code string) { c.g.Observer.Rejected(p.Name, code) }

// SigningFailed implements [upstream.Caller].
func (c *call) SigningFailed(p *upstream.Provider) { c.g.Observer.SigningFailed(p.Name) }

// Leaving implements [upstream.Caller]: the claim is marked before the first byte.
func (c *call) Leaving(p *upstream.Provider, req *http.Request) *failure.Failure {
	if f := c.forbidden(); f != nil {
		return f
	}
	if f := c.leave(); f != nil {
		return f
	}
	c.sending(p, req)
	c.beginCharge()
	c.trial.leaving(c, p)
	c.Seen.leaving(c)
	c.outcome.Attempts++
	if c.equals != nil {
		c.leftAt = c.g.Now()
	}
	return nil
}

// leave marks the claim, before the first request of the call is written: from then
// on the end of its lease, with this process dead or frozen, does not free the key.
// A call whose mark cannot be made is not sent. Whatever the process sleeps through
// after that, the key is the call's alone.
func (c *call) leave() *failure.Failure {
	if c.claim == nil || c.claim.left {
		return nil
	}
	lease := c.claim.until.Sub(c.g.Now())
	if lease <= 0 {
		return c.claimFailure(replay.ErrLost)
	}
	err := c.claim.Leave(c.lasting(), lease, c.g.Claims.TTL)
	c.claim.left = !errors.Is(err, replay.ErrLost)
	if err != nil {
		return c.claimFailure(err)
	}
	return nil
}

// sending notes a request that is about to be sent.
func (c *call) sending(p *upstream.Provider, req *http.Request) {
	c.filter, c.sent, c.hiding = p.Credentials, append(c.sent, sent{p, req}), nil
}

// sent is a request that went out.
type sent struct {
	to      *upstream.Provider
	request *http.Request
}

// mask hides the credentials of the provider that is asked, of each request that
// went out for the call, and the client's own.
func (c *call) mask() *credentials.Mask {
	if c.hiding == nil {
		client, requests := c.Header, c.sent
		c.hiding = c.filter.With(func() []string {
			secrets := clientSecrets(client)
			for _, s := range requests {
				secrets = s.to.SentSecrets(secrets, s.request)
			}
			return secrets
		})
	}
	return c.hiding
}

// clientSecrets are what a client may authenticate with.
func clientSecrets(h http.Header) (secrets []string) {
	for _, name := range [...]string{"Authorization", "X-Api-Key", "Api-Key", "Proxy-Authorization", "Cookie"} {
		for _, value := range h[name] {
			_, secret, ok := strings.Cut(value, " ")
			if !ok {
				secret = value
			}
			secrets = append(secrets, secret)
		}
	}
	return secrets
}

// Header values that every answer shares.
var (
	jsonType    = []string{"application/json"}
	eventStream = []string{"text/event-stream"}
	// unbuffered has nginx before the gateway pass each event on at once: https://github.com/xorbitsai/xagent/issues/1358,
	// https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering.
	unbuffered = []string{"no"}
)

// forwardedToClient are the upstream's headers that reach the client. Those that describe the account there, such as
// X-Ratelimit-* and Openai-Organization, are the operator's: they are shared by all tenants, and are not a client's limits.
var forwardedToClient = [...]string{
	"Content-Type",
	"Cache-Control",
	"Payment-Needed",
	"Openai-Processing-Ms",
}

// maxVisible bounds what IsVisible takes, in bytes.
const maxVisible = 255

// newIdempotencyID makes what goes upstream as Idempotency-Key: the same for every
// attempt of a call. A client's own key is bound to its tenant, the user and the endpoint,
// since two that use the same key at one upstream account mean two
// calls. Anonymous clients cannot be told apart, so theirs counts for nothing.
func (c *call) newIdempotencyID() string {
	if c.IdempotencyKey == "" || c.Tenant == AnonymousTenant {
		return c.outcome.RequestID
	}
	id := c.claimKey()
	var digits [32]byte
	hex.Encode(digits[:], id[:len(digits)/2])
	return string(digits[:])
}

// claimKey names what the call's Idempotency-Key is for.
func (c *call) claimKey() replay.Key {
	if c.user != "" {
		return replay.NewKey(c.Tenant, string(c.Endpoint), c.IdempotencyKey, c.user)
	}
	return replay.NewKey(c.Tenant, string(c.Endpoint), c.IdempotencyKey)
}

// ClaimOf names the claim of a call, for what has to be the same whenever its answer is given again; it is empty for a call
// that happens each time.
func (g *Gateway) ClaimOf(c *Call) string {
	if g.Claims == nil || c.IdempotencyKey == "" || c.Tenant == AnonymousTenant {
		return ""
	}
	parts := []string{c.Tenant, string(c.Endpoint), c.IdempotencyKey}
	if g.hasUsers {
		parts = append(parts, c.Header[g.userField]...) // over the one of the body, which is the claim's too
	}
	key := replay.NewKey(parts...)
	return string(key[:])
}

// readUser reads which of the tenant's users the call is for, where a provider has users.
// Anonymous clients have none: whoever came could name another's.
func (c *call) readUser() *failure.Failure {
	if !c.g.hasUsers {
		return nil
	}
	user := c.Request.User()
	if c.Native != nil && c.Native.User != "" {
		user = c.Native.User
	}
	named := c.Header[c.g.userField]
	if len(named) > 0 {
		user = named[0]
	}
	if user == "" && len(named) == 0 {
		return nil
	}
	if err := upstream.CheckUser(user); err != nil || len(named) > 1 {
		f := failure.InvalidRequest(http.StatusBadRequest, wire.CodeInvalidValue, "the call must name one user: a name has 1 to 255 bytes of UTF-8 without control characters")
		f.Param = "user"
		return f
	}
	if c.Tenant == AnonymousTenant {
		return failure.AuthorisationRequired("")
	}
	c.user = user
	return nil
}

// userAt is the user whose token a request to p carries; empty for p's own token.
func (c *call) userAt(p *upstream.Provider) string {
	if p.Users == nil || c.Endpoint == upstream.EndpointModels {
		return ""
	}
	return c.user
}

// needsUser refuses a call that names no user, where p serves no other.
func (c *call) needsUser(p *upstream.Provider) *failure.Failure {
	if p.Users == nil || !p.UserRequired || c.user != "" || c.Endpoint == upstream.EndpointModels {
		return nil
	}
	f := failure.InvalidRequest(http.StatusBadRequest, wire.CodeMissingParameter, "provider "+p.Name+" serves calls of users only; name the user that this one is for")
	f.Param = "user"
	return f
}

// IsVisible reports whether value is at most 255 bytes of visible ASCII, as header values that are
// keys and names should be.
func IsVisible(value string) bool {
	for i := range len(value) {
		if value[i] <= ' ' || value[i] > '~' {
			return false
		}
	}
	return len(value) <= maxVisible
}
