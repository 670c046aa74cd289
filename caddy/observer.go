package alipaycaddy

import (
	"context"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/alert"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/failover"
)

// observer turns what happens to calls into metrics, log fields and alerts.
type observer struct {
	metrics *metrics
	monitor *alert.Monitor
	logger  *zap.Logger
	// site names the providers together, as alerts call them.
	site string
}

func (o observer) Attempted(a alipayai.Attempt) { o.attempted(a, zapcore.WarnLevel) }

// attempted is Attempted with the level at which a failure is logged.
func (o observer) attempted(a alipayai.Attempt, level zapcore.Level) {
	code := a.Code
	if code == "" && a.Class != "" {
		code = "none" // a failure that names none
	}
	o.metrics.attempted(a.Provider, code)
	o.alertOn(a)
	if a.Class == "" {
		return
	}
	if c := o.logger.Check(level, "attempt failed"); c != nil {
		fields := []zap.Field{
			zap.String("provider", a.Provider), zap.String("code", a.Code), zap.String("action", string(a.Class)),
			zap.Int("status", a.Status), zap.Int("attempt", a.Number), zap.String("request_id", a.RequestID), zap.Error(a.Cause),
		}
		if a.UpstreamID != "" {
			fields = append(fields, zap.String("upstream_request_id", a.UpstreamID))
		}
		c.Write(fields...)
	}
}

// alertOn passes system errors, throttling and empty accounts on to the alert monitor.
func (o observer) alertOn(a alipayai.Attempt) {
	switch a.Class {
	case failure.SystemError:
		o.monitor.SystemError(a.Provider)
	case failure.Throttle:
		if !failure.IsRejection(a.Code) {
			o.monitor.Throttled(a.Provider)
		}
	case failure.AccountExhausted:
		o.monitor.AccountExhausted(a.Provider)
	case "":
		o.monitor.AccountServed(a.Provider)
	}
}

func (o observer) FellOver(provider, reason string) {
	o.metrics.fellOver(provider, reason)
}

func (o observer) BreakerChanged(tenant, provider string, state failover.State) {
	level := zapcore.WarnLevel
	if state == failover.Closed {
		level = zapcore.InfoLevel
	}
	if state == failover.Open {
		o.monitor.BreakerOpened(provider)
	}
	if c := o.logger.Check(level, "breaker changed"); c != nil {
		c.Write(zap.String("provider", provider), zap.String("tenant", tenant), zap.Stringer("state", state))
	}
}

func (o observer) Permitted(provider string, waited time.Duration) {
	o.metrics.permitted(provider, waited)
}

func (o observer) Rejected(provider, reason string) {
	o.metrics.rejections.WithLabelValues(provider, reason).Inc()
}

func (o observer) Charged(c alipayai.Cost) { o.metrics.spent(&c) }

func (o observer) SigningFailed(provider string) {
	o.metrics.signingFailures.WithLabelValues(provider).Inc()
}

func (o observer) Settled(ctx context.Context, out alipayai.Outcome) {
	o.metrics.settled(&out)
	switch {
	case out.Exhausted:
		o.monitor.Exhausted(o.site)
	case out.Code == "" && out.Stored == "" && out.Endpoint != upstream.EndpointModels:
		o.monitor.Served(o.site)
	}
	if out.Cost != "" {
		if repl, ok := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
			repl.Set("http.alipayai.cost", out.Cost)
		}
	}
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok && server.Logs != nil {
		if extra, ok := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
			extra.Add(zap.Object("alipayai", loggedOutcome(out)))
		}
	}
	if out.UsageEstimated {
		if c := o.logger.Check(zapcore.WarnLevel, "implausible usage"); c != nil {
			c.Write(zap.String("provider", out.Provider), zap.Int64("estimated_tokens", out.Usage.Total), zap.String("request_id", out.RequestID))
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
	if o.Session != "" {
		enc.AddString("session", o.Session)
	}
	if o.Agent != "" {
		enc.AddString("agent", o.Agent)
	}
	enc.AddString("provider", o.Provider)
	enc.AddString("model", o.Model[:min(len(o.Model), maxLoggedModel)])
	enc.AddBool("stream", o.Stream)
	enc.AddString("upstream_model", o.UpstreamModel[:min(len(o.UpstreamModel), maxLoggedModel)])
	enc.AddInt("attempts", o.Attempts)
	if o.Reasons != "" {
		enc.AddString("reasons", o.Reasons)
	}
	if o.Stored != "" {
		enc.AddString("stored", string(o.Stored))
	}
	if o.Packed > 0 {
		enc.AddInt("packed", o.Packed)
	}
	if o.Pack != "" {
		enc.AddString("pack", o.Pack)
	}
	if o.Canary != "" {
		enc.AddString("canary", o.Canary)
	}
	if o.Shadow != "" {
		enc.AddString("shadow", o.Shadow)
	}
	if o.AskedAlone != "" {
		enc.AddString("asked_alone", o.AskedAlone)
	}
	enc.AddString("code", o.Code)
	enc.AddBool("aborted", o.Aborted)
	enc.AddDuration("first_byte", o.FirstByte)
	if o.Usage.OK {
		enc.AddInt64("prompt_tokens", o.Usage.Prompt)
		enc.AddInt64("completion_tokens", o.Usage.Completion)
	}
	if o.Quoted != "" {
		enc.AddString("quoted", o.Quoted)
	}
	if o.Cost != "" {
		enc.AddString("cost", o.Cost)
	}
	return nil
}

// Interface guards
var _ alipayai.Observer = observer{}
