package replay

import (
	"container/heap"
	"time"

	"github.com/caddy-alipayai/gateway/internal/expiring"
)

// endings are things by when they end. Those that come in the order of their ends, as things with the same time to live do,
// are a list. The rest is a heap: in a store of thousands each change of one looks at many things.
type endings[T any] struct {
	of      func(T) *ending[T]
	list    expiring.List[T]
	longest time.Time // nothing in the list ends later
	rest    ordered[T]
}

// ending is when a thing ends. It is part of the thing, which is in endings once at most.
type ending[T any] struct {
	at    time.Time
	node  expiring.Node[T]
	index int // in the heap; listed for one in the list
}

const listed = -1

func newEndings[T any](of func(T) *ending[T]) endings[T] {
	return endings[T]{of: of, rest: ordered[T]{
		less:  func(a, b T) bool { return of(a).at.Before(of(b).at) },
		index: func(thing T) *int { return &of(thing).index },
	}}
}

// put adds a thing that ends at that time.
func (e *endings[T]) put(thing T, at time.Time) {
	end := e.of(thing)
	end.at = at
	if e.list.Len() > 0 && at.Before(e.longest) {
		heap.Push(&e.rest, thing)
		return
	}
	e.longest = at
	end.index, end.node.Value = listed, thing
	e.list.PushBack(&end.node)
}

// remove takes out a thing that is in e.
func (e *endings[T]) remove(thing T) {
	end := e.of(thing)
	if end.index != listed {
		heap.Remove(&e.rest, end.index)
		return
	}
	e.list.Remove(&end.node)
}

// ended gives a thing that has ended by then, if there is one.
func (e *endings[T]) ended(by time.Time) (thing T, ok bool) {
	if e.list.Len() > 0 {
		if thing = e.list.Front().Value; !by.Before(e.of(thing).at) {
			return thing, true
		}
	}
	if len(e.rest.items) > 0 {
		if thing = e.rest.items[0]; !by.Before(e.of(thing).at) {
			return thing, true
		}
	}
	return thing, false
}
