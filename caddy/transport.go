package alipaycaddy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-alipayai/gateway/alipayai"
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
	if status, err := t.refuse(req); err != nil {
		return nil, caddyhttp.Error(status, err)
	}
	body, err := t.readBody(req)
	if err != nil {
		return nil, err
	}
	out, err := t.provider.SignRequest(req, body)
	if err != nil {
		t.metrics.signingFailures.WithLabelValues(t.provider.Name).Inc()
		return nil, caddyhttp.Error(http.StatusBadGateway, err)
	}
	t.HTTP.SetScheme(out)
	resp, err := t.HTTP.RoundTrip(out)
	if err != nil {
		t.metrics.attempted(t.provider.Name, "upstream_unreachable")
		return nil, err
	}
	t.metrics.attempted(t.provider.Name, "")
	return resp, nil
}

// refuse says why a request may not be signed.
func (t *SigningTransport) refuse(req *http.Request) (int, error) {
	if !t.AllowAnonymous && tenantOf(req) == alipayai.AnonymousTenant {
		return http.StatusUnauthorized, errors.New("requests are signed for authenticated users only")
	}
	if host := canonicalHost(req.URL.Host, t.HTTP.TLSEnabled()); host != canonicalHost(t.provider.BaseURL.Host, t.provider.BaseURL.Scheme == "https") {
		return http.StatusForbidden, fmt.Errorf("provider %s signs for its own host only, not for %s", t.provider.Name, host)
	}
	if plain := path.Clean(req.URL.Path); req.URL.RawPath != "" || plain != req.URL.Path && plain+"/" != req.URL.Path {
		return http.StatusForbidden, errors.New("the path is not in its plain form")
	}
	if !slices.ContainsFunc(t.Paths, func(allowed string) bool {
		if prefix, ok := strings.CutSuffix(allowed, "*"); ok {
			return strings.HasPrefix(req.URL.Path, prefix)
		}
		return req.URL.Path == allowed
	}) {
		return http.StatusForbidden, errors.New("the path is not among those that may be signed")
	}
	return 0, nil
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
func (t *SigningTransport) readBody(req *http.Request) ([]byte, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return nil, nil
	}
	defer func() { _ = req.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(req.Body, t.MaxBody+1))
	if int64(len(body)) > t.MaxBody {
		return nil, caddyhttp.Error(http.StatusRequestEntityTooLarge, fmt.Errorf("the body is larger than the %d bytes that are signed", t.MaxBody))
	}
	if err != nil {
		return nil, caddyhttp.Error(http.StatusBadRequest, errors.New("the body could not be read"))
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
