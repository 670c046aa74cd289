package alipaycaddy

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/alert"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/failover"
	"github.com/caddy-alipayai/gateway/limiter"
)

// watchEvery is the poll interval for changes that no call reports.
const watchEvery = time.Second

// brokenFor is how long a ledger counts as failing whose file was set aside: what it had is in no report.
const brokenFor = time.Hour

// watch looks at what changes without a call of this process: breakers that
// another replica has closed, the store, and what a reload has taken away.
type watch struct {
	app   *App
	known *alertState
	// away is how many looks in a row have found Redis out of reach.
	away int
}

// run watches until ctx ends.
func (w *watch) run(ctx context.Context) {
	w.known.watchers.enter(w)
	defer w.known.watchers.leave(w)
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if w.known.watchers.isLatest(w) {
			w.look()
		}
	}
}

// look raises an alert for a lost store, and resolves those that are over.
func (w *watch) look() {
	a := w.app
	w.away++
	if a.breakers.Reachable() {
		w.away = 0
	}
	away := w.away > 1 // one reply may be lost
	// Before the breakers are read: a breaker that opens meanwhile must not be
	// reported as closed.
	wrong := w.known.Firing()
	tallies := a.breakers.States()
	for _, f := range wrong {
		p := a.providers[f.Provider]
		switch f.Kind {
		case alert.BreakerOpen:
			if p == nil || tallies[p.Account()] == (failover.Tally{}) {
				a.monitor.BreakersClosed(f.Provider)
			}
		case alert.StoreLost:
			if p == nil || w.away == 0 && !storeLost(p) { // a reload begins to count anew
				a.monitor.Store(true, f.Provider)
			}
		case alert.TokenRefreshFailing:
			if p == nil || p.Tokens == nil {
				a.monitor.TokenRefresh(f.Provider, nil)
			}
		case alert.AccountExhausted:
			if p == nil {
				a.monitor.AccountServed(f.Provider)
			}
		case alert.PackingStopped:
			if p := a.packing[f.Provider]; p == nil || !p.AnyOff(time.Now()) {
				a.monitor.PackingResumed(f.Provider)
			}
		case alert.LedgerFailing:
			if a.ledger == nil || a.ledger.path != f.Provider || a.ledger.Err() == nil && time.Since(a.ledger.BrokeAt()) > brokenFor {
				a.monitor.Ledger(true, f.Provider)
			}
		case alert.KeyExpiring, alert.KeyOverdue, alert.KeyRefused, alert.KeyCheckFailing:
			if a.keepers[f.Provider] == nil {
				a.monitor.KeyFine(f.Provider)
				a.monitor.Keys(f.Provider, nil, nil)
			}
		case alert.AllProvidersFailing:
			if !a.sites[f.Provider] {
				a.monitor.Served(f.Provider)
			}
		}
	}
	a.watchCanaries(wrong)
	if a.ledger != nil {
		switch {
		case a.ledger.Err() != nil:
			a.monitor.Ledger(false, a.ledger.path)
		case time.Since(a.ledger.BrokeAt()) <= brokenFor:
			a.monitor.LedgerBroken(a.ledger.path)
		}
	}
	for name, p := range a.providers {
		if away || storeLost(p) {
			a.monitor.Store(false, name)
		}
	}
}

// storeLost reports whether the provider's cap is shared with replicas that
// cannot be reached.
func storeLost(p *upstream.Provider) bool {
	if p.Cap == nil {
		return false
	}
	shared, ok := p.Cap.Window.(sharedWindow)
	return ok && shared.State() == limiter.Degraded
}

// watchers are the watches of the configurations that run, the latest last.
// Only that one looks: a configuration that was replaced lives on as long as
// its calls, and would contradict it.
type watchers struct {
	mu      sync.Mutex
	running []*watch
}

func (w *watchers) enter(of *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = append(w.running, of)
}

func (w *watchers) leave(of *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = slices.DeleteFunc(w.running, func(other *watch) bool { return other == of })
}

func (w *watchers) isLatest(of *watch) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running[len(w.running)-1] == of
}
