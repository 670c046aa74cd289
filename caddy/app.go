package alipaycaddy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App declares the providers that the handlers of the configuration use, and
// does their background work: it keeps tokens fresh and watches key folders.
type App struct {
	// The providers by name. Handlers refer to them by it. Default: none.
	Providers map[string]*Provider `json:"providers,omitempty"`

	// Encrypts tokens that are kept: rotated refresh tokens in Caddy's storage,
	// and the tokens that replicas share through Redis. 32 bytes as 64
	// hexadecimal digits or in base64, by placeholder. Without it the refresh
	// grant is refused and each replica gets its own access tokens. Default: none.
	TokenKey string `json:"token_key,omitempty"`

	// Permits secrets to stand in the configuration itself instead of
	// `{env.*}` or `{file.*}` placeholders. Anyone who can read `/config/` or
	// the autosaved configuration can then read them. Default: false
	InsecureLiterals bool `json:"insecure_literals,omitempty"`

	// Where replicas share rate limits and, with `token_key`, access tokens.
	// Default: the memory of this process.
	Redis *Redis `json:"redis,omitempty"`

	providers map[string]*alipayai.Provider
	metrics   *metrics
	logger    *zap.Logger
	// releases give back what the configuration holds of the pooled state.
	releases []func()

	// opens connect to what the configuration uses, at Start.
	opens []func()
	// jobs run from Start to Stop.
	jobs   []func(context.Context)
	cancel context.CancelFunc
	wait   sync.WaitGroup
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
	a.logger = ctx.Logger()
	m, release := acquire[metrics]("metrics")
	a.metrics = m
	a.releases = append(a.releases, release)
	if err := m.register(ctx.GetMetricsRegistry()); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	store, err := a.openStore()
	if err != nil {
		return err
	}
	a.providers = make(map[string]*alipayai.Provider, len(a.Providers))
	credentials := newCredentialUses()
	for _, name := range slices.Sorted(maps.Keys(a.Providers)) {
		if err := checkProviderName(name); err != nil {
			return err
		}
		built, err := a.buildProvider(ctx, name, a.Providers[name], credentials, store)
		if err != nil {
			return fmt.Errorf("provider %s: %w", name, err)
		}
		a.providers[name] = built
	}
	return ctx.GetMetricsRegistry().Register(capCollector{a.providers})
}

// Start begins the background work.
func (a *App) Start() error {
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	for _, open := range a.opens {
		open()
	}
	for _, job := range a.jobs {
		a.wait.Go(func() { job(ctx) })
	}
	return nil
}

// Stop ends the background work. Requests that are still in flight keep
// working: they fetch a token themselves if they need one.
func (a *App) Stop() error {
	a.cancel()
	a.wait.Wait()
	return nil
}

// Cleanup gives back the pooled state.
func (a *App) Cleanup() error {
	// What was acquired later may use what was acquired before.
	for _, release := range slices.Backward(a.releases) {
		release()
	}
	a.releases = nil
	return nil
}

// provider finds a provider by name.
func (a *App) provider(name string) (*alipayai.Provider, error) {
	p, ok := a.providers[name]
	if !ok {
		known := slices.Sorted(maps.Keys(a.providers))
		if len(known) == 0 {
			return nil, fmt.Errorf("provider %q is not declared; declare it in the alipayai global option", name)
		}
		return nil, fmt.Errorf("provider %q is not declared; the alipayai global option declares %s", name, strings.Join(known, ", "))
	}
	return p, nil
}

// loadApp gives the configuration's app, empty where none is configured.
func loadApp(ctx caddy.Context) (*App, error) {
	app, err := ctx.App("alipayai")
	if err != nil {
		return nil, fmt.Errorf("loading the alipayai app: %w", err)
	}
	return app.(*App), nil
}

// checkProviderName keeps names to what reads well as a metric label, in a
// header and in a Caddyfile.
func checkProviderName(name string) error {
	valid := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' || r == '.'
	}
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, func(r rune) bool { return !valid(r) }) {
		return fmt.Errorf("provider name %q: use 1 to 64 letters, digits, dots, dashes and underscores", name)
	}
	return nil
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
