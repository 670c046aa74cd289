package alipaycaddy

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-alipayai/gateway/alipayai"
)

func init() {
	caddy.RegisterModule(new(Proxy))
}

// Proxy serves `POST /v1/chat/completions`, `POST /v1/embeddings` and
// `GET /v1/models` to OpenAI clients from the providers it names.
//
// The tenant of a call is `{http.auth.user.id}`, as any authentication
// handler before this one has set it, and nothing else.
type Proxy struct {
	// The providers to serve from, in order of preference; a call goes to the
	// first that serves its model. The `alipayai` app declares them. Required.
	Providers []string `json:"providers,omitempty"`

	// Permits providers of different regions. Default: false
	AllowCrossRegion bool `json:"allow_cross_region,omitempty"`

	// The largest request body in bytes, inflated. Default: `4194304` (4 MiB)
	MaxBody int64 `json:"max_body,omitempty"`

	// The largest answer in bytes that is not a stream. Default: `33554432` (32 MiB)
	MaxAnswer int64 `json:"max_answer,omitempty"`

	// How long a whole call may take: to the answer's end for JSON, to the
	// first content for a stream. Default: `30s`
	Deadline caddy.Duration `json:"deadline,omitempty"`

	gateway *alipayai.Gateway
}

// CaddyModule returns the Caddy module information.
func (*Proxy) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.alipayai_proxy",
		New: func() caddy.Module { return new(Proxy) },
	}
}

// Provision finds the providers.
func (h *Proxy) Provision(ctx caddy.Context) error {
	app, err := loadApp(ctx)
	if err != nil {
		return err
	}
	h.gateway = &alipayai.Gateway{
		AllowCrossRegion: h.AllowCrossRegion,
		MaxBody:          h.MaxBody,
		MaxAnswer:        h.MaxAnswer,
		Deadline:         time.Duration(h.Deadline),
		Observer:         observer{metrics: app.metrics, logger: ctx.Logger()},
	}
	for i, name := range h.Providers {
		p, err := app.provider(name)
		if err != nil {
			return err
		}
		if slices.Contains(h.Providers[:i], name) {
			return fmt.Errorf("provider %s is named twice", name)
		}
		h.gateway.Providers = append(h.gateway.Providers, p)
	}
	return h.gateway.Prepare()
}

// ServeHTTP serves the call; it writes every error itself, in OpenAI's form.
func (h *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	h.gateway.Serve(w, r, tenantOf(r))
	return nil
}

// tenantOf gives the authenticated user.
func tenantOf(r *http.Request) string {
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		if user, ok := repl.GetString("http.auth.user.id"); ok && user != "" {
			return user
		}
	}
	return alipayai.AnonymousTenant
}

// observer turns what happens to calls into metrics and log fields.
type observer struct {
	metrics *metrics
	logger  *zap.Logger
}

func (o observer) Attempted(provider, code string) { o.metrics.attempted(provider, code) }

func (o observer) SigningFailed(provider string) {
	o.metrics.signingFailures.WithLabelValues(provider).Inc()
	o.logger.Error("request could not be signed", zap.String("provider", provider))
}

func (o observer) Settled(ctx context.Context, out alipayai.Outcome) {
	o.metrics.settled(&out)
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok && server.Logs != nil {
		if extra, ok := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
			extra.Add(zap.Object("alipayai", loggedOutcome(out)))
		}
	}
	if out.Aborted {
		if c := o.logger.Check(zapcore.WarnLevel, "stream aborted"); c != nil {
			c.Write(zap.String("provider", out.Provider), zap.String("code", out.Code), zap.String("request_id", out.RequestID))
		}
	}
}

// maxLoggedModel cuts the model's name, which the client chooses, in bytes.
const maxLoggedModel = 64

// loggedOutcome is an outcome as the access log shows it, under "alipayai".
type loggedOutcome alipayai.Outcome

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (o loggedOutcome) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("request_id", o.RequestID)
	enc.AddString("tenant", o.Tenant)
	enc.AddString("endpoint", string(o.Endpoint))
	enc.AddString("provider", o.Provider)
	enc.AddString("model", o.Model[:min(len(o.Model), maxLoggedModel)])
	enc.AddBool("stream", o.Stream)
	enc.AddInt("attempts", o.Attempts)
	enc.AddString("code", o.Code)
	enc.AddBool("aborted", o.Aborted)
	enc.AddDuration("first_byte", o.FirstByte)
	if o.Usage.OK {
		enc.AddInt64("prompt_tokens", o.Usage.Prompt)
		enc.AddInt64("completion_tokens", o.Usage.Completion)
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Proxy)(nil)
	_ caddyhttp.MiddlewareHandler = (*Proxy)(nil)
)
