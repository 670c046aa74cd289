package alipaycaddy

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/limiter"
)

// Limit is the most requests that a provider's upstream takes: in no time span
// of the window, lengthened by the guard, do more depart.
type Limit struct {
	// The most requests in a window. Required.
	Requests int `json:"requests,omitempty"`

	// The window that the upstream counts in. Required.
	Window caddy.Duration `json:"window,omitempty"`

	// What the window is lengthened by, against jitter on the way. Default: `10ms`
	Guard caddy.Duration `json:"guard,omitempty"`

	// Sends every request at once, whatever the upstream's cap. Default: false
	Off bool `json:"off,omitempty"`
}

// Queue bounds what waits for a provider's cap.
type Queue struct {
	// The longest predicted wait; a call that would wait longer is turned away
	// at once. Default: `10s`
	MaxWait caddy.Duration `json:"max_wait,omitempty"`

	// The most calls that wait. Default: `1000`
	MaxCount int `json:"max_count,omitempty"`

	// The most bytes of request bodies that wait. Default: `268435456` (256 MiB)
	MaxBytes int64 `json:"max_bytes,omitempty"`
}

// alipayLimit is the cap of Alipay's production tier, per app.
var alipayLimit = Limit{Requests: 50, Window: caddy.Duration(time.Second)}

// buildCap gives the provider its rate cap.
func (a *App) buildCap(p *alipayai.Provider, c *Provider, store *storeState) error {
	limit := c.Limit
	if limit == nil && p.Profile.TakesToken {
		limit = &alipayLimit
	}
	if limit == nil || limit.Off {
		if c.Queue != nil {
			return errors.New("queue has no meaning without a limit")
		}
		return nil
	}
	k := &alipayai.Cap{
		Limit: limiter.Limit{
			Requests: limit.Requests,
			Per:      time.Duration(limit.Window),
			Guard:    cmp.Or(time.Duration(limit.Guard), alipayai.DefaultGuard),
		},
		MaxWait: alipayai.DefaultMaxWait, MaxCount: alipayai.DefaultQueueCount, MaxBytes: alipayai.DefaultQueueBytes,
	}
	if err := k.Limit.Check(); err != nil {
		return fmt.Errorf("limit: %w", err)
	}
	if q := c.Queue; q != nil {
		if q.MaxWait < 0 || q.MaxCount < 0 || q.MaxBytes < 0 {
			return errors.New("queue: max_wait, max_count and max_bytes must be positive")
		}
		k.MaxWait = cmp.Or(time.Duration(q.MaxWait), k.MaxWait)
		k.MaxCount = cmp.Or(q.MaxCount, k.MaxCount)
		k.MaxBytes = cmp.Or(q.MaxBytes, k.MaxBytes)
	}
	// The window belongs to the account at the upstream, whatever the
	// provider is called, and to the store that shares it.
	account := hashAll([]string{canonicalHost(p.BaseURL.Host, p.BaseURL.Scheme == "https"), p.ClientID})
	shared, release := acquire[departures]("departures", string(account[:]), store.identity)
	a.releases = append(a.releases, release)
	shared.once.Do(func() { shared.init(store, string(account[:]), k.Limit, p.Name) })
	a.opens = append(a.opens, shared.open)
	k.Window, k.Queue = shared.window, shared.queue
	p.Cap = k
	return nil
}
