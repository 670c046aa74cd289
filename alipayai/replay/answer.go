package replay

import (
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"time"
)

// Answer is what a client was told once. Nobody changes the header of one that
// was handed over, nor the body of one that a store gave; the body that a store
// is given it copies.
type Answer struct {
	Status int
	// Header are the few fields that belong to the answer itself, by the
	// caller's choice: not those about one connection or one call.
	Header http.Header
	// Body is the whole body; of a stream its raw server-sent events.
	Body []byte
	// Provider and Model are who really answered.
	Provider, Model string
	// StoredAt is when the answer was given, by the clock of the replica that gave
	// it; Redis keeps its milliseconds.
	StoredAt time.Time
}

// ErrUnreadable is a stored answer that cannot be read: damaged, moved from
// another key, or sealed by another seal.
var ErrUnreadable = errors.New("stored answer cannot be read")

// size is what the answer takes in memory besides its own fields, in bytes: texts
// and body, with what room the body may have to spare, and the map of the header
// with its places.
func (a *Answer) size() int64 {
	const fields, field, value = 320, 64, 16
	n := len(a.Provider) + len(a.Model) + len(a.Body) + spareRoom(len(a.Body))
	if a.Header != nil {
		n += fields
	}
	for name, values := range a.Header {
		n += field + len(name)
		for _, v := range values {
			n += value + len(v)
		}
	}
	return int64(n)
}

// spareRoom is how much longer than a body of n bytes the memory may be that it is
// in.
func spareRoom(n int) int { return n / 8 }

// answerVersion is the first byte of an encoded answer. This layout is the
// gateway's own: numbers are varints, texts follow their length, a list its
// count, and the body is what remains.
const answerVersion = 1

// encode gives the answer as Redis keeps it.
func (a *Answer) encode() []byte {
	b := make([]byte, 0, len(a.Body)+512)
	b = append(b, answerVersion)
	b = binary.AppendUvarint(b, uint64(a.Status))
	b = binary.AppendVarint(b, a.StoredAt.UnixMilli())
	b = appendText(b, a.Provider)
	b = appendText(b, a.Model)
	b = binary.AppendUvarint(b, uint64(len(a.Header)))
	for name, values := range a.Header {
		b = appendText(b, name)
		b = binary.AppendUvarint(b, uint64(len(values)))
		for _, v := range values {
			b = appendText(b, v)
		}
	}
	return append(b, a.Body...)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decodeAnswer reads what encode gave. The body stays a part of b.
func decodeAnswer(b []byte) (Answer, error) {
	r := &reader{rest: b}
	if version := r.number(); version != answerVersion {
		return Answer{}, ErrUnreadable
	}
	a := Answer{
		Status:   int(min(r.number(), 1000)),
		StoredAt: time.UnixMilli(r.signed()).UTC(),
		Provider: r.text(),
		Model:    r.text(),
	}
	// Only these can be written to a client.
	if a.Status < 100 || a.Status > 999 {
		return Answer{}, ErrUnreadable
	}
	if fields := r.count(); fields > 0 {
		a.Header = make(http.Header)
		for range fields {
			name := r.text()
			values := make([]string, r.count())
			for i := range values {
				values[i] = r.text()
			}
			a.Header[name] = values
		}
	}
	if r.cut {
		return Answer{}, ErrUnreadable
	}
	a.Body = slices.Clip(r.rest)
	return a, nil
}

// reader takes values from the front of bytes. Where they are not there it
// gives zeros, and says so by cut.
type reader struct {
	rest []byte
	cut  bool
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	r.skip(n)
	return v
}

func (r *reader) signed() int64 {
	v, n := binary.Varint(r.rest)
	r.skip(n)
	return v
}

// skip goes on by the length of a number, which is none or negative for one
// that is cut or too large.
func (r *reader) skip(n int) {
	if n <= 0 {
		r.rest, r.cut = nil, true
		return
	}
	r.rest = r.rest[n:]
}

// count is a number of things that take at least a byte each.
func (r *reader) count() int {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.rest, r.cut = nil, true
		return 0
	}
	return int(n)
}

func (r *reader) text() string {
	n := r.count()
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}
