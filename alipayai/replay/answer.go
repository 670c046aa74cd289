package replay

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-alipayai/gateway/internal/redisstore"
)

// Answer is what a client was told once. The header of one that was handed
// over is not changed; a store copies the body that it is given, and gives one that is the caller's.
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

// bodyIn is a copy of body for a store, in the memory of one that it has removed where that fits.
func bodyIn(spare, body []byte) []byte {
	if n := len(body); cap(spare) < n || cap(spare) > n+spareRoom(n) {
		return bytes.Clone(body)
	}
	return append(spare[:0], body...)
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
	b = redisstore.AppendText(b, a.Provider)
	b = redisstore.AppendText(b, a.Model)
	b = binary.AppendUvarint(b, uint64(len(a.Header)))
	for name, values := range a.Header {
		b = redisstore.AppendText(b, name)
		b = binary.AppendUvarint(b, uint64(len(values)))
		for _, v := range values {
			b = redisstore.AppendText(b, v)
		}
	}
	return append(b, a.Body...)
}

// decodeAnswer reads what encode gave. The body stays a part of b.
func decodeAnswer(b []byte) (Answer, error) {
	r := redisstore.NewReader(b)
	if version := r.Uvarint(); version != answerVersion {
		return Answer{}, ErrUnreadable
	}
	a := Answer{
		Status:   int(min(r.Uvarint(), 1000)),
		StoredAt: time.UnixMilli(r.Varint()).UTC(),
		Provider: r.VarText(),
		Model:    r.VarText(),
	}
	// Only these can be written to a client.
	if a.Status < 100 || a.Status > 999 {
		return Answer{}, ErrUnreadable
	}
	if fields := r.VarCount(); fields > 0 {
		a.Header = make(http.Header)
		for range fields {
			name := r.VarText()
			values := make([]string, r.VarCount())
			for i := range values {
				values[i] = r.VarText()
			}
			a.Header[name] = values
		}
	}
	if !r.OK() {
		return Answer{}, ErrUnreadable
	}
	a.Body = slices.Clip(r.Rest())
	return a, nil
}
