package replay

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/internal/expiring"
)

// entryOverhead is what an entry takes besides its answer, in bytes: the entry,
// its place in a list or heap, and its share of a map.
const entryOverhead = 448

// MemoryCache holds cached answers of one process. It is used through Within.
type MemoryCache struct {
	now func() time.Time

	mu      sync.Mutex
	answers expiring.Map[Key, Answer]
}

// NewMemoryCache makes an empty one.
func NewMemoryCache(now func() time.Time) *MemoryCache { return &MemoryCache{now: now} }

// Within bounds the cache to maxBytes: Put evicts the answers that were used least
// recently. An answer of more than an eighth of that is not kept.
func (m *MemoryCache) Within(maxBytes int64) Cache { return memoryCache{m, maxBytes} }

// memoryCache is a MemoryCache under a budget.
type memoryCache struct {
	*MemoryCache
	maxBytes int64
}

// Get implements Cache.
func (m memoryCache) Get(ctx context.Context, _ string, key Key) (Answer, bool, error) {
	if err := ctx.Err(); err != nil {
		return Answer{}, false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	answer, ok := m.answers.Get(key, m.now())
	answer.Body, answer.Kept = bytes.Clone(answer.Body), false // the entry's own is written over some time
	return answer, ok, nil
}

// Put implements Cache.
func (m memoryCache) Put(_ context.Context, _ string, key Key, answer Answer, ttl time.Duration) error {
	size := entryOverhead + answer.size()
	if size > m.maxBytes/8 {
		return ErrTooLarge
	}
	if ttl < time.Millisecond {
		return nil
	}
	expires := m.now().Add(ttl)
	m.mu.Lock()
	defer m.mu.Unlock()
	// A full cache works in the memory that it has: the collector need not come.
	var spare []byte
	if former, ok := m.answers.Remove(key); ok {
		spare = ownBody(former)
	}
	for m.answers.Size()+size > m.maxBytes {
		oldest, _ := m.answers.RemoveOldest() // there is one, as the answer itself has room
		spare = ownBody(oldest)
	}
	if !answer.Kept {
		if n := len(answer.Body); cap(spare) > n+spareRoom(n) {
			spare = nil
		}
		answer.Body = append(spare[:0], answer.Body...)
	}
	m.answers.Put(key, answer, size, expires)
	return nil
}

// ownBody gives the body if only the entry had it.
func ownBody(forgotten Answer) []byte {
	if forgotten.Kept {
		return nil
	}
	return forgotten.Body
}

// Interface guards
var _ Cache = memoryCache{}
