package alipaycaddy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/limiter"
)

// Limit is the most requests that a provider's upstream takes: in no time span
// of the window, lengthened by the guard, are more sent.
type Limit struct {
	// The most requests in a window. Required.
	Requests int `json:"requests,omitempty"`

	// The window that the upstream counts in. Required.
	Window caddy.Duration `json:"window,omitempty"`

	// What the window is lengthened by, against jitter on the way. At most as long as the window. Default: `10ms`
	Guard caddy.Duration `json:"guard,omitempty"`

	// Disables the limit: every request is sent at once. Default: false
	Off bool `json:"off,omitempty"`
}

// Queue bounds what waits for a provider's cap.
type Queue struct {
	// The longest wait; a call that cannot be sent within it is rejected
	// at once. Default: `10s`
	MaxWait caddy.Duration `json:"max_wait,omitempty"`

	// The most calls that wait. Default: `1000`
	MaxCount int `json:"max_count,omitempty"`

	// The most bytes of request bodies that wait. Default: `268435456` (256 MiB)
	MaxBytes int64 `json:"max_bytes,omitempty"`
}

// check refuses a limit that holds back far more than its window says.
func (l *Limit) check() error {
	if l.Guard > l.Window && l.Window > 0 {
		return fmt.Errorf("limit: the guard %v is longer than the window %v; write a shorter one, such as 10ms", time.Duration(l.Guard), time.Duration(l.Window))
	}
	return nil
}

// alipayLimit is the cap of Alipay's production tier, per app.
var alipayLimit = Limit{Requests: 50, Window: caddy.Duration(time.Second)}

// buildCap gives the provider its rate cap.
func (u *upstreams) buildCap(p *upstream.Provider, c *Provider) error {
	limit := c.Limit
	if limit == nil && p.Profile.TakesToken && !p.Profile.Own {
		limit = &alipayLimit
	}
	if limit == nil || limit.Off {
		if c.Queue != nil {
			return errors.New("queue has no meaning without a limit")
		}
		return nil
	}
	if err := limit.check(); err != nil {
		return err
	}
	k := &upstream.Cap{
		Limit: limiter.Limit{
			Requests: limit.Requests,
			Per:      time.Duration(limit.Window),
			Guard:    cmp.Or(time.Duration(limit.Guard), upstream.DefaultGuard),
		},
		MaxWait: upstream.DefaultMaxWait, MaxCount: upstream.DefaultQueueCount, MaxBytes: upstream.DefaultQueueBytes,
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
	p.Cap = k
	u.shareCap(k, p)
	return nil
}

// shareCap gives the cap the window and the queue that belong to the account at
// the upstream, under any name of the provider; the window also to the store
// that shares it. Both outlive the configuration as long as calls wait.
func (u *upstreams) shareCap(k *upstream.Cap, p *upstream.Provider) {
	hash := hashAll([]string{upstream.CanonicalHost(p.BaseURL.Host, p.BaseURL.Scheme == "https"), p.ClientID})
	account, span := string(hash[:]), k.Limit.Span()
	releaseStore := u.store.hold()
	window, releaseWindow := acquire[pooledWindow]("window", account, u.store.identity)
	window.once.Do(func() { window.window = u.store.window(account, k.Limit, p.Name) })
	queue, releaseQueue := acquire[pooledQueue]("queue", account)
	queue.once.Do(func() { queue.queue = limiter.NewQueue(window.window, time.Now) })
	k.Window, k.Queue = window.window, queue.queue

	u.opens = append(u.opens, window.open)
	u.jobs.add("queue of provider "+p.Name, func(ctx context.Context) {
		queue.use(window, span)
		queue.drain(ctx, caddy.Exiting, u.servesOn)
		<-ctx.Done()
		queue.leave(window, span)
	})
	u.acquired.add(func() {
		queue.release(window, func() {
			releaseQueue()
			releaseWindow()
			releaseStore()
		})
	})
}
