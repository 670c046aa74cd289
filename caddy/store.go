package alipaycaddy

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/budget"
	"github.com/caddy-alipayai/gateway/alipayai/consent"
	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/failover"
	"github.com/caddy-alipayai/gateway/failover/canary"
	"github.com/caddy-alipayai/gateway/internal/record"
	"github.com/caddy-alipayai/gateway/internal/seal"
	"github.com/caddy-alipayai/gateway/limiter"
)

// store is where what replicas have in common is kept. It is in the pool: what it
// makes may outlive the configuration that asked for it, and nothing is connected to
// before a configuration starts. One with connections is an io.Closer. What leaves
// the process is sealed with the configuration's seal.
type store interface {
	// window makes the rate window of an account at an upstream. One that other
	// replicas take part in is a sharedWindow.
	window(account string, limit limiter.Limit, provider string) limiter.Window
	// breakers makes the breakers of all providers.
	breakers() breakers
	// holds makes what replicas hold of throttling accounts, none longer than
	// longest; nil where they share nothing.
	holds(longest time.Duration) sharedHolds
	// claims is where idempotency keys are claimed.
	claims(sealing *seal.Seal) replay.Claims
	// answers is where cached answers are kept, maxBytes of them in memory, or the
	// default for 0; and whether they are reached over a network.
	answers(sealing *seal.Seal, maxBytes int64) (cache replay.Cache, remote bool)
	// responses is where what clients go on from is kept.
	responses(sealing *seal.Seal) replay.Cache
	// ledger makes the totals of days that replicas share; nil where they share none.
	ledger(sealing *seal.Seal, zone *time.Location) sharedLedger
	// budgets makes the store of budgets that replicas share; nil where they share none.
	budgets() sharedBudgets
	// states keeps those of canaries and shadows; in that file where replicas share nothing.
	states(file string) canary.Store
	// tokens is where replicas share the access token of that name; nil where they
	// share none.
	tokens(sealing *seal.Seal, name string) token.Share
	// record is where the record of that kind and name is kept: in storage, or in what
	// replicas share.
	record(storage certmagic.Storage, kind, name string) record.Store
	// consents is where the consents of tenants' users are kept: in storage, or in what replicas share.
	consents(storage certmagic.Storage) consent.Store
	// inspect warns of a server that is not set up as it should be, once. ctx ends
	// when the configuration does.
	inspect(ctx context.Context, logger *zap.Logger)
}

// breakers are those of all tenants and providers.
type breakers interface {
	alipayai.Breakers
	// Start begins the sharing, where there is any; it may be called at any time.
	Start()
	// Away is for how long the store has not answered; zero while it does.
	Away() time.Duration
	// Lost says why it has not answered; nil while it does.
	Lost() error
	// States counts the breakers that are not closed, by provider.
	States() map[string]failover.Tally
	// Close ends the sharing.
	Close() error
}

// sharedHolds are what replicas hold of throttling accounts.
type sharedHolds interface {
	// account gives the holds of an account at a host.
	account(host, account string) upstream.SharedHold
	// Start begins the sharing; it may be called at any time.
	Start()
	// Close ends it.
	Close() error
}

// sharedWindow is a window that other replicas take part in.
type sharedWindow interface {
	limiter.Window
	// Start connects the window; it may be called at any time.
	Start()
	// State says who gives permits.
	State() limiter.State
	// Away is for how long it has been degraded.
	Away() time.Duration
	// Lost says why; nil while it is not.
	Lost() error
	// Close ends the background work.
	Close() error
}

// sharedBudgets is a store of budgets that other replicas take from.
type sharedBudgets interface {
	budget.Store
	// Start begins the sharing for those that count in it; it may be called at any time.
	Start(b *budget.Budgets)
	// Close ends it.
	Close() error
}

// sharedLedger has the totals of the ledgers of all replicas.
type sharedLedger interface {
	// Record takes a line. It must not block.
	Record(l ledger.Line)
	// Totals are those of all replicas.
	Totals(ctx context.Context, q ledger.Query) ([]ledger.GroupTotals, error)
	// Start begins the sharing; it may be called at any time.
	Start()
	// Close ends it, with what is pending.
	Close() error
}

// storeOptions are a store's part of the configuration.
type storeOptions interface {
	// region is where the store is; empty where this process is.
	region() string
	// prepare checks the options and gives what makes another store, secrets
	// included, and the function that makes it.
	prepare(s secrets) (identity []string, open func() (store, error), err error)
}

// sharedStore is the store outside of the process that the configuration names. It has no options where there is none.
type sharedStore struct {
	name string
	storeOptions
}

// none reports whether there is none: replicas share nothing.
func (s sharedStore) none() bool { return s.storeOptions == nil }

// openStore gives a configuration's store. It does no network input or output.
func openStore(by *acquired, s secrets, sealing *seal.Seal, shared sharedStore) (*openedStore, error) {
	// Every configuration holds the memory: what it knows outlives those that use
	// another store.
	memory, err := acquireStore(by, "memory", newMemoryStore)
	if err != nil || shared.none() {
		return memory, err
	}
	if sealing == nil {
		return nil, fmt.Errorf("store %s needs encryption_key, for the tokens and answers that are kept there; `openssl rand -hex 32` makes one", shared.name)
	}
	identity, open, err := shared.prepare(s)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", shared.name, err)
	}
	hash := hashAll(append([]string{shared.name}, identity...))
	opened, err := acquireStore(by, string(hash[:]), open)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", shared.name, err)
	}
	return opened, nil
}

// openedStore is a store in the pool.
type openedStore struct {
	store
	once     sync.Once
	identity string
	err      error

	begin sync.Once
	begun chan struct{} // closed when a store with connections has been connected, or could not be
}

// connecting is a store that makes its connections before it is used. ctx bounds that.
type connecting interface{ connect(ctx context.Context) }

// connectTime is how long a configuration that starts waits for its store: a connection takes several round trips, with TLS
// more, and a use of the store has no time for that.
const connectTime = 500 * time.Millisecond

// connect is for the start of a configuration; a second time changes nothing.
func (s *openedStore) connect() {
	s.begin.Do(func() {
		if s.begun == nil {
			return
		}
		defer close(s.begun)
		ctx, cancel := context.WithTimeout(context.Background(), connectTime)
		defer cancel()
		s.store.(connecting).connect(ctx)
	})
}

// await returns when the store is connected, or cannot be at present. Caddy starts its apps in any order, so that calls may come
// before that.
func (s *openedStore) await(ctx context.Context) {
	if s == nil || s.begun == nil {
		return
	}
	select {
	case <-s.begun:
		return
	default:
	}
	late := time.NewTimer(2 * connectTime)
	defer late.Stop()
	select {
	case <-s.begun:
	case <-ctx.Done():
	case <-late.C:
	}
}

// acquireStore gives the store of that identity, opened where it is new.
func acquireStore(by *acquired, identity string, open func() (store, error)) (*openedStore, error) {
	shared := acquireFor[openedStore](by, "store", identity)
	shared.once.Do(func() {
		shared.identity = identity
		shared.store, shared.err = open()
		if _, connects := shared.store.(connecting); connects {
			shared.begun = make(chan struct{})
		}
	})
	return shared, shared.err
}

// hold keeps the store's connections until release, also when no configuration uses
// it. A store without connections needs no release.
func (s *openedStore) hold() (release func()) {
	if _, connected := s.store.(io.Closer); !connected {
		return func() {}
	}
	_, release = acquire[openedStore]("store", s.identity)
	return release
}

// Destruct implements caddy.Destructor: it ends the connections.
func (s *openedStore) Destruct() error {
	if c, connected := s.store.(io.Closer); connected {
		return c.Close()
	}
	return nil
}
