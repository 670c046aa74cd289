package redisstore

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
)

// layout begins all keys. Replicas of different versions share a Redis while they
// are replaced one by one, so that the names and values behind it never change
// their meaning: what cannot be read by the version before goes behind a layout of
// its own, such as "alipayai2:".
const layout = "alipayai:"

// Keys are the keys of one owner. All begin with the same hash tag, the part in
// braces by which a Redis Cluster places them
// (redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec), so that one
// script can work at several. The tag is a hash: nothing of the owner can be read
// from it, and it has no braces of its own.
type Keys struct{ prefix string }

// KeysOf are the keys of the owner with that name.
func KeysOf(name string) Keys { return tagged(Digest([]byte(name))) }

// KeysOfSum are the keys of an owner whose name is hashed already.
func KeysOfSum(sum [sha256.Size]byte) Keys { return tagged(Name(sum)) }

func tagged(tag string) Keys { return Keys{layout + "{" + tag + "}:"} }

// Key is the owner's key of that kind.
func (k Keys) Key(kind string) string { return k.prefix + kind }

// Digest is a short hash for the name of something: half a SHA-256, in hexadecimal
// digits.
func Digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:sha256.Size/2])
}

// Name is a whole hash in the name of something.
func Name(sum [sha256.Size]byte) string { return base64.RawURLEncoding.EncodeToString(sum[:]) }
