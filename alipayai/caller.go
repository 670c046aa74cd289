package alipayai

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/credentials"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
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
	if f := c.Verdict.forbids(); f != nil {
		return f
	}
	if err := c.leaveClaim(); err != nil {
		return c.claimFailure(err)
	}
	now := c.g.Now()
	c.secrets.sending(p, req)
	c.account.leaving()
	c.trial.leaving(p, now)
	c.Seen.leaving(now)
	c.route.leaving(now)
	c.packing.leaving(now)
	c.outcome.Attempts++
	return nil
}

// secrets are what must not be shown of a call: the credentials of the provider that is asked, of each request that went
// out, and the client's own.
type secrets struct {
	client http.Header
	// filter knows the credentials of the provider that is asked; sent are the requests that went out, which carry more
	// of them.
	filter *credentials.Filter
	sent   []sent
	// hiding is what mask has made of them; nil when it has to be made anew.
	hiding *credentials.Mask
	room   [1]sent // what sent points to, mostly
}

// sent is a request that went out.
type sent struct {
	to      *upstream.Provider
	request *http.Request
}

// begin makes s what must not be shown of a call with that header, before it is sent to one of several providers, of which
// filter is the first one's.
func (s *secrets) begin(client http.Header, filter *credentials.Filter) {
	s.client, s.filter, s.sent = client, filter, s.room[:0]
}

// sending notes a request that is about to be sent.
func (s *secrets) sending(p *upstream.Provider, req *http.Request) {
	s.filter, s.sent, s.hiding = p.Credentials, append(s.sent, sent{p, req}), nil
}

// join adds what other has sent, and is asking.
func (s *secrets) join(other *secrets) {
	s.filter, s.sent, s.hiding = other.filter, append(s.sent, other.sent...), nil
}

// forget lets go of the requests that went out.
func (s *secrets) forget() { s.sent, s.hiding = nil, nil }

// pass reports whether it is known already that none of the texts has anything to hide.
func (s *secrets) pass(texts ...string) bool {
	for _, text := range texts {
		if !s.filter.Passed(text) {
			return false
		}
	}
	return true
}

// mask hides all of them.
func (s *secrets) mask() *credentials.Mask {
	if s.hiding == nil {
		client, requests := s.client, slices.Clone(s.sent) // it may be read when the call is over
		s.hiding = s.filter.With(func() []string {
			secrets := clientSecrets(client)
			for _, one := range requests {
				secrets = one.to.SentSecrets(secrets, one.request)
			}
			return secrets
		})
	}
	return s.hiding
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
