package alipayai

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/residency"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/limiter"
)

// TenantLimits hold each tenant to what it may use of the gateway, whichever
// provider serves it. They keep averages; a provider's Cap keeps every window.
type TenantLimits struct {
	// Usage is what the tenants have used lately; it survives a reload.
	Usage *limiter.TenantLimits
	// Of is the limit of a tenant by name, Default that of all others.
	Of      map[string]limiter.TenantLimit
	Default limiter.TenantLimit
}

// allow takes what c's tenant may use, or says what it exceeds. The call's Done comes when
// it is over, with the tokens that it took. What costs nothing counts apart, up to the same limit, as counts of tokens
// do at Anthropic (docs.claude.com/en/docs/build-with-claude/token-counting).
func (l *TenantLimits) allow(tenant string, endpoint upstream.Endpoint, now time.Time) (limiter.TenantCall, *failure.Failure) {
	if l == nil {
		return limiter.TenantCall{}, nil
	}
	limit := l.of(tenant)
	if limit == (limiter.TenantLimit{}) {
		return limiter.TenantCall{}, nil
	}
	if !endpoint.Costs() {
		limit.Kind = "free"
	}
	admitted, err := l.Usage.Allow(now, tenant, limit, 0)
	if rejection, ok := errors.AsType[*limiter.Rejection](err); ok {
		return admitted, failure.Limited(string(rejection.Reason), "your limit at this gateway is used up: "+limit.Of(rejection.Reason), rejection.RetryAfter)
	}
	return admitted, nil
}

func (l *TenantLimits) of(tenant string) limiter.TenantLimit {
	if limit, ok := l.Of[tenant]; ok {
		return limit
	}
	return l.Default
}

// countTokens reports whether the tenant's tokens are limited.
func (l *TenantLimits) countTokens(tenant string) bool {
	return l != nil && l.of(tenant).TokensPerMinute > 0
}

// tenancy is whose a call is, and what it may use.
type tenancy struct {
	// limited is the call as the tenant's limits have admitted it.
	limited limiter.TenantCall
	// user is the tenant's user that the call names, where a provider serves users by themselves.
	user string
	// regions are those in which the call may be; nil for anywhere.
	regions residency.Regions
}

// enter takes what in may use of the tenant's limits, and reads which user it is for.
func (t *tenancy) enter(g *Gateway, in *Call) *failure.Failure {
	admitted, f := g.TenantLimits.allow(in.Tenant, in.Endpoint, in.Began)
	if f != nil {
		g.Observer.Rejected("", f.Code)
		return f
	}
	t.limited = admitted
	if g.hasUsers {
		t.user, f = in.endUser(g.userField)
	}
	return f
}

// endUser reads which of the tenant's users the call is for, where a provider has users: by that field of the header, or
// the body. Anonymous clients have none: whoever came could name another's.
func (c *Call) endUser(field string) (user string, f *failure.Failure) {
	user = c.Request.User()
	if c.Native != nil && c.Native.User != "" {
		user = c.Native.User
	}
	named := c.Header[field]
	if len(named) > 0 {
		user = named[0]
	}
	if user == "" && len(named) == 0 {
		return "", nil
	}
	if err := upstream.CheckUser(user); err != nil || len(named) > 1 {
		f := failure.InvalidRequest(http.StatusBadRequest, wire.CodeInvalidValue, "the call must name one user: a name has 1 to 255 bytes of UTF-8 without control characters")
		f.Param = "user"
		return "", f
	}
	if c.Tenant == AnonymousTenant {
		return "", failure.AuthorisationRequired("")
	}
	return user, nil
}

// tokenUser is the user whose token a request to p carries; empty for p's own token.
func (q at) tokenUser() string {
	if q.p.Users == nil || q.Endpoint == upstream.EndpointModels {
		return ""
	}
	return q.tenancy.user
}

// needsUser refuses a call that names no user, where p serves no other.
func (q at) needsUser() *failure.Failure {
	if q.p.Users == nil || !q.p.UserRequired || q.tenancy.user != "" || q.Endpoint == upstream.EndpointModels {
		return nil
	}
	f := failure.InvalidRequest(http.StatusBadRequest, wire.CodeMissingParameter, "provider "+q.p.Name+" serves calls of users only; name the user that this one is for")
	f.Param = "user"
	return f
}

// keyPrefix marks the gateway's own keys, so that a leak scanner can find
// them; hashPrefix marks how a stored hash was made.
const (
	keyPrefix  = "sk-alipayai-"
	hashPrefix = "sha256:"
)

// KeyHash is the SHA-256 of a bearer key. The keys are 256 random bits, so a
// slow hash would add nothing but load: there is no dictionary to try.
type KeyHash [sha256.Size]byte

// NewKey makes a random key for a client, and its hash for the configuration.
func NewKey() (key string, hash KeyHash) {
	// Two texts of at least 128 bits each.
	key = keyPrefix + rand.Text() + rand.Text()
	return key, HashKey(key)
}

// HashKey gives the hash under which a key is stored.
func HashKey(key string) KeyHash { return sha256.Sum256([]byte(key)) }

// keysOfNothing are the hashes of keys that no client can send, of a variable that was empty when the hash was made.
var keysOfNothing = [...]KeyHash{HashKey(""), HashKey("\n"), HashKey("\r\n")}

// String writes the hash as a configuration takes it: sha256:<hex>.
func (h KeyHash) String() string { return hashPrefix + hex.EncodeToString(h[:]) }

// ParseKeyHash reads what String writes.
func ParseKeyHash(s string) (KeyHash, error) {
	digits, ok := strings.CutPrefix(s, hashPrefix)
	var h KeyHash
	b, err := hex.DecodeString(digits)
	if !ok || err != nil || len(b) != len(h) {
		// The text itself may be a key that was pasted by mistake.
		return KeyHash{}, errors.New("a key's hash must be sha256: and 64 hexadecimal digits, as `caddy alipayai key new` prints it")
	}
	copy(h[:], b)
	return h, nil
}

// CheckTenant refuses names that would be ambiguous in a log or a header.
func CheckTenant(name string) error {
	if name == "" || name == AnonymousTenant || len(name) > 128 {
		return fmt.Errorf("a tenant's name must have 1 to 128 characters and not be %q", AnonymousTenant)
	}
	if strings.HasPrefix(name, keyPrefix) {
		return errors.New("a tenant's name must not begin like a key: write the tenant first, then its key's hash")
	}
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		return errors.New("a tenant's name must be valid UTF-8 without white space and control characters")
	}
	return nil
}

// TenantKeys finds the tenant that a bearer key belongs to. It is safe for
// concurrent use; Replace swaps the whole table at once.
type TenantKeys struct {
	byHash atomic.Pointer[map[KeyHash]string]
}

// Replace puts a table in the place of the one before.
func (t *TenantKeys) Replace(byHash map[KeyHash]string) { t.byHash.Store(&byHash) }

// Tenants gives the names of all tenants that have a key, in any order, perhaps
// several times.
func (t *TenantKeys) Tenants() []string {
	table := t.byHash.Load()
	if table == nil {
		return nil
	}
	return slices.Collect(maps.Values(*table))
}

// Lookup gives the tenant of key. What gets compared are hashes, in a table
// of the process's own random seed: how long that takes tells nothing about a
// key, since a key cannot be chosen by its hash.
func (t *TenantKeys) Lookup(key string) (tenant string, ok bool) {
	table := t.byHash.Load()
	if table == nil {
		return "", false
	}
	tenant, ok = (*table)[HashKey(key)]
	return tenant, ok
}

// ParseTenantKeys reads a file of keys: on each line a tenant and a key's
// hash, with white space between. Empty lines and lines that begin with #
// count for nothing; a tenant may have several keys.
func ParseTenantKeys(file []byte) (map[KeyHash]string, error) {
	table := make(map[KeyHash]string)
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(file, byteOrderMark)))
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) != 2 {
			return nil, fmt.Errorf("line %d: write a tenant and its key's hash", n)
		}
		if err := AddTenantKey(table, fields[0], fields[1]); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading keys: %w", err)
	}
	return table, nil
}

// AddTenantKey adds one key to a table, and refuses a key of two tenants.
func AddTenantKey(table map[KeyHash]string, tenant, hash string) error {
	if err := CheckTenant(tenant); err != nil {
		return err
	}
	h, err := ParseKeyHash(hash)
	if err != nil {
		return err
	}
	if slices.Contains(keysOfNothing[:], h) {
		return errors.New("the hash is one of an empty key, as a variable gives that is not set; `caddy alipayai key new` makes a key and its hash")
	}
	if other, ok := table[h]; ok && other != tenant {
		return fmt.Errorf("tenants %s and %s have the same key", other, tenant)
	}
	table[h] = tenant
	return nil
}
