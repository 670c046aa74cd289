package token

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-alipayai/gateway/internal/seal"
)

// Token is an access token and what is known about it. It never reaches a
// log: String and GoString hide it.
type Token struct {
	Access  string
	Refresh string // empty unless the grant gives refresh tokens
	Issued  time.Time
	Expiry  time.Time
	// RefreshExpiry is when Refresh ends; zero where that is not known.
	RefreshExpiry time.Time
}

// valid reports whether the token may still be sent.
func (t *Token) valid(now time.Time) bool {
	margin := min(tokenMargin, max(t.Expiry.Sub(t.Issued), 0)/10)
	return now.Add(margin).Before(t.Expiry)
}

// String hides the token.
func (t Token) String() string { return "[token until " + t.Expiry.UTC().Format(time.RFC3339) + "]" }

// GoString hides the token.
func (t Token) GoString() string { return t.String() }

// Cell holds the live token of one client at one token endpoint. It is
// what survives a reload: history only, no transport, no logger, no policy.
// The zero cell is empty and ready; it is safe for concurrent use.
type Cell struct {
	live atomic.Pointer[Token]

	mu sync.Mutex
	// flight is closed when the fetch in flight has ended; nil when there is none.
	flight chan struct{}
	// pair is the newest token with a refresh token, which outlives the access
	// token.
	pair Token
	// pending is what was fetched with a refresh token that could not be stored
	// yet, and unlock ends the lock on what is stored.
	pending *Token
	unlock  func()
	// refused is the access token that was dropped last, at droppedAt, after others in
	// close succession.
	refused    string
	droppedAt  time.Time
	succession int
	// shareAway and shareSealed are what was last reported to Source.OnShare.
	shareAway, shareSealed bool
	// recent are the tokens of the last fetches, the newest at the end, and changes
	// counts them. Credentials returns them: an upstream that was sent one may repeat
	// it in an answer.
	recent  []string
	changes atomic.Uint64
	// failed and notBefore keep a failing endpoint from being hammered.
	failed    error
	failures  int
	notBefore time.Time
}

// Peek gives the live token, valid or not; ok is false when there is none.
func (c *Cell) Peek() (t Token, ok bool) {
	if p := c.live.Load(); p != nil {
		return *p, true
	}
	return Token{}, false
}

// Live gives the access token that may still be sent at now; ok is false where
// there is none.
func (c *Cell) Live(now time.Time) (access string, ok bool) {
	if p := c.live.Load(); p != nil && p.valid(now) {
		return p.Access, true
	}
	return "", false
}

// Set puts t in the place of the live token.
func (c *Cell) Set(t Token) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live.Store(&t)
}

// Drop forgets the live token if it is still this one: a caller that was
// refused must not throw away a newer token, fetched meanwhile by another.
func (c *Cell) Drop(access string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.live.Load(); p != nil && p.Access == access {
		c.live.Store(nil)
		c.refused = access
	}
}

// freeDrops are how many tokens in close succession, each within dropsWithin of the one before, are dropped without a pause.
const (
	freeDrops   = 16
	dropsWithin = time.Minute
)

// Refuse drops a token that the API refused, as Drop does, and reports whether another one may help. An API that refuses
// them all would have a token fetched for each call: after some in close succession the live one stays for a time that grows
// with each.
func (c *Cell) Refuse(access string, now time.Time) (another bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.live.Load()
	if p == nil || p.Access != access {
		return true
	}
	since := now.Sub(c.droppedAt)
	if c.succession >= freeDrops && since >= 0 && since < backoff(c.succession-freeDrops) {
		return false
	}
	if c.succession++; since > dropsWithin {
		c.succession = 1
	}
	c.live.Store(nil)
	c.refused, c.droppedAt = access, now
	return true
}

// lastRefused gives the access token that was dropped last.
func (c *Cell) lastRefused() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused
}

// wants reports whether another replica's token t is worth taking: newer than
// the live one, not the one that was dropped, and nothing else is to be brought
// to an end first.
func (c *Cell) wants(t Token, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.worth(t, now)
}

// worth is wants of a locked cell.
func (c *Cell) worth(t Token, now time.Time) bool {
	if t.Access == "" || t.Access == c.refused || c.pending != nil || !t.valid(now) {
		return false
	}
	live := c.live.Load()
	return live == nil || t.Issued.After(live.Issued)
}

// Offer takes a token that another replica has got, if it is worth taking: see wants.
func (c *Cell) Offer(t Token, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.worth(t, now) {
		c.live.Store(&t)
	}
}

// begin takes the right to fetch. It gives the flight to wait for; mine is
// true for the one caller that has to fetch and then call end. While a failed
// endpoint is in a pause, flight is nil and err is why.
func (c *Cell) begin(now time.Time) (flight chan struct{}, mine bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flight != nil {
		return c.flight, false, nil
	}
	if now.Before(c.notBefore) {
		return nil, false, c.failed
	}
	c.flight = make(chan struct{})
	return c.flight, true, nil
}

// end publishes what the flight brought: a token, or an error after which the
// endpoint is not asked for a time that grows with each failure. A token that the
// endpoint was not asked for may have been dropped meanwhile: it does not come back,
// and who waits begins another flight.
func (c *Cell) end(t Token, asked bool, err error, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.failed, c.failures, c.notBefore = nil, 0, time.Time{}
		if t.Refresh != "" && t.Issued.After(c.pair.Issued) {
			c.pair = t
		}
		c.remember(t)
		if asked || t.Access != c.refused {
			c.live.Store(&t)
		}
	} else if c.failed = err; errors.Is(err, ErrStore) {
		// Not the endpoint's fault, and soon over.
		c.notBefore = now.Add(backoff(0))
	} else {
		c.notBefore = now.Add(backoff(c.failures))
		c.failures++
	}
	close(c.flight)
	c.flight = nil
}

// LastError is why the last fetch failed, nil after a success.
func (c *Cell) LastError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// lastPair gives the newest token with a refresh token.
func (c *Cell) lastPair() Token {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pair
}

// setPending keeps t, and the lock on what it replaces, for the next attempt to
// store its refresh token.
func (c *Cell) setPending(t Token, unlock func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remember(t)
	c.pending, c.unlock = &t, unlock
}

// takePending returns what setPending has kept.
func (c *Cell) takePending() (t Token, unlock func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending == nil {
		return Token{}, nil, false
	}
	return *c.pending, c.unlock, true
}

// clearPending forgets what setPending has kept.
func (c *Cell) clearPending() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending, c.unlock = nil, nil
}

// shareChanged reports whether err is news of the shared store.
func (c *Cell) shareChanged(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(err, seal.ErrSealed) {
		reported := c.shareSealed
		c.shareSealed = true
		return !reported
	}
	wasAway := c.shareAway
	c.shareAway = err != nil
	return wasAway != c.shareAway
}

// maxRecent is how many tokens a cell remembers as used: access and refresh
// tokens of eight fetches.
const maxRecent = 16

// remember adds the tokens to the credentials that may leak. The cell is locked.
func (c *Cell) remember(t Token) {
	for _, token := range [...]string{t.Access, t.Refresh} {
		if token != "" && !slices.Contains(c.recent, token) {
			c.recent = append(c.recent[max(0, len(c.recent)-maxRecent+1):], token)
		}
	}
	c.changes.Add(1)
}

// Credentials implements credentials.Source: the tokens of the last fetches.
func (c *Cell) Credentials() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	secrets := append(slices.Clone(c.recent), c.pair.Access, c.pair.Refresh, c.refused)
	if t := c.live.Load(); t != nil {
		secrets = append(secrets, t.Access, t.Refresh)
	}
	return secrets
}

// CredentialsChanged implements credentials.Source.
func (c *Cell) CredentialsChanged() uint64 { return c.changes.Load() }

// String hides the tokens.
func (c *Cell) String() string { return "[token cell]" }

// GoString hides the tokens.
func (c *Cell) GoString() string { return c.String() }

// Pause is how long the endpoint is still not asked after a failure.
func (c *Cell) Pause(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(c.notBefore.Sub(now), 0)
}

// backoff is how long to wait after the nth failure in a row: 0.25 s doubling
// up to 30 s.
func backoff(n int) time.Duration {
	const first, most = 250 * time.Millisecond, 30 * time.Second
	return min(first<<min(n, 10), most)
}
