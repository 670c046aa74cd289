package replay

import (
	"bytes"
	"container/list"
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
	entries map[Key]*list.Element // of *cached
	recent  *list.List            // the entry used last in front
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
	return &MemoryCache{now: now, entries: make(map[Key]*list.Element), recent: list.New()}
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
	element, ok := m.entries[key]
	if !ok {
		return Answer{}, false, nil
	}
	entry := element.Value.(*cached)
	if !m.now().Before(entry.expires) {
		m.remove(element)
		return Answer{}, false, nil
	}
	m.recent.MoveToFront(element)
	answer := entry.answer
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
	if former, ok := m.entries[key]; ok {
		spare = m.remove(former)
	}
	for m.bytes+size > m.maxBytes {
		spare = m.remove(m.recent.Back())
	}
	if !answer.Kept {
		if n := len(answer.Body); cap(spare) > n+spareRoom(n) {
			spare = nil
		}
		answer.Body = append(spare[:0], answer.Body...)
	}
	m.entries[key] = m.recent.PushFront(&cached{key, answer, size, expires})
	m.bytes += size
	return nil
}

// remove gives the body if only the entry had it.
func (m *MemoryCache) remove(element *list.Element) []byte {
	entry := m.recent.Remove(element).(*cached)
	delete(m.entries, entry.key)
	m.bytes -= entry.size
	if entry.answer.Kept {
		return nil
	}
	return entry.answer.Body
}

// Interface guards
var _ Cache = memoryCache{}
