package alipaycaddy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/limiter"
)

func init() {
	caddy.RegisterModule(new(SigningTransport))
}

// SigningTransport signs what stock `reverse_proxy` sends, such as raw Open
// Platform or Antom calls. Each try gets a signature of its own. It never
// repeats a request by itself, since such calls may move money.
//
// Whoever reaches the site could have anything signed, so it refuses calls
// without an authenticated user, upstreams other than the provider's host and
// paths that it does not list. Client headers go upstream from an allow-list.
type SigningTransport struct {
	// The provider whose keys sign. The `alipayai` app declares it. Required.
	Provider string `json:"provider,omitempty"`

	// The request paths that may be signed, as Caddy's path matcher takes them:
	// exact, or ending in `*`. Required.
	Paths []string `json:"paths,omitempty"`

	// Permits calls without an authenticated user. Default: false
	AllowAnonymous bool `json:"allow_anonymous,omitempty"`

	// The largest request body in bytes: it is signed whole. A larger one gets
	// status 413. Default: `4194304` (4 MiB)
	MaxBody int64 `json:"max_body,omitempty"`

	// How to connect: Caddy's own HTTP transport. Default: its defaults.
	HTTP *reverseproxy.HTTPTransport `json:"http,omitempty"`

	provider *alipayai.Provider
	metrics  *metrics
}

// CaddyModule returns the Caddy module information.
func (*SigningTransport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.transport.alipayai",
		New: func() caddy.Module { return new(SigningTransport) },
	}
}

// Provision finds the provider and sets up the HTTP transport.
func (t *SigningTransport) Provision(ctx caddy.Context) error {
	app, err := loadApp(ctx)
	if err != nil {
		return err
	}
	if t.provider, err = app.provider(t.Provider); err != nil {
		return err
	}
	t.metrics = app.metrics
	if !t.provider.Profile.Signs() {
		return fmt.Errorf("provider %s does not sign requests; use reverse_proxy without this transport", t.Provider)
	}
	if len(t.Paths) == 0 {
		return errors.New("paths are missing; list the paths that may be signed, such as /v3/*")
	}
	for _, p := range t.Paths {
		if !strings.HasPrefix(p, "/") || strings.Contains(strings.TrimSuffix(p, "*"), "*") {
			return fmt.Errorf("path %q must begin with a slash and may have one asterisk, at its end", p)
		}
	}
	if t.MaxBody < 0 {
		return errors.New("max_body is negative")
	}
	if t.MaxBody == 0 {
		t.MaxBody = alipayai.DefaultMaxBody
	}
	t.ensureHTTP()
	return t.HTTP.Provision(ctx)
}

func (t *SigningTransport) ensureHTTP() {
	if t.HTTP == nil {
		t.HTTP = new(reverseproxy.HTTPTransport)
	}
}

// Cleanup closes idle connections.
func (t *SigningTransport) Cleanup() error {
	if t.HTTP == nil {
		return nil
	}
	return t.HTTP.Cleanup()
}

// RoundTrip signs req and sends it once. The request that it is given stays
// as it is, so that the next try starts from the same.
func (t *SigningTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	refusal := t.refuse(req)
	var body []byte
	if refusal == nil {
		body, refusal = t.readBody(req)
	}
	if refusal != nil {
		return answerTo(req, refusal), nil
	}
	out, departure, err := t.provider.SignRequest(req, body, tenantOf(req))
	if err != nil {
		return t.unsigned(req, err)
	}
	t.HTTP.SetScheme(out)
	resp, err := t.HTTP.RoundTrip(out)
	if err != nil {
		departure.Cancel()
		code := "upstream_unreachable"
		if req.Context().Err() != nil {
			code = "client_gone"
		}
		t.metrics.attempted(t.provider.Name, code)
		return nil, err
	}
	departure.Answered(resp)
	if err := t.provider.VerifyAnswer(out, resp, alipayai.DefaultMaxAnswer); err != nil {
		t.metrics.attempted(t.provider.Name, "invalid_response_signature")
		return answerTo(req, &wire.Error{
			Status: http.StatusBadGateway, Code: "invalid_response_signature", Message: err.Error(), NoRetry: true,
		}), nil
	}
	t.metrics.attempted(t.provider.Name, "")
	return resp, nil
}

// unsigned says why a request could not be signed. Nothing was sent.
func (t *SigningTransport) unsigned(req *http.Request, err error) (*http.Response, error) {
	if req.Context().Err() != nil {
		return nil, req.Context().Err()
	}
	e := &wire.Error{Status: http.StatusServiceUnavailable, Message: err.Error(), RetryAfter: time.Second}
	var rejection *limiter.Rejection
	switch {
	case errors.Is(err, alipayai.ErrProviderUnavailable):
		e.Code = "provider_unavailable"
	case errors.Is(err, alipayai.ErrTokenRefused), errors.Is(err, alipayai.ErrTokenUnavailable):
		e.Code = "token_unavailable"
	case errors.As(err, &rejection):
		t.metrics.rejections.WithLabelValues(t.provider.Name, string(rejection.Reason)).Inc()
		e.Status, e.Code, e.RetryAfter = http.StatusTooManyRequests, string(rejection.Reason), rejection.RetryAfter
	default:
		e.Code = "signing_failed"
		t.metrics.signingFailures.WithLabelValues(t.provider.Name).Inc()
	}
	return answerTo(req, e), nil
}

// refuse says why a request may not be signed; nil when it may.
func (t *SigningTransport) refuse(req *http.Request) *wire.Error {
	forbid := func(message string) *wire.Error {
		return &wire.Error{Status: http.StatusForbidden, Code: "not_signed", Message: message}
	}
	if !t.AllowAnonymous && tenantOf(req) == alipayai.AnonymousTenant {
		return &wire.Error{Status: http.StatusUnauthorized, Code: "invalid_api_key", Message: "requests are signed for authenticated users only"}
	}
	if req.Method == http.MethodTrace {
		// The answer would show the signature and the access token.
		return forbid("the method TRACE is not signed")
	}
	if host := canonicalHost(req.URL.Host, t.HTTP.TLSEnabled()); host != canonicalHost(t.provider.BaseURL.Host, t.provider.BaseURL.Scheme == "https") {
		return forbid(fmt.Sprintf("provider %s signs for its own host only, not for %s", t.provider.Name, host))
	}
	if !isPlain(req.URL) {
		return forbid("the path is not in its plain form")
	}
	if !slices.ContainsFunc(t.Paths, func(allowed string) bool {
		if prefix, ok := strings.CutSuffix(allowed, "*"); ok {
			return strings.HasPrefix(req.URL.Path, prefix)
		}
		return req.URL.Path == allowed
	}) {
		return forbid("the path is not among those that may be signed")
	}
	return nil
}

// isPlain reports whether every server reads the path as it is written here.
// Some take a backslash for a slash, cut segments at a semicolon, or decode
// twice: to them the path could be one that is not allowed.
func isPlain(u *url.URL) bool {
	odd := func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' || r == ';' || r == '%' }
	clean := path.Clean(u.Path)
	return u.RawPath == "" && (clean == u.Path || clean+"/" == u.Path) && !strings.ContainsFunc(u.Path, odd)
}

// answerTo makes the answer to a request that is refused. An error would count
// as a failure of the upstream, so that whoever is refused could take it out of
// service, and it would be tried again.
func answerTo(req *http.Request, refusal *wire.Error) *http.Response {
	refusal.RequestID = alipayai.NewRequestID()
	header, body := refusal.HTTP()
	header.Set("Content-Length", strconv.Itoa(len(body)))
	return &http.Response{
		Status:     http.StatusText(refusal.Status),
		StatusCode: refusal.Status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        header,
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
		Request:       req,
	}
}

// canonicalHost gives host with its port, in lower case.
func canonicalHost(host string, tls bool) string {
	if _, _, err := net.SplitHostPort(host); err != nil {
		port := "80"
		if tls {
			port = "443"
		}
		host = net.JoinHostPort(strings.Trim(host, "[]"), port)
	}
	return strings.ToLower(host)
}

// readBody gives the whole body: what is signed are its exact bytes.
func (t *SigningTransport) readBody(req *http.Request) ([]byte, *wire.Error) {
	if req.Body == nil || req.Body == http.NoBody {
		return nil, nil
	}
	defer func() { _ = req.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(req.Body, t.MaxBody+1))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok || int64(len(body)) > t.MaxBody {
		return nil, &wire.Error{Status: http.StatusRequestEntityTooLarge, Code: "request_too_large", Message: "the body is larger than what is signed"}
	}
	if err != nil {
		return nil, &wire.Error{Status: http.StatusBadRequest, Code: "request_unreadable", Message: "the body could not be read"}
	}
	return body, nil
}

// TLSEnabled implements reverseproxy.TLSTransport.
func (t *SigningTransport) TLSEnabled() bool { return t.HTTP != nil && t.HTTP.TLSEnabled() }

// EnableTLS implements reverseproxy.TLSTransport.
func (t *SigningTransport) EnableTLS(base *reverseproxy.TLSConfig) error {
	t.ensureHTTP()
	return t.HTTP.EnableTLS(base)
}

// RequestHeaderOps implements reverseproxy.RequestHeaderOpsTransport.
func (t *SigningTransport) RequestHeaderOps() *headers.HeaderOps { return t.HTTP.RequestHeaderOps() }

// DefaultBufferSizes implements reverseproxy.BufferedTransport: requests are
// buffered so that reverse_proxy can replay their bodies. One byte more than
// may be signed tells a larger body from one that just fits.
func (t *SigningTransport) DefaultBufferSizes() (int64, int64) { return t.MaxBody + 1, 0 }

// Interface guards
var (
	_ caddy.Provisioner                      = (*SigningTransport)(nil)
	_ caddy.CleanerUpper                     = (*SigningTransport)(nil)
	_ http.RoundTripper                      = (*SigningTransport)(nil)
	_ reverseproxy.TLSTransport              = (*SigningTransport)(nil)
	_ reverseproxy.RequestHeaderOpsTransport = (*SigningTransport)(nil)
	_ reverseproxy.BufferedTransport         = (*SigningTransport)(nil)
)
