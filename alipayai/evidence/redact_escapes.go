package evidence

import (
	"bytes"
	"html"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// unescape undoes one layer of the escapes of JSON strings, of URLs and of HTML;
// false if there are none.
func (v view) unescape() (view, bool) {
	if !bytes.ContainsAny(v.text, `\%&`) {
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
		return percentRune(text)
	case '&':
		return entityRune(text)
	case '\\':
		switch text[1] {
		case '"', '\\', '/', '\'':
			return rune(text[1]), 2
		case 'n':
			return '\n', 2
		case 'r':
			return '\r', 2
		case 't', 'b', 'f', 'v':
			return ' ', 2
		case 'u':
			return utf16Rune(text)
		case 'x':
			return hexRune(text, 2, 2)
		}
	}
	return 0, 0
}

// percentRune reads the %XX of a character's bytes in UTF-8; bytes that are no
// UTF-8 stand for themselves.
func percentRune(text []byte) (rune, int) {
	var encoded [utf8.UTFMax]byte
	n := 0
	for ; n < len(encoded) && len(text) > 3*n && text[3*n] == '%'; n++ {
		b, size := hexRune(text[3*n:], 1, 2)
		if size == 0 {
			break
		}
		encoded[n] = byte(b)
	}
	if n == 0 {
		return 0, 0
	}
	r, size := utf8.DecodeRune(encoded[:n])
	if r == utf8.RuneError {
		return rune(encoded[0]), 3
	}
	return r, 3 * size
}

// utf16Rune reads \uXXXX, or the two that are a surrogate pair.
func utf16Rune(text []byte) (rune, int) {
	r, size := hexRune(text, 2, 4)
	if utf16.IsSurrogate(r) && bytes.HasPrefix(text[size:], []byte(`\u`)) {
		low, more := hexRune(text[size:], 2, 4)
		if pair := utf16.DecodeRune(r, low); more > 0 && pair != utf8.RuneError {
			return pair, size + more
		}
	}
	return r, size
}

// longestEntity is as far as the name or number of an entity is followed.
const longestEntity = 32

// entityRune reads a character reference of HTML, as &nbsp; &#52; or &#x34;
// whose semicolon may be missing.
func entityRune(text []byte) (rune, int) {
	n := 1 + leading(text[1:min(len(text), longestEntity)], isEntity)
	if n < len(text) && text[n] == ';' {
		n++
	}
	written := string(text[:n])
	meant := html.UnescapeString(written)
	r, size := utf8.DecodeRuneInString(meant)
	// What follows a reference without a semicolon stays in meant.
	used := n - len(meant[size:])
	if meant == written || used < 0 || written[used:] != meant[size:] {
		return 0, 0
	}
	return r, used
}

func isEntity(c byte) bool { return isAlphanumeric(c) || c == '#' }

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
