package tenants

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"unicode"
	"unicode/utf8"
)

// Anonymous is the tenant of calls without an authenticated user; no other may have that name.
const Anonymous = "anonymous"

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

// Check refuses names of tenants that would be ambiguous in a log or a header.
func Check(name string) error {
	if name == "" || name == Anonymous || len(name) > 128 {
		return fmt.Errorf("a tenant's name must have 1 to 128 characters and not be %q", Anonymous)
	}
	if strings.HasPrefix(name, keyPrefix) {
		return errors.New("a tenant's name must not begin like a key: write the tenant first, then its key's hash")
	}
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		return errors.New("a tenant's name must be valid UTF-8 without white space and control characters")
	}
	return nil
}

// Keys finds the tenant that a bearer key belongs to. The zero value has no keys. It is safe for
// concurrent use; Replace swaps the whole table at once.
type Keys struct {
	byHash atomic.Pointer[map[KeyHash]string]
}

// Replace puts a table in the place of the one before.
func (t *Keys) Replace(byHash map[KeyHash]string) { t.byHash.Store(&byHash) }

// Tenants gives the names of all tenants that have a key, in any order, perhaps
// several times.
func (t *Keys) Tenants() []string {
	table := t.byHash.Load()
	if table == nil {
		return nil
	}
	return slices.Collect(maps.Values(*table))
}

// Lookup gives the tenant of key. What gets compared are hashes, in a table
// of the process's own random seed: how long that takes tells nothing about a
// key, since a key cannot be chosen by its hash.
func (t *Keys) Lookup(key string) (tenant string, ok bool) {
	table := t.byHash.Load()
	if table == nil {
		return "", false
	}
	tenant, ok = (*table)[HashKey(key)]
	return tenant, ok
}

// ParseKeys reads a file of keys: on each line a tenant and a key's
// hash, with white space between. Empty lines and lines that begin with #
// count for nothing; a tenant may have several keys.
func ParseKeys(file []byte) (map[KeyHash]string, error) {
	table := make(map[KeyHash]string)
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(file, []byte("\ufeff"))))
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) != 2 {
			return nil, fmt.Errorf("line %d: write a tenant and its key's hash", n)
		}
		if err := AddKey(table, fields[0], fields[1]); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading keys: %w", err)
	}
	return table, nil
}

// AddKey adds one key to a table, and refuses a key of two tenants.
func AddKey(table map[KeyHash]string, tenant, hash string) error {
	if err := Check(tenant); err != nil {
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
