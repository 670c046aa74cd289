// Package expiring keeps values for a time, and the most recently used ones where there are too many.
package expiring

import (
	"iter"
	"time"
)

// Map holds values under keys, each until its time. Its zero value is empty. It reads no clock and takes no lock:
// both are its owner's.
type Map[K comparable, V any] struct {
	entries map[K]*Node[entry[K, V]]
	recent  List[entry[K, V]] // the entry used last in front
	size    int64
	spare   *Node[entry[K, V]] // the one removed last: a full map works in the memory that it has
}

type entry[K comparable, V any] struct {
	key     K
	value   V
	size    int64
	expires time.Time
}

// Len gives the number of values, those included whose time has come and that were not asked for since.
func (m *Map[K, V]) Len() int { return len(m.entries) }

// Size gives the sum of the values' sizes.
func (m *Map[K, V]) Size() int64 { return m.size }

// Get gives the value under key, unless its time has come.
func (m *Map[K, V]) Get(key K, now time.Time) (value V, ok bool) {
	n, ok := m.entries[key]
	if !ok {
		return value, false
	}
	if !now.Before(n.Value.expires) {
		m.remove(n)
		return value, false
	}
	m.recent.Remove(n)
	m.recent.PushFront(n)
	return n.Value.value, true
}

// Put keeps value, which takes size, until expires. One that was under the key is forgotten.
func (m *Map[K, V]) Put(key K, value V, size int64, expires time.Time) {
	m.Remove(key)
	if m.entries == nil {
		m.entries = make(map[K]*Node[entry[K, V]])
	}
	n := m.spare
	if m.spare = nil; n == nil {
		n = new(Node[entry[K, V]])
	}
	n.Value = entry[K, V]{key, value, size, expires}
	m.entries[key] = n
	m.recent.PushFront(n)
	m.size += size
}

// Remove forgets the value under key, and gives it.
func (m *Map[K, V]) Remove(key K) (value V, ok bool) {
	n, ok := m.entries[key]
	if !ok {
		return value, false
	}
	return m.remove(n), true
}

// RemoveOldest forgets the value that was used least recently, and gives it.
func (m *Map[K, V]) RemoveOldest() (value V, ok bool) {
	if m.recent.back == nil {
		return value, false
	}
	return m.remove(m.recent.back), true
}

// All gives the values with their keys, the one used last first.
func (m *Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for n := m.recent.front; n != nil && yield(n.Value.key, n.Value.value); n = n.next {
		}
	}
}

func (m *Map[K, V]) remove(n *Node[entry[K, V]]) V {
	m.recent.Remove(n)
	delete(m.entries, n.Value.key)
	m.size -= n.Value.size
	value := n.Value.value
	n.Value, m.spare = entry[K, V]{}, n
	return value
}
