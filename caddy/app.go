package alipaycaddy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App declares the providers that the handlers of the configuration use, and
// does their background work: it keeps tokens fresh and watches key folders.
type App struct {
	// The providers by name. Handlers refer to them by it. Default: none.
	Providers map[string]*Provider `json:"providers,omitempty"`

	// Encrypts what is kept outside of the process: rotated refresh tokens in
	// Caddy's storage, and the tokens and answers that replicas share through
	// Redis. 32 bytes as 64 hexadecimal digits or in base64, by placeholder.
	// Required with `redis`, and for refresh tokens. Default: none.
	EncryptionKey string `json:"encryption_key,omitempty" placeholder:"whole"`

	// Permits secrets to stand in the configuration itself instead of
	// `{env.*}` or `{file.*}` placeholders. Anyone who can read `/config/` or
	// the autosaved configuration can then read them. Default: false
	InsecureLiterals bool `json:"insecure_literals,omitempty"`

	// Where replicas share rate limits, holds of throttling accounts, access tokens,
	// breakers, cached answers and claimed idempotency keys. Default: the memory of this process.
	Redis *Redis `json:"redis,omitempty"`

	// Where complete records of system errors go, sealed. Default: nowhere.
	Evidence *Evidence `json:"evidence,omitempty"`

	// Where operators are notified of what is wrong. Default: in the log only.
	Alerts []*Alert `json:"alerts,omitempty"`

	// How many system errors a minute of one provider are too many. Default: `10`
	AlertSystemErrors int `json:"alert_system_errors,omitempty"`

	// How it is recognised what a call is about, for matchers. Default: by the built-in examples.
	Intents *Intents `json:"intents,omitempty"`

	// What may be sent to models, and shown of their answers, by the name that `alipayai_moderate` refers to.
	// Default: none.
	Moderators map[string]*Moderator `json:"moderators,omitempty"`

	// LiteLLM's price file, `model_prices_and_context_window.json` as it is: the prices of
	// models that a provider's own `prices` do not name. It may be a placeholder. Default: none.
	Prices string `json:"prices_file,omitempty" placeholder:"whole"`

	// What currencies are worth in others, for budgets. Default: none.
	Rates []Rate `json:"rates,omitempty"`

	// Files of prompts that providers are asked again and again, by the name that alerts have. Default: none.
	Suites map[string]*Suite `json:"suites,omitempty"`

	// Where it is kept what calls have cost. Default: a file in Caddy's data folder, if
	// any price is configured.
	Ledger *Ledger `json:"ledger,omitempty"`

	// Where this process runs, such as `sg`. Required with a residency. Default: none.
	Region string `json:"region,omitempty"`

	// The regions in which what a tenant's calls carry may be, by name; `*` stands for each of all others. It holds for
	// whatever the process does with them. Default: anywhere.
	Residency map[string][]string `json:"residency,omitempty"`

	// The parts that Provision makes of the options.
	*setting
	*location
	*sharing
	*reports
	*upstreams
	*accounts
	*served
	intents *intents
	suites  map[string]*configuredSuite

	started bool
	// calls are those at handlers before alipayai_proxy, as a moderator that asks its model: they have not come there yet.
	calls inFlight
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "alipayai",
		New: func() caddy.Module { return new(App) },
	}
}

// sharedStore gives the store that the configuration names.
func (a *App) sharedStore() sharedStore {
	if a.Redis != nil {
		return sharedStore{"redis", a.Redis}
	}
	return sharedStore{}
}

// Start begins the background work.
func (a *App) Start() error {
	if err := a.checkResidency(); err != nil {
		return err
	}
	if err := a.check(); err != nil {
		return err
	}
	a.started = true
	a.warn()
	if app, err := a.ctx.AppIfConfigured("http"); err == nil {
		if servers, ok := app.(*caddyhttp.App); ok {
			overlap(servers)
			a.servesOn = time.Duration(servers.ShutdownDelay)
		}
	}
	a.start()
	return nil
}

// warn warns of what is known only when all handlers are there.
func (a *App) warn() {
	a.warnings.tenants()
	a.warnings.unknownRegions(a.knownRegions())
	for _, name := range slices.Sorted(maps.Keys(a.Moderators)) {
		if !a.Moderators[name].used {
			a.logger.Warn("a moderator is declared and moderates nothing: write alipayai_moderate "+name+" where its rules are to hold", zap.String("moderator", name))
		}
	}
	if app, err := a.ctx.AppIfConfigured("http"); err == nil {
		if served, ok := app.(*caddyhttp.App); ok {
			for _, server := range served.Servers {
				a.warnings.unauthenticated(server)
				a.warnings.unreached(server)
			}
		}
	}
}

// Cleanup gives back the pooled state. A configuration that has only been validated,
// and is right, has not had its last warnings.
func (a *App) Cleanup() error {
	if a.setting == nil {
		return nil // it was not provisioned
	}
	if !a.started && a.served != nil {
		if cause := context.Cause(a.ctx); cause != nil && errors.Unwrap(cause) == nil { // Caddy wraps why it rejects one
			a.warn()
			a.wouldStart()
		}
	}
	if a.started && a.exiting() {
		a.exit()
	}
	a.releaseAtEnd(&a.calls)
	return nil
}

// wouldStart logs why a configuration that is valid would be refused at Start. It is known only when all handlers are
// there, and of that moment Caddy lets no module know before Start, so that `caddy validate` cannot fail of it. Checks that
// make folders or open files are for Start alone.
func (a *App) wouldStart() {
	if err := a.checkResidency(); err != nil {
		a.logger.Error("this configuration will be refused when it is loaded", zap.Error(err))
	}
}

// moderator finds a moderator by name.
func (a *App) moderator(name string) (*Moderator, error) {
	return declared("moderator", name, a.Moderators)
}

// declared finds one of a kind by name, or says which there are.
func declared[T any](kind, name string, all map[string]T) (one T, err error) {
	if one, ok := all[name]; ok {
		return one, nil
	}
	if len(all) == 0 {
		return one, fmt.Errorf("%s %q is not declared; declare it in the alipayai global option", kind, name)
	}
	known := strings.Join(slices.Sorted(maps.Keys(all)), ", ")
	return one, fmt.Errorf("%s %q is not declared; the alipayai global option declares %s", kind, name, known)
}

// loadApp gives the configuration's app, empty where none is configured.
func loadApp(ctx caddy.Context) (*App, error) {
	app, err := ctx.App("alipayai")
	if err != nil {
		return nil, fmt.Errorf("loading the alipayai app: %w", err)
	}
	return app.(*App), nil
}

// checkName keeps names, of what is called so, to what reads well as a metric label, in a
// header and in a Caddyfile.
func checkName(of, name string) error {
	valid := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' || r == '.'
	}
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, func(r rune) bool { return !valid(r) }) {
		return fmt.Errorf("%s name %q: use 1 to 64 letters, digits, dots, dashes and underscores", of, name)
	}
	return nil
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
