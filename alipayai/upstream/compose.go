package upstream

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
)

// blank is what all requests have in common.
var blank = http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}

// Composed is one request of a call.
type Composed struct {
	Endpoint Endpoint
	// Body is in the provider's form; nil for none.
	Body []byte
	// Id is what goes upstream as Idempotency-Key.
	Id string
	// Stream says that an event stream is asked for.
	Stream bool
	// Header is the client's: the fields of an allow-list go upstream.
	Header http.Header
}

// Compose makes the request for one attempt, with a time and a signature that no
// other attempt has.
func (p *Provider) Compose(ctx context.Context, r Composed, token string, now time.Time) (*http.Request, *failure.Failure) {
	to := p.targets[r.Endpoint]
	method := http.MethodPost
	if r.Endpoint == EndpointModels {
		method = http.MethodGet
	}
	u, h, body := to.url, p.composeHeader(r, token), r.Body
	if p.Scheme != nil {
		s, err := p.Scheme.Sign(p.message(method, to.requestTarget, body, p.signingTime(now)))
		if err != nil {
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

// composeHeader makes the header of a request, apart from its signature.
func (p *Provider) composeHeader(r Composed, token string) http.Header {
	// A map of at most eight entries is one small allocation, and an ordinary
	// signed call has just so many.
	h := make(http.Header, 8)
	h["User-Agent"] = userAgentValue
	h["Accept-Encoding"] = identity
	if r.Stream {
		h["Accept"] = eventStreamValue
	}
	if r.Body != nil {
		h["Content-Type"] = jsonValue
	}
	// One array for the values that are this call's own.
	own := [2]string{r.Id, "Bearer " + token}
	h["Idempotency-Key"] = own[0:1:1]
	if name := p.Profile.Kind().RequestID; name != "" {
		h[name] = own[0:1:1]
	}
	Forward(h, r.Header, forwardedToUpstream[:])
	maps.Copy(h, p.Header)
	if token != "" {
		h["Authorization"] = own[1:2:2]
	}
	return h
}
