package alipaycaddy

import (
	"maps"
	"sync/atomic"
)

// memo remembers what was made for a key, of which there are few and which stay. Its zero value is empty. Looking for one takes no
// lock: whoever adds one copies the rest.
type memo[K comparable, V any] struct{ known atomic.Pointer[map[K]V] }

// of gives what is known of a key, or else what it makes.
func (m *memo[K, V]) of(key K, make func() V) V {
	for {
		before := m.known.Load()
		if before != nil {
			if v, ok := (*before)[key]; ok {
				return v
			}
		}
		after := map[K]V{key: make()}
		if before != nil {
			maps.Copy(after, *before)
		}
		if m.known.CompareAndSwap(before, &after) {
			return after[key]
		}
	}
}
