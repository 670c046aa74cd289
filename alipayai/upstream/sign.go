package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/outgoing"
)

// ErrProviderUnavailable is a provider that cannot be used now, such as one
// whose certificate has expired.
var ErrProviderUnavailable = errors.New("provider is unavailable")

// SignRequest makes, of a request that somebody else composed and its whole
// body, the signed request that goes to p: freshly signed at each call, with
// header fields from an allow-list and p's own host. req stays as it is. It
// waits while p is throttling, for an access token, as long as a gateway's call does, and then for a
// departure within p's rate cap, which the caller cancels if sending fails; req's
// context bounds both.
//
// The errors are ErrProviderUnavailable, those of token.Source,
// *limiter.Rejection, *ThrottledError, ErrNotSigned, and those of the signing scheme.
//
// net/http cannot repeat the result by itself (see [outgoing.Once]): a replay
// would carry a used signature, and such requests may move money.
func (p *Provider) SignRequest(req *http.Request, body []byte, tenant string) (*http.Request, *Permit, error) {
	if p.Unavailable != nil {
		if err := p.Unavailable(time.Now()); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrProviderUnavailable, err)
		}
	}
	if err := p.awaitHold(req.Context()); err != nil {
		return nil, nil, err
	}
	var token string
	if p.Tokens != nil {
		waiting, cancel := context.WithTimeoutCause(req.Context(), TokenWait, ErrNoToken)
		defer cancel()
		var err error
		if token, err = p.Tokens.Token(waiting); err != nil {
			return nil, nil, err
		}
	}
	d, err := p.Cap.Permit(req.Context(), tenant, Share{}, int64(len(body)), time.Time{})
	if err != nil {
		return nil, nil, err
	}
	out, err := p.signed(req, body, token)
	if err != nil {
		d.Cancel()
		return nil, nil, err
	}
	return out.WithContext(d.Trace(req.Context(), p.BaseURL.Scheme)), d, nil
}

// signed makes the signed request.
func (p *Provider) signed(req *http.Request, body []byte, token string) (*http.Request, error) {
	target := p.Profile.Kind().Target(p.ClientID, req.URL.RequestURI())
	signed, err := p.Scheme.Sign(p.message(req.Method, target, body, p.signingTime(time.Now())))
	if err != nil {
		return nil, fmt.Errorf("provider %s: signing: %w", p.Name, err)
	}
	u := *req.URL
	if signed.Target != req.URL.RequestURI() {
		parsed, err := req.URL.Parse(signed.Target)
		if err != nil {
			return nil, fmt.Errorf("provider %s: the signed target is not a URL", p.Name)
		}
		u = *parsed
	}
	out := req.WithContext(req.Context())
	out.URL = &u
	out.Host = p.BaseURL.Host
	out.Header = make(http.Header, 12)
	Forward(out.Header, req.Header, forwardedToUpstream[:])
	Forward(out.Header, req.Header, composedByClient[:])
	out.Header["User-Agent"] = userAgentValue
	out.Header["Accept-Encoding"] = identity
	maps.Copy(out.Header, p.Header)
	if token != "" {
		out.Header["Authorization"] = []string{"Bearer " + token}
	}
	for _, field := range signed.Fields {
		out.Header[field.Name] = []string{field.Value}
	}
	if err := p.checkSame(req, out.Header); err != nil {
		return nil, err
	}
	out.TransferEncoding, out.Trailer, out.GetBody = nil, nil, nil
	out.Body, out.ContentLength = nil, int64(len(signed.Body))
	if len(signed.Body) > 0 {
		out.Body = io.NopCloser(bytes.NewReader(signed.Body))
	}
	outgoing.Once(out)
	return out, nil
}

// signingTime is now, or so little later that no two signatures have the same
// millisecond: tries that follow each other at once would carry the same one.
func (p *Provider) signingTime(now time.Time) time.Time {
	const most = 1000 // milliseconds that a burst may run ahead
	for {
		ms, last := now.UnixMilli(), p.signedAt.Load()
		if ms <= last && last-ms < most {
			ms = last + 1
		}
		if p.signedAt.CompareAndSwap(last, ms) {
			return time.UnixMilli(ms)
		}
	}
}

// composedByClient are the header fields that describe a body and the wanted
// answer, and the Open Platform's that belong to a request; no signature covers
// them. Its SDKs send a request id always, and the other two with an encrypted
// body. Idempotency-Key is not among them: each try is a request of its own.
var composedByClient = [...]string{
	"Content-Type", "Accept", "Accept-Language",
	"Alipay-Request-Id", "Alipay-Encrypt-Type", "Alipay-Encryption-Algm",
}

// TokenWait is how long a call waits for an access token when there is none:
// long enough for a fetch and a repeat, too short to pile up calls.
const TokenWait = 5 * time.Second

// ErrNoToken is why a wait for an access token was given up.
var ErrNoToken = errors.New("no access token could be had in time")
