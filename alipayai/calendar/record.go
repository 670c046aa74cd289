package calendar

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Check is what came of asking the upstream with one key.
type Check struct {
	At time.Time `json:"at"`
	// Taken says that the upstream has answered a request that the key signed.
	Taken bool `json:"taken"`
	// Refused says that it has refused the key, as against any other failure.
	Refused bool `json:"refused,omitempty"`
	// Code is the failure's; empty where there was none.
	Code string `json:"code,omitempty"`
	// Token says that an access token was had, where the provider takes one.
	Token bool `json:"token,omitempty"`
	// Protocol is the HTTP version of the answer.
	Protocol string `json:"protocol,omitempty"`
	// Latency is how long the answer took, and Skew how much later the upstream's clock is.
	Latency time.Duration `json:"latency_ns,omitempty"`
	Skew    time.Duration `json:"skew_ns,omitempty"`
	// CertificateEnds is when the upstream's TLS certificate does; zero without TLS.
	CertificateEnds time.Time `json:"certificate_ends,omitzero"`
}

// Entry is what is known of one key.
type Entry struct {
	// Last is the last check; zero before the first.
	Last Check `json:"last,omitzero"`
	// Taken says that the key may sign: the upstream has taken it once, or it was there when the record was begun.
	Taken bool `json:"taken"`
	// RefusedAt is when the upstream has refused the key in traffic; zero where it has not, or has taken it since.
	RefusedAt time.Time `json:"refused_at,omitzero"`
}

// Record is what replicas know of the keys of one provider, by [Key.ID].
type Record struct {
	Keys map[string]Entry `json:"keys"`
}

// ParseRecord reads what Marshal has written; nothing gives an empty record, for a provider that has none yet.
func ParseRecord(content []byte) (Record, error) {
	var r Record
	if len(content) == 0 {
		return r, nil
	}
	err := json.Unmarshal(content, &r)
	return r, err
}

// Marshal writes the record.
func (r Record) Marshal() []byte {
	content, _ := json.Marshal(r) // cannot fail: times of a clock, numbers and texts
	return content
}

// begun reports whether the record has been begun.
func (r Record) begun() bool { return r.Keys != nil }

// with gives the record of the keys that are held. Those that are there when it is begun may sign: which of
// them the upstream takes is not known, and one has to. What it knows of keys that are gone is dropped.
func (r Record) with(keys []Key) Record {
	next := Record{Keys: make(map[string]Entry, len(keys))}
	for _, k := range keys {
		entry, known := r.Keys[k.ID]
		if !known {
			entry.Taken = !r.begun()
		}
		next.Keys[k.ID] = entry
	}
	return next
}

// and gives the record with what is known of later checks: those of a replica that could not share them.
func (r Record) and(known Record) Record {
	next := Record{Keys: maps.Clone(r.Keys)}
	for id, entry := range next.Keys {
		if later := known.Keys[id]; later.Last.At.After(entry.Last.At) && !entry.RefusedAt.After(later.Last.At) {
			next.Keys[id] = later
		}
	}
	return next
}

// checked gives the record after a check of the key of that id.
func (r Record) checked(id string, c Check) Record {
	next := Record{Keys: maps.Clone(r.Keys)}
	entry := next.Keys[id]
	entry.Last = c
	switch {
	case c.Taken:
		entry.Taken, entry.RefusedAt = true, time.Time{}
	case c.Refused && entry.RefusedAt.IsZero() && entry.Taken:
		entry.RefusedAt = c.At
	}
	next.Keys[id] = entry
	return next
}

// refused gives the record after the upstream has refused the key of that id in traffic.
func (r Record) refused(id string, at time.Time) Record {
	next := Record{Keys: maps.Clone(r.Keys)}
	entry, known := next.Keys[id]
	if !known {
		return r
	}
	entry.RefusedAt = at
	next.Keys[id] = entry
	return next
}

// signing gives the version that signs: the highest that may and is not refused; where all that may are refused, the
// one that was refused last, and where none may, the lowest there is. Keys are not empty.
func (r Record) signing(keys []Key) int {
	best := slices.MinFunc(keys, func(a, b Key) int {
		x, y := r.Keys[a.ID], r.Keys[b.ID]
		switch {
		case x.Taken != y.Taken:
			return first(x.Taken)
		case !x.Taken:
			return cmp.Compare(a.Version, b.Version)
		case x.RefusedAt.IsZero() != y.RefusedAt.IsZero():
			return first(x.RefusedAt.IsZero())
		}
		return cmp.Or(y.RefusedAt.Compare(x.RefusedAt), cmp.Compare(b.Version, a.Version))
	})
	return best.Version
}

// first orders before another where it is set.
func first(set bool) int {
	if set {
		return -1
	}
	return 1
}

// askAgain is when a key is asked about again that the upstream has not taken: it may come to know it any time.
const askAgain = 10 * time.Minute

// due lists the keys that are to be checked: those never asked about, and those last asked about every ago.
func (r Record) due(keys []Key, every time.Duration, now time.Time) []Key {
	if every <= 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(keys), func(k Key) bool {
		entry := r.Keys[k.ID]
		wait := every
		if !entry.Last.Taken || !entry.RefusedAt.IsZero() {
			wait = min(every, askAgain)
		}
		asked := entry.Last.At
		if entry.RefusedAt.After(asked) {
			asked = entry.RefusedAt
		}
		return !asked.IsZero() && now.Sub(asked) < wait
	})
}

// KeyID makes a [Key]'s ID of its version and a hash of the key, of which it holds 64 bits.
func KeyID(version int, hash [sha256.Size]byte) string {
	return strconv.Itoa(version) + "-" + hex.EncodeToString(hash[:8])
}
