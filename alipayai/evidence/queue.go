package evidence

import (
	"context"
	"sync"
)

// queue hands items to work, one after the other, in a goroutine that exists
// only while there are items.
type queue[T any] struct {
	maxItems int
	maxBytes int64
	work     func(T)

	mu    sync.Mutex
	items []sized[T]
	bytes int64         // of items, and of the one at work
	idle  chan struct{} // closed when the worker ends; nil while there is none
}

type sized[T any] struct {
	item T
	size int64
}

// fits reports whether there is room for an item of this size just now.
func (q *queue[T]) fits(size int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.roomFor(size)
}

func (q *queue[T]) roomFor(size int64) bool {
	return len(q.items) < q.maxItems && q.bytes+size <= q.maxBytes
}

// push queues the item, or reports that there is no room for it.
func (q *queue[T]) push(item T, size int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.roomFor(size) {
		return false
	}
	q.items = append(q.items, sized[T]{item, size})
	q.bytes += size
	if q.idle == nil {
		q.idle = make(chan struct{})
		go q.run()
	}
	return true
}

func (q *queue[T]) run() {
	for {
		q.mu.Lock()
		if len(q.items) == 0 {
			close(q.idle)
			q.idle, q.items = nil, nil
			q.mu.Unlock()
			return
		}
		next := q.items[0]
		q.items[0] = sized[T]{} // the array lives on
		q.items = q.items[1:]
		q.mu.Unlock()

		q.work(next.item)

		q.mu.Lock()
		q.bytes -= next.size
		q.mu.Unlock()
	}
}

// flush waits until there is nothing left to do.
func (q *queue[T]) flush(ctx context.Context) error {
	q.mu.Lock()
	idle := q.idle
	q.mu.Unlock()
	if idle == nil {
		return nil
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
