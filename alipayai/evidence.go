package alipayai

import (
	"net/http"

	"github.com/caddy-alipayai/gateway/alipayai/evidence"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// Evidence takes the records of system errors. Record must not block.
type Evidence interface {
	Record(r evidence.Record)
}

// recordEvidence records what p answered with a system error, and to what. Of a stream,
// event is what reports the error; nil for none.
func (c *call) recordEvidence(p *upstream.Provider, f *failure.Failure, resp *http.Response, body, event []byte) {
	if c.g.Evidence == nil {
		return
	}
	req := resp.Request
	c.g.Evidence.Record(evidence.Record{
		Time: c.g.Now(), RequestID: c.outcome.RequestID, Tenant: c.Tenant,
		Provider: p.Name, Endpoint: string(c.Endpoint), Model: c.outcome.UpstreamModel,
		Attempt: c.outcome.Attempts, Code: f.Code,
		Request:  evidence.Request{Method: req.Method, URL: req.URL.String(), Header: req.Header, Body: c.sentBody},
		Response: evidence.Response{Status: resp.StatusCode, Header: resp.Header, Body: body, Event: event},
		Conceal:  c.mask().Bytes,
	})
}
