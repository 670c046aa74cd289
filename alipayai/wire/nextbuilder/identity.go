package nextbuilder

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// anonymous is the gateway's name for all callers who did not say who they are. They are strangers to each other, so a
// session that one of them could name would be open to all.
const anonymous = "anonymous"

// caller is who a request comes from, as the platform reads it, and where its sessions are.
type caller struct {
	tenant, user string
}

// mayShareSession reports whether a later call can be known to be the same caller's.
func (c caller) mayShareSession() bool { return c.tenant != "" && c.tenant != anonymous }

// outerUserID names the caller to the platform, the same for each of its calls, without saying who it is.
func (c caller) outerUserID() string {
	hash := digest("outer_user_id", c.tenant, c.user)
	return hex.EncodeToString(hash[:16])
}

// session is the platform's name for what the caller calls name. Another tenant, or another user of the same one, who
// gives the same name has another session.
func (c caller) session(name string) string {
	return uuid(digest("session_id", c.tenant, c.user, name))
}

// sessionOfCall is a session of this call alone. No name that a client may give leads to it.
func (c caller) sessionOfCall(id string) string {
	return uuid(digest("session_id of a call", c.tenant, c.user, id))
}

// digest hashes parts, each after its length, so that no two lists of parts share a hash.
func digest(parts ...string) [sha256.Size]byte {
	h := sha256.New()
	var length [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// uuid writes a hash as a UUID of version 8, which RFC 9562 leaves to the maker: the official Node SDK's calls name
// their sessions by UUIDs.
func uuid(hash [sha256.Size]byte) string {
	u := hash[:16]
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
