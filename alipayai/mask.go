package alipayai

import (
	"net/http"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/credentials"
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
