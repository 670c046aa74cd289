package wire

import (
	"encoding/base64"
	"net/url"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
)

// textOf gives the text that stands in a data: URL (RFC 2397), whose scheme clients leave out at times. What is no Base64 in
// it is passed over, as Python's decoder does by default (docs.python.org/3/library/base64.html#base64.b64decode).
func textOf(address string) (string, bool) {
	const scheme = "data:"
	named := len(address) >= len(scheme) && strings.EqualFold(address[:len(scheme)], scheme)
	if named {
		address = address[len(scheme):]
	}
	meta, data, found := strings.Cut(address, ",")
	if !found {
		return "", false
	}
	meta = strings.ToLower(meta)
	kind, _, _ := strings.Cut(meta, ";")
	if kind = strings.TrimSpace(kind); !isTextual(kind) && !(named && kind == "") {
		return "", false
	}
	text, err := url.PathUnescape(data)
	if err != nil {
		text = data
	}
	if strings.HasSuffix(strings.TrimSpace(meta), "base64") {
		text = looseBase64(text)
	}
	text = inUTF8(text)
	return text, text != ""
}

// inUTF8 gives a text of unknown encoding in UTF-8: with a byte order mark it is UTF-16, and what is no UTF-8 is taken for
// GB 18030, which GBK is a part of.
func inUTF8(text string) string {
	from := simplifiedchinese.GB18030
	switch {
	case strings.HasPrefix(text, "\xff\xfe"), strings.HasPrefix(text, "\xfe\xff"):
		from = unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	case utf8.ValidString(text):
		return text
	}
	decoded, err := from.NewDecoder().String(text)
	if err != nil {
		return text
	}
	return decoded
}

// isTextual reports whether what has that media type, in lower case, is a text.
func isTextual(kind string) bool {
	major, minor, _ := strings.Cut(kind, "/")
	switch {
	case minor == "":
		return false
	case major == "text":
		return true
	case strings.HasSuffix(minor, "+json"), strings.HasSuffix(minor, "+xml"), strings.HasSuffix(minor, "+yaml"):
		return true
	case major != "application":
		return false
	}
	switch strings.TrimPrefix(minor, "x-") {
	case "json", "jsonl", "ndjson", "xml", "yaml", "toml", "javascript", "typescript", "ecmascript", "sql", "sh", "python", "csv", "tex":
		return true
	}
	return false
}

// looseBase64 decodes Base64, of either alphabet, and whatever stands between its characters.
func looseBase64(text string) string {
	kept := strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z', 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '+', r == '/':
			return r
		case r == '-':
			return '+'
		case r == '_':
			return '/'
		}
		return -1
	}, text)
	if len(kept)%4 == 1 { // half a byte
		kept = kept[:len(kept)-1]
	}
	decoded, _ := base64.RawStdEncoding.DecodeString(kept)
	return string(decoded)
}
