package wire

import "bytes"

// WithoutHalves gives a text in JSON with U+FFFD for each half of a surrogate pair that stands without the other, which is as long; and
// nil where there is none. Programs that count characters in halves, as JavaScript's do, cut an emoji in two, and every further request of
// that conversation has the half in it: vendors refuse it as no JSON (https://github.com/anthropics/claude-code/issues/69927,
// https://github.com/anomalyco/opencode/pull/17758, https://github.com/elizaOS/eliza/pull/18079). A body that has one is read by no
// two readers alike; what this gives is.
func WithoutHalves(text []byte) (whole []byte) {
	const escape = len(`\ud800`)
	for i := 0; ; {
		at := bytes.IndexByte(text[i:], '\\')
		if at < 0 {
			return whole
		}
		i += at
		switch kind := surrogate(text[i:]); {
		case kind == noSurrogate:
			i = min(i+len(`\\`), len(text)) // whatever is escaped, it is no backslash that begins another
		case kind == highSurrogate && surrogate(text[i+escape:]) == lowSurrogate:
			i += 2 * escape
		default:
			if whole == nil {
				whole = bytes.Clone(text)
			}
			copy(whole[i:], `\ufffd`)
			i += escape
		}
	}
}

// The kinds of halves.
const (
	noSurrogate = iota
	highSurrogate
	lowSurrogate
)

// surrogate says what half a text begins with, written as an escape.
func surrogate(text []byte) int {
	if len(text) < len(`\ud800`) || text[0] != '\\' || text[1] != 'u' || text[2]|0x20 != 'd' || !isHex(text[4]) || !isHex(text[5]) {
		return noSurrogate
	}
	switch text[3] {
	case '8', '9', 'a', 'b', 'A', 'B':
		return highSurrogate
	case 'c', 'd', 'e', 'f', 'C', 'D', 'E', 'F':
		return lowSurrogate
	}
	return noSurrogate
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}
