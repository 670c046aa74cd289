package alipayai

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/credentials"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
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
