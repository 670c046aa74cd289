package evidence

import (
	"sort"
	"unicode/utf8"
)

// view is a text as a reader may mean it, with the digits of all scripts as ASCII
// and without what cannot be seen, and where its parts stand in the text as it
// is written.
type view struct {
	text   []byte
	pieces []piece // in order; none where the text is what is written
}

// piece says where the text from at on, up to the next piece, is written.
type piece struct {
	at       int
	from, to int
	// alike says that each byte is written as itself, from the place from on.
	// Otherwise all of the piece is what [from, to) stands for.
	alike bool
}

// plainView is the text as it is written.
func plainView(written []byte) view {
	v := view{text: written}
	if isASCII(written) {
		return v
	}
	folded := viewBuilder{of: v}
	for i := 0; i < len(written); {
		r, size := utf8.DecodeRune(written[i:])
		folded.add(i, i+size, r)
		i += size
	}
	return folded.view
}

// place is where text[start:end] is written.
func (v view) place(start, end int) (from, to int) {
	if len(v.pieces) == 0 {
		return start, end
	}
	first, last := v.piece(start), v.piece(end-1)
	from, to = first.from, last.to
	if first.alike {
		from += start - first.at
	}
	if last.alike {
		to = last.from + end - last.at
	}
	return from, to
}

func (v view) piece(at int) piece {
	return v.pieces[sort.Search(len(v.pieces), func(i int) bool { return v.pieces[i].at > at })-1]
}

// viewBuilder makes a view of a view.
type viewBuilder struct {
	view
	of view
}

// add appends the character that of.text[start:end] stands for.
func (b *viewBuilder) add(start, end int, r rune) {
	from, to := b.of.place(start, end)
	at := len(b.text)
	b.text = appendFolded(b.text, r)
	p := piece{at: at, from: from, to: to, alike: len(b.text)-at == to-from}
	if n := len(b.pieces); n > 0 {
		if last := b.pieces[n-1]; last.alike && p.alike && last.from+at-last.at == from {
			return // it goes on
		}
	}
	if len(b.text) > at {
		b.pieces = append(b.pieces, p)
	}
}

func isASCII(text []byte) bool {
	for _, c := range text {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
