package replay

import (
	"bytes"
	"context"
	"sync"
	"time"
)

// entryOverhead is what an entry takes besides its answer, in bytes: the entry,
// its places in lists and heaps, its share of maps, and a tenant of its own.
const entryOverhead = 544

// MemoryCache holds cached answers of one process. It is used through Within.
type MemoryCache struct {
	now func() time.Time

	mu      sync.Mutex
	answers map[Key]*cached
	endings endings[*cached]
	shares  shares[*cached]
	bytes   int64
}

// cached is an answer that is kept.
type cached struct {
	key     Key
	answer  Answer
	ending  ending[*cached]
	holding holding[*cached]
}

// NewMemoryCache makes an empty one.
func NewMemoryCache(now func() time.Time) *MemoryCache {
	return &MemoryCache{now: now, answers: make(map[Key]*cached), endings: newEndings(func(c *cached) *ending[*cached] { return &c.ending })}
}

// Within bounds the cache to maxBytes: Put evicts the answers that their tenant has used least recently, of the tenant that
// takes the most. One that takes less than seven eighths of an equal share loses none to others. An answer of more than an
// eighth of maxBytes is not kept.
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
	m.expire(m.now())
	c, ok := m.answers[key]
	if !ok {
		return Answer{}, false, nil
	}
	m.shares.use(&c.holding)
	answer := c.answer
	answer.Body = bytes.Clone(answer.Body) // the entry's own is written over some time
	return answer, true, nil
}

// Put implements Cache.
func (m memoryCache) Put(_ context.Context, tenant string, key Key, answer Answer, ttl time.Duration, also ...Entry) error {
	err := m.put(tenant, key, answer, ttl)
	for i := 0; i < len(also) && err == nil; i++ {
		err = m.put(tenant, also[i].Key, also[i].Answer, ttl)
	}
	return err
}

func (m memoryCache) put(tenant string, key Key, answer Answer, ttl time.Duration) error {
	size := entryOverhead + answer.size()
	if size > m.maxBytes/8 {
		return ErrTooLarge
	}
	if ttl < time.Millisecond {
		return nil
	}
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.expire(now) // the one removed last: a full cache works in the memory that it has, and the collector need not come
	if former, ok := m.answers[key]; ok {
		c = m.remove(former)
	}
	for m.bytes+size > m.maxBytes {
		c = m.remove(m.shares.next(tenant, size)) // there is one, as the answer itself has room
	}
	if c == nil {
		c = new(cached)
	}
	answer.Body = bodyIn(c.answer.Body, answer.Body)
	*c = cached{key: key, answer: answer}
	m.answers[key] = c
	m.endings.put(c, now.Add(ttl))
	m.shares.hold(tenant, &c.holding, c, size)
	m.bytes += size
	return nil
}

// expire removes what has ended, and gives the last of it; nil for none.
func (m *MemoryCache) expire(now time.Time) (last *cached) {
	for c, ok := m.endings.ended(now); ok; c, ok = m.endings.ended(now) {
		last = m.remove(c)
	}
	return last
}

// remove removes c, and gives it.
func (m *MemoryCache) remove(c *cached) *cached {
	delete(m.answers, c.key)
	m.endings.remove(c)
	m.shares.drop(&c.holding)
	m.bytes -= c.holding.Value.size
	return c
}

// Interface guards
var _ Cache = memoryCache{}
