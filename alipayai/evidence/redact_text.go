package evidence

import (
	"bytes"
	"slices"
)

// Labels stand for what was taken out. They need no escapes in JSON.
const (
	cardLabel   = "[card]"
	idLabel     = "[id]"
	mobileLabel = "[mobile]"
	emailLabel  = "[email]"
	secretLabel = "[secret]"
)

// span is a part of a text that a label takes the place of.
type span struct {
	start, end int
	label      string
}

// maxEscapes is how deep escapes are followed: JSON in a JSON string in a JSON
// string, with one to spare.
const maxEscapes = 4

// redactText takes out of a text whatever can be found in it as it stands, and
// with its escapes undone once and more often. The escapes of all that stays are left
// as they are.
func redactText(text []byte) []byte {
	var spans []span
	for v, depth := plainView(text), 0; ; depth++ {
		spans = v.find(spans)
		next, escaped := v.unescape()
		if !escaped || depth == maxEscapes {
			break
		}
		v = next
	}
	return replace(text, spans)
}

// replace puts labels in the places of spans; of those that overlap, the first
// label stands for all.
func replace(text []byte, spans []span) []byte {
	if len(spans) == 0 {
		return text
	}
	slices.SortStableFunc(spans, func(a, b span) int { return a.start - b.start })
	out := make([]byte, 0, len(text))
	end := 0
	for _, s := range spans {
		if s.start >= end {
			out = append(append(out, text[end:s.start]...), s.label...)
		}
		end = max(end, s.end)
	}
	return append(out, text[end:]...)
}

// find adds what must go from the text.
func (v view) find(spans []span) []span {
	add := func(start, end int, label string) {
		from, to := v.place(start, end)
		spans = append(spans, span{from, to, label})
	}
	findMedia(v.text, add)
	findSecrets(v.text, add)
	findNumbers(v.text, add)
	findEmails(v.text, add)
	return spans
}

// found reports the part [start, end) of a text that a label shall stand for.
type found func(start, end int, label string)

// findSecrets finds the values of fields that hold credentials, as JSON, a form or a
// line of a log has them, and Bearer tokens.
func findSecrets(text []byte, add found) {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case ':', '=':
			name := trailing(bytes.TrimRight(text[:i], " \t\"'\\"), isName)
			if len(name) == 0 || !isSecretField(string(name)) {
				continue
			}
			start := i + 1 + leading(text[i+1:], isBeforeValue)
			end := start + leading(text[start:], isValue)
			if start < len(text) && (text[start] == '{' || text[start] == '[') {
				end = start + bracketed(text[start:])
			}
			// "Authorization: Bearer x" is for the other case.
			if end > start && !bytes.EqualFold(text[start:end], []byte("bearer")) {
				add(start, end, secretLabel)
				i = end - 1 // the value may hold more of the same
			}
		case 'b', 'B':
			const word = "bearer "
			if len(text) < i+len(word) || !bytes.EqualFold(text[i:i+len(word)], []byte(word)) {
				continue
			}
			start := i + len(word)
			if end := start + leading(text[start:], isToken); end-start >= shortestToken {
				add(start, end, secretLabel)
			}
		}
	}
}

// bracketed is the length of the JSON object or array at the front of text, which
// goes to the end if it is cut.
func bracketed(text []byte) int {
	depth, inString := 0, false
	for i, c := range text {
		switch {
		case c == '"':
			if i == 0 || text[i-1] != '\\' {
				inString = !inString
			}
		case inString:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(text)
}

// shortestToken keeps "bearer of news" readable.
const shortestToken = 8

// leading is how many bytes at the front are of the kind.
func leading(text []byte, is func(byte) bool) int {
	for i, c := range text {
		if !is(c) {
			return i
		}
	}
	return len(text)
}

// trailing is the bytes at the end that are of the kind.
func trailing(text []byte, is func(byte) bool) []byte {
	i := len(text)
	for i > 0 && is(text[i-1]) {
		i--
	}
	return text[i:]
}

func isName(c byte) bool        { return isAlphanumeric(c) || c == '_' || c == '-' }
func isBeforeValue(c byte) bool { return c == ' ' || c == '\t' || c == '"' || c == '\'' || c == '\\' }
func isValue(c byte) bool       { return c > ' ' && bytes.IndexByte([]byte("\"',;&{}[]\\"), c) < 0 }
func isToken(c byte) bool       { return isBase64(c) || c == '.' || c == '~' }

// findEmails finds addresses by their @, as RFC 5321 writes them without quotes.
func findEmails(text []byte, add found) {
	for at := 0; ; at++ {
		i := bytes.IndexByte(text[at:], '@')
		if i < 0 {
			return
		}
		at += i
		start, end := at, at+1
		for start > 0 && isLocal(text[start-1]) {
			start--
		}
		dot := 0
		for end < len(text) && isDomain(text[end]) {
			if text[end] == '.' && end+1 < len(text) && isAlphanumeric(text[end+1]) && end > at+1 {
				dot = end
			}
			end++
		}
		for end > at && (text[end-1] == '.' || text[end-1] == '-') { // the end of a sentence
			end--
		}
		if start < at && dot > 0 {
			add(start, end, emailLabel)
		}
	}
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func isLocal(c byte) bool {
	return isAlphanumeric(c) || bytes.IndexByte([]byte("!#$%&'*+-/=?^_`{|}~."), c) >= 0
}

func isDomain(c byte) bool { return isAlphanumeric(c) || c == '-' || c == '.' }
