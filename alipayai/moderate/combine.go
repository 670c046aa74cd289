package moderate

import (
	"slices"
	"sort"
	"sync"
	"unicode/utf8"
)

// room is what checking a text takes.
type room struct {
	folded, words []byte
	// found are the places of each list's words, in the order of their ends.
	found [][]span
	// earliest is, for each of a list's words, the earliest beginning of it and those behind it, once that has been asked for.
	earliest [][]int32
	// before is how many words stand before each byte of the piece, once that has been asked for.
	before  []int32
	counted bool
	// piece is where words were looked for.
	piece []byte
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
	b.piece = nil
	rooms.Put(b)
}

// collect finds the places of all words in text, and reports whether there is one.
func (b *room) collect(r *Rules, text []byte) bool {
	matches := r.automaton.FindAllOverlapping(text)
	if len(matches) == 0 {
		return false
	}
	for len(b.found) < len(r.lists) {
		b.found, b.earliest = append(b.found, nil), append(b.earliest, nil)
	}
	for i := range b.found {
		b.found[i], b.earliest[i] = b.found[i][:0], b.earliest[i][:0]
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
	b.piece, b.counted = text, false
	return true
}

// count counts words. One in Latin letters counts once for every eight that it has begun, so that words of any
// length cannot stand between what is close; of other letters, and of Han, each counts as a word.
//
// Most texts have no combination all of whose lists stand in them, so that none of their words are counted.
func (b *room) count() {
	b.counted = true
	b.before = slices.Grow(b.before[:0], len(b.piece)+1)
	n, run := int32(0), 0
	for _, c := range b.piece {
		b.before = append(b.before, n)
		if counts(c, &run) {
			n++
		}
	}
	b.before = append(b.before, n)
}

// counts reports whether a word begins, or counts once more, at byte c of a text in words; run is what count has to know of
// those before.
func counts(c byte, run *int) bool {
	switch {
	case c == ' ':
		*run = 0
		return false
	case c >= utf8.RuneSelf:
		return c&0xc0 != 0x80 // the first byte of a character
	}
	*run++
	return *run%8 == 1
}

// wordsIn counts those of a text in words.
func wordsIn(text []byte) int {
	n, run := 0, 0
	for _, c := range text {
		if counts(c, &run) {
			n++
		}
	}
	return n
}

// wordsOf counts those of s.
func (b *room) wordsOf(s span) int {
	if !b.counted {
		b.count()
	}
	return int(b.before[s.end] - b.before[s.start])
}

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

// complete gives the place that the newest word takes together with one of the last two of each other list: the last,
// unless it overlaps. A word that several lists have counts for one of them.
func (c *combination) complete(b *room, last *[maxLists][2]span, newest int) (whole span, ok bool) {
	var chosen [maxLists]span
	chosen[newest] = last[newest][0]
	return c.choose(b, last, newest, &chosen, 0)
}

// choose chooses for the lists from i on.
func (c *combination) choose(b *room, last *[maxLists][2]span, newest int, chosen *[maxLists]span, i int) (whole span, ok bool) {
	if i == newest {
		i++
	}
	if i >= len(c.all) {
		whole, own := chosen[0], 0
		for _, s := range chosen[:len(c.all)] {
			whole = whole.with(s)
			own += b.wordsIf(len(c.all) > 1, s)
		}
		return whole, len(c.all) == 1 || b.wordsOf(whole)-own <= c.within
	}
	for _, s := range last[i] {
		overlaps := s.end == 0 || !s.apart(chosen[newest])
		for j := range i {
			overlaps = overlaps || !s.apart(chosen[j])
		}
		if overlaps {
			continue
		}
		chosen[i] = s
		if whole, ok = c.choose(b, last, newest, chosen, i+1); ok {
			return whole, true
		}
	}
	return span{}, false
}

func (b *room) wordsIf(wanted bool, s span) int {
	if !wanted {
		return 0
	}
	return b.wordsOf(s)
}

// excepted reports whether a word that excepts stands as close: the last one before what is whole, or the first of the others.
func (c *combination) excepted(b *room, whole span) bool {
	for _, l := range c.unless {
		words := b.found[l]
		others := sort.Search(len(words), func(i int) bool { return words[i].end > whole.start })
		if others > 0 && b.wordsOf(span{words[others-1].end, whole.start}) <= c.within {
			return true
		}
		if others == len(words) {
			continue
		}
		if start := b.earliestOf(l)[others]; start <= whole.end || b.wordsOf(span{whole.end, start}) <= c.within {
			return true
		}
	}
	return false
}

// earliestOf gives b.earliest of a list that has words.
func (b *room) earliestOf(l int32) []int32 {
	words, earliest := b.found[l], b.earliest[l]
	if len(earliest) == 0 {
		earliest = slices.Grow(earliest, len(words))[:len(words)]
		first := words[len(words)-1].start
		for i := len(words) - 1; i >= 0; i-- {
			first = min(first, words[i].start)
			earliest[i] = first
		}
		b.earliest[l] = earliest
	}
	return earliest
}
