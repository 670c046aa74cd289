package expiring

// List is a doubly linked list whose nodes are its entries' own: an entry is one allocation, where container/list takes
// two. Its zero value is empty.
type List[T any] struct {
	front, back *Node[T]
	length      int
}

// Node is an entry's place in a list.
type Node[T any] struct {
	next, prev *Node[T]
	// Value is the entry.
	Value T
}

// Prev gives the node before n in its list; nil of the first, and of one in no list.
func (n *Node[T]) Prev() *Node[T] { return n.prev }

// Front gives the first node; nil of an empty list.
func (l *List[T]) Front() *Node[T] { return l.front }

// Len gives the number of nodes.
func (l *List[T]) Len() int { return l.length }

// PushFront puts n, which is in no list, before all others.
func (l *List[T]) PushFront(n *Node[T]) {
	n.prev, n.next = nil, l.front
	if l.front != nil {
		l.front.prev = n
	} else {
		l.back = n
	}
	l.front = n
	l.length++
}

// PushBack puts n, which is in no list, behind all others.
func (l *List[T]) PushBack(n *Node[T]) {
	n.prev, n.next = l.back, nil
	if l.back != nil {
		l.back.next = n
	} else {
		l.front = n
	}
	l.back = n
	l.length++
}

// Remove takes out a node that is in the list.
func (l *List[T]) Remove(n *Node[T]) {
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		l.front = n.next
	}
	if n.next != nil {
		n.next.prev = n.prev
	} else {
		l.back = n.prev
	}
	n.prev, n.next = nil, nil
	l.length--
}
