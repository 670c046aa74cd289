package signer

import (
	"cmp"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"sync/atomic"
)

// Ring holds the versions of one key. The highest version signs, unless SignUpTo holds it back, and all verify, so a
// key is rotated by adding the next version, waiting until the other side knows it, and removing the old one. A ring
// is never empty. NewRing makes one. It is safe for concurrent use; Replace swaps all versions at once.
type Ring[K any] struct {
	keys atomic.Pointer[[]versioned[K]] // sorted, highest version first
	upTo atomic.Int64                   // 0 for no bound
}

type versioned[K any] struct {
	version int
	key     K
}

// NewRing returns a ring of keys by version. Versions are positive; ErrNoKeys when there are none.
func NewRing[K any](keys map[int]K) (*Ring[K], error) {
	r := new(Ring[K])
	if err := r.Replace(keys); err != nil {
		return nil, err
	}
	return r, nil
}

// Replace puts keys in the place of all held so far; on an error, those stay.
func (r *Ring[K]) Replace(keys map[int]K) error {
	if len(keys) == 0 {
		return ErrNoKeys
	}
	list := make([]versioned[K], 0, len(keys))
	for version, key := range keys {
		if version < 1 {
			return fmt.Errorf("key version %d: must be 1 or more", version)
		}
		list = append(list, versioned[K]{version, key})
	}
	slices.SortFunc(list, func(a, b versioned[K]) int { return cmp.Compare(b.version, a.version) })
	r.keys.Store(&list)
	return nil
}

// LoadDir replaces the keys by those that ReadKeyDir finds in fsys; on an error, those held stay.
func (r *Ring[K]) LoadDir(fsys fs.FS, parse func([]byte) (K, error)) error {
	keys, err := ReadKeyDir(fsys, parse)
	if err != nil {
		return err
	}
	return r.Replace(keys)
}

// Signing returns the key that signs and its version: the highest, of those that SignUpTo permits. Where it permits
// none of those that are held, the lowest signs.
func (r *Ring[K]) Signing() (version int, key K) {
	keys, upTo := *r.keys.Load(), int(r.upTo.Load())
	signing := &keys[0]
	if upTo > 0 && signing.version > upTo {
		signing = &keys[len(keys)-1]
		for i := range keys {
			if keys[i].version <= upTo {
				signing = &keys[i]
				break
			}
		}
	}
	return signing.version, signing.key
}

// SignUpTo holds versions above version back from signing, also those that are added later; 0 permits all.
func (r *Ring[K]) SignUpTo(version int) { r.upTo.Store(int64(version)) }

// Only returns a ring of one version, and whether that is held.
func (r *Ring[K]) Only(version int) (*Ring[K], bool) {
	key, ok := r.Get(version)
	if !ok {
		return nil, false
	}
	only := new(Ring[K])
	only.keys.Store(&[]versioned[K]{{version, key}})
	return only, true
}

// Get returns the key of a version and whether it is held.
func (r *Ring[K]) Get(version int) (key K, ok bool) {
	for _, k := range *r.keys.Load() {
		if k.version == version {
			return k.key, true
		}
	}
	return key, false
}

// All yields every version and its key, newest first, as they were when the loop began.
func (r *Ring[K]) All() iter.Seq2[int, K] {
	return func(yield func(int, K) bool) {
		for _, k := range *r.keys.Load() {
			if !yield(k.version, k.key) {
				return
			}
		}
	}
}
