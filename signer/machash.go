package signer

import (
	"crypto/sha1" //nolint:gosec // what an old contract signs with; loading it warns
	"crypto/sha256"
	"crypto/sha512"
	"hash"
)

// macHash is the hash function of a layout's HMAC.
type macHash uint8

const (
	macSHA256 macHash = iota
	macSHA384
	macSHA512
	macSHA1
	hashes
)

// macHashes are the names that LayoutConfig.Hash takes; the first is the default. HMAC with SHA-1 is not broken as
// signatures with it are (RFC 6194, section 3.3), and old contracts have it, such as Alibaba Cloud's signature version 1.
// HMAC with MD5 is not among them: RFC 6151, section 2.3, has new designs do without it, and the vendors that are known
// to take it, such as Taobao's TOP, take HMAC-SHA256 as well.
var macHashes = [hashes]struct {
	name string
	size int // in bytes
	make func() hash.Hash
}{
	macSHA256: {"sha256", sha256.Size, sha256.New},
	macSHA384: {"sha384", sha512.Size384, sha512.New384},
	macSHA512: {"sha512", sha512.Size, sha512.New},
	macSHA1:   {"sha1", sha1.Size, sha1.New},
}

func (h macHash) new() func() hash.Hash { return macHashes[h].make }

func (h macHash) size() int { return macHashes[h].size }
