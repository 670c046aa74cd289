package moderate

import (
	"slices"
	"sync"
)

// room is what checking a text takes.
type room struct {
	folded, words []byte
	// found are the places of each list's words, in the order of their ends.
	found [][]span
	// before is how many characters that are no space stand before each byte of the piece.
	before []int32
}

// span is a place in a piece, in bytes. A space, which two words may share, is no part of it.
type span struct{ start, end int32 }

func (s span) with(other span) span { return span{min(s.start, other.start), max(s.end, other.end)} }

func (s span) apart(other span) bool { return s.end <= other.start || other.end <= s.start }

var rooms = sync.Pool{New: func() any { return new(room) }}

// maxRoom is how many bytes a pooled room keeps of each kind.
const maxRoom = 64 << 10

// release gives the room back.
func (b *room) release() {
	if cap(b.folded) > maxRoom || cap(b.words) > maxRoom {
		b.folded, b.words = nil, nil
	}
	rooms.Put(b)
}

// collect finds the places of all words in text, and reports whether there is one.
func (b *room) collect(r *Rules, text []byte) bool {
	matches := r.automaton.FindAllOverlapping(text)
	if len(matches) == 0 {
		return false
	}
	for len(b.found) < len(r.lists) {
		b.found = append(b.found, nil)
	}
	for i := range b.found {
		b.found[i] = b.found[i][:0]
	}
	for _, m := range matches {
		s := span{int32(m.Start), int32(m.End)}
		if text[s.start] == ' ' {
			s.start++
		}
		if text[s.end-1] == ' ' {
			s.end--
		}
		for _, l := range r.of[m.PatternID] {
			b.found[l] = append(b.found[l], s)
		}
	}
	if r.counts {
		b.count(text)
	}
	return true
}

func (b *room) count(text []byte) {
	b.before = slices.Grow(b.before[:0], len(text)+1)
	n := int32(0)
	for _, c := range text {
		b.before = append(b.before, n)
		if c != ' ' && c&0xc0 != 0x80 { // the first byte of a character
			n++
		}
	}
	b.before = append(b.before, n)
}

// characters counts those of s.
func (b *room) characters(s span) int { return int(b.before[s.end] - b.before[s.start]) }

// maxLists is how many lists a combination may have.
const maxLists = 5

// met reports whether the combination is met by words of which the first begins in core. It takes the places of all its
// lists in the order of their ends, and has each complete the last ones of the other lists: what stands closest.
func (c *combination) met(b *room, core span) bool {
	for _, l := range c.all {
		if len(b.found[l]) == 0 {
			return false
		}
	}
	var at [maxLists]int
	var last [maxLists][2]span // the second is for where the first overlaps
	for {
		next := -1
		for i, l := range c.all {
			if at[i] < len(b.found[l]) && (next < 0 || b.found[l][at[i]].end < b.found[c.all[next]][at[next]].end) {
				next = i
			}
		}
		if next < 0 {
			return false
		}
		s := b.found[c.all[next]][at[next]]
		at[next]++
		last[next] = [2]span{s, last[next][0]}
		if whole, ok := c.complete(b, &last, next); ok && core.start <= whole.start && whole.start < core.end && !c.excepted(b, whole) {
			return true
		}
	}
}

// complete gives the place that the newest word takes together with the last ones of all other lists.
func (c *combination) complete(b *room, last *[maxLists][2]span, newest int) (whole span, ok bool) {
	var chosen [maxLists]span
	chosen[0], whole = last[newest][0], last[newest][0]
	n, own := 1, b.charactersIf(len(c.all) > 1, whole)
	for i := range c.all {
		if i == newest {
			continue
		}
		s, found := span{}, false
		for _, s = range last[i] {
			found = s.end > 0 && !slices.ContainsFunc(chosen[:n], func(o span) bool { return !o.apart(s) })
			if found {
				break
			}
		}
		if !found {
			return span{}, false
		}
		chosen[n], whole = s, whole.with(s)
		n++
		own += b.characters(s)
	}
	return whole, len(c.all) == 1 || b.characters(whole)-own <= c.within
}

func (b *room) charactersIf(wanted bool, s span) int {
	if !wanted {
		return 0
	}
	return b.characters(s)
}

// excepted reports whether a word that excepts stands as close.
func (c *combination) excepted(b *room, whole span) bool {
	for _, l := range c.unless {
		for _, s := range b.found[l] {
			between := span{min(whole.end, s.end), max(whole.start, s.start)}
			if between.end <= between.start || b.characters(between) <= c.within {
				return true
			}
		}
	}
	return false
}
