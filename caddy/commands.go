package alipaycaddy

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/suite"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/caddy/command"
)

func init() {
	caddycmd.RegisterCommand(command.New(plugin{}))
}

// plugin is what commands need of the modules.
type plugin struct{}

// Open implements [command.Plugin].
func (plugin) Open(ctx caddy.Context) (command.Gateway, error) {
	app, err := loadApp(ctx)
	if err != nil {
		return nil, err
	}
	return operated{ctx, app}, nil
}

// Intent implements [command.Plugin].
func (plugin) Intent(ctx context.Context, text string) string {
	i, _ := openIntents(new(acquired), nil, nil) // the built-in ones are right, and acquire nothing
	return i.guess(ctx, alipayai.AnonymousTenant, text).Intent
}

// Ledger implements [command.Plugin].
func (plugin) Ledger(file, zone string) command.Ledger {
	return &readLedger{Ledger{Path: file, Zone: zone}}
}

// ReadSuite implements [command.Plugin].
func (plugin) ReadSuite(file, builtin string) (*suite.Suite, error) { return readSuite(file, builtin) }

// Conceal implements [command.Plugin].
func (plugin) Conceal(text string) string { return live.Text(text) }

// readLedger is the options of a ledger that is read by a command, and is not opened by a gateway.
type readLedger struct{ Ledger }

// Resolve implements [command.Ledger].
func (l *readLedger) Resolve() (file string, zone *time.Location, err error) {
	return l.resolve(newSecrets(true))
}

// Check implements [command.Ledger].
func (*readLedger) Check(file string) error { return checkLedgerFile(file) }

// operated is a gateway as commands use it.
type operated struct {
	ctx caddy.Context
	app *App
}

// Providers implements [command.Gateway].
func (o operated) Providers() []string { return slices.Sorted(maps.Keys(o.app.providers)) }

// Provider implements [command.Gateway].
func (o operated) Provider(name string) (*upstream.Provider, error) { return o.app.provider(name) }

// Build implements [command.Gateway].
func (o operated) Build(name string, configuration json.RawMessage) (*upstream.Provider, error) {
	changed := new(Provider)
	if err := caddy.StrictUnmarshalJSON(configuration, changed); err != nil {
		return nil, err
	}
	return o.app.buildProvider(o.ctx, name, changed, newCredentialUses())
}

// UseKey implements [command.Gateway].
func (o operated) UseKey(ctx context.Context, provider string) {
	if keeper := o.app.keepers[provider]; keeper != nil {
		keeper.Begin(ctx)
	}
}

// AskSuite implements [command.Gateway].
func (o operated) AskSuite(provider, model string, of *suite.Suite) (suite.Asked, error) {
	return o.app.askSuite(provider, model, of, nil)
}

// OpenLedger implements [command.Gateway].
func (o operated) OpenLedger() (file string, err error) {
	if o.app.ledger == nil {
		return "", nil
	}
	o.app.ledger.start()
	return o.app.ledger.path, o.app.ledger.Err()
}

// Intents implements [command.Gateway].
func (o operated) Intents(ctx context.Context) (func(text string) string, error) {
	if e := o.app.intents.embedded; e != nil {
		if err := e.centroids.Learn(ctx, e.embed(e.learn), e.examples); err != nil {
			return nil, fmt.Errorf("embedding the examples: %w", err)
		}
	}
	return func(text string) string { return o.app.intents.guess(ctx, alipayai.AnonymousTenant, text).Intent }, nil
}

// Close implements [command.Gateway].
func (o operated) Close() { _ = o.app.Cleanup() }

// Interface guards
var (
	_ command.Plugin  = plugin{}
	_ command.Gateway = operated{}
	_ command.Ledger  = (*readLedger)(nil)
)
