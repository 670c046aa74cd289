package sandbox

// bounded is a map that forgets its oldest entry when it is full, so that a
// long-running simulator does not grow with its callers' inventions.
type bounded[K comparable, V any] struct {
	values map[K]V
	order  []K
	oldest int
	max    int
	// dropped counts the entries forgotten.
	dropped int64
}

func newBounded[K comparable, V any](size int) *bounded[K, V] {
	return &bounded[K, V]{values: make(map[K]V), max: size}
}

func (b *bounded[K, V]) get(k K) (V, bool) {
	v, ok := b.values[k]
	return v, ok
}

// put stores v under k. Storing under a known key keeps the key's age.
func (b *bounded[K, V]) put(k K, v V) {
	if _, known := b.values[k]; !known {
		if len(b.order) < b.max {
			b.order = append(b.order, k)
		} else {
			delete(b.values, b.order[b.oldest])
			b.order[b.oldest] = k
			b.oldest = (b.oldest + 1) % b.max
			b.dropped++
		}
	}
	b.values[k] = v
}
