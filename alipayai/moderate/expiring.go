package moderate

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"
)

// expiring keeps values for a time, the most recently used ones where there are too many. The zero value is empty.
type expiring[V any] struct {
	mu     sync.Mutex
	byKey  map[[sha256.Size]byte]*list.Element
	recent list.List // of *entry[V], the most recently used first
}

type entry[V any] struct {
	key   [sha256.Size]byte
	value V
	until time.Time
}

func (e *expiring[V]) empty() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.byKey) == 0
}

func (e *expiring[V]) get(key [sha256.Size]byte, now time.Time) (value V, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	at, ok := e.byKey[key]
	if !ok {
		return value, false
	}
	kept := at.Value.(*entry[V])
	if !now.Before(kept.until) {
		e.remove(at)
		return value, false
	}
	e.recent.MoveToFront(at)
	return kept.value, true
}

// put keeps value until then, and no more than most values.
func (e *expiring[V]) put(key [sha256.Size]byte, value V, until time.Time, most int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.byKey == nil {
		e.byKey = make(map[[sha256.Size]byte]*list.Element)
	}
	if at, ok := e.byKey[key]; ok {
		e.remove(at)
	}
	e.byKey[key] = e.recent.PushFront(&entry[V]{key, value, until})
	for len(e.byKey) > max(most, 1) {
		e.remove(e.recent.Back())
	}
}

func (e *expiring[V]) remove(at *list.Element) {
	e.recent.Remove(at)
	delete(e.byKey, at.Value.(*entry[V]).key)
}
