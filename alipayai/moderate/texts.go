package moderate

import (
	"iter"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// CheckTexts gives the policy of the first rule that the texts of a request break. The parts of a message are one text,
// as are messages in a row that have the same role, which many templates put together: what is split over them counts
// as whole. Other messages, tools and the rest of a request each stand for themselves.
func (r *Rules) CheckTexts(texts []wire.Text) (policy string, found bool) {
	if r.Empty() {
		return "", false
	}
	for parts := range whole(texts) {
		if policy, found = r.checkParts(parts); found {
			return policy, true
		}
	}
	return "", false
}

// whole gives the parts of each text that stands for itself.
func whole(texts []wire.Text) iter.Seq[[]wire.Text] {
	return func(yield func([]wire.Text) bool) {
		for len(texts) > 0 {
			end := 1
			for end < len(texts) && together(texts[0], texts[end]) {
				end++
			}
			if !yield(texts[:end]) {
				return
			}
			texts = texts[end:]
		}
	}
}

func together(a, b wire.Text) bool {
	return a.Kind == b.Kind && a.Role == b.Role && a.Kind != wire.TextDefinition && (a.Message >= 0 || a.Message == b.Message)
}

// checkParts checks the parts of one text, in each way in which they may be read.
func (r *Rules) checkParts(parts []wire.Text) (policy string, found bool) {
	if len(parts) == 1 {
		return r.checkEscaped(parts[0].Value)
	}
	for _, text := range readings(parts) {
		if policy, found = r.checkEscaped(text); found {
			return policy, true
		}
	}
	return "", false
}

// readings gives how the parts of one text may be read: with a space between them, for words that begin or end there, and
// without, for words that are split.
func readings(parts []wire.Text) []string {
	if len(parts) == 1 {
		return []string{parts[0].Value}
	}
	values := make([]string, len(parts))
	for i, p := range parts {
		values[i] = p.Value
	}
	return []string{strings.Join(values, " "), strings.Join(values, "")}
}

// maxEscapes is how many layers of escapes are taken off: the arguments of a tool call are JSON within JSON, and may
// hold JSON.
const maxEscapes = 3

// checkEscaped checks text, and what its escapes stand for.
func (r *Rules) checkEscaped(text string) (policy string, found bool) {
	for range 1 + maxEscapes {
		if f, found := r.Check(text); found {
			return f.Policy, true
		}
		plain, escaped := unescape(text)
		if !escaped {
			break
		}
		text = plain
	}
	return "", false
}

// unescape replaces JSON's escapes, wherever they stand. What is none stays.
func unescape(text string) (plain string, escaped bool) {
	at := strings.IndexByte(text, '\\')
	if at < 0 {
		return text, false
	}
	out := make([]byte, 0, len(text))
	for {
		out = append(out, text[:at]...)
		r, size := escape(text[at:])
		if size == 0 {
			out, size = append(out, '\\'), 1
		} else {
			out, escaped = utf8.AppendRune(out, r), true
		}
		text = text[at+size:]
		if at = strings.IndexByte(text, '\\'); at < 0 {
			return string(append(out, text...)), escaped
		}
	}
}

// escape reads the escape that text begins with; size is 0 for what is none.
func escape(text string) (r rune, size int) {
	if len(text) < 2 {
		return 0, 0
	}
	switch text[1] {
	case 'n', 't', 'r', 'b', 'f':
		return ' ', 2
	case '"', '/', '\\':
		return rune(text[1]), 2
	case 'u':
		first, ok := hex4(text[2:])
		if !ok {
			return 0, 0
		}
		if utf16.IsSurrogate(first) && len(text) >= 8 && text[6] == '\\' && text[7] == 'u' {
			if second, ok := hex4(text[8:]); ok {
				return utf16.DecodeRune(first, second), 12
			}
		}
		return first, 6
	}
	return 0, 0
}

func hex4(text string) (r rune, ok bool) {
	if len(text) < 4 {
		return 0, false
	}
	for _, c := range []byte(text[:4]) {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
