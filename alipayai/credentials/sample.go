package credentials

import (
	"encoding/binary"
	"math/bits"
)

const (
	// maxSample is the longest text, in bytes, that is sampled.
	maxSample = 4 << 10
	// word is how many characters are compared at once. Of each [gram] characters of a form the word that begins at one of
	// the first stride places is looked up: so are the first ones of a shorter form, which counts whole.
	word   = minSecret
	stride = gram - word + 1
	// caseless are bits that make differences of case go, and few others.
	caseless = 0x2020202020202020
)

// sample is a set of the words of a text. It stands in for the grams of a request's own secrets, which take as long to make
// as all else of a call: what an answer has in its header mostly holds none.
type sample struct {
	words []uint32 // hashes
	used  int
}

// mayHold reports whether one of secrets may be in v. False is certain.
func mayHold(v view, secrets []string) (may bool) {
	if len(secrets) == 0 {
		return false
	}
	s := sample{words: make([]uint32, 1<<bits.Len(uint(4*len(v.text))))}
	readings(v, func(v view) bool {
		may = !s.add(v.folded())
		return !may
	})
	for _, secret := range secrets {
		if len(plain(secret, false).text) < minSecret {
			continue
		}
		forms(secret, func(form []byte) {
			for i := 0; !may && i+word <= len(form); i += stride {
				may = s.has(form[i:])
			}
		})
	}
	return may
}

// add adds the words of a text, and reports whether there was room for them.
func (s *sample) add(folded []byte) bool {
	for ; len(folded) >= word; folded = folded[1:] {
		at, w := s.slot(folded)
		if s.words[at] == 0 {
			if s.used++; 2*s.used > len(s.words) {
				return false
			}
			s.words[at] = w
		}
	}
	return true
}

// slot is where the word that text begins with is, or would be. None is 0.
func (s *sample) slot(text []byte) (at, w uint32) {
	hash := (binary.LittleEndian.Uint64(text) | caseless) * mix
	last := uint32(len(s.words) - 1)
	w = uint32(hash>>32) | 1
	for at = uint32(hash>>40) & last; s.words[at] != 0 && s.words[at] != w; {
		at = (at + 1) & last
	}
	return at, w
}

func (s *sample) has(text []byte) bool {
	at, _ := s.slot(text)
	return s.words[at] != 0
}
