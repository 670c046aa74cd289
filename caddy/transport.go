package alipaycaddy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/residency"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

func init() {
	caddy.RegisterModule(new(SigningTransport))
}

// SigningTransport signs what stock `reverse_proxy` sends, such as raw Open
// Platform or Antom calls. Each try gets a signature of its own. It never
// repeats a request by itself, since such calls may move money.
//
// Whoever reaches the site could have anything signed, so it refuses calls
// without an authenticated user, upstreams other than the provider's host, and
// paths and APIs that it does not list. Client headers go upstream from an
// allow-list, and cookies do not come back.
type SigningTransport struct {
	// The provider whose keys sign. The `alipayai` app declares it. Required.
	Provider string `json:"provider,omitempty"`

	// The request paths that may be signed, as Caddy's path matcher takes them:
	// exact, or ending in `*`. Required.
	Paths []string `json:"paths,omitempty"`

	// The APIs that may be called, by their parameter `method`: exact, or ending
	// in `*`. Required for the profile `openapi-v2`, which has all of them under
	// one path; not allowed for others.
	Methods []string `json:"methods,omitempty"`

	// Permits calls without an authenticated user. Default: false
	AllowAnonymous bool `json:"allow_anonymous,omitempty"`

	// The largest request body in bytes: it is signed whole. A larger one gets
	// status 413. Default: `4194304` (4 MiB)
	MaxBody int64 `json:"max_body,omitempty"`

	// The longest time from the call's arrival, with its body, until the request
	// leaves: over the wait for an access token, which is at most five seconds, the
	// wait for the rate cap, connecting, and all tries of `reverse_proxy`. Then
	// the call gets status 504, or 503 where a token is missing. Default: `30s`
	Deadline caddy.Duration `json:"deadline,omitempty"`

	// Leaves its signature to an answer that the gateway has verified, for clients
	// that verify it too, as Alipay's own SDKs do. It then appears in Caddy's access
	// log as well. Default: false
	KeepSignature bool `json:"keep_signature,omitempty"`

	// How to connect: Caddy's own HTTP transport. Default: its defaults.
	HTTP *reverseproxy.HTTPTransport `json:"http,omitempty"`

	provider    *upstream.Provider
	metrics     *metrics
	logger      *zap.Logger
	connections http.RoundTripper
}

// signingProtocol is the transport's name in JSON.
const signingProtocol = "alipayai"

// CaddyModule returns the Caddy module information.
func (*SigningTransport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.transport." + signingProtocol,
		New: func() caddy.Module { return new(SigningTransport) },
	}
}

// Provision finds the provider and sets up the HTTP transport.
func (t *SigningTransport) Provision(ctx caddy.Context) error {
	app, err := loadApp(ctx)
	if err != nil {
		return err
	}
	if err := checkValues(t); err != nil {
		return err
	}
	if t.provider, err = app.provider(t.Provider); err != nil {
		return err
	}
	t.metrics, t.logger = app.metrics, live.Log(ctx.Logger())
	if regions := app.residency.Of(residency.AnyTenant); !t.provider.Within(regions) {
		return fmt.Errorf("residency *: calls may only be in %s (%s)", regions, regionOf(t.provider))
	}
	if !t.provider.Profile.Signs() {
		return fmt.Errorf("provider %s does not sign requests; use reverse_proxy without this transport", t.Provider)
	}
	if err := t.checkLists(); err != nil {
		return err
	}
	if t.MaxBody < 0 {
		return errors.New("max_body is negative")
	}
	if t.MaxBody == 0 {
		t.MaxBody = alipayai.DefaultMaxBody
	}
	if t.Deadline < 0 {
		return errors.New("deadline is negative; write it like 30s")
	}
	if t.Deadline == 0 {
		t.Deadline = caddy.Duration(alipayai.DefaultDeadline)
	}
	t.ensureHTTP()
	if err := t.HTTP.Provision(ctx); err != nil {
		return err
	}
	t.connections = connectionsOf(t.HTTP)
	return nil
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
	closeIdle(t.connections)
	return t.HTTP.Cleanup()
}

// RoundTrip signs req and sends it once. The request that it is given stays
// as it is, so that the next try starts from the same.
//
// An error is a request that has not left, which reverse_proxy may send to the
// next upstream. Where one may have left and nothing came back, that is an
// answer: it has to tell the client not to repeat the call.
func (t *SigningTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	refusal := t.refuse(req)
	var body []byte
	if refusal == nil {
		body, refusal = t.readBody(req)
	}
	if refusal == nil {
		refusal = t.refuseAPI(req, body)
	}
	if refusal == nil {
		refusal = t.refusePlace(req, body)
	}
	if refusal != nil {
		return answerTo(req, refusal), nil
	}
	sending := sendingOf(req.Context(), time.Duration(t.Deadline))
	try := &try{SigningTransport: t}
	x, f := t.provider.Send(req.Context(), &upstream.Request{
		Client: t.addressed(req), Body: body, Tenant: tenantOf(req), LeaveBy: sending.deadline,
		Transport: t.connections, Caller: try,
	})
	if f == nil {
		sending.left = true
		x.Response.Header.Del("Set-Cookie")
		f = x.PassOn(alipayai.DefaultMaxAnswer, t.KeepSignature)
	}
	if f != nil {
		return try.failed(req, f)
	}
	t.metrics.attempted(t.provider.Name, "")
	return x.Response, nil
}

// addressed is req with the scheme of its connection in its URL.
func (t *SigningTransport) addressed(req *http.Request) *http.Request {
	u, client := *req.URL, *req
	client.URL = &u
	t.HTTP.SetScheme(&client)
	return &client
}

// readBody gives the whole body: what is signed are its exact bytes.
func (t *SigningTransport) readBody(req *http.Request) ([]byte, *wire.Error) {
	if req.Body == nil || req.Body == http.NoBody {
		return nil, nil
	}
	defer func() { _ = req.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(req.Body, t.MaxBody+1))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok || int64(len(body)) > t.MaxBody {
		return nil, &wire.Error{Status: http.StatusRequestEntityTooLarge, Code: failure.CodeRequestTooLarge, Message: "the body is larger than what is signed"}
	}
	if err != nil {
		return nil, &wire.Error{Status: http.StatusBadRequest, Code: failure.CodeRequestUnreadable, Message: "the body could not be read"}
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
