package redisstore

import (
	"encoding/binary"
	"math"
)

// Values hold two kinds of numbers. Scripts write doubles, big-endian, which are the
// numbers that Lua has and count one by one up to MaxWhole, and texts behind a
// length of four bytes. What Go alone reads has varints, and texts behind a length
// that is one. Neither tells its type: the reader must know.

// MaxWhole is the largest whole number up to which a double counts one by one.
const MaxWhole = 1 << 53

// AppendDouble appends a number as scripts read it.
func AppendDouble(b []byte, n float64) []byte {
	return binary.BigEndian.AppendUint64(b, math.Float64bits(n))
}

// Doubles are whole numbers as scripts read them.
func Doubles(numbers ...int64) []byte {
	b := make([]byte, 0, 8*len(numbers))
	for _, n := range numbers {
		b = AppendDouble(b, float64(n))
	}
	return b
}

// Texts are texts, each behind its length in four bytes: no two lists give the same.
func Texts(texts ...string) []byte {
	var b []byte
	for _, text := range texts {
		b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
		b = append(b, text...)
	}
	return b
}

// AppendText appends a text behind its length as a varint.
func AppendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// Reader takes values from the front of what is stored, or of a reply. From the first
// one that is not there or out of bounds it gives zeros, and OK says no. What it
// gives is never larger than what it reads.
type Reader[B string | []byte] struct {
	rest B
	bad  bool
}

// NewReader makes the reader of b, whose bytes stay the caller's.
func NewReader[B string | []byte](b B) Reader[B] { return Reader[B]{rest: b} }

// OK says whether all that was read was there.
func (r *Reader[B]) OK() bool { return !r.bad }

// End says whether all was there, and nothing is left.
func (r *Reader[B]) End() bool { return !r.bad && len(r.rest) == 0 }

// Rest takes all that is left. It is a part of what is read, and no copy.
func (r *Reader[B]) Rest() B { return r.take(len(r.rest)) }

// Whole takes a double that is from 0 to most, without its fraction.
func (r *Reader[B]) Whole(most int64) int64 {
	n := r.Double()
	if !(n >= 0 && n <= float64(most)) {
		r.fail()
		return 0
	}
	return int64(n)
}

// Double takes a double that is a number; it may be infinite.
func (r *Reader[B]) Double() float64 {
	n := math.Float64frombits(r.Uint64())
	if math.IsNaN(n) {
		r.fail()
		return 0
	}
	return n
}

// Count takes a double that says how many things of that size follow, in bytes.
func (r *Reader[B]) Count(size int) int {
	n := r.Double()
	if !(n >= 0 && n <= float64(len(r.rest)/size)) {
		r.fail()
		return 0
	}
	return int(n)
}

// Uint64 takes eight bytes, big-endian.
func (r *Reader[B]) Uint64() uint64 { return r.bigEndian(8) }

// Text takes a text behind its length in four bytes.
func (r *Reader[B]) Text() string {
	n := r.bigEndian(4)
	if n > uint64(len(r.rest)) {
		r.fail()
		return ""
	}
	return string(r.take(int(n)))
}

// Uvarint takes an unsigned varint.
func (r *Reader[B]) Uvarint() uint64 {
	var v uint64
	for i := 0; i < len(r.rest) && i < binary.MaxVarintLen64; i++ {
		b := r.rest[i]
		if i == binary.MaxVarintLen64-1 && b > 1 {
			break // more than 64 bits
		}
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			r.rest = r.rest[i+1:]
			return v
		}
	}
	r.fail()
	return 0
}

// Varint takes a signed varint.
func (r *Reader[B]) Varint() int64 {
	v := r.Uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// VarCount takes a varint that says how many things of a byte or more follow.
func (r *Reader[B]) VarCount() int {
	n := r.Uvarint()
	if n > uint64(len(r.rest)) {
		r.fail()
		return 0
	}
	return int(n)
}

// VarText takes a text behind its length as a varint.
func (r *Reader[B]) VarText() string { return string(r.take(r.VarCount())) }

func (r *Reader[B]) bigEndian(size int) (v uint64) {
	if len(r.rest) < size {
		r.fail()
		return 0
	}
	for i := range size {
		v = v<<8 | uint64(r.rest[i])
	}
	r.rest = r.rest[size:]
	return v
}

// take takes n bytes, which are there.
func (r *Reader[B]) take(n int) B {
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *Reader[B]) fail() {
	var nothing B
	r.rest, r.bad = nothing, true
}
