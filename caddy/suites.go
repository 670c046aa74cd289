package alipaycaddy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/alert"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/suite"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
	"github.com/caddy-alipayai/gateway/caddy/command"
	"github.com/caddy-alipayai/gateway/limiter"
)

// Suite is a file of prompts that a provider is asked again and again, by one replica for all: what changes in its answers
// alerts. Its calls are within the provider's rate cap, behind all clients, and at the operator's cost.
type Suite struct {
	// The provider that is asked. Required.
	Provider string `json:"provider,omitempty"`

	// The file of prompts, read when the configuration is loaded. It may be a placeholder. Required without `builtin`.
	File string `json:"file,omitempty" placeholder:"whole"`

	// A suite that comes with the plugin, in place of a file: `compliance-zh`, what Chinese law forbids to ask of a financial
	// assistant. Default: none.
	Builtin string `json:"builtin,omitempty"`

	// The model that is asked for where the file names none, by the provider's name. Default: the provider's own `model`,
	// or the first of its `models`.
	Model string `json:"model,omitempty"`

	// How long after the beginning of a run the next one begins, from a minute on. The first is when the configuration is
	// loaded. Default: `24h`
	Every caddy.Duration `json:"every,omitempty"`

	// How many prompts are asked at once, up to 32. Default: `4`
	Concurrency int `json:"concurrency,omitempty"`
}

// Defaults and bounds of suites.
const (
	defaultSuiteEvery = 24 * time.Hour
	leastSuiteEvery   = time.Minute
)

// configuredSuite is a suite of the configuration.
type configuredSuite struct {
	*suite.Schedule
	provider string
}

// lastSuiteRecord is what was known last of a suite, for the configuration that follows.
type lastSuiteRecord struct {
	atomic.Pointer[suite.Record]
}

// openSuites prepares the suites.
func (a *accounts) openSuites(ctx caddy.Context, all map[string]*Suite) (map[string]*configuredSuite, error) {
	opened := make(map[string]*configuredSuite, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		err := checkName("suite", name)
		if err != nil {
			return nil, err
		}
		if opened[name], err = a.openSuite(ctx, name, all[name]); err != nil {
			return nil, fmt.Errorf("suite %s: %w", name, err)
		}
	}
	return opened, nil
}

func (a *accounts) openSuite(ctx caddy.Context, name string, c *Suite) (*configuredSuite, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	prompts, err := c.read(a.secrets)
	if err != nil {
		return nil, err
	}
	asks, err := a.askSuite(c.Provider, c.Model, prompts, func(prompt *suite.Prompt) alipayai.Observer {
		logger := a.logger.With(zap.String("suite", name), zap.String("prompt_id", prompt.ID))
		return suiteObserver{observer{metrics: a.metrics, monitor: a.monitor, logger: logger}, prompt}
	})
	if err != nil {
		return nil, err
	}
	p := a.providers[c.Provider]
	every := cmp.Or(time.Duration(c.Every), defaultSuiteEvery)
	identity := hashAll([]string{"suites", name, p.Name, p.BaseURL.Host, p.ClientID, c.Model})
	known := acquireFor[lastSuiteRecord](&a.acquired, "suites", string(identity[:]))
	s := suite.NewSchedule(suite.Config{
		Name: name, Provider: p.Name, Suite: prompts, Every: every, Concurrency: c.Concurrency, Ask: asks,
		Store:    a.store.record(ctx.Storage(), "suites", string(identity[:])),
		Observer: &suiteWatch{monitor: a.monitor, logger: a.logger.With(zap.String("suite", name))},
		Known:    known.Load(), Keep: func(r suite.Record) { known.Store(&r) }, Now: time.Now,
	})
	a.jobs.add("suite "+name, s.Run)
	return &configuredSuite{s, p.Name}, nil
}

// check refuses options that cannot be.
func (c *Suite) check() error {
	switch {
	case c.Provider == "":
		return errors.New("provider is missing: write provider <name>")
	case c.Every != 0 && time.Duration(c.Every) < leastSuiteEvery:
		return errors.New("every must be at least 1m; each run asks the provider with every prompt")
	case c.Concurrency < 0 || c.Concurrency > suite.MaxConcurrency:
		return fmt.Errorf("concurrency %d is not a number from 1 to %d", c.Concurrency, suite.MaxConcurrency)
	case c.File == "" == (c.Builtin == ""):
		return errors.New("write either file <path> or builtin <name>")
	}
	return nil
}

// read reads the prompts.
func (c *Suite) read(s secrets) (*suite.Suite, error) {
	if c.Builtin != "" {
		return readSuite("", c.Builtin)
	}
	path, err := s.public("file", c.File)
	if err != nil {
		return nil, err
	}
	return readSuite(path, "")
}

// readSuite reads a file of prompts, or the built-in one of that name.
func readSuite(path, builtin string) (*suite.Suite, error) {
	if builtin != "" {
		content, err := suite.Builtin(builtin)
		if err != nil {
			return nil, err
		}
		return suite.Parse(content)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("file: %w", err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, suite.MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("file: %w", err)
	}
	parsed, err := suite.Parse(content)
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", path, err)
	}
	return parsed, nil
}

// askSuite gives what asks the provider for the prompts of a suite: within its rate cap and behind all clients, by calls
// of the operator's. The model of a prompt is its own, that of the suite, the provider's, or the first of those that the
// provider serves. It has no breaker, which would have a suite say what the breaker does. observe gives what observes the
// calls of a prompt; nil for nothing.
func (a *accounts) askSuite(provider, model string, of *suite.Suite, observe func(*suite.Prompt) alipayai.Observer) (suite.Asked, error) {
	p, err := a.provider(provider)
	if err != nil {
		return nil, err
	}
	model = cmp.Or(model, p.Model)
	if model == "" && len(p.Models) > 0 {
		model = p.Models[0]
	}
	type question struct {
		gateway *alipayai.Gateway
		request wire.Request
	}
	questions := make(map[string]question, len(of.Prompts))
	spending := a.spending(&a.acquired)
	for _, prompt := range of.Prompts {
		asked := cmp.Or(prompt.Model, model)
		request, err := wire.ParseChatRequest(prompt.Body(model), wire.Limits{})
		switch {
		case asked == "":
			return nil, fmt.Errorf("prompt %s names no model, and provider %s has none of its own: %w", prompt.ID, p.Name, command.ErrNoModel)
		case !p.Serves(upstream.EndpointChat, asked):
			return nil, fmt.Errorf("prompt %s: provider %s does not serve model %s", prompt.ID, p.Name, asked)
		case err != nil:
			return nil, fmt.Errorf("prompt %s: %w", prompt.ID, err)
		}
		gateway := &alipayai.Gateway{
			Providers: []*upstream.Provider{p}, Deadline: suite.MaxTimeout, MaxAnswer: suite.MaxAnswer,
			DefaultShare: upstream.Share{Weight: 1, Priority: limiter.Low}, Spending: spending,
			AllowCrossRegion: true, // the prompts are the operator's
		}
		if observe != nil {
			gateway.Observer = observe(prompt)
		}
		if err := gateway.Prepare(); err != nil {
			return nil, err
		}
		questions[prompt.ID] = question{gateway, request}
	}
	return func(ctx context.Context, prompt *suite.Prompt) *suite.Answer {
		q := questions[prompt.ID]
		return askPrompt(ctx, q.gateway, q.request)
	}, nil
}

// suiteObserver observes calls of a suite's prompt: that one has failed is in its report, and no site is without a provider.
type suiteObserver struct {
	observer
	prompt *suite.Prompt
}

// Attempted implements alipayai.Observer. A failure that the suite expects is none to an operator.
func (o suiteObserver) Attempted(a alipayai.Attempt) {
	level := zapcore.WarnLevel
	if o.prompt.ExpectsFailure(a.Code, a.Class == failure.Blocked) {
		level = zapcore.DebugLevel
	}
	o.attempted(a, level)
}

// Settled implements alipayai.Observer.
func (o suiteObserver) Settled(_ context.Context, out alipayai.Outcome) { o.metrics.settled(&out) }

// askPrompt makes the call of a prompt.
func askPrompt(ctx context.Context, gateway *alipayai.Gateway, request wire.Request) *suite.Answer {
	a, err := gateway.Do(ctx, &alipayai.Call{
		Endpoint: upstream.EndpointChat, Tenant: alipayai.SuitesTenant, Format: openai.Format{}, Request: request,
	})
	if err != nil {
		return failedPrompt(ctx, err)
	}
	got := new(suite.Answer)
	code := readPrompt(a, got)
	if code != "" {
		got = &suite.Answer{Code: code}
	}
	a.Close(code == "")
	got.Cost = a.Cost()
	return got
}

// readPrompt reads an answer, and gives the code of why it cannot be.
func readPrompt(a *alipayai.Answer, got *suite.Answer) (code string) {
	if !a.Streams() {
		if !got.AddWhole(a.Body()) {
			return failure.CodeMalformed
		}
		return ""
	}
	for {
		events, err := a.Next()
		if broken, ok := errors.AsType[*alipayai.Error](err); ok {
			return broken.Code
		}
		if err != nil {
			got.End()
			return ""
		}
		if !got.AddEvents(events) {
			return failure.CodeResponseTooLarge
		}
	}
}

// maxSuiteCode cuts what an upstream calls a failure, in bytes: reports keep it.
const maxSuiteCode = 64

// failedPrompt is what a call without an answer says of its prompt.
func failedPrompt(ctx context.Context, err error) *suite.Answer {
	e, ok := errors.AsType[*alipayai.Error](err)
	if !ok || ctx.Err() != nil {
		return &suite.Answer{Code: failure.CodeTimeout}
	}
	return &suite.Answer{
		Code: e.Code[:min(len(e.Code), maxSuiteCode)], Blocked: e.Class == failure.Blocked, Cost: e.Served.Cost,
		// What the provider says of the request itself, unlike an outage or what it says of the operator's account.
		Refused: e.FromUpstream && e.Class == failure.Fail && !e.FallsOver(),
	}
}

// suiteWatch tells operators how a suite fares.
type suiteWatch struct {
	monitor *alert.Monitor
	logger  *zap.Logger
}

// Ended implements suite.Observer.
func (w *suiteWatch) Ended(r *suite.Report) {
	w.logger.Info("suite has run",
		zap.String("provider", r.Provider), zap.String("version", r.Version), zap.Int("passed", r.Count(suite.Pass)),
		zap.Int("failed", r.Count(suite.Fail)), zap.Int("unknown", r.Count(suite.Unknown)), zap.Int("changed", len(r.Changes)),
		zap.Duration("took", r.Ended.Sub(r.Began)))
	w.monitor.Suite(r.Suite, r.Provider, suite.Names(r.Changes, suite.Fail), suite.Names(r.Changes, suite.Pass))
}

// Elsewhere implements suite.Observer: the replica that has run the suite tells what has changed.
func (w *suiteWatch) Elsewhere(r *suite.Report) { w.monitor.Suite(r.Suite, r.Provider, nil, nil) }

// StoreFailed implements suite.Observer.
func (w *suiteWatch) StoreFailed(err error) {
	w.logger.Error("the record of the suite cannot be read or written, and it is not run meanwhile", zap.Error(err))
}

// unmarshalSuite reads one `suite`.
func (a *App) unmarshalSuite(d *caddyfile.Dispenser) error {
	var name string
	if err := args(d, &name); err != nil {
		return err
	}
	if err := checkName("suite", name); err != nil {
		return d.WrapErr(err)
	}
	if _, ok := a.Suites[name]; ok {
		return d.Errf("suite %s is declared twice", name)
	}
	if a.Suites == nil {
		a.Suites = make(map[string]*Suite)
	}
	c := new(Suite)
	a.Suites[name] = c
	err := block(d, "suite",
		option{form: "provider <name>", read: text(&c.Provider)},
		option{form: "file <path>", read: text(&c.File)},
		option{form: "builtin <name>, as builtin compliance-zh", read: text(&c.Builtin)},
		option{form: "model <model>", read: text(&c.Model)},
		option{form: "every <duration>, as every 6h", read: durationLike(&c.Every, "6h")},
		option{form: "concurrency <number>", read: number(&c.Concurrency)},
	)
	if err == nil {
		if wrong := c.check(); wrong != nil {
			err = d.Errf("suite %s: %v", name, wrong)
		}
	}
	return err
}

// Interface guards
var _ suite.Observer = (*suiteWatch)(nil)
