package translate

import "sync"

var scratch = sync.Pool{New: func() any { return new([]byte) }}

// maxScratch is the size of the largest buffer, in bytes, that is kept.
const maxScratch = 64 << 10

// Scratch gives an empty buffer from a pool, for what is copied before it is given.
func Scratch() *[]byte {
	room := scratch.Get().(*[]byte)
	*room = (*room)[:0]
	return room
}

// Release gives a buffer back, as which used has been grown of it.
func Release(room *[]byte, used []byte) {
	if cap(used) <= maxScratch {
		*room = used
		scratch.Put(room)
	}
}
