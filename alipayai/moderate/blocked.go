package moderate

import (
	"crypto/sha256"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

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
