package alipaycaddy

import (
	"cmp"
	"sync"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// pooledHolds is the pooled state of what replicas hold.
type pooledHolds struct {
	once        sync.Once
	sharedHolds // nil where replicas share nothing
}

// Destruct ends the sharing, when no configuration uses it.
func (h *pooledHolds) Destruct() error {
	if h.sharedHolds == nil {
		return nil
	}
	return h.Close()
}

// openHolds acquires what replicas hold, which survives reloads.
func (a *App) openHolds() {
	shared := acquireFor[pooledHolds](&a.acquired, "holds", a.store.identity)
	shared.once.Do(func() { shared.sharedHolds = a.store.holds(upstream.SlowDownHold) })
	if a.holds = shared.sharedHolds; a.holds != nil {
		a.opens = append(a.opens, a.holds.Start)
	}
}

// holdAccount gives p the holds of its account at its host: what an upstream says of
// one account's rate is not about another's. key is a hash of p's key, for one
// without a client id.
func (a *App) holdAccount(p *upstream.Provider, key string) {
	host, account := upstream.CanonicalHost(p.BaseURL.Host, p.BaseURL.Scheme == "https"), cmp.Or(p.ClientID, key)
	p.Hold = acquireFor[upstream.Hold](&a.acquired, "hold", host, account)
	if a.holds != nil {
		p.SharedHold = a.holds.account(host, account)
	}
}
