package alipayai

import (
	"net/http"

	"github.com/caddy-alipayai/gateway/alipayai/evidence"
)

// Evidence takes the records of system errors. Record must not block.
type Evidence interface {
	Record(r evidence.Record)
}

// testify records what p answered with a system error, and to what.
func (c *call) testify(p *Provider, f *failure, resp *http.Response, body []byte) {
	if c.g.Evidence == nil || f.action != ActionSystemError {
		return
	}
	req := resp.Request
	header, body := withoutCredentials(resp.Header, body, req)
	c.g.Evidence.Record(evidence.Record{
		Time: c.g.Now(), RequestID: c.outcome.RequestID, Tenant: c.outcome.Tenant,
		Provider: p.Name, Endpoint: string(c.outcome.Endpoint), Model: c.outcome.UpstreamModel,
		Attempt: c.outcome.Attempts, Code: f.Code,
		Request:  evidence.Request{Method: req.Method, URL: req.URL.String(), Header: req.Header, Body: c.sent},
		Response: evidence.Response{Status: resp.StatusCode, Header: header, Body: body},
	})
}
