package alipaycaddy

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/evidence"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/shadow"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// Shadow sends copies of a part of the calls to another provider, when their clients have their
// answers, and compares what the two have done. Never copied are calls of class `money`, those
// with tools that the provider runs, those of `anonymous`, and answers that are given again.
type Shadow struct {
	// The provider that gets the copies, which is none of the directive's and has credentials
	// of its own: those that can read only, if the vendor has such. Required.
	Provider string `json:"provider,omitempty"`

	// The part of the calls that are copied, from above 0 to 1. Required.
	Share float64 `json:"share,omitempty"`

	// The tenants whose calls are not copied. Default: none.
	OptOut []string `json:"opt_out,omitempty"`

	// How many copies may wait; more are dropped, and counted. Default: `100`
	MaxCalls int `json:"max_calls,omitempty"`

	// How many bytes of requests and answers they may hold. Default: `16777216` (16 MiB)
	MaxBytes int64 `json:"max_bytes,omitempty"`

	// The part of the answers that may differ in one way before an alert says so, from above 0
	// to below 1. Default: `0.05`
	Divergence float64 `json:"divergence,omitempty"`

	// Seals the pairs that differ, as the app's `evidence` says. Default: false
	Pairs bool `json:"pairs,omitempty"`
}

// check sets defaults, and refuses options that make no sense.
func (c *Shadow) check() error {
	setDefault(&c.MaxCalls, shadow.DefaultMaxCalls)
	setDefault(&c.MaxBytes, shadow.DefaultMaxBytes)
	setDefault(&c.Divergence, shadow.DefaultDivergence)
	switch {
	case !(c.Share > 0 && c.Share <= 1):
		return fmt.Errorf("share %v is not a part from above 0 to 1", c.Share)
	case !(c.Divergence > 0 && c.Divergence < 1):
		return fmt.Errorf("divergence %v is not a part from above 0 to below 1", c.Divergence)
	case c.MaxCalls < 0 || c.MaxBytes < 0:
		return errors.New("max_calls and max_bytes must not be negative")
	}
	return nil
}

func setDefault[T comparable](to *T, value T) {
	if *to == *new(T) {
		*to = value
	}
}

// shadowState is the pooled memory of what came of copies.
type shadowState struct {
	once sync.Once
	*shadow.History
	// release gives back what the state is kept in.
	release func()
}

// Destruct gives that back when no configuration uses it.
func (s *shadowState) Destruct() error {
	if s.release != nil {
		s.release()
	}
	return nil
}

// configuredShadow is a shadow of the configuration.
type configuredShadow struct {
	*shadowState
	identity   [32]byte
	provider   string
	divergence float64
}

// shadowFile is where states are kept that no store shares.
func shadowFile() string { return filepath.Join(caddy.AppDataDir(), "alipayai", "shadow.db") }

// shadowQueues are the names of the shadows by the queues of all configurations whose calls or copies go on.
var shadowQueues sync.Map

// endShadows asks what waits in them, until ctx ends, and counts what is left as dropped.
func endShadows(ctx context.Context, logger *zap.Logger) {
	var all sync.WaitGroup
	for queue, provider := range shadowQueues.Range {
		all.Go(func() {
			if lost := queue.(*shadow.Queue).End(ctx); lost > 0 {
				logger.Warn("copies of calls are lost: the process ends before the shadow has answered",
					zap.Any("provider", provider), zap.Int("copies", lost))
			}
		})
	}
	all.Wait()
}

// provisionShadow has copies of a part of the calls to those providers sent to another one; nil for none.
func (h *Proxy) provisionShadow(app *App, site string, of []*upstream.Provider, o observer) (*alipayai.Shadow, error) {
	if h.Shadow == nil {
		return nil, nil
	}
	c := *h.Shadow
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("shadow: %w", err)
	}
	p, err := app.provider(c.Provider)
	if err != nil {
		return nil, fmt.Errorf("shadow: %w", err)
	}
	if c.Pairs && app.Evidence == nil {
		return nil, errors.New("shadow: pairs has no meaning without evidence in the alipayai global option, which says where they go and who may read them")
	}
	state, err := app.openShadow(&h.acquired, c.Divergence, site, p, of)
	if err != nil {
		return nil, err
	}
	seen := shadowObserver{observer: o, provider: p.Name}
	if c.Pairs {
		seen.evidence = app.evidence
	}
	queue, err := h.shadowQueue(app, &c, p, state, seen)
	if err != nil {
		return nil, fmt.Errorf("shadow: %w", err)
	}
	copies := &alipayai.Shadow{Provider: p, Share: c.Share, OptedOut: make(map[string]bool), Copy: queue.Copy}
	for _, tenant := range c.OptOut {
		app.warnings.tenant("shadow opt_out", tenant)
		copies.OptedOut[tenant] = true
	}
	return copies, nil
}

// openShadow gives what is known of the shadow p of the providers of a site, for calls of by, which outlive the configuration.
// While that lasts it is kept, once for all handlers of the same providers.
func (a *App) openShadow(by *acquired, divergence float64, site string, p *upstream.Provider, of []*upstream.Provider) (*shadowState, error) {
	// Another provider, or another model of one, is compared anew.
	identity := []string{site, p.Name, string(p.Shape[:]), strconv.FormatFloat(divergence, 'g', -1, 64)}
	for _, own := range of {
		identity = append(identity, string(own.Shape[:]))
	}
	name, hash := site+":"+p.Name, hashAll(identity)
	other := a.shadows[name]
	if other != nil && other.identity != hash {
		return nil, fmt.Errorf("shadow %s: another directive of the same providers has it with another divergence; write the same in both", p.Name)
	}
	acquireState := func(by *acquired) *shadowState {
		state := acquireFor[shadowState](by, "shadow", append(identity, a.store.identity, shadowFile())...)
		state.once.Do(func() {
			state.release = a.store.hold()
			state.History = shadow.NewHistory(a.store.states(shadowFile()), fmt.Sprintf("%x", hash), divergence)
		})
		return state
	}
	state := acquireState(by)
	if other == nil {
		acquireState(&a.acquired) // for the job
		a.shadows[name] = &configuredShadow{state, hash, p.Name, divergence}
		logger := a.logger.With(zap.String("shadow", name))
		a.jobs.add("shadow "+name, func(ctx context.Context) { state.Run(ctx, tellShadow(logger)) })
	}
	return state, nil
}

// tellShadow tells whether what came of a shadow's copies can be kept.
func tellShadow(logger *zap.Logger) func(error) {
	return func(err error) {
		if err != nil {
			logger.Error("what came of the shadow's copies cannot be kept, and is counted by this replica alone meanwhile", zap.Error(err))
		} else {
			logger.Info("what came of the shadow's copies is kept again")
		}
	}
}

// shadowQueue makes what holds copies of the handler's calls until p has been asked.
func (h *Proxy) shadowQueue(app *App, c *Shadow, p *upstream.Provider, state *shadowState, seen shadowObserver) (*shadow.Queue, error) {
	asks := shadow.NewGateway(p)
	asks.Observer, asks.MaxAnswer, asks.Deadline, asks.Spending = seen, h.MaxAnswer, time.Duration(h.Deadline), app.spending(&h.acquired)
	if err := asks.Prepare(); err != nil {
		return nil, err
	}
	queue := &shadow.Queue{
		Gateway: asks, MaxCalls: c.MaxCalls, MaxBytes: c.MaxBytes, History: state.History, Observer: seen,
		Running: func() func() {
			h.calls.begin()
			return h.calls.end
		},
	}
	shadowQueues.Store(queue, p.Name)
	h.acquired.add(func() { shadowQueues.Delete(queue) })
	return queue, nil
}

// shadowObserver turns what becomes of copies into metrics, log entries and sealed pairs. As the
// Observer of the calls to the shadow it counts their attempts, and no calls: there are no clients.
type shadowObserver struct {
	observer
	provider string
	evidence *evidence.Recorder // nil where pairs are not kept
}

// Settled implements [alipayai.Observer].
func (shadowObserver) Settled(context.Context, alipayai.Outcome) {}

// Compared implements [shadow.Observer].
func (o shadowObserver) Compared(p shadow.Pair, different bool) {
	outcome := "same"
	if different {
		outcome = "different"
	}
	o.metrics.shadow.WithLabelValues(o.provider, outcome).Inc()
	for side, seen := range map[shadow.Side]*alipayai.Seen{shadow.Real: p.Real, shadow.OfShadow: p.Shadow} {
		if seen.FirstContent > 0 {
			o.metrics.shadowFirst.WithLabelValues(o.provider, string(side)).Observe(seen.FirstContent.Seconds())
		}
	}
	names := make([]string, len(p.Differences))
	for i, d := range p.Differences {
		names[i] = string(d.Aspect)
		o.metrics.shadowDiffers.WithLabelValues(o.provider, string(d.Aspect), string(d.Worse)).Inc()
	}
	if !different {
		return
	}
	if c := o.logger.Check(zapcore.InfoLevel, "shadow differs"); c != nil {
		c.Write(zap.String("provider", o.provider), zap.String("instead_of", p.Real.Provider), zap.Strings("differs", names),
			zap.String("request_id", p.Real.RequestID), zap.String("shadow_request_id", p.Shadow.RequestID),
			zap.String("code", p.Real.Code), zap.String("shadow_code", p.Shadow.Code))
	}
	if o.evidence != nil {
		o.evidence.Seal(evidence.Record{
			Time: time.Now(), RequestID: p.Real.RequestID, Tenant: p.Call.Tenant, Provider: p.Real.Provider,
			Endpoint: string(p.Call.Endpoint), Model: p.Call.Request.Model, Code: p.Real.Code,
			Request:  evidence.Request{Body: p.Call.Request.Body},
			Response: evidence.Response{Body: p.Real.Answer},
			Pair:     &evidence.Pair{Provider: o.provider, Differs: names, Code: p.Shadow.Code, Body: p.Shadow.Answer},
			Conceal:  func(text []byte) []byte { return []byte(live.Text(string(text))) },
		})
	}
}

// Dropped implements [shadow.Observer].
func (o shadowObserver) Dropped(reason string, cause error) {
	o.metrics.shadow.WithLabelValues(o.provider, "dropped").Inc()
	o.metrics.shadowDropped.WithLabelValues(o.provider, shadowReason(reason)).Inc()
	if cause == nil {
		return
	}
	if c := o.logger.Check(zapcore.ErrorLevel, "a copy of a call could not be compared"); c != nil {
		c.Write(zap.String("provider", o.provider), zap.Error(cause))
	}
}

// shadowReason is why a copy was dropped, as a label.
func shadowReason(reason string) string {
	switch reason {
	case shadow.QueueFull, shadow.QueueBytes, shadow.NotAsked, shadow.ProcessEnds:
		return reason
	}
	return failure.Known(reason)
}

// unmarshalShadow reads `shadow <provider> <share>` and its block.
func (h *Proxy) unmarshalShadow(d *caddyfile.Dispenser) error {
	c := new(Shadow)
	h.Shadow = c
	var share string
	if err := args(d, &c.Provider, &share); err != nil {
		return err
	}
	if err := parsePercent(d, "shadow: share", share, &c.Share); err != nil {
		return err
	}
	return block(d, "shadow",
		option{form: "opt_out <tenants...>", read: list(&c.OptOut)},
		option{form: "queue <number> [<size>], as queue 100 16MiB", read: c.unmarshalQueue},
		option{form: "divergence <percent>, as divergence 5%", read: single(&c.Divergence, parsePercent)},
		option{form: "pairs", read: enable(&c.Pairs)},
	)
}

func (c *Shadow) unmarshalQueue(d *caddyfile.Dispenser) error {
	given := d.RemainingArgs()
	if len(given) != 1 && len(given) != 2 {
		return errArguments
	}
	if err := parseNumber(d, "queue: number", given[0], &c.MaxCalls); err != nil {
		return err
	}
	if len(given) == 2 {
		return parseSize(d, "queue: size", given[1], &c.MaxBytes)
	}
	return nil
}

// Interface guards
var (
	_ alipayai.Observer = shadowObserver{}
	_ shadow.Observer   = shadowObserver{}
)
