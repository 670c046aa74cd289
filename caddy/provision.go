package alipaycaddy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
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

// Provision makes the parts of the configuration, one of another: what opens a part takes the options that are its own, and
// the parts that it needs, so that another order does not compile; moderators, intents and suites need nothing of each other. The app has its parts when all are made. What they
// acquire is in the setting, from which Cleanup gives it back wherever Provision ends. It does no network input or output.
func (a *App) Provision(ctx caddy.Context) error {
	setting := newSetting(ctx, a.InsecureLiterals)
	a.setting = setting
	if err := checkValues(a); err != nil {
		return err
	}
	location, err := openLocation(setting, a.Region, a.sharedStore(), a.Residency)
	if err != nil {
		return err
	}
	sharing, err := openSharing(setting, a.EncryptionKey, a.sharedStore())
	if err != nil {
		return err
	}
	reports, err := openReports(setting, reportOptions{a.Evidence, a.Alerts, a.AlertSystemErrors})
	if err != nil {
		return err
	}
	upstreams, err := openUpstreams(location, sharing, reports, a.Providers)
	if err != nil {
		return err
	}
	accounts, err := openAccounts(upstreams, priceOptions{a.Prices, a.Rates, a.Providers, a.Ledger})
	if err != nil {
		return err
	}
	if err := accounts.openModerators(a.Moderators); err != nil {
		return err
	}
	served := newServed(location)
	intents, err := accounts.openIntents(a.Intents, served)
	if err != nil {
		return err
	}
	suites, err := accounts.openSuites(ctx, a.Suites)
	if err != nil {
		return err
	}
	a.location, a.sharing, a.reports, a.upstreams, a.accounts, a.served = location, sharing, reports, upstreams, accounts, served
	a.intents, a.suites = intents, suites
	a.jobs.add("alerts", (&watch{app: a, known: reports.known}).run)
	return nil
}

// setting is what every part of a configuration is made in.
type setting struct {
	lifecycle

	// ctx is the configuration's: asked for Caddy's other apps, and for why it ended.
	ctx      caddy.Context
	logger   *zap.Logger
	secrets  secrets
	warnings warnings
	// exiting says whether the process ends: caddy.Exiting.
	exiting func() bool
	// servesOn is how long Caddy's servers serve on when the process ends. It is known at Start.
	servesOn time.Duration
}

func newSetting(ctx caddy.Context, literals bool) *setting {
	logger := live.Log(ctx.Logger())
	return &setting{
		ctx: ctx, logger: logger, secrets: newSecrets(literals), exiting: caddy.Exiting,
		warnings: warnings{logger: logger, named: make(map[string]string), regions: make(map[string]string)},
	}
}

// location is where calls are, and may be.
type location struct {
	*setting

	// region is where this process runs, and storeRegion where what is given to the store is kept; empty where that is not said.
	region, storeRegion string
	// residency are the rules that hold whatever the process does with a call.
	residency *residency.Rules
}

// sharing is what replicas have in common, or this process alone has where they have nothing.
type sharing struct {
	*setting

	sealing  *seal.Seal // nil without encryption_key
	store    *openedStore
	breakers breakers
	holds    sharedHolds // nil without a store that replicas share
}

func openSharing(s *setting, encryptionKey string, shared sharedStore) (*sharing, error) {
	sealing, err := newSeal(s.secrets, encryptionKey)
	if err != nil {
		return nil, err
	}
	opened, err := openStore(&s.acquired, s.secrets, sealing, shared)
	if err != nil {
		return nil, err
	}
	s.opens = append(s.opens, opened.connect) // before all that uses it
	s.jobs.add("store", func(ctx context.Context) { opened.inspect(ctx, s.logger) })
	return &sharing{
		setting: s, sealing: sealing, store: opened,
		breakers: openBreakers(&s.lifecycle, opened), holds: openHolds(&s.lifecycle, opened),
	}, nil
}

// reports is what operators learn of calls by.
type reports struct {
	*setting

	metrics  *metrics
	evidence *evidence.Recorder
	alerter  *alert.Alerter
	monitor  *alert.Monitor
	// known is what is known to be wrong, and sites are those that it may be of: handlers, and what asks models itself.
	known *alertState
	sites map[string]bool
}

// reportOptions are the app's options for them.
type reportOptions struct {
	evidence     *Evidence
	alerts       []*Alert
	systemErrors int
}

func openReports(s *setting, o reportOptions) (r *reports, err error) {
	r = &reports{setting: s, sites: make(map[string]bool)}
	if r.metrics, err = openMetrics(s.ctx, &s.acquired); err != nil {
		return nil, err
	}
	if r.evidence, err = openRecorder(s, r.metrics, o.evidence); err != nil {
		return nil, err
	}
	if r.alerter, r.known, err = openAlerts(s, r.metrics, o.alerts); err != nil {
		return nil, err
	}
	if o.systemErrors < 0 {
		return nil, errors.New("alert_system_errors must be a number from 1")
	}
	r.monitor = alert.NewMonitor(r.alerter, o.systemErrors)
	return r, nil
}

// upstreams are the providers, and what belongs to them.
type upstreams struct {
	*setting
	*location
	*sharing
	*reports

	providers map[string]*upstream.Provider
	// users are the consents of providers' users.
	users map[string]*consent.Consents
	// userFields are the fields, in canonical form, that name a call's user to one of those providers.
	userFields []string
	keepers    map[string]*calendar.Keeper
	// watchedKeys says whose keys are read anew when they change: those of providers, and files of tenants' keys.
	watchedKeys map[string]bool
	// pools keep connections ready, by provider.
	pools map[string][]*outgoing.Warm
	// redeeming are the refresh tokens that are being redeemed; nil where none is.
	redeeming *token.Redemptions
}

func openUpstreams(l *location, s *sharing, r *reports, configured map[string]*Provider) (*upstreams, error) {
	u := &upstreams{
		setting: l.setting, location: l, sharing: s, reports: r,
		providers: make(map[string]*upstream.Provider, len(configured)), users: make(map[string]*consent.Consents),
		keepers: make(map[string]*calendar.Keeper), watchedKeys: make(map[string]bool), pools: make(map[string][]*outgoing.Warm),
	}
	credentials := newCredentialUses()
	for _, name := range slices.Sorted(maps.Keys(configured)) {
		if err := checkName("provider", name); err != nil {
			return nil, err
		}
		built, err := u.buildProvider(u.ctx, name, configured[name], credentials)
		if err != nil {
			return nil, fmt.Errorf("provider %s: %w", name, err)
		}
		u.warnings.provider(built)
		u.providers[name] = built
	}
	return u, checkHosts(u.providers)
}

// provider finds a provider by name.
func (u *upstreams) provider(name string) (*upstream.Provider, error) {
	return declared("provider", name, u.providers)
}

// accounts is what calls cost and what they may, and so what asks models by itself.
type accounts struct {
	*setting
	*sharing
	*reports
	*upstreams

	priced   map[string]*alipayai.Priced // nil where no cost is kept account of
	exchange *price.Exchange
	ledger   *ledgerState // nil for none
	// acquireLedger acquires it once more, for what outlives the configuration.
	acquireLedger func() (state *ledgerState, release func())
	budgets       *budget.Budgets // nil for none
	// asked keeps account of models that are asked on tenants' behalf, within the budgets of the handlers in budgeted;
	// askedBy says by whom, by the provider.
	asked    *alipayai.Spending
	askedBy  map[string]string
	budgeted []*alipayai.Spending
}

// priceOptions are the app's options for them, and the providers with prices of their own.
type priceOptions struct {
	file      string
	rates     []Rate
	providers map[string]*Provider
	ledger    *Ledger
}

// openIntents makes what recognises the intents of calls, before it is known which of the handlers serves them.
func (a *accounts) openIntents(o *Intents, by *served) (*intents, error) {
	i, err := openIntents(&a.acquired, o, by.regionsBefore)
	if err != nil || o == nil || o.Embeddings == nil {
		return i, err
	}
	if i.embedded, err = a.openEmbeddings(o.Embeddings, i.examples); err != nil {
		return nil, fmt.Errorf("intents: embeddings: %w", err)
	}
	return i, nil
}

// served is what handlers and matchers say of themselves when they are provisioned, one after the other and all before any
// serves, and what others have to know of it.
type served struct {
	// beforeProxies are the rules of residency of the app and of all proxies, for what looks at calls before it is known which
	// one they go to.
	beforeProxies *residency.Rules
	proxies       []*Proxy
	// maxBody is the largest max_body of the proxies, which is as much as matchers read; 0 without a proxy.
	maxBody int64
	// pages are where providers' users give their consent.
	pages []*OAuth
	// conversations are what proxies keep of responses, whichever has kept them; nil where none does.
	conversations *door.Conversations
	// corsOrigins are those of the proxies, and cors answers pages of any of them.
	corsOrigins []string
	cors        *cors.Cors
	// packing is what was compared of packed calls, by site.
	packing map[string]*pack.Agreements
	// canaries are by name, and shadows by site and provider.
	canaries map[string]*configuredCanary
	shadows  map[string]*configuredShadow
}

func newServed(l *location) *served {
	return &served{
		beforeProxies: l.residency, packing: make(map[string]*pack.Agreements),
		canaries: make(map[string]*configuredCanary), shadows: make(map[string]*configuredShadow),
	}
}
