package replay

// list is a doubly linked list whose nodes are its entries' own: an entry is one
// allocation, where container/list takes two. Its zero value is empty.
type list[T any] struct {
	front, back *node[T]
	length      int
}

// node is an entry's place in a list.
type node[T any] struct {
	next, prev *node[T]
	value      T
}

func (l *list[T]) pushFront(n *node[T]) {
	n.prev, n.next = nil, l.front
	if l.front != nil {
		l.front.prev = n
	} else {
		l.back = n
	}
	l.front = n
	l.length++
}

func (l *list[T]) pushBack(n *node[T]) {
	n.prev, n.next = l.back, nil
	if l.back != nil {
		l.back.next = n
	} else {
		l.front = n
	}
	l.back = n
	l.length++
}

// remove takes out a node that is in the list.
func (l *list[T]) remove(n *node[T]) {
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
