package alipaycaddy

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/alert"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/failover"
)

// watchEvery is the poll interval for changes that no call reports.
const watchEvery = time.Second

// lostAfter is for how long Redis must not have answered to be lost. One answer may be late or
// lose its way, and several in an hour: each time it is away for a moment, which is no reason to
// wake an operator. The metrics say so.
const lostAfter = 3 * watchEvery / 2

// backAfter is for how long Redis must have answered for its loss to be over: one that comes and goes is one outage, and not
// an alert each time.
const backAfter = 10 * time.Second

// brokenFor is how long a ledger counts as failing whose file was set aside: what it had is in no report.
const brokenFor = time.Hour

// watch looks at what changes without a call of this process: breakers that
// another replica has closed, the store, and what a reload has taken away.
type watch struct {
	app   *App
	known *alertState
}

// run watches until ctx ends.
func (w *watch) run(ctx context.Context) {
	w.known.watchers.enter(w)
	defer w.known.watchers.leave(w)
	tick := time.NewTicker(pace.watch)
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
	lost := w.lookAtStore()
	// Before the breakers are read: a breaker that opens meanwhile must not be
	// reported as closed.
	wrong := w.known.Firing()
	tallies := a.breakers.States()
	for _, f := range wrong {
		switch p := a.providers[f.Provider]; {
		case p == nil && f.Kind.OfProvider():
			a.monitor.Gone(f.Kind, f.Provider)
		case f.Kind == alert.BreakerOpen:
			if tallies[p.Account()] == (failover.Tally{}) {
				a.monitor.BreakersClosed(f.Provider)
			}
		case f.Kind == alert.StoreLost:
			if time.Since(w.known.watchers.lastAway(f.Provider)) >= pace.back {
				a.monitor.StoreBack(f.Provider)
			}
		default:
			a.resolve(f)
		}
	}
	a.watchCanaries(wrong)
	a.watchShadows(wrong)
	a.watchLedger()
	for _, name := range lost {
		p := a.providers[name]
		why := a.breakers.Lost()
		if shared := sharedWindowOf(p); shared != nil && why == nil {
			why = shared.Lost()
		}
		a.monitor.StoreLost(name, p.Cap != nil, why)
	}
}

// lookAtStore notes which providers' store is away, and names those that have lost it.
func (w *watch) lookAtStore() (lost []string) {
	breakers := w.app.breakers.Away()
	for name, p := range w.app.providers {
		away := max(breakers, storeAway(p))
		if away > 0 {
			w.known.watchers.foundAway(name)
		}
		if away > lostAfter {
			lost = append(lost, name)
		}
	}
	return lost
}

// resolve ends an alert of what the configuration has no more, or has seen to be well. One of a provider is of one that it has.
func (a *App) resolve(f alert.Firing) {
	switch f.Kind {
	case alert.TokenRefreshFailing:
		if a.providers[f.Provider].Tokens == nil {
			a.monitor.TokenRefresh(f.Provider, nil)
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
	case alert.KeysUnusable:
		if !a.watchedKeys[f.Provider] {
			a.monitor.KeysUnusable(f.Provider, nil)
		}
	case alert.SuiteChanged:
		if a.suites[f.Provider] == nil {
			a.monitor.SuiteGone(f.Provider)
		}
	case alert.AllProvidersFailing:
		if !a.sites[f.Provider] {
			a.monitor.Served(f.Provider)
		}
	}
}

// watchLedger raises an alert while the ledger fails, and for a while after its file was set aside.
func (a *App) watchLedger() {
	switch {
	case a.ledger == nil:
	case a.ledger.Err() != nil:
		a.monitor.Ledger(false, a.ledger.path)
	case time.Since(a.ledger.BrokeAt()) <= brokenFor:
		a.monitor.LedgerBroken(a.ledger.path)
	}
}

// storeAway is for how long the provider's cap has been shared with replicas that
// cannot be reached.
func storeAway(p *upstream.Provider) time.Duration {
	if shared := sharedWindowOf(p); shared != nil {
		return shared.Away()
	}
	return 0
}

// sharedWindowOf gives the window of the provider's cap, where replicas share it; else nil.
func sharedWindowOf(p *upstream.Provider) sharedWindow {
	if p.Cap == nil {
		return nil
	}
	shared, _ := p.Cap.Window.(sharedWindow)
	return shared
}

// watchers are the watches of the configurations that run, the latest last.
// Only that one looks: a configuration that was replaced lives on as long as
// its calls, and would contradict it.
type watchers struct {
	mu      sync.Mutex
	running []*watch
	// away is when the store of a provider was last found to be away, by the watch of whichever configuration.
	away map[string]time.Time
}

func (w *watchers) foundAway(provider string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away == nil {
		w.away = make(map[string]time.Time)
	}
	w.away[provider] = time.Now()
}

func (w *watchers) lastAway(provider string) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.away[provider]
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
