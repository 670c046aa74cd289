package replay

import (
	"crypto/sha256"
	"encoding/binary"
)

// Key names an answer or a claim. Nothing can be read back from it, but who
// knows all parts can tell that they are these.
type Key [sha256.Size]byte

// NewKey makes the key of parts: SHA-256 over each of them behind its length, so
// that ("ab", "c") and ("a", "bc") differ. Their order and number count. A list
// among the parts has to be one part, such as the bytes of its own key: the end
// of a list is not seen otherwise.
func NewKey[P string | []byte](parts ...P) Key {
	hash := sha256.New()
	var length [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		hash.Write(length[:])
		hash.Write([]byte(part))
	}
	return Key(hash.Sum(nil))
}
