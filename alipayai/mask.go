package alipayai

import (
	"net/http"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/credentials"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

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

// sending notes a request that is about to be sent.
func (c *call) sending(p *upstream.Provider, req *http.Request) {
	c.filter, c.sent, c.hiding = p.Credentials, append(c.sent, sent{p, req}), nil
}

// sent is a request that went out.
type sent struct {
	to      *upstream.Provider
	request *http.Request
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
