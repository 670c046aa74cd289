package alipayai

import (
	"sync"
	"sync/atomic"
	"time"
)

// Token is an access token and what is known about it. It never reaches a
// log: String and GoString hide it.
type Token struct {
	Access  string
	Refresh string // empty unless the grant gives refresh tokens
	Issued  time.Time
	Expiry  time.Time
}

// valid reports whether the token may still be sent.
func (t *Token) valid(now time.Time) bool {
	margin := min(tokenMargin, t.Expiry.Sub(t.Issued)/10)
	return now.Add(margin).Before(t.Expiry)
}

// String hides the token.
func (t Token) String() string { return "[token until " + t.Expiry.UTC().Format(time.RFC3339) + "]" }

// GoString hides the token.
func (t Token) GoString() string { return t.String() }

// TokenCell holds the live token of one client at one token endpoint. It is
// what survives a reload: history only, no transport, no logger, no policy.
// The zero cell is empty and ready; it is safe for concurrent use.
type TokenCell struct {
	live atomic.Pointer[Token]

	mu sync.Mutex
	// flight is closed when the fetch under way has ended; nil when none is.
	flight chan struct{}
	// refresh is the newest refresh token, which outlives its access token.
	refresh string
	// held is what was fetched with a refresh token that could not be stored yet.
	held *Token
	// failed and notBefore keep a failing endpoint from being hammered.
	failed    error
	failures  int
	notBefore time.Time
}

// Peek gives the live token, valid or not; ok is false when there is none.
func (c *TokenCell) Peek() (t Token, ok bool) {
	if p := c.live.Load(); p != nil {
		return *p, true
	}
	return Token{}, false
}

// drop forgets the live token if it is still this one: a caller that was
// refused must not throw away what somebody else has fetched meanwhile.
func (c *TokenCell) drop(access string) {
	if p := c.live.Load(); p != nil && p.Access == access {
		c.live.CompareAndSwap(p, nil)
	}
}

// begin takes the right to fetch. It gives the flight to wait for; mine is
// true for the one caller that has to fetch and then call end. While a failed
// endpoint is left alone, flight is nil and err is why.
func (c *TokenCell) begin(now time.Time) (flight chan struct{}, mine bool, err error) {
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
// endpoint is left alone for a time that grows with each failure.
func (c *TokenCell) end(t Token, err error, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.failed, c.failures, c.notBefore = nil, 0, time.Time{}
		c.live.Store(&t)
	} else {
		c.failed = err
		c.notBefore = now.Add(backoff(c.failures))
		c.failures++
	}
	close(c.flight)
	c.flight = nil
}

// lastError is why the last fetch failed, nil after a success.
func (c *TokenCell) lastError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// refreshToken gives the newest refresh token.
func (c *TokenCell) refreshToken() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refresh
}

// keepRefreshToken remembers a refresh token that is stored.
func (c *TokenCell) keepRefreshToken(t string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refresh, c.held = t, nil
}

// hold keeps t for the next attempt to store its refresh token.
func (c *TokenCell) hold(t Token) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = &t
}

// unstored gives what hold has kept.
func (c *TokenCell) unstored() (t Token, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		return Token{}, false
	}
	return *c.held, true
}

// String hides the tokens.
func (c *TokenCell) String() string { return "[token cell]" }

// GoString hides the tokens.
func (c *TokenCell) GoString() string { return c.String() }

// pause is how long the endpoint is still left alone after a failure.
func (c *TokenCell) pause(now time.Time) time.Duration {
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
