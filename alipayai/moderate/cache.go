package moderate

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/internal/expiring"
)

// Limits of a cache.
const (
	// DefaultCacheTTL is how long a model's verdict counts.
	DefaultCacheTTL = time.Hour
	// DefaultCacheEntries is how many verdicts are kept, of about 200 bytes each.
	DefaultCacheEntries = 10_000
)

// Cache keeps the verdicts of models, by tenant, policy version and a keyed hash of the text as the model was asked about it,
// normalised by NFC and no further: a model reads case, marks and what shows nothing, which [Fold] leaves out. The key is the
// cache's own, and random: who reads its memory cannot ask whether somebody wrote a text. The zero value is
// empty; it is safe for concurrent use and may outlive a configuration.
type Cache struct {
	once     sync.Once
	secret   [sha256.Size]byte
	verdicts kept[bool]
}

// sum is a hash, under the cache's key, of the parts with their lengths.
func (c *Cache) sum(parts ...string) [sha256.Size]byte {
	c.once.Do(func() { _, _ = rand.Read(c.secret[:]) }) // never fails
	h := hmac.New(sha256.New, c.secret[:])
	var size [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return sum
}

// key is that of a verdict on texts.
func (c *Cache) key(tenant string, version [sha256.Size]byte, texts []wire.Text) [sha256.Size]byte {
	parts := make([]string, 0, 2+4*len(texts))
	parts = append(parts, tenant, string(version[:]))
	for _, t := range texts {
		parts = append(parts, strconv.Itoa(int(t.Kind)), strconv.Itoa(t.Message), t.Role, t.Value)
	}
	return c.sum(parts...)
}

// kept is a bounded map for concurrent use.
type kept[V any] struct {
	mu     sync.Mutex
	values expiring.Map[[sha256.Size]byte, V]
}

func (k *kept[V]) empty() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.values.Len() == 0
}

func (k *kept[V]) get(key [sha256.Size]byte, now time.Time) (V, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.values.Get(key, now)
}

// put keeps value until then, and no more than most values.
func (k *kept[V]) put(key [sha256.Size]byte, value V, until time.Time, most int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.values.Put(key, value, 0, until)
	for k.values.Len() > max(most, 1) {
		k.values.RemoveOldest()
	}
}

// DefaultBlockedTTL is how long a request that a provider has blocked is not sent there again.
const DefaultBlockedTTL = 10 * time.Minute

// maxBlocked is how many such requests are remembered, and maxBlockedText how much of what the provider said.
const maxBlocked, maxBlockedText = 10_000, 512

// Blocked remembers requests that providers have blocked: under a key, of which no request can be read, what the provider
// said. The zero value is empty; it is safe for concurrent use.
type Blocked struct {
	hashes Cache
	calls  kept[wire.Error]
}

// Key is that of a request, by the parts that it depends on.
func (b *Blocked) Key(parts ...string) [sha256.Size]byte { return b.hashes.sum(parts...) }

// Empty reports whether there is nothing to ask for, so that no key has to be made.
func (b *Blocked) Empty() bool { return b.calls.empty() }

// Get gives what the provider said.
func (b *Blocked) Get(key [sha256.Size]byte, now time.Time) (wire.Error, bool) {
	return b.calls.get(key, now)
}

// Put remembers it until then.
func (b *Blocked) Put(key [sha256.Size]byte, said wire.Error, until time.Time) {
	said.Message = said.Message[:min(len(said.Message), maxBlockedText)]
	b.calls.put(key, said, until, maxBlocked)
}
