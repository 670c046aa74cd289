package sandbox

import (
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

const (
	maxTokens   = 8192
	refreshLife = 30 * 24 * time.Hour
)

// tokens holds what was issued, keyed by SHA-256, so that the time of a lookup
// says nothing about a token.
type tokens struct {
	mu      sync.Mutex
	access  *bounded[[sha256.Size]byte, grant]
	refresh *bounded[[sha256.Size]byte, grant]
	codes   *bounded[[sha256.Size]byte, given]
}

type grant struct {
	app     *app
	user    string // who has authorised it; empty for the app's own
	expires time.Time
}

func newTokens() *tokens {
	return &tokens{
		access:  newBounded[[sha256.Size]byte, grant](maxTokens),
		refresh: newBounded[[sha256.Size]byte, grant](maxTokens),
		codes:   newBounded[[sha256.Size]byte, given](maxTokens),
	}
}

// issueAccess makes an access token. An expired one is remembered until newer
// ones need its place, so that it answers EXPIRED_ACCESS_TOKEN.
func (t *tokens) issueAccess(a *app, user string, expires time.Time) string {
	return issue(t, t.access, grant{a, user, expires})
}

func (t *tokens) issueRefresh(a *app, user string, expires time.Time) string {
	return issue(t, t.refresh, grant{a, user, expires})
}

func issue(t *tokens, into *bounded[[sha256.Size]byte, grant], g grant) string {
	value := rand.Text()
	t.mu.Lock()
	defer t.mu.Unlock()
	into.put(sha256.Sum256([]byte(value)), g)
	return value
}

// accept makes a given refresh token good.
func (t *tokens) accept(value string, a *app, expires time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refresh.put(sha256.Sum256([]byte(value)), grant{app: a, expires: expires})
}

// look tells whose access token value is and whether it is alive.
func (t *tokens) look(value string, now time.Time) (owner *app, alive, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g, ok := t.access.get(sha256.Sum256([]byte(value)))
	return g.app, now.Before(g.expires), ok
}

// expire ends the life of an access token.
func (t *tokens) expire(value string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := sha256.Sum256([]byte(value))
	if g, ok := t.access.get(id); ok {
		t.access.put(id, grant{app: g.app, user: g.user})
	}
}

// redeem uses a refresh token of a, and gives who has authorised it. With rotate the token dies in the
// same step, so that of two callers with one token only one gets through.
func (t *tokens) redeem(value string, a *app, now time.Time, rotate bool) (user string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := sha256.Sum256([]byte(value))
	g, ok := t.refresh.get(id)
	if !ok || g.app != a || !now.Before(g.expires) {
		return "", false
	}
	if rotate {
		t.refresh.put(id, grant{app: a, user: g.user})
	}
	return g.user, true
}
