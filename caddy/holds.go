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

// openHolds acquires what replicas hold, which survives reloads; nil where they share nothing.
func openHolds(of *lifecycle, in *openedStore) sharedHolds {
	shared := acquireFor[pooledHolds](&of.acquired, "holds", in.identity)
	shared.once.Do(func() { shared.sharedHolds = in.holds(upstream.SlowDownHold) })
	if shared.sharedHolds != nil {
		of.opens = append(of.opens, shared.Start)
	}
	return shared.sharedHolds
}

// holdAccount gives p the holds of its account at its host: what an upstream says of
// one account's rate is not about another's. key is a hash of p's key, for one
// without a client id.
func (u *upstreams) holdAccount(p *upstream.Provider, key string) {
	host, account := upstream.CanonicalHost(p.BaseURL.Host, p.BaseURL.Scheme == "https"), cmp.Or(p.ClientID, key)
	p.Hold = acquireFor[upstream.Hold](&u.acquired, "hold", host, account)
	if u.holds != nil {
		p.SharedHold = u.holds.account(host, account)
	}
}
