package failover

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"time"
)

// errForeign is a value in Redis that no script of this version has written.
var errForeign = errors.New("value in redis is no breaker")

// hashed is the hash of the parts with their lengths, so that no two lists of
// parts have the same.
func hashed(parts ...string) string {
	sum := sha256.Sum256(named(parts...))
	return hex.EncodeToString(sum[:16])
}

// named are the parts, each after its length.
func named(parts ...string) []byte {
	var b []byte
	for _, part := range parts {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	return b
}

// stored is the part of a breaker in Redis that has a fixed length; times are in
// microseconds of the server.
type stored struct {
	Version, Opened, Until float64
	Holder                 uint64
	Failures               float64 // how many follow
}

// decode reads a breaker as the script has it, which said so when it was now at
// the server and received here. No time of it comes out earlier than it was.
func decode(value string, now int64, received time.Time) (Key, history, error) {
	r := bytes.NewReader([]byte(value))
	var s stored
	if err := binary.Read(r, binary.BigEndian, &s); err != nil {
		return Key{}, history{}, errForeign
	}
	if n := s.Failures; !(n >= 0 && n <= float64(r.Len()/8)) { // also if it is not a number
		return Key{}, history{}, errForeign
	}
	failures := make([]float64, int(s.Failures))
	if err := binary.Read(r, binary.BigEndian, failures); err != nil {
		return Key{}, history{}, errForeign
	}
	if !(s.Version >= 0 && s.Version <= maxVersion) || slices.ContainsFunc(failures, math.IsNaN) || math.IsNaN(s.Opened) || math.IsNaN(s.Until) {
		return Key{}, history{}, errForeign
	}
	tenant, ok := readPart(r)
	provider, too := readPart(r)
	if !ok || !too || r.Len() > 0 {
		return Key{}, history{}, errForeign
	}
	local := func(at float64) time.Time {
		if at == 0 {
			return time.Time{}
		}
		age := math.Max(-maxAge, math.Min(float64(now)-at, maxAge))
		return received.Add(-time.Duration(age) * time.Microsecond)
	}
	h := history{
		opened:  local(s.Opened),
		probe:   lease{holder: s.Holder, until: local(s.Until)},
		version: int64(s.Version),
	}
	for _, at := range failures {
		h.failures = append(h.failures, local(at))
	}
	return Key{Tenant: tenant, Provider: provider}, h, nil
}

// maxVersion is the largest whole number up to which a double counts one by one.
const maxVersion = 1 << 53

// maxAge in microseconds keeps times that a broken clock has written in bounds.
const maxAge = float64(24 * time.Hour / time.Microsecond)

func readPart(r *bytes.Reader) (part string, ok bool) {
	var n uint32
	if binary.Read(r, binary.BigEndian, &n) != nil || int64(n) > int64(r.Len()) {
		return "", false
	}
	b := make([]byte, n)
	_, _ = r.Read(b) // it holds as many
	return string(b), true
}
