package credentials

import "strings"

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
// whole. That a text has the hash of another's gram happens about once in 2^40
// characters.
type grams struct {
	slots []uint64
	used  int
	shift uint
	whole []string
}

// addSecret adds all forms of a secret.
func (g *grams) addSecret(secret string) {
	if len(plain(secret, false).text) < minSecret {
		return
	}
	forms(secret, func(form string) {
		folded := []byte(form)
		for i, c := range folded {
			folded[i] = fold(c)
		}
		if len(folded) < gram {
			if len(folded) >= minSecret {
				g.whole = append(g.whole, string(folded))
			}
			return
		}
		hashes(folded, func(_ int, h uint64) { g.add(h) })
	})
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

func (g *grams) add(h uint64) {
	if 2*g.used >= len(g.slots) {
		old := g.slots
		size := max(2*len(old), 1024)
		g.slots, g.used, g.shift = make([]uint64, size), 0, 64
		for ; size > 1; size /= 2 {
			g.shift--
		}
		for _, h := range old {
			if h != 0 {
				g.add(h)
			}
		}
	}
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

// find calls found with the parts [start, end) of a folded text that are a secret's.
func (g *grams) find(folded []byte, found func(start, end int)) {
	if g.used > 0 {
		hashes(folded, func(end int, h uint64) {
			if g.has(h) {
				found(end-gram, end)
			}
		})
	}
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
