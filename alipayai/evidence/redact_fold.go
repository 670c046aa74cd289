package evidence

import (
	"unicode"
	"unicode/utf8"
)

// appendFolded appends a character, in ASCII where it is a form of one that
// numbers and addresses are written with; those that cannot be seen are left out.
func appendFolded(text []byte, r rune) []byte {
	switch {
	case r < utf8.RuneSelf:
		return append(text, byte(r))
	case 0x3400 <= r && r <= 0x9FFF: // Chinese, which is none of what follows
		return utf8.AppendRune(text, r)
	case 0xFF01 <= r && r <= 0xFF5E: // full-width forms of ASCII
		return append(text, byte(r-0xFF01+'!'))
	case unicode.Is(unicode.Nd, r):
		return append(text, '0'+decimalValue(r))
	case unicode.Is(unicode.Pd, r), r == 0x2212: // dashes, and the minus sign
		return append(text, '-')
	case unicode.Is(unicode.Z, r), r == 0x85: // spaces, and the next line
		return append(text, ' ')
	case isInvisible(r):
		return text
	}
	return utf8.AppendRune(text, r)
}

// isInvisible reports whether a character takes no place of its own between two
// digits: format characters, marks that sit on the one before, and fillers.
func isInvisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Mn, unicode.Me, unicode.Other_Default_Ignorable_Code_Point)
}

// decimalValue is the value of a decimal digit of any script. Unicode encodes
// each script's from 0 to 9 in a row (its stability policy promises that), so
// that each range of them begins with a zero.
func decimalValue(r rune) byte {
	for _, in := range unicode.Nd.R16 {
		if rune(in.Lo) <= r && r <= rune(in.Hi) {
			return byte((r - rune(in.Lo)) % 10)
		}
	}
	for _, in := range unicode.Nd.R32 {
		if rune(in.Lo) <= r && r <= rune(in.Hi) {
			return byte((r - rune(in.Lo)) % 10)
		}
	}
	return 0
}
