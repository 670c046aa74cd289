package alipaycaddy

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/asked"
	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/moderate"
	"github.com/caddy-alipayai/gateway/alipayai/residency"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

func init() {
	caddy.RegisterModule(new(Moderate))
}

// Moderate holds requests, and the answers that `alipayai_proxy` behind it gives, against a moderator's policy.
//
// The verdict covers all text of the request: every message, tool results and the system prompt. Before `alipayai_proxy`
// a model's verdict is waited for while the call waits for its provider; before any other handler it is waited for first.
// POST /v1/moderations it answers itself. A request without a body is passed on; one with a body that is no JSON object is refused,
// and so is what makes a tunnel of the connection, such as a WebSocket: what goes through that has no verdict.
//
// It sets `{http.alipayai.moderation}` to `allowed`, `blocked`, `pending` (the proxy waits for it) or `none` (no text), and
// `{http.alipayai.moderation.policy}` to the policy that blocks.
type Moderate struct {
	// The moderator, which the `alipayai` app declares. Required.
	Moderator string `json:"moderator,omitempty"`

	// The largest request body in bytes, after decompression. Default: the largest of the `alipayai_proxy` handlers', and
	// `4194304` (4 MiB) at least
	MaxBody int64 `json:"max_body,omitempty"`

	app       *App
	moderator *Moderator
	guard     *alipayai.OutputGuard
	logger    *zap.Logger
	// overlaps says that nothing but alipayai_proxy sends what this handler passes on.
	overlaps atomic.Bool
	// residency are the rules of the handlers behind this one; nil until those are known, and then all hold.
	residency atomic.Pointer[pinned]
}

// CaddyModule returns the Caddy module information.
func (*Moderate) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.alipayai_moderate",
		New: func() caddy.Module { return new(Moderate) },
	}
}

// Provision finds the moderator.
func (h *Moderate) Provision(ctx caddy.Context) error {
	app, err := loadApp(ctx)
	if err != nil {
		return err
	}
	if err := checkValues(h); err != nil {
		return err
	}
	if h.moderator, err = app.moderator(h.Moderator); err != nil {
		return err
	}
	if h.MaxBody < 0 {
		return errNegativeBody
	}
	h.app, h.moderator.used = app, true
	h.guard, h.logger = h.moderator.guard(), live.Log(ctx.Logger())
	return nil
}

// What {http.alipayai.moderation} says.
const (
	moderationAllowed = "allowed"
	moderationBlocked = "blocked"
	moderationPending = "pending"
	moderationNone    = "none"
)

// moderated is a request at the handler.
type moderatedRequest struct {
	h      *Moderate
	r      *http.Request
	tenant string
	texts  []wire.Text
	id     string // of what is refused, or noted in the log
}

// ServeHTTP passes on what may be sent, and writes the refusal of what may not.
func (h *Moderate) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	defer h.app.calls.endOf(h.app.calls.serve(r))
	h.app.store.await(r.Context())
	if asksForTunnel(r) {
		(&moderatedRequest{h: h, r: r}).refuse(w, alipayai.TunnelBlocked(h.moderator.policy.Name))
		return nil
	}
	call := h.app.seen(r, dialects.PeekAny(r, cmp.Or(h.MaxBody, h.app.maxBody, alipayai.DefaultMaxBody), time.Now))
	m := &moderatedRequest{h: h, r: r, tenant: tenantOf(r)}
	if call.Failure != nil {
		refused := *call.Failure
		m.refuse(w, &refused)
		return nil
	}
	if !call.hasRequest() {
		m.note(moderationNone, "")
		if h.guard != nil { // what was kept may be asked for
			r = r.WithContext(alipayai.WithModeration(r.Context(), alipayai.Moderation{Guard: h.guard}))
		}
		return next.ServeHTTP(w, r)
	}
	if call.Endpoint == upstream.EndpointModerations {
		m.answerModerations(w, call.Request.Body)
		return nil
	}
	m.texts = call.sentTexts()
	passed := alipayai.Moderation{Guard: h.guard}
	v := h.moderator.policy.CheckRules(m.texts)
	if !v.Blocked && h.moderator.policy.Model != nil {
		if f := m.outside(); f != nil {
			m.refuse(w, f)
			return nil
		}
		if h.overlaps.Load() && h.moderator.OnBlock != onBlockRoute && call.Endpoint != "" { // else it is no call that waits
			m.note(moderationPending, "")
			passed.Verdict = alipayai.Pending(call.Sent(), m.judge)
			return next.ServeHTTP(w, r.WithContext(alipayai.WithModeration(r.Context(), passed)))
		}
		v = m.askModel([][]wire.Text{m.texts})[0]
	}
	m.record(v)
	switch {
	case !v.Blocked:
		m.note(moderationAllowed, "")
	case h.moderator.OnBlock == onBlockRoute:
		m.note(moderationBlocked, v.Policy)
	default:
		m.note(moderationBlocked, v.Policy)
		m.refuse(w, failureOf(v))
		return nil
	}
	return next.ServeHTTP(w, r.WithContext(alipayai.WithModeration(r.Context(), passed)))
}

// asksForTunnel reports whether r asks for a connection that carries what is no request: by an upgrade, or by CONNECT, which
// opens a WebSocket in HTTP/2 and 3. To h2c, which Java's client and curl offer with ordinary requests, it is not upgraded:
// a server may ignore the offer (RFC 9110, section 7.8), and a proxy behind this handler must not pass it on.
func asksForTunnel(r *http.Request) bool {
	if r.Method == http.MethodConnect {
		return true
	}
	if !httpguts.HeaderValuesContainsToken(r.Header["Connection"], "Upgrade") {
		return false
	}
	for offered := range strings.SplitSeq(strings.Join(r.Header["Upgrade"], ","), ",") {
		if offered = strings.TrimSpace(offered); offered != "" && !strings.EqualFold(offered, "h2c") {
			return true
		}
	}
	r.Header.Del("Upgrade")
	r.Header.Del("Http2-Settings")
	return false
}

// regions are those in which the call may be, by its tenant's residency.
func (m *moderatedRequest) regions() residency.Regions {
	if rules := m.h.residency.Load(); rules != nil {
		return regionsAhead(rules.Rules, m.tenant)
	}
	return m.h.app.regionsBefore(m.tenant)
}

// outside gives the failure of a call that the moderator's model must not see: there is no verdict on it, and none to be
// had.
func (m *moderatedRequest) outside() *failure.Failure {
	regions := m.regions()
	if m.h.moderator.model.Within(regions) {
		return nil
	}
	return alipayai.OutsideResidency(regions)
}

// judge is askModel for a call that waits for it.
func (m *moderatedRequest) judge() *failure.Failure {
	v := m.askModel([][]wire.Text{m.texts})[0]
	m.record(v)
	if !v.Blocked {
		return nil
	}
	return failureOf(v)
}

// askModel asks the moderator's model about inputs. Its calls have nothing of the client's request but that they end with it.
func (m *moderatedRequest) askModel(inputs [][]wire.Text) []moderate.Verdict {
	ctx, cancel := context.WithCancel(asked.WithRegions(context.Background(), m.regions()))
	defer context.AfterFunc(m.r.Context(), cancel)()
	defer cancel()
	began := time.Now()
	verdicts := m.h.moderator.policy.CheckInputs(ctx, m.tenant, inputs)
	m.h.moderator.metrics.moderationTime.WithLabelValues(m.h.Moderator).Observe(time.Since(began).Seconds())
	return verdicts
}

func failureOf(v moderate.Verdict) *failure.Failure {
	if v.By == moderate.ByError {
		return alipayai.NoVerdict(v.Policy, v.Err)
	}
	return alipayai.ModerationBlocked(v.Policy)
}

// note sets the placeholders.
func (m *moderatedRequest) note(result, policy string) {
	if repl, ok := m.r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set("http.alipayai.moderation", result)
		repl.Set("http.alipayai.moderation.policy", policy)
	}
}

func resultOf(v moderate.Verdict) string {
	if v.Blocked {
		return moderationBlocked
	}
	return moderationAllowed
}

// record counts the verdict, and writes one that blocks, or is none, to the log: who asked and why, and nothing of the text.
func (m *moderatedRequest) record(v moderate.Verdict) {
	result := resultOf(v)
	m.h.moderator.metrics.moderated(m.h.Moderator, string(v.By), result)
	if !v.Blocked && v.Err == nil {
		return
	}
	message := "request blocked"
	if v.Err != nil {
		message = "no verdict of the moderator's model"
	}
	if c := m.h.logger.Check(zapcore.WarnLevel, message); c != nil {
		characters := 0
		for _, t := range m.texts {
			characters += len([]rune(t.Value))
		}
		c.Write(zap.String("moderator", m.h.Moderator), zap.String("policy", v.Policy), zap.String("by", string(v.By)),
			zap.String("version", m.h.moderator.policy.Version()), zap.String("result", result), zap.String("tenant", m.tenant),
			zap.String("request_id", m.requestID()), zap.Int("texts", len(m.texts)), zap.Int("characters", characters), zap.NamedError("error", v.Err))
	}
}

func (m *moderatedRequest) requestID() string {
	if m.id == "" {
		m.id = alipayai.NewRequestID()
	}
	return m.id
}

// refuse writes f in the form of the request's dialect.
func (m *moderatedRequest) refuse(w http.ResponseWriter, f *failure.Failure) {
	f.RequestID = m.requestID()
	if f.ClientGone {
		w.WriteHeader(f.Status)
		return
	}
	answerPage(m.h.app.cors, w, m.r)
	door.LeaveBody(w, m.r)
	dialects.Of(m.r).WriteError(w, f.Error)
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Moderate)(nil)
	_ caddyhttp.MiddlewareHandler = (*Moderate)(nil)
)
