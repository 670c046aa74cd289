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
	"github.com/rs/cors"
	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/alert"
	"github.com/caddy-alipayai/gateway/alipayai/budget"
	"github.com/caddy-alipayai/gateway/alipayai/calendar"
	"github.com/caddy-alipayai/gateway/alipayai/consent"
	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/evidence"
	"github.com/caddy-alipayai/gateway/alipayai/outgoing"
	"github.com/caddy-alipayai/gateway/alipayai/pack"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/residency"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/seal"
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

	// residency are those rules. beforeProxies adds those of all handlers, for what looks at calls before it is known
	// which one they go to.
	residency, beforeProxies *residency.Rules
	proxies                  []*Proxy

	providers map[string]*upstream.Provider
	metrics   *metrics
	logger    *zap.Logger
	sealing   *seal.Seal
	store     *openedStore
	breakers  breakers
	holds     sharedHolds // nil without a store that replicas share
	evidence  *evidence.Recorder
	alerter   *alert.Alerter
	monitor   *alert.Monitor
	warnings  warnings
	// ctx is the configuration's: asked for Caddy's other apps, and for why it ended.
	ctx     caddy.Context
	started bool
	intents *intents
	// users are the consents of providers' users, and pages where they give them.
	users map[string]*consent.Consents
	// userFields are the fields, in canonical form, that name a call's user to one of those providers.
	userFields []string
	pages      []*OAuth
	// conversations are what handlers keep of responses, whichever has kept them; nil where none does.
	conversations *door.Conversations

	// maxBody is the largest max_body of the handlers, which is as much as matchers read; 0 without a handler.
	maxBody  int64
	priced   map[string]*alipayai.Priced // nil where no cost is kept account of
	exchange *price.Exchange
	ledger   *ledgerState // nil for none
	// asked keeps account of models that are asked on tenants' behalf, within the budgets of the handlers in budgeted;
	// askedBy says by whom, by the provider.
	asked    *alipayai.Spending
	askedBy  map[string]string
	budgeted []*alipayai.Spending
	budgets  *budget.Budgets // nil for none
	// acquireLedger acquires it once more, for what outlives the configuration.
	acquireLedger func() (state *ledgerState, release func())
	keepers       map[string]*calendar.Keeper
	watchedKeys   map[string]bool // whose keys are read anew when they change: providers, and files of tenants' keys
	suites        map[string]*configuredSuite
	// sites are those of the handlers, as alerts call them.
	sites map[string]bool
	// corsOrigins are those of the handlers, and cors answers pages of any of them.
	corsOrigins []string
	cors        *cors.Cors
	// packing is what was compared of packed calls, by site.
	packing map[string]*pack.Agreements
	// pools keep connections ready, by provider.
	pools map[string][]*outgoing.Warm
	// canaries are those of the handlers, by name.
	canaries map[string]*configuredCanary
	// shadows are those of the handlers, by site and provider.
	shadows map[string]*configuredShadow
	// lifecycle is what the parts have the configuration do at Start, and from then to its end.
	lifecycle
	// redeeming are the refresh tokens that are being redeemed; nil where none is.
	redeeming *token.Redemptions
	// calls are those at handlers before alipayai_proxy, as a moderator that asks its model: they have not come there yet.
	calls inFlight
	// servesOn is how long Caddy's servers serve on when the process ends.
	servesOn time.Duration
	// exiting says whether the process ends: caddy.Exiting.
	exiting func() bool
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "alipayai",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision builds the providers. It does no network input or output.
func (a *App) Provision(ctx caddy.Context) error {
	a.logger, a.exiting, a.ctx = live.Log(ctx.Logger()), caddy.Exiting, ctx
	a.warnings = warnings{logger: a.logger, named: make(map[string]string), regions: make(map[string]string)}
	if err := checkValues(a); err != nil {
		return err
	}
	if err := a.openResidency(); err != nil {
		return err
	}
	var err error
	if a.metrics, err = openMetrics(ctx, &a.acquired); err != nil {
		return err
	}
	if a.sealing, err = a.newSeal(newSecrets(a.InsecureLiterals)); err != nil {
		return err
	}
	if a.store, err = a.openStore(); err != nil {
		return err
	}
	a.opens = append(a.opens, a.store.connect) // before all that uses it
	a.jobs.add("store", func(ctx context.Context) { a.store.inspect(ctx, a.logger) })
	a.openBreakers()
	a.openHolds()
	if err := a.openEvidence(); err != nil {
		return err
	}
	if err := a.openAlerts(); err != nil {
		return err
	}
	if err := a.openIntents(); err != nil {
		return err
	}
	a.keepers = make(map[string]*calendar.Keeper)
	a.watchedKeys = make(map[string]bool)
	a.sites, a.packing = make(map[string]bool), make(map[string]*pack.Agreements)
	a.canaries, a.shadows = make(map[string]*configuredCanary), make(map[string]*configuredShadow)
	a.pools = make(map[string][]*outgoing.Warm)
	a.providers = make(map[string]*upstream.Provider, len(a.Providers))
	credentials := newCredentialUses()
	for _, name := range slices.Sorted(maps.Keys(a.Providers)) {
		if err := checkName("provider", name); err != nil {
			return err
		}
		built, err := a.buildProvider(ctx, name, a.Providers[name], credentials)
		if err != nil {
			return fmt.Errorf("provider %s: %w", name, err)
		}
		a.warnings.provider(built)
		a.providers[name] = built
	}
	if err := a.checkHosts(); err != nil {
		return err
	}
	if err := a.buildPrices(); err != nil {
		return err
	}
	a.warnings.prices(a.priced)
	if err := a.openLedger(); err != nil {
		return err
	}
	if err := a.openModerators(); err != nil {
		return err
	}
	if err := a.openEmbeddings(); err != nil {
		return fmt.Errorf("intents: embeddings: %w", err)
	}
	return a.openSuites(ctx)
}

// Start begins the background work.
func (a *App) Start() error {
	if err := a.check(); err != nil {
		return err
	}
	a.started = true
	a.warn()
	if app, err := a.ctx.AppIfConfigured("http"); err == nil {
		if served, ok := app.(*caddyhttp.App); ok {
			overlap(served)
			a.servesOn = time.Duration(served.ShutdownDelay)
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
	if !a.started && a.ctx.Context != nil {
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

// provider finds a provider by name.
func (a *App) provider(name string) (*upstream.Provider, error) {
	return declared("provider", name, a.providers)
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
