package credentials

import (
	"math/bits"
	"slices"
	"strings"
)

const (
	// gram is how many characters of a secret give it away.
	gram = 12
	// minSecret is the shortest secret that is looked for.
	minSecret = 8
	// maxEscapes is how many layers of escapes are undone.
	maxEscapes = 4
)

// base and mix are odd and otherwise arbitrary; oldest is base^gram.
const (
	base = 0x9E3779B97F4A7C15
	mix  = 0xBF58476D1CE4E5B9
)

var oldest = func() uint64 {
	power := uint64(1)
	for range gram {
		power *= base
	}
	return power
}()

// grams are all grams of secrets, by their hash, and the secrets that have none,
// whole. They do not change once they are made. That a text has the hash of another's gram happens about once in 2^40
// characters.
type grams struct {
	slots []uint64
	used  int
	shift uint
	whole []string
}

// compiled is what all forms of a secret add to grams.
type compiled struct {
	hashes []uint64
	whole  []string
}

// compile gives what a secret adds to grams: nothing where it is too short.
func compile(secret string) (c compiled) {
	if len(plain(secret, false).text) < minSecret {
		return c
	}
	perByte := 16 // some, as are enough for most
	if len(secret) <= maxTwice {
		perByte = 64
	}
	c.hashes = make([]uint64, 0, perByte*len(secret))
	var folded []byte
	forms(secret, func(form []byte) {
		folded = folded[:0]
		for _, c := range form {
			folded = append(folded, fold(c))
		}
		if len(folded) < gram {
			if len(folded) >= minSecret {
				c.whole = append(c.whole, string(folded))
			}
			return
		}
		hashes(folded, func(_ int, h uint64) { c.hashes = append(c.hashes, h) })
	})
	return c
}

// with gives a copy of g that has these besides.
func (g *grams) with(added ...compiled) *grams {
	n := g.used
	for _, c := range added {
		n += len(c.hashes)
	}
	sum := &grams{used: g.used, shift: g.shift, whole: slices.Clone(g.whole)}
	if 2*n < len(g.slots) {
		sum.slots = slices.Clone(g.slots)
	} else if n > 0 {
		size := 1 << bits.Len(uint(2*n))
		sum.slots, sum.used, sum.shift = make([]uint64, size), 0, uint(64-bits.Len(uint(size-1)))
		for _, h := range g.slots {
			if h != 0 {
				sum.add(h)
			}
		}
	}
	for _, c := range added {
		for _, h := range c.hashes {
			sum.add(h)
		}
		sum.whole = append(sum.whole, c.whole...)
	}
	return sum
}

// hashes gives the hash of each gram of text, and where it ends.
func hashes(text []byte, yield func(end int, h uint64)) {
	var h uint64
	for i, c := range text {
		h = h*base + uint64(c) + 1
		if i >= gram {
			h -= oldest * (uint64(text[i-gram]) + 1)
		}
		if i >= gram-1 {
			yield(i+1, h)
		}
	}
}

// add adds a hash, for which there is room.
func (g *grams) add(h uint64) {
	if i := g.slot(h | 1); g.slots[i] == 0 {
		g.slots[i] = h | 1
		g.used++
	}
}

// slot is where h is, or would be. Its lowest bit is set: 0 is an empty slot.
func (g *grams) slot(h uint64) uint64 {
	i := h * mix >> g.shift
	for g.slots[i] != 0 && g.slots[i] != h {
		i = (i + 1) % uint64(len(g.slots))
	}
	return i
}

func (g *grams) has(h uint64) bool { return g.used > 0 && g.slots[g.slot(h|1)] != 0 }

// find calls found with the parts [start, end) of a folded text that are those of secrets in known.
func find(known []*grams, folded []byte, found func(start, end int)) {
	hashes(folded, func(end int, h uint64) {
		for _, g := range known {
			if g.has(h) {
				found(end-gram, end)
				return
			}
		}
	})
	for _, g := range known {
		for _, whole := range g.whole {
			for from := 0; ; from++ {
				i := strings.Index(string(folded[from:]), whole)
				if i < 0 {
					break
				}
				from += i
				found(from, from+len(whole))
			}
		}
	}
}
