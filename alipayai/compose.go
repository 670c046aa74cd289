package alipayai

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/signer"
)

// blank is what all requests have in common.
var blank = http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}

// signed makes the request for one attempt, with a time and a signature that
// no other attempt has.
func (c *call) signed(ctx context.Context, p *Provider, token string, body []byte) (*http.Request, *failure.Failure) {
	to := p.targets[c.Endpoint]
	method := http.MethodPost
	if c.Endpoint == EndpointModels {
		method = http.MethodGet
	}
	u, h := to.url, c.upstreamHeader(p, token)
	if p.Scheme != nil {
		// A millisecond apart at least, as the layout's times go: attempts that
		// follow each other at once would carry the same signature.
		now := c.g.Now().Add(time.Duration(c.outcome.Attempts) * time.Millisecond)
		s, err := p.Scheme.Sign(p.message(method, to.requestTarget, body, now))
		if err != nil {
			c.g.Observer.SigningFailed(p.Name)
			return nil, failure.Misconfigured(failure.CodeSigningFailed, "provider "+p.Name+" cannot sign the request", err)
		}
		for i := range s.Fields {
			h[s.Fields[i].Name] = []string{s.Fields[i].Value}
		}
		if s.Target != to.requestTarget {
			if u, err = to.url.Parse(s.Target); err != nil {
				return nil, failure.Misconfigured(failure.CodeSigningFailed, "provider "+p.Name+" cannot sign the request", err)
			}
		}
		body = s.Body
	}
	req := blank.WithContext(ctx)
	req.Method, req.URL, req.Host, req.Header = method, u, u.Host, h
	if len(body) > 0 {
		// This very type tells net/http that the body will not keep it waiting,
		// so head and body leave in one packet.
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	return req, nil
}

// upstreamHeader makes the header of a request, apart from its signature.
func (c *call) upstreamHeader(p *Provider, token string) http.Header {
	// A map of at most eight entries is one small allocation, and an ordinary
	// signed call has just so many.
	h := make(http.Header, 8)
	h["User-Agent"] = userAgentValue
	h["Accept-Encoding"] = identity
	if c.Request.Stream {
		h["Accept"] = eventStream
	}
	if c.Request.Body != nil {
		h["Content-Type"] = jsonType
	}
	// One array for the values that are this call's own.
	own := [2]string{c.idempotencyID, "Bearer " + token}
	h["Idempotency-Key"] = own[0:1:1]
	if p.Profile.Scheme == signer.NameOpenAPIV3 {
		h["Alipay-Request-Id"] = own[0:1:1]
	}
	forward(h, c.Header, forwardedToUpstream[:])
	maps.Copy(h, p.Header)
	if token != "" {
		h["Authorization"] = own[1:2:2]
	}
	return h
}
