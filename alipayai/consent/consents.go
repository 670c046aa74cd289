package consent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/expiring"
	"github.com/caddy-alipayai/gateway/internal/redisstore"
	"github.com/caddy-alipayai/gateway/internal/seal"
)

const (
	// freshFor is how long a call goes by what was read of a consent: by then a consent that was withdrawn at
	// another replica is so here.
	freshFor = time.Second
	// awayFor is how long it goes by that while the store is away.
	awayFor = time.Minute
	// idleAfter is when a user's token is renewed ahead no more: the next call does that.
	idleAfter = time.Hour
	// maxRemembered is how many users' tokens are in memory.
	maxRemembered = 16384
)

// ErrNone says that there is no live consent.
var ErrNone = upstream.ErrNotAuthorised

// errOver is a consent that was withdrawn, or replaced, while its token was renewed.
var errOver = fmt.Errorf("%w: the consent has ended meanwhile", token.ErrStore)

// Consents are those of all tenants' users at one provider. They are safe for concurrent use; the fields do not
// change after the first call.
type Consents struct {
	// Provider names the account at the provider: consents of another are others.
	Provider string
	// Store keeps them, sealed with Seal, and Memory what is in use of them, over configurations.
	Store  Store
	Seal   *seal.Seal
	Memory *Memory
	// Grant exchanges codes and refresh tokens.
	Grant *token.Grant
	// Redemptions counts the refresh tokens that are being redeemed, for the end of the process; nil for nothing.
	Redemptions *token.Redemptions
	// Hold keeps Store while a token is fetched, as that of [token.Source]; nil for nothing.
	Hold func() (release func())
	// Page is where users give their consent.
	Page Page
	// OnFetch, if set, is called at the end of each request for a token.
	OnFetch func(err error)
	// Now is the local time.
	Now func() time.Time
}

// Memory is what a process knows of the consents that are in use. The zero Memory is empty and ready.
type Memory struct {
	mu      sync.Mutex
	entries expiring.Map[string, *entry]
}

// entry is one consent in use.
type entry struct {
	record
	cell  *token.Cell
	lease Lease
	// checked is when the store was last asked, and used when a call last wanted it.
	checked, used time.Time
}

// key names a user's consent. Users of two tenants have nothing in common.
func (c *Consents) key(tenant, user string) string {
	return redisstore.Name(replay.NewKey(c.Provider, tenant, user))
}

// Token gives the user's access token, and renews it where that is due. The errors are [ErrNone], and those of
// [token.Source] and [ErrStore], which may pass.
func (c *Consents) Token(ctx context.Context, tenant, user string) (string, error) {
	key, now := c.key(tenant, user), c.Now()
	e, err := c.entry(ctx, key, now, freshFor)
	if err != nil {
		return "", err
	}
	if access, ok := e.cell.Live(now); ok {
		return access, nil
	}
	// Another replica may have renewed it, or it may have been withdrawn, since it was read.
	if e, err = c.entry(ctx, key, now, 0); err != nil {
		return "", err
	}
	if access, ok := e.cell.Live(now); ok {
		return access, nil
	}
	if !e.renewable(now) {
		return "", ErrNone
	}
	access, err := c.source(key, e).Token(ctx)
	if token.GrantGone(err) {
		return "", ErrNone
	}
	return access, err
}

// Drop forgets an access token of the user that the provider has refused, for all replicas, and reports whether another one
// may help: see [token.Cell.Refuse].
func (c *Consents) Drop(tenant, user, access string) (another bool) {
	c.Memory.mu.Lock()
	e, ok := c.Memory.entries.Get(c.key(tenant, user), c.Now())
	c.Memory.mu.Unlock()
	return !ok || e.cell.Refuse(access, c.Now())
}

// entry gives what is known of a consent, no older than that.
func (c *Consents) entry(ctx context.Context, key string, now time.Time, fresh time.Duration) (entry, error) {
	m := c.Memory
	m.mu.Lock()
	e, known := m.entries.Get(key, now)
	if known {
		e.used = now
		if now.Sub(e.checked) < fresh {
			defer m.mu.Unlock()
			return *e, nil
		}
	}
	m.mu.Unlock()
	r, _, err := c.load(ctx, key)
	m.mu.Lock()
	defer m.mu.Unlock()
	e, known = m.entries.Get(key, now)
	switch {
	case errors.Is(err, ErrStore) && known && now.Sub(e.checked) < awayFor && e.checkedLive(now):
		return *e, nil
	case err != nil:
		return entry{}, err
	case !r.live(now):
		m.entries.Remove(key)
		return entry{}, ErrNone
	}
	if !known || e.ID != r.ID {
		e = &entry{cell: new(token.Cell), lease: c.Store.Lease(key)}
	}
	e.record, e.checked, e.used = r, now, now
	e.cell.Offer(r.token(), now)
	if _, live := e.cell.Peek(); live && r.Dropped {
		e.cell.Drop(r.Access)
	}
	m.entries.Put(key, e, 1, now.Add(idleAfter))
	for m.entries.Len() > maxRemembered {
		m.entries.RemoveOldest()
	}
	return *e, nil
}

// checkedLive reports whether the entry has a token that needs no store.
func (e *entry) checkedLive(now time.Time) bool {
	_, ok := e.cell.Live(now)
	return ok
}

// source keeps the consent's token alive. Those of all configurations have the cell in common.
func (c *Consents) source(key string, e entry) *token.Source {
	return &token.Source{
		Cell: e.cell, Fetcher: c.Grant, RefreshToken: e.Refresh, Store: stored{},
		Share: share{c: c, key: key, id: e.ID, lease: e.lease}, Now: c.Now, OnFetch: c.OnFetch,
		Redemptions: c.Redemptions, Hold: c.Hold,
	}
}

// aheadEvery is how often it is looked for tokens that are to be renewed.
const aheadEvery = time.Second

// Run renews the tokens in use at about 80 % of their lives, until ctx is done. Of several replicas one does.
func (c *Consents) Run(ctx context.Context) {
	tick := time.NewTicker(aheadEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.refreshAhead(ctx)
		}
	}
}

// refreshAhead renews what is due.
func (c *Consents) refreshAhead(ctx context.Context) {
	now := c.Now()
	due := make(map[string]entry)
	c.Memory.mu.Lock()
	for key, e := range c.Memory.entries.All() {
		if e.renewable(now) && now.Sub(e.used) < idleAfter && now.After(e.Issued.Add(e.Expiry.Sub(e.Issued)*3/4)) {
			due[key] = *e
		}
	}
	c.Memory.mu.Unlock()
	for key, e := range due {
		used := e.used
		e, err := c.entry(ctx, key, now, 0)
		if err != nil {
			continue
		}
		c.Memory.mu.Lock()
		if kept, ok := c.Memory.entries.Get(key, now); ok {
			kept.used = used // which no call has done
		}
		c.Memory.mu.Unlock()
		if e.renewable(now) {
			c.source(key, e).RefreshAhead()
		}
	}
}

// Consent is what a tenant may know of a user's consent.
type Consent struct {
	Granted time.Time
	// Expires is when the user has to give it again at the latest; zero where that is not known.
	Expires time.Time
	Scope   string
}

// Get gives the user's live consent, or [ErrNone].
func (c *Consents) Get(ctx context.Context, tenant, user string) (Consent, error) {
	r, _, err := c.load(ctx, c.key(tenant, user))
	if err != nil {
		return Consent{}, err
	}
	if !r.live(c.Now()) {
		return Consent{}, ErrNone
	}
	given := Consent{Granted: r.Granted, Scope: r.Scope, Expires: r.ends()}
	if r.Refresh != "" && r.RefreshExpiry.IsZero() {
		given.Expires = time.Time{}
	}
	return given, nil
}

// Withdraw ends the user's consent, if there is one.
func (c *Consents) Withdraw(ctx context.Context, tenant, user string) error {
	key := c.key(tenant, user)
	err := c.change(ctx, key, func(r *record) bool {
		had := r.ID != ""
		*r = record{}
		return had
	})
	c.Memory.mu.Lock()
	defer c.Memory.mu.Unlock()
	c.Memory.entries.Remove(key)
	return err
}

// keep makes t, which a code was exchanged for, the user's consent.
func (c *Consents) keep(ctx context.Context, tenant, user string, t token.Token) error {
	id := rand.Text() // the same one however often it is tried
	return c.change(ctx, c.key(tenant, user), func(r *record) bool {
		*r = record{ID: id, Granted: c.Now(), Scope: c.Page.Scope}
		r.set(t)
		return true
	})
}

// shareError makes an error of the store one of a [token.Share].
func shareError(err error) error {
	if errors.Is(err, ErrStore) {
		return fmt.Errorf("%w: %w", token.ErrStore, err)
	}
	return err
}

// Interface guards
var _ upstream.UserTokens = (*Consents)(nil)
