package moderate

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Fold appends text to dst as patterns see it: normalised by NFKC (Unicode Standard
// Annex 15), which folds full-width forms too, without characters that have no width,
// without marks over Latin, Greek and Cyrillic letters and Han, in lower case, and
// with one space for any white space. Invalid UTF-8 becomes U+FFFD.
func Fold(dst []byte, text string) []byte {
	dst = slices.Grow(dst, len(text))
	for i := 0; i < len(text); {
		if n := asFolded(text[i:]); n > 0 {
			dst = append(dst, text[i:i+n]...)
			i += n
			continue
		}
		if c := text[i]; c < utf8.RuneSelf {
			dst = appendASCII(dst, c)
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if plain, ok := foldPlain(r); ok {
			dst = appendFolded(dst, plain)
			i += size
			continue
		}
		end := i + size
		for end < len(text) && text[end] >= utf8.RuneSelf && end-i < maxSegment {
			next, size := utf8.DecodeRuneInString(text[end:])
			if _, ok := foldPlain(next); ok {
				break
			}
			end += size
		}
		dst = foldSegment(dst, text[i:end])
		i = end
	}
	return dst
}

// asFolded is how many bytes text begins with that Fold leaves as they are: of the characters that most texts are made
// of, which need not be looked at one by one.
func asFolded(text string) (n int) {
	for n < len(text) {
		switch c := text[n]; {
		case c < utf8.RuneSelf:
			if class[c] == unfolded && (c != ' ' || n == 0 || text[n-1] == ' ') {
				return n
			}
			n++
		default:
			r := hanAt(text[n:])
			if r == 0 || simplified[r-firstHan] != 0 {
				return n
			}
			n += 3
		}
	}
	return n
}

// hanAt gives the character of Unicode's main block of Han that text, in UTF-8, begins with; 0 for none.
func hanAt[T string | []byte](text T) rune {
	if len(text) < 3 || text[0] < 0xe4 || text[0] > 0xe9 || text[1]&0xc0 != 0x80 || text[2]&0xc0 != 0x80 {
		return 0
	}
	r := rune(text[0]&0x0f)<<12 | rune(text[1]&0x3f)<<6 | rune(text[2]&0x3f)
	if r < firstHan || r > lastHan {
		return 0
	}
	return r
}

// maxSegment bounds what is normalised at once, in bytes.
const maxSegment = 4 << 10

func appendASCII(dst []byte, c byte) []byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return append(dst, c+'a'-'A')
	case c > ' ' && c < 0x7f:
		return append(dst, c)
	case c == ' ' || '\t' <= c && c <= '\r':
		if n := len(dst); n > 0 && dst[n-1] == ' ' {
			return dst
		}
		return append(dst, ' ')
	default:
		return dst // a control character, which has no width
	}
}

// foldPlain folds the characters of most texts that are not ASCII, which NFKC leaves as they
// are or maps by a constant: Han, and Chinese punctuation.
func foldPlain(r rune) (rune, bool) {
	switch {
	case firstHan <= r && r <= lastHan:
		return cmp.Or(rune(simplified[r-firstHan]), r), true
	case 0xff01 <= r && r <= 0xff5e:
		return r - 0xff01 + '!', true
	case r == 0x3000:
		return ' ', true
	case r == 0xfdfa: // NFKC makes 18 letters of this one alone; left as it is, a text grows to a few times its size at most
		return r, true
	case 0x3001 <= r && r <= 0x3002, 0x3008 <= r && r <= 0x3011, 0x2013 <= r && r <= 0x2014, 0x2018 <= r && r <= 0x201d:
		return r, true
	}
	return r, false
}

func appendFolded(dst []byte, r rune) []byte {
	if r < utf8.RuneSelf {
		return appendASCII(dst, byte(r))
	}
	return utf8.AppendRune(dst, r)
}

// foldSegment folds what needs Unicode's tables.
func foldSegment(dst []byte, text string) []byte {
	var room, kept [256]byte
	decomposed := norm.NFKD.AppendString(room[:0], text)
	stripped := kept[:0]
	base, _ := utf8.DecodeLastRune(dst)
	noMarks := takesNoMarks(base)
	for len(decomposed) > 0 {
		r, size := utf8.DecodeRune(decomposed)
		decomposed = decomposed[size:]
		switch {
		case invisible(r):
			continue
		case unicode.Is(unicode.Mn, r):
			if noMarks {
				continue
			}
			stripped = utf8.AppendRune(stripped, r)
			continue
		case unicode.IsSpace(r):
			r = ' '
		default:
			r = plainLetter(r)
		}
		noMarks = takesNoMarks(r)
		stripped = utf8.AppendRune(stripped, r)
	}
	for composed := norm.NFKC.Bytes(stripped); len(composed) > 0; {
		r, size := utf8.DecodeRune(composed)
		composed = composed[size:]
		if plain, ok := foldPlain(r); ok {
			r = plain
		}
		dst = appendFolded(dst, unicode.ToLower(r))
	}
	return dst
}

// invisible reports whether r shows nothing: format characters (soft hyphens, joiners, directions, tags), variation
// selectors, fillers and control characters, as Unicode's Default_Ignorable_Code_Point has them, and a Braille
// pattern without dots.
func invisible(r rune) bool {
	return unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Variation_Selector, r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) ||
		unicode.IsControl(r) && !unicode.IsSpace(r) || r == 0x2800
}

// plainLetter gives the Latin letter of one that is drawn in white, in a circle or a square, or as a small capital, which
// NFKC leaves as it is.
func plainLetter(r rune) rune {
	switch {
	case r < 0x0262:
		return r
	case 0x1f150 <= r && r <= 0x1f169:
		return r - 0x1f150 + 'a'
	case 0x1f170 <= r && r <= 0x1f189:
		return r - 0x1f170 + 'a'
	}
	if letter, ok := smallCapitals[r]; ok {
		return letter
	}
	return r
}

// takesNoMarks reports whether a mark over base, as of accents or struck through, is left out: words are read without.
func takesNoMarks(base rune) bool {
	return base < 0x0530 || 0x1e00 <= base && base <= 0x1fff || 0x2c60 <= base && base <= 0x2c7f || unicode.Is(unicode.Han, base)
}

// Words appends folded, which Fold has made, to dst as words are looked for in it: letters and numbers alone, with one
// space around each word and at each change between Han and other letters. Between Han there is a space only where
// a clause ends, since those who write Han use none. Single characters that something stands between, three or
// more of them, count as one word, spelt apart.
func Words(dst, folded []byte) []byte {
	w := wordWriter{dst: append(dst, ' ')}
	for i := 0; i < len(folded); {
		if c := folded[i]; c < utf8.RuneSelf {
			i++
			if class[c] != letter {
				w.between(class[c] == clauseEnd)
				continue
			}
			end := i
			for end < len(folded) && folded[end] < utf8.RuneSelf && class[folded[end]] == letter {
				end++
			}
			if !w.nextLatin(folded[i-1 : end]) {
				w.letter(rune(c), latin)
				w.letters(folded[i:end], end-i)
			}
			i = end
			continue
		}
		if r := hanAt(folded[i:]); r != 0 {
			w.letter(r, han)
			end := i + 3
			for hanAt(folded[end:]) != 0 {
				end += 3
			}
			w.letters(folded[i+3:end], (end-i)/3-1)
			i = end
			continue
		}
		r, size := utf8.DecodeRune(folded[i:])
		i += size
		switch {
		case r >= 0x2e80 && unicode.Is(unicode.Han, r):
			w.letter(r, han)
		case unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r):
			w.letter(r, other)
		default:
			w.between(r == '。' || r == '、')
		}
	}
	return w.end()
}

// firstHan and lastHan bound Unicode's main block of Han.
const firstHan, lastHan = 0x4e00, 0x9fff

// The classes of ASCII characters.
const (
	unfolded  = iota // Fold changes it, or may
	symbol           // neither a letter nor a digit
	clauseEnd        // a symbol that ends a clause; full-width ones are folded to it
	letter           // a small letter or a digit
)

var class = func() (class [utf8.RuneSelf]uint8) {
	for c := range class {
		switch {
		case c <= ' ' || c == 0x7f || 'A' <= c && c <= 'Z':
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
			class[c] = letter
		case strings.ContainsRune(".,;:!?", rune(c)):
			class[c] = clauseEnd
		default:
			class[c] = symbol
		}
	}
	return class
}()

// The kinds of letters.
type letters uint8

const (
	none  letters = iota
	latin         // ASCII letters and digits
	han
	other
)

// wordWriter writes words.
type wordWriter struct {
	dst []byte
	// last is the kind of letter that was written last; none at a word's start.
	last letters
	// word is where in dst the word begins; it has count characters.
	word, count int
	// alphabets say whether the word has Greek or Cyrillic letters, and whether it has Latin ones.
	alphabets [2]bool
	// singles is where the first of a row of words of one character begins, and row how many there are.
	singles, row int
	// gap says that something stood before this word, and clause that a clause ended there.
	gap, clause bool
}

func (w *wordWriter) letter(r rune, kind letters) {
	switch {
	case w.last == none:
	case w.gap:
		if w.last == han && kind == han && !w.clause && w.row < 2 {
			w.gap = false // Han goes on behind a space or a symbol
		} else {
			w.close()
		}
	case (w.last == han) != (kind == han):
		w.close()
	}
	if w.last == none {
		w.word, w.count, w.alphabets = len(w.dst), 0, [2]bool{}
	}
	w.gap, w.clause = false, false
	w.last = kind
	w.count++
	w.alphabets[0] = w.alphabets[0] || 0x0370 <= r && r <= 0x052f // Greek and Cyrillic
	w.alphabets[1] = w.alphabets[1] || kind == latin
	w.dst = utf8.AppendRune(w.dst, r)
}

// nextLatin writes the beginning of a word in ASCII where it follows an ordinary one: what letter and letters do, without what
// other words need. It does nothing elsewhere.
func (w *wordWriter) nextLatin(word []byte) bool {
	if w.last != latin || !w.gap || w.count == 1 || w.row != 0 || w.alphabets[0] {
		return false
	}
	w.dst = append(w.dst, ' ')
	w.word, w.count = len(w.dst), len(word)
	w.gap, w.clause = false, false
	w.dst = append(w.dst, word...)
	return true
}

// letters writes n more of the kind that was written last, which follow it.
func (w *wordWriter) letters(more []byte, n int) {
	w.dst = append(w.dst, more...)
	w.count += n
}

// between notes that something else than a letter stands here.
func (w *wordWriter) between(ends bool) {
	w.gap, w.clause = true, w.clause || ends
}

// close ends the word.
func (w *wordWriter) close() {
	if w.last == none {
		return
	}
	if w.alphabets[0] && w.alphabets[1] {
		w.unmask()
	}
	if w.count != 1 {
		w.join()
	} else {
		if w.row == 0 {
			w.singles = w.word
		}
		w.row++
	}
	w.dst = append(w.dst, ' ')
	w.last = none
}

// join puts a row of single characters together, before the word that ended it.
func (w *wordWriter) join() {
	const spelt = 3
	if w.row >= spelt {
		rest := string(w.dst[w.word:])
		to := w.singles
		for _, c := range w.dst[w.singles:w.word] {
			if c != ' ' {
				w.dst[to] = c
				to++
			}
		}
		w.dst = append(append(w.dst[:to], ' '), rest...)
	}
	w.row = 0
}

// unmask writes the letters of other alphabets that look like Latin ones as those, in a word that mixes them.
func (w *wordWriter) unmask() {
	word := string(w.dst[w.word:])
	w.dst = w.dst[:w.word]
	for _, r := range word {
		if like, ok := lookalikes[r]; ok {
			r = like
		}
		w.dst = utf8.AppendRune(w.dst, r)
	}
}

func (w *wordWriter) end() []byte {
	w.close()
	w.word, w.count = len(w.dst), 0
	w.join()
	if n := len(w.dst); n > 1 && w.dst[n-1] == ' ' && w.dst[n-2] == ' ' {
		w.dst = w.dst[:n-1]
	}
	return w.dst
}
