package replay

import (
	"container/heap"

	"github.com/caddy-alipayai/gateway/internal/expiring"
)

// shares are what tenants hold of a memory that they have in common. Where room is needed, the tenant makes it that holds the
// most, counting what it is about to put: so a tenant that holds less than seven eighths of an equal share keeps what it has,
// whatever others put. (Nothing larger than an eighth of the memory is put; the one that makes room holds at least what the
// rest is on average.) Its zero value is empty. It takes no lock: that is its owner's.
type shares[T any] struct {
	of    map[string]*share[T]
	order ordered[*share[T]] // the one that holds the most in front
	used  uint64
}

// share is what one tenant holds.
type share[T any] struct {
	tenant string
	bytes  int64
	held   expiring.List[piece[T]] // what was used least recently in front
	index  int                     // in the order
}

// holding is one of the things that a tenant holds: it is part of its value.
type holding[T any] = expiring.Node[piece[T]]

type piece[T any] struct {
	value T
	size  int64
	used  uint64 // the greater, the later
	of    *share[T]
}

// hold gives a tenant what h is part of, as what it has used last.
func (s *shares[T]) hold(tenant string, h *holding[T], value T, size int64) {
	of := s.of[tenant]
	if of == nil {
		if s.of == nil {
			s.of = make(map[string]*share[T])
			s.order = ordered[*share[T]]{
				less: func(a, b *share[T]) bool {
					return a.bytes > b.bytes || a.bytes == b.bytes && a.held.Front().Value.used < b.held.Front().Value.used
				},
				index: func(of *share[T]) *int { return &of.index },
			}
		}
		of = &share[T]{tenant: tenant}
		s.of[tenant] = of
	}
	s.used++
	h.Value = piece[T]{value, size, s.used, of}
	of.bytes += size
	of.held.PushBack(h)
	if of.held.Len() == 1 {
		heap.Push(&s.order, of)
	} else {
		heap.Fix(&s.order, of.index)
	}
}

// use makes h what its tenant has used last.
func (s *shares[T]) use(h *holding[T]) {
	s.used++
	h.Value.used = s.used
	of := h.Value.of
	of.held.Remove(h)
	of.held.PushBack(h)
	heap.Fix(&s.order, of.index)
}

// drop takes h from its tenant.
func (s *shares[T]) drop(h *holding[T]) {
	of := h.Value.of
	if of.held.Len() == 1 {
		heap.Remove(&s.order, of.index)
		delete(s.of, of.tenant)
	}
	of.held.Remove(h)
	of.bytes -= h.Value.size
	h.Value.of = nil
	if of.held.Len() > 0 {
		heap.Fix(&s.order, of.index)
	}
}

// next gives what has to make room for size more bytes of a tenant's. There must be something.
func (s *shares[T]) next(tenant string, size int64) T {
	most := s.order.items[0]
	if own := s.of[tenant]; own != nil && own.bytes+size >= most.bytes {
		most = own
	}
	return most.held.Front().Value.value
}

// ordered is a heap of values that know their places in it.
type ordered[T any] struct {
	items []T
	less  func(a, b T) bool
	index func(T) *int
}

// Len implements heap.Interface.
func (o *ordered[T]) Len() int { return len(o.items) }

// Less implements heap.Interface.
func (o *ordered[T]) Less(i, j int) bool { return o.less(o.items[i], o.items[j]) }

// Swap implements heap.Interface.
func (o *ordered[T]) Swap(i, j int) {
	o.items[i], o.items[j] = o.items[j], o.items[i]
	*o.index(o.items[i]), *o.index(o.items[j]) = i, j
}

// Push implements heap.Interface.
func (o *ordered[T]) Push(item any) {
	value := item.(T)
	*o.index(value) = len(o.items)
	o.items = append(o.items, value)
}

// Pop implements heap.Interface.
func (o *ordered[T]) Pop() any {
	last := len(o.items) - 1
	value := o.items[last]
	var none T
	o.items[last] = none
	o.items = o.items[:last]
	return value
}
