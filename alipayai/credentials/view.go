package credentials

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// view is a text as a reader may take it: without white space, and with escapes
// undone. at gives for each byte where in the original it begins; nil where
// places do not matter.
type view struct {
	text []byte
	at   []int32
	// end is the original's length.
	end int
}

// plain is a text without what does not show.
func plain(text string, places bool) view {
	v := view{text: make([]byte, 0, len(text)), end: len(text)}
	if places {
		v.at = make([]int32, 0, len(text))
	}
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		if !isBlank(r) || r == utf8.RuneError {
			v.text = append(v.text, text[i:i+n]...)
			if places {
				for j := range n {
					v.at = append(v.at, int32(i+j))
				}
			}
		}
		i += n
	}
	return v
}

// isBlank reports whether r does not show, or looks like nothing but a space.
func isBlank(r rune) bool {
	switch {
	case r > ' ' && r < 0x7f:
		return false
	case r <= ' ' || r == 0x7f:
		return true
	}
	return unicode.IsSpace(r) || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Mn, unicode.Zs)
}

// place gives where in the original the part [start, end) is.
func (v view) place(start, end int) (from, to int) {
	to = v.end
	if end < len(v.at) {
		to = int(v.at[end])
	}
	return int(v.at[start]), to
}

// unescape undoes one layer of escapes; ok is false where there is none.
func (v view) unescape() (out view, ok bool) {
	if bytes.IndexByte(v.text, '%') < 0 && bytes.IndexByte(v.text, '\\') < 0 && bytes.IndexByte(v.text, '&') < 0 {
		return v, false
	}
	out = view{text: make([]byte, 0, len(v.text)), end: v.end}
	if v.at != nil {
		out.at = make([]int32, 0, len(v.text))
	}
	for i := 0; i < len(v.text); {
		r, n := escape(v.text[i:])
		if n == 0 {
			out.add(v, i, v.text[i])
			i++
			continue
		}
		ok = true
		switch {
		case r < 0: // a byte
			out.add(v, i, byte(-r))
		case isBlank(r), utf16.IsSurrogate(r): // half of a character that no secret has
		default:
			for _, b := range []byte(string(r)) {
				out.add(v, i, b)
			}
		}
		i += n
	}
	return out.visible(), ok
}

// visible leaves out what does not show, once the bytes of escapes are together.
func (v view) visible() view {
	if bytes.IndexFunc(v.text, func(r rune) bool { return r >= utf8.RuneSelf && r != utf8.RuneError && isBlank(r) }) < 0 {
		return v
	}
	out := view{text: make([]byte, 0, len(v.text)), end: v.end}
	if v.at != nil {
		out.at = make([]int32, 0, len(v.text))
	}
	for i := 0; i < len(v.text); {
		r, n := utf8.DecodeRune(v.text[i:])
		if r == utf8.RuneError || !isBlank(r) {
			for j := range n {
				out.add(v, i+j, v.text[i+j])
			}
		}
		i += n
	}
	return out
}

// joinHex leaves out what stands between two hexadecimal digits: colons, dashes,
// dots and commas, with 0x after them. ok is false where there is none.
func (v view) joinHex() (out view, ok bool) {
	for i := 0; i < len(v.text); {
		n := 0
		if i > 0 && isHex(v.text[i-1]) {
			n = hexSeparator(v.text[i:])
		}
		if n > 0 && !ok {
			ok = true
			out = view{text: append(make([]byte, 0, len(v.text)), v.text[:i]...), end: v.end}
			if v.at != nil {
				out.at = append(make([]int32, 0, len(v.text)), v.at[:i]...)
			}
		}
		if n == 0 {
			if ok {
				out.add(v, i, v.text[i])
			}
			n = 1
		}
		i += n
	}
	return out, ok
}

// hexSeparator is the length of what separates hexadecimal digits at the front of
// text, before one.
func hexSeparator(text []byte) (n int) {
	switch text[0] {
	case ':', '-', '.', ',':
	default:
		return 0
	}
	if n = 1; len(text) > 3 && text[1] == '0' && text[2]|0x20 == 'x' {
		n = 3
	}
	if len(text) <= n || !isHex(text[n]) {
		return 0
	}
	return n
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

// quotedPrintable undoes that encoding; ok is false where there is none.
func (v view) quotedPrintable() (out view, ok bool) {
	if bytes.IndexByte(v.text, '=') < 0 {
		return v, false
	}
	out = view{text: make([]byte, 0, len(v.text)), end: v.end}
	for i := 0; i < len(v.text); i++ {
		switch {
		case v.text[i] != '=':
			out.add(v, i, v.text[i])
		case i+2 < len(v.text) && isHex(v.text[i+1]) && isHex(v.text[i+2]):
			b, _ := strconv.ParseUint(string(v.text[i+1:i+3]), 16, 8)
			if ok = true; b >= utf8.RuneSelf || !isBlank(rune(b)) {
				out.add(v, i, byte(b))
			}
			i += 2
		default: // a soft line break, whose white space is gone
			ok = true
		}
	}
	return out.visible(), ok
}

func (v *view) add(from view, i int, b byte) {
	v.text = append(v.text, b)
	if from.at != nil {
		v.at = append(v.at, from.at[i])
	}
}

// references are the character references by name that stand for what secrets
// are made of.
var references = map[string]rune{
	"amp": '&', "lt": '<', "gt": '>', "quot": '"', "apos": '\'', "sol": '/', "plus": '+', "equals": '=', "period": '.',
	"lowbar": '_', "hyphen": '-', "colon": ':', "commat": '@', "percnt": '%', "nbsp": ' ', "bsol": '\\',
}

// escape reads the escape at the front of text: of percent-encoding (as a
// negative rune, for it is a byte), of JSON and its kin, or of HTML. n is 0 where
// there is none.
func escape(text []byte) (r rune, n int) {
	number := func(digits []byte, base int) (rune, bool) {
		value, err := strconv.ParseUint(string(digits), base, 21)
		return rune(value), err == nil && value <= unicode.MaxRune
	}
	switch text[0] {
	case '%':
		if len(text) >= 3 {
			if r, ok := number(text[1:3], 16); ok {
				if r < utf8.RuneSelf {
					return r, 3
				}
				return -r, 3
			}
		}
	case '\\':
		if len(text) < 2 {
			return 0, 0
		}
		switch text[1] {
		case 'u':
			if len(text) >= 6 {
				if r, ok := number(text[2:6], 16); ok {
					return r, 6
				}
			}
		case 'x':
			if len(text) >= 4 {
				if r, ok := number(text[2:4], 16); ok {
					return r, 4
				}
			}
		case 'n', 'r', 't', 'b', 'f':
			return ' ', 2
		case '/', '\\', '"', '\'':
			return rune(text[1]), 2
		}
	case '&':
		end := bytes.IndexByte(text[:min(len(text), 12)], ';')
		if end < 2 {
			return 0, 0
		}
		name := text[1:end]
		if name[0] != '#' {
			r, ok := references[strings.ToLower(string(name))]
			if !ok {
				return 0, 0
			}
			return r, end + 1
		}
		base, digits := 10, name[1:]
		if len(digits) > 1 && digits[0]|0x20 == 'x' {
			base, digits = 16, digits[1:]
		}
		if r, ok := number(digits, base); ok {
			return r, end + 1
		}
	}
	return 0, 0
}

// folded is the text of v without the differences that [fold] makes go.
func (v view) folded() []byte {
	out := make([]byte, len(v.text))
	for i, c := range v.text {
		out[i] = fold(c)
	}
	return out
}

// fold makes the differences go that an encoding does not have: of case, and of
// the two alphabets of base64.
func fold(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c | 0x20
	case c == '-':
		return '+'
	case c == '_':
		return '/'
	}
	return c
}
