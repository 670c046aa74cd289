package evidence

import (
	"bytes"
	"sort"
	"strconv"
	"unicode/utf8"
)

// view is a text as a reader may mean it, with full-width digits and signs as
// ASCII, and where its parts stand in the text as it is written.
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

// unescape undoes one layer of the escapes of JSON strings and of URLs; false
// if there are none.
func (v view) unescape() (view, bool) {
	if bytes.IndexByte(v.text, '\\') < 0 && bytes.IndexByte(v.text, '%') < 0 {
		return view{}, false
	}
	built := viewBuilder{of: v}
	escaped := false
	for i := 0; i < len(v.text); {
		r, size := escapeAt(v.text[i:])
		if size > 0 {
			escaped = true
		} else {
			r, size = utf8.DecodeRune(v.text[i:])
		}
		built.add(i, i+size, r)
		i += size
	}
	return built.view, escaped
}

// escapeAt reads the escape at the front of text; a size of zero says that
// there is none.
func escapeAt(text []byte) (r rune, size int) {
	if len(text) < 2 {
		return 0, 0
	}
	switch text[0] {
	case '%':
		return hexRune(text, 1, 2)
	case '\\':
		switch text[1] {
		case '"', '\\', '/', '\'':
			return rune(text[1]), 2
		case 'n':
			return '\n', 2
		case 'r':
			return '\r', 2
		case 't', 'b', 'f':
			return ' ', 2
		case 'u':
			return hexRune(text, 2, 4)
		case 'x':
			return hexRune(text, 2, 2)
		}
	}
	return 0, 0
}

func hexRune(text []byte, start, digits int) (rune, int) {
	if len(text) < start+digits {
		return 0, 0
	}
	n, err := strconv.ParseUint(string(text[start:start+digits]), 16, 32)
	if err != nil {
		return 0, 0
	}
	return rune(n), start + digits
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

// appendFolded appends a character, in ASCII where it is a form of one that
// numbers and addresses are written with; those that cannot be seen are left out.
func appendFolded(text []byte, r rune) []byte {
	switch {
	case r < utf8.RuneSelf:
		return append(text, byte(r))
	case 0xFF01 <= r && r <= 0xFF5E: // full-width forms of ASCII
		return append(text, byte(r-0xFF01+'!'))
	case 0x2010 <= r && r <= 0x2015, r == 0x2212, r == 0xFE63: // dashes
		return append(text, '-')
	case r == 0xA0, 0x2000 <= r && r <= 0x200A, r == 0x202F, r == 0x205F, r == 0x3000: // spaces
		return append(text, ' ')
	case 0x200B <= r && r <= 0x200F, r == 0x2060, r == 0xFEFF, r == 0xAD: // invisible
		return text
	}
	return utf8.AppendRune(text, r)
}

func isASCII(text []byte) bool {
	for _, c := range text {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
