package alipaycaddy

import (
	"cmp"
	"errors"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/moderate"
	"github.com/caddy-alipayai/gateway/failover"
)

// Breaker says when a tenant's calls skip a provider: after system
// errors in a row.
type Breaker struct {
	// How many system errors in a row are tolerated. One more opens the breaker.
	// Default: `3`
	Failures int `json:"failures,omitempty"`

	// The time from the first of these errors to the one that opens. At most
	// an hour. Default: `5m`
	Within caddy.Duration `json:"within,omitempty"`

	// How long the provider is skipped, until one call tries it again. At
	// most an hour. Default: `60s`
	OpenFor caddy.Duration `json:"open_for,omitempty"`

	// Disables the breaker. Default: false
	Off bool `json:"off,omitempty"`
}

// CachedAnswer gives a tenant its last good answer to the same request again.
type CachedAnswer struct {
	// How long an answer may be given again. Required.
	TTL caddy.Duration `json:"ttl,omitempty"`

	// Gives it before the second provider is asked, instead of after the last.
	// Default: false
	First bool `json:"first,omitempty"`

	// The most bytes of answers in the memory of this process, those of all
	// proxies together. With Redis `tenant_bytes` of the store holds instead. Default: `67108864` (64 MiB)
	MaxBytes int64 `json:"max_bytes,omitempty"`
}

// Idempotency says what becomes of an `Idempotency-Key`.
type Idempotency struct {
	// How long the answer to a key is given again, and how long a key stays
	// claimed of which it is not known whether the call was served. Default: `24h`
	TTL caddy.Duration `json:"ttl,omitempty"`

	// Disables idempotency: the key still goes upstream. Default: false
	Off bool `json:"off,omitempty"`
}

// RememberBlocked says what becomes of a request that a provider has blocked.
type RememberBlocked struct {
	// How long the same request of the same tenant is not sent to that provider again: it is answered as it was then. At
	// least a second. Default: `10m`
	TTL caddy.Duration `json:"ttl,omitempty"`

	// Sends it each time. Default: false
	Off bool `json:"off,omitempty"`
}

const defaultIdempotencyTTL = 24 * time.Hour

// provisionFailover sets what becomes of calls that fail, or come twice.
func (h *Proxy) provisionFailover(app *App) (err error) {
	g := h.gateway
	// Calls outlive their configuration, and a claim must end where it began.
	h.acquired.add(app.store.hold())
	if h.Breaker == nil || !h.Breaker.Off {
		g.Breakers = app.breakers
		if g.Breaker, err = cmp.Or(h.Breaker, new(Breaker)).rule(); err != nil {
			return err
		}
	}
	if i := cmp.Or(h.Idempotency, new(Idempotency)); !i.Off {
		ttl := cmp.Or(time.Duration(i.TTL), defaultIdempotencyTTL)
		if ttl < time.Second {
			return errors.New("idempotency: the time to live must be a second or more")
		}
		g.Claims = &alipayai.Claims{Store: app.store.claims(app.sealing), TTL: ttl}
	}
	if b := cmp.Or(h.RememberBlocked, new(RememberBlocked)); !b.Off {
		ttl := cmp.Or(time.Duration(b.TTL), moderate.DefaultBlockedTTL)
		if ttl < time.Second {
			return errors.New("remember_blocked: the time must be a second or more")
		}
		calls := acquireFor[moderate.Blocked](&app.acquired, "blocked calls", h.Providers...)
		g.Blocked = &alipayai.BlockedCalls{Calls: calls, TTL: ttl}
	}
	g.Answers, err = h.provisionAnswers(app)
	return err
}

// rule makes the domain's rule.
func (b *Breaker) rule() (failover.Rule, error) {
	if b.Failures < 0 || b.Within < 0 || b.OpenFor < 0 {
		return failover.Rule{}, errors.New("breaker: failures, within and open_for must be positive")
	}
	if time.Duration(max(b.Within, b.OpenFor)) > failover.MaxSpan {
		return failover.Rule{}, errors.New("breaker: within and open_for are an hour at most")
	}
	return failover.Rule{Failures: b.Failures, Within: time.Duration(b.Within), OpenFor: time.Duration(b.OpenFor)}, nil
}

// provisionAnswers says which answers are given again; nil for none.
func (h *Proxy) provisionAnswers(app *App) (*alipayai.AnswerCache, error) {
	a := h.CachedAnswer
	if a == nil {
		return nil, nil
	}
	if h.gateway.Class == alipayai.ClassMoney {
		return nil, errors.New("cached_answer has no meaning for class money, whose calls are never answered from a cache")
	}
	if a.TTL < caddy.Duration(time.Second) || a.MaxBytes < 0 {
		return nil, errors.New("cached_answer: write how long an answer may be given again, as 24h; max_bytes must be positive")
	}
	cache, remote := app.store.answers(app.sealing, a.MaxBytes)
	return &alipayai.AnswerCache{Cache: cache, TTL: time.Duration(a.TTL), First: a.First, Remote: remote}, nil
}

// provisionResponses says what is kept for clients that go on from a response; nil for nothing.
func (h *Proxy) provisionResponses(app *App) (*door.Conversations, error) {
	if h.StoreResponses == 0 {
		return nil, nil
	}
	if h.StoreResponses < caddy.Duration(time.Second) {
		return nil, errors.New("store_responses: write for how long, as 24h; the least is a second")
	}
	kept := &door.Conversations{Cache: app.store.responses(app.sealing), TTL: time.Duration(h.StoreResponses), Permits: h.gateway.MayStore}
	if len(app.users) > 0 {
		kept.User = app.nameUser
	}
	app.conversations = kept
	return kept, nil
}

// breakersState is the pooled state of the breakers.
type breakersState struct {
	once sync.Once
	breakers
}

// Destruct ends what shares the state, when no configuration uses it.
func (b *breakersState) Destruct() error { return b.Close() }

// openBreakers acquires the breakers, which survive reloads.
func openBreakers(of *lifecycle, in *openedStore) breakers {
	shared := acquireFor[breakersState](&of.acquired, "breakers", in.identity)
	shared.once.Do(func() { shared.breakers = in.breakers() })
	of.opens = append(of.opens, shared.Start)
	return shared.breakers
}
