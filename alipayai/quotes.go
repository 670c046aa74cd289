package alipayai

import (
	"bytes"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// credentials are the values in a request's header that are the gateway's
// secrets.
func credentials(h http.Header) iter.Seq[string] {
	return func(yield func(string) bool) {
		for name, values := range h {
			switch name {
			case "Accept", "Accept-Encoding", "Content-Type", "User-Agent", "Idempotency-Key", "Client-Id", "Request-Time",
				"Alipay-Request-Id", "Anthropic-Version", "Traceparent", "Tracestate":
				continue
			}
			for _, value := range values {
				_, secret, found := strings.Cut(value, " ") // Bearer <secret>
				if !found {
					secret = value
				}
				if len(secret) >= 8 && !yield(secret) {
					return
				}
			}
		}
	}
}

// quotes reports whether text holds a credential of the request. Text may be
// cut: a beginning is enough.
func quotes(text string, req *http.Request) bool {
	if req == nil {
		return false
	}
	for secret := range credentials(req.Header) {
		if strings.Contains(text, secret[:min(len(secret), 32)]) {
			return true
		}
	}
	return false
}

var hidden = []byte("[credential]")

// failed makes the failure that an answer of p reports.
func (p *Provider) failed(resp *http.Response, reported *wire.Failure, now time.Time) *failure.Failure {
	f := failure.OfUpstream(resp.StatusCode, resp.Header, reported, p.Codes, p.Format.Name() != wire.OpenAI, now)
	if quotes(f.Message, resp.Request) {
		f.Message = "the provider reports a failure"
	}
	if quotes(f.Code, resp.Request) || quotes(f.Param, resp.Request) {
		f.Code, f.Param = "", ""
	}
	if p.Profile.Name == "ant_ling" && resp.StatusCode == http.StatusServiceUnavailable && strings.Contains(reported.Message, "Slow Down") {
		f.Class, f.RetryAfter, f.NoRetry, f.UnsupportedHere = failure.Throttle, slowDownHold, false, false
	}
	return f
}

// withoutCredentials is what an upstream answered, without what it quotes of the
// request's credentials. Both are copies where something is left out.
func withoutCredentials(h http.Header, body []byte, req *http.Request) (http.Header, []byte) {
	for secret := range credentials(req.Header) {
		body = bytes.ReplaceAll(body, []byte(secret), hidden)
		for name, values := range h {
			for i, value := range values {
				if strings.Contains(value, secret) {
					h = h.Clone()
					h[name][i] = strings.ReplaceAll(value, secret, string(hidden))
				}
			}
		}
	}
	return h, body
}
