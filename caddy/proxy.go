package alipaycaddy

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/rs/cors"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/door/all"
	"github.com/caddy-alipayai/gateway/alipayai/residency"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/limiter"
)

func init() {
	caddy.RegisterModule(new(Proxy))
}

// dialects are those of the clients that a site may have.
var dialects = all.Dialects()

// Proxy serves clients of OpenAI's API (chat completions, responses, completions, embeddings, models, moderations) and of
// Anthropic's Messages API from the providers it names.
//
// The tenant of a call is `{http.auth.user.id}`, as any authentication
// handler before this one has set it, and nothing else.
type Proxy struct {
	// The providers to serve from, in order of preference: each is asked when
	// those before it that serve the call's model have not answered. Equal
	// providers are joined by `|`, as `alipay_a|alipay_b`: a call is sent to either.
	// The `alipayai` app declares them. Required.
	Providers []string `json:"providers,omitempty"`

	// How calls choose among equal providers. Default: see its fields.
	LoadBalancing *LoadBalancing `json:"load_balancing,omitempty"`

	// Permits providers of different regions, those that see the calls beside the listed ones included: a canary's, a
	// shadow's, moderators' before the handler, and that of the embeddings of intents. Default: false
	AllowCrossRegion bool `json:"allow_cross_region,omitempty"`

	// The regions in which what a tenant's calls to this handler carry may be, by name; `*` stands for each of all
	// others. The app's residency holds as well. Default: anywhere.
	Residency map[string][]string `json:"residency,omitempty"`

	// The largest request body in bytes, after decompression. Default: `4194304` (4 MiB)
	MaxBody int64 `json:"max_body,omitempty"`

	// The largest answer in bytes that is not a stream, and the largest event of one
	// that is. Default: `33554432` (32 MiB)
	MaxAnswer int64 `json:"max_answer,omitempty"`

	// How many bytes of answers may be held at once until clients have read them: of
	// answers of more than 64 KiB that are not streams, and of streams with an event of
	// more than 1 MiB. All handlers of the process
	// with the same value share it, over reloads as well. Beyond it such an answer
	// waits, until its call's deadline, and then fails with 503 and
	// `X-Should-Retry: false`. A client has a minute to read each mebibyte. At least
	// `max_answer`. Default: `268435456` (256 MiB), or `max_answer` if that is more
	MaxBuffered int64 `json:"max_buffered,omitempty"`

	// How long a whole call may take: to the answer's end for JSON, to the
	// first content for a stream. Default: `30s`
	Deadline caddy.Duration `json:"deadline,omitempty"`

	// What retrying a call may cost. Calls of class `money` are retried only
	// if they provably never left, never go to a second provider, and are never
	// answered from a cache. Default: `inference`
	Class string `json:"class,omitempty"`

	// When a tenant's calls skip a provider after system errors. Default: see its fields.
	Breaker *Breaker `json:"breaker,omitempty"`

	// Gives a tenant its last good answer to the same request when no provider
	// answers. Default: none.
	CachedAnswer *CachedAnswer `json:"cached_answer,omitempty"`

	// How calls with an `Idempotency-Key` are deduplicated. Default: see its fields.
	Idempotency *Idempotency `json:"idempotency,omitempty"`

	// For how long responses of OpenAI's Responses API are kept, for clients that go on from one by
	// `previous_response_id`, from a conversation's last turn on. None are kept for clients without a key of their own.
	// Default: they are not.
	StoreResponses caddy.Duration `json:"store_responses,omitempty"`

	// How short calls are put together into one request. Default: they are not.
	Pack *Pack `json:"pack,omitempty"`

	// Tries another provider beside one of these. Default: none.
	Canary *Canary `json:"canary,omitempty"`

	// Sends copies of a part of the calls to another provider, to compare. Default: none.
	Shadow *Shadow `json:"shadow,omitempty"`

	// What becomes of a request that a provider has blocked. Default: see its fields.
	RememberBlocked *RememberBlocked `json:"remember_blocked,omitempty"`

	// What tenants may use, by name; `*` stands for each of all others.
	// Default: no limits.
	Limits map[string]TenantLimit `json:"limits,omitempty"`

	// How much of a provider's cap tenants get against each other when calls
	// have to wait, by name; `*` stands for each of all others. Default: `1`
	Weights map[string]int `json:"weights,omitempty"`

	// The class in which a tenant's calls wait, by name: `high`, `normal` or
	// `low`; `*` stands for each of all others. Default: `normal`
	Priorities map[string]string `json:"priorities,omitempty"`

	// The most that tenants may spend, each by itself. Default: no budgets.
	Budgets []*Budget `json:"budgets,omitempty"`

	// The origins whose pages a browser lets call this, as `https://app.example.com`; `*` for all.
	// Handlers before this one answer their preflights too. Default: none.
	CORS []string `json:"cors,omitempty"`

	app     *App
	cors    *cors.Cors
	gateway *alipayai.Gateway
	door    door.Door
	// acquired is what the handler holds of the pooled state until the last of its calls has ended.
	acquired acquired
	// residency are the rules of the handler itself, and moderators those before it.
	residency  *residency.Rules
	moderators []*Moderate
	calls      inFlight
}

// TenantLimit is what one tenant may use of the gateway.
type TenantLimit struct {
	// The sustained rate of calls. Default: no limit.
	RequestsPerSecond float64 `json:"requests_per_second,omitempty"`

	// How many calls may come at once. Default: those of a second.
	Burst int `json:"burst,omitempty"`

	// The sustained rate of model tokens, and how many may be used at once.
	// Default: no limit.
	TokensPerMinute int `json:"tokens_per_minute,omitempty"`

	// How many calls may be in flight. Default: no limit.
	Concurrent int `json:"concurrent,omitempty"`
}

// Bounds of a tenant's requests_per_second. With fewer than one a day `Retry-After` would be longer than any client waits.
const (
	mostRate  = 1_000_000
	leastRate = 1.0 / (24 * 60 * 60)
)

// check refuses a limit that cannot be kept, or would hold nothing back.
func (l TenantLimit) check(tenant string) error {
	switch {
	case l == (TenantLimit{}):
		return fmt.Errorf("limit of tenant %s is empty", tenant)
	case l.RequestsPerSecond < 0 || l.Burst < 0 || l.TokensPerMinute < 0 || l.Concurrent < 0:
		return fmt.Errorf("limits of tenant %s must not be negative", tenant)
	case l.RequestsPerSecond > mostRate:
		return fmt.Errorf("limit of tenant %s: requests_per_second is %v, more than can be; the most is %d", tenant, l.RequestsPerSecond, mostRate)
	case l.RequestsPerSecond > 0 && l.RequestsPerSecond < leastRate:
		return fmt.Errorf("limit of tenant %s: requests_per_second is %v, less than one a day; write at least 0.0000116", tenant, l.RequestsPerSecond)
	case l.Burst > 0 && l.RequestsPerSecond == 0:
		return fmt.Errorf("limit of tenant %s: burst alone limits nothing; write requests_per_second as well", tenant)
	}
	return nil
}

// anyTenant stands for each tenant that is not named.
const anyTenant = "*"

// CaddyModule returns the Caddy module information.
func (*Proxy) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.alipayai_proxy",
		New: func() caddy.Module { return new(Proxy) },
	}
}

// Provision builds the gateway: who serves whom, and what becomes of calls that fail, come twice or are looked at beside.
func (h *Proxy) Provision(ctx caddy.Context) error {
	app, err := loadApp(ctx)
	if err != nil {
		return err
	}
	h.app = app
	if err := checkValues(h); err != nil {
		return err
	}
	if err := h.provisionCORS(); err != nil {
		return err
	}
	site := strings.Join(h.Providers, " ")
	app.sites[site] = true
	o := observer{metrics: app.metrics, monitor: app.monitor, logger: live.Log(ctx.Logger()), site: site}
	g := h.bareGateway(app, o)
	h.gateway, h.door = g, door.Door{Gateway: g, Dialects: dialects}
	if g.Providers, g.Balance, err = h.provisionBalance(app); err != nil {
		return err
	}
	if err := h.provisionResidency(app); err != nil { // of those providers
		return err
	}
	if err := h.provisionTenants(&app.warnings); err != nil {
		return err
	}
	if err := h.provisionFailover(app); err != nil {
		return err
	}
	if h.door.Conversations, err = h.provisionResponses(app); err != nil {
		return err
	}
	if g.Packs, err = h.provisionPacks(app, site, o); err != nil {
		return err
	}
	if g.Canary, err = h.provisionCanary(app); err != nil {
		return err
	}
	if g.Spending, err = h.provisionSpending(app); err != nil {
		return err
	}
	if g.Shadow, err = h.provisionShadow(app, site, g.Providers, o); err != nil {
		return err
	}
	size := cmp.Or(h.MaxBuffered, max(alipayai.DefaultMaxBuffered, h.MaxAnswer))
	g.Room = acquireFor[alipayai.Room](&app.acquired, "answers held", strconv.FormatInt(size, 10))
	if err := g.Prepare(); err != nil {
		return err
	}
	app.maxBody = max(app.maxBody, g.MaxBody)
	app.warnings.deadline(site, g.Providers, g.Deadline)
	return nil
}

// bareGateway is one with the bounds of calls, and without providers.
func (h *Proxy) bareGateway(app *App, o observer) *alipayai.Gateway {
	return &alipayai.Gateway{
		AllowCrossRegion: h.AllowCrossRegion,
		MaxBody:          h.MaxBody,
		MaxAnswer:        h.MaxAnswer,
		MaxBuffered:      h.MaxBuffered,
		Deadline:         time.Duration(h.Deadline),
		Class:            alipayai.Class(h.Class),
		Observer:         o,
		Evidence:         app.evidence,
	}
}

// Cleanup gives back the pooled state.
func (h *Proxy) Cleanup() error {
	if h.app == nil { // it was not provisioned, and has acquired nothing
		return nil
	}
	h.acquired.releaseAfter(&h.app.calls, &h.calls) // those of handlers before this one may come here yet
	return nil
}

// provisionTenants sets what tenants may use, and their shares.
func (h *Proxy) provisionTenants(w *warnings) (err error) {
	if h.gateway.TenantLimits, err = h.provisionLimits(w); err != nil {
		return err
	}
	h.gateway.DefaultShare = h.share(anyTenant)
	h.gateway.Shares, err = h.provisionShares(w)
	return err
}

// provisionLimits gives the tenants' limits; nil where there are none.
func (h *Proxy) provisionLimits(w *warnings) (*alipayai.TenantLimits, error) {
	if len(h.Limits) == 0 {
		return nil, nil
	}
	usage := acquireFor[limiter.TenantLimits](&h.acquired, "tenant limits", h.Providers...)
	limits := &alipayai.TenantLimits{Usage: usage, Of: make(map[string]limiter.TenantLimit)}
	for tenant, l := range h.Limits {
		if err := l.check(tenant); err != nil {
			return nil, err
		}
		w.tenant("limit", tenant)
		limits.Of[tenant] = limiter.TenantLimit{RequestsPerSecond: l.RequestsPerSecond, Burst: l.Burst, TokensPerMinute: l.TokensPerMinute, Concurrent: l.Concurrent}
	}
	limits.Default = limits.Of[anyTenant]
	return limits, nil
}

// provisionShares gives the shares of the tenants that have one of their own.
func (h *Proxy) provisionShares(w *warnings) (map[string]upstream.Share, error) {
	shares := make(map[string]upstream.Share)
	for tenant, weight := range h.Weights {
		if weight < 1 {
			return nil, fmt.Errorf("weight of tenant %s must be a number from 1", tenant)
		}
		w.tenant("weight", tenant)
		shares[tenant] = h.share(tenant)
	}
	for tenant, class := range h.Priorities {
		if _, ok := priorities[class]; !ok {
			return nil, fmt.Errorf("priority %q of tenant %s is unknown; use high, normal or low", class, tenant)
		}
		w.tenant("priority", tenant)
		shares[tenant] = h.share(tenant)
	}
	return shares, nil
}

// share gives what is configured for the tenant, and for any tenant where
// nothing is.
func (h *Proxy) share(tenant string) upstream.Share {
	weight, ok := h.Weights[tenant]
	if !ok {
		weight = h.Weights[anyTenant]
	}
	class, ok := h.Priorities[tenant]
	if !ok {
		class = h.Priorities[anyTenant]
	}
	return upstream.Share{Weight: weight, Priority: priorities[class]}
}

var priorities = map[string]limiter.Priority{"high": limiter.High, "normal": limiter.Normal, "low": limiter.Low}

// ServeHTTP serves the call; it writes every error itself, in OpenAI's form.
func (h *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	defer h.calls.endOf(h.calls.serve(r))
	h.app.store.await(r.Context())
	if answerPage(h.cors, w, r) {
		return nil
	}
	reading := h.read(r)
	h.door.Serve(w, r, tenantOf(r), reading)
	return nil
}

// read reads the request, of which what comes after the handler sees the call.
func (h *Proxy) read(r *http.Request) *door.Reading {
	if seenBefore(r) != nil {
		return h.app.seen(r, h.door.Read(r)).Reading
	}
	c := new(seenCall)
	c.Reading = h.door.ReadInto(&c.room, r)
	return h.app.show(r, c, true).Reading
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

// Interface guards
var (
	_ caddy.Provisioner           = (*Proxy)(nil)
	_ caddy.CleanerUpper          = (*Proxy)(nil)
	_ caddyhttp.MiddlewareHandler = (*Proxy)(nil)
)
