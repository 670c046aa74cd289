package replay

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/caddy-alipayai/gateway/internal/redisstore"
)

// Key names an answer or a claim. Nothing can be read back from it, but who
// knows all parts can tell that they are these.
type Key [sha256.Size]byte

// NewKey makes the key of parts: SHA-256 over each of them behind its length, so
// that ("ab", "c") and ("a", "bc") differ. Their order and number count. A list
// among the parts has to be one part, such as the bytes of its own key: the end
// of a list is not seen otherwise.
func NewKey(parts ...string) Key {
	var room [512]byte // for what most keys are made of, without an allocation
	b := room[:0]
	for _, part := range parts {
		b = AppendPart(b, part)
	}
	return KeyOf(b)
}

// AppendPart appends a part of a key as NewKey does, for those that are no strings.
func AppendPart[T string | []byte](b []byte, part T) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
	return append(b, part...)
}

// KeyOf makes the key of parts that AppendPart has appended.
func KeyOf(parts []byte) Key { return sha256.Sum256(parts) }

// name is the key in the name of something.
func (k Key) name() string { return redisstore.Name(k) }
