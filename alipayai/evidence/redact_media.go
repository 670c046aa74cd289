package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
)

// longBase64 is from what length on a run of base64 is taken for data. The
// longest word or key that people write stays below it.
const longBase64 = 256

// findMedia finds data URLs (RFC 2397) in base64, and long runs of base64.
func findMedia(text []byte, add found) {
	for i := 0; i < len(text); {
		n := base64Run(text[i:])
		if url := dataURL(text[:i]); url < i && n > 0 {
			mediaType, _, _ := strings.Cut(string(text[url+len("data:"):i]), ";")
			add(url, i+n, string(describeMedia(mediaType, text[i:i+n])))
		} else if n >= longBase64 {
			add(i, i+n, string(describeMedia("", text[i:i+n])))
		}
		i += n + 1
	}
}

// dataURL is where the data URL begins whose data comes after text; at the end
// of the text if there is none.
func dataURL(text []byte) int {
	head, ok := bytes.CutSuffix(text, []byte(";base64,"))
	if !ok {
		return len(text)
	}
	head = trailing(head, isMediaType)
	if at := bytes.LastIndex(head, []byte("data:")); at >= 0 {
		return len(text) - len(";base64,") - len(head) + at
	}
	return len(text)
}

func isMediaType(c byte) bool { return isBase64(c) || c == '.' || c == ';' || c == ':' }

// base64Run is the length of the run of base64 at the front of text, with the
// line ends of data that is set in lines.
func base64Run(text []byte) int {
	const line = 60 // MIME sets 76, PEM 64 to a line
	n, sinceBreak := 0, 0
	for i, c := range text {
		switch {
		case isBase64(c):
			n = i + 1
			sinceBreak++
		case c == '\r' && sinceBreak >= line:
		case c == '\n' && sinceBreak >= line:
			sinceBreak = 0
		default:
			return n
		}
	}
	return n
}

func isBase64(c byte) bool {
	return isAlphanumeric(c) || c == '+' || c == '/' || c == '-' || c == '_' || c == '='
}

func isLongBase64(text []byte) bool {
	return len(text) >= longBase64 && base64Run(text) == len(bytes.TrimRight(text, "\r\n"))
}

// describeMedia describes data in base64: its type, how many bytes, and their
// SHA-256. If the type is not given it is taken from the first bytes, as in the
// WHATWG's MIME sniffing standard.
func describeMedia(mediaType string, encoded []byte) []byte {
	data, ok := decodeBase64(encoded)
	if !ok {
		data = encoded
	}
	if mediaType == "" {
		mediaType, _, _ = strings.Cut(http.DetectContentType(data), ";")
	}
	return fmt.Appendf(nil, "[%s, %d bytes, sha256 %x]", strings.ToLower(mediaType), len(data), sha256.Sum256(data))
}

// decodeBase64 reads the standard and the URL alphabet, with padding or without.
func decodeBase64(encoded []byte) ([]byte, bool) {
	clean := bytes.Map(func(r rune) rune {
		switch r {
		case '-':
			return '+'
		case '_':
			return '/'
		case '=', '\r', '\n', ' ':
			return -1
		}
		return r
	}, encoded)
	data := make([]byte, base64.RawStdEncoding.DecodedLen(len(clean)))
	n, err := base64.RawStdEncoding.Decode(data, clean)
	return data[:n], err == nil
}
