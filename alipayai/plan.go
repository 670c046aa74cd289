package alipayai

import (
	"net/http"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// plan gives the providers that may serve the call, in order of preference.
func (c *call) plan() ([]*upstream.Provider, *failure.Failure) {
	providers := make([]*upstream.Provider, 0, 4)
	for _, p := range c.g.Providers {
		if p.Serves(c.Endpoint, c.Request.Model) {
			providers = append(providers, p)
		}
	}
	if len(providers) == 0 {
		f := failure.InvalidRequest(http.StatusNotFound, failure.CodeModelNotFound, "no provider of this gateway serves the model asked for; GET /v1/models lists those served")
		f.Param = "model"
		return nil, f
	}
	return providers, nil
}
