package replay

import (
	"bytes"
	"context"
	"sync"
	"time"
)

// entryOverhead is what an entry takes besides its answer, in bytes: the entry,
// its place in a list or heap, and its share of a map.
const entryOverhead = 448

// MemoryCache holds cached answers of one process. It is used through Within.
type MemoryCache struct {
	now func() time.Time

	mu      sync.Mutex
	entries map[Key]*node[cached]
	recent  list[cached] // the entry used last in front
	bytes   int64
}

// cached is an answer and until when it is kept.
type cached struct {
	key     Key
	answer  Answer
	size    int64
	expires time.Time
}

// NewMemoryCache makes an empty one.
func NewMemoryCache(now func() time.Time) *MemoryCache {
	return &MemoryCache{now: now, entries: make(map[Key]*node[cached])}
}

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
	n, ok := m.entries[key]
	if !ok {
		return Answer{}, false, nil
	}
	if !m.now().Before(n.value.expires) {
		m.remove(n)
		return Answer{}, false, nil
	}
	m.recent.remove(n)
	m.recent.pushFront(n)
	answer := n.value.answer
	answer.Body, answer.Kept = bytes.Clone(answer.Body), false // the entry's own is written over some time
	return answer, true, nil
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
	n, ok := m.entries[key]
	if ok {
		spare = m.remove(n)
	}
	for m.bytes+size > m.maxBytes {
		n = m.recent.back
		spare = m.remove(n)
	}
	if !answer.Kept {
		if n := len(answer.Body); cap(spare) > n+spareRoom(n) {
			spare = nil
		}
		answer.Body = append(spare[:0], answer.Body...)
	}
	if n == nil {
		n = new(node[cached])
	}
	n.value = cached{key, answer, size, expires}
	m.recent.pushFront(n)
	m.entries[key] = n
	m.bytes += size
	return nil
}

// remove gives the body if only the entry had it.
func (m *MemoryCache) remove(n *node[cached]) []byte {
	m.recent.remove(n)
	entry := &n.value
	delete(m.entries, entry.key)
	m.bytes -= entry.size
	if entry.answer.Kept {
		return nil
	}
	return entry.answer.Body
}

// Interface guards
var _ Cache = memoryCache{}
