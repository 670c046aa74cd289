package wire

import (
	"encoding/base64"
	"net/url"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
)

const dataScheme = "data:"

// isDataURL reports whether address is a data: URL, before which there may be white space.
func isDataURL(address string) bool {
	address = trimLeft(address)
	return len(address) >= len(dataScheme) && address[0]|0x20 == dataScheme[0] && strings.EqualFold(address[:len(dataScheme)], dataScheme)
}

// trimLeft takes off the white space that JSON and RFC 2397's readers know.
func trimLeft(text string) string {
	for len(text) > 0 && (text[0] == ' ' || text[0] == '\t' || text[0] == '\r' || text[0] == '\n') {
		text = text[1:]
	}
	return text
}

// hasMediaType reports whether a data: URL says what it is, or that it is Base64. Prose may begin with "data:" as well.
func hasMediaType(address string) bool {
	meta, _, found := strings.Cut(trimLeft(address)[len(dataScheme):], ",")
	meta = strings.ToLower(strings.TrimSpace(meta))
	kind, _, _ := strings.Cut(meta, ";")
	kind = strings.TrimSpace(kind)
	typed := strings.Contains(kind, "/") && kind[0] >= 'a' && kind[0] <= 'z' && isReference(kind)
	return found && (typed || strings.HasSuffix(meta, "base64"))
}

// textOf gives the text that stands in a data: URL (RFC 2397), whose scheme clients leave out at times: what the URL says is
// a text, and what looks like one whatever the URL says of it. What is no Base64 in it is passed over, as Python's decoder does by default (docs.python.org/3/library/base64.html#base64.b64decode).
func textOf(address string) (string, bool) {
	address = trimLeft(address)
	named := isDataURL(address)
	if named {
		address = address[len(dataScheme):]
	}
	meta, data, found := strings.Cut(address, ",")
	if !found {
		return "", false
	}
	meta = strings.ToLower(meta)
	kind, _, _ := strings.Cut(meta, ";")
	kind = strings.TrimSpace(kind)
	textual := isTextual(kind) || named && kind == ""
	if !textual && !named {
		return "", false
	}
	encoded := strings.HasSuffix(strings.TrimSpace(meta), "base64")
	if encoded && !textual && !looksLikeText(looseBase64(beginning(data))) { // as most are, and pictures are long
		return "", false
	}
	text, err := url.PathUnescape(data)
	if err != nil {
		text = data
	}
	if encoded {
		text = looseBase64(text)
	}
	if !textual && !looksLikeText(text) {
		return "", false
	}
	text = inUTF8(text)
	return text, text != ""
}

// leastBare is how many bytes in Base64 alone are looked at in another encoding than UTF-8: each short word is a character of
// Han there.
const leastBare = 12

// bareText gives the text that stands in Base64 alone.
func bareText(data string) (string, bool) {
	for _, c := range []byte(beginning(data)) {
		if base64As[c] == 0 && c != '=' && c != '\r' && c != '\n' {
			return "", false
		}
	}
	if start := looseBase64(beginning(data)); !looksLikeText(start) || len(start) < leastBare && !utf8.ValidString(start) {
		return "", false
	}
	text := inUTF8(looseBase64(data))
	return text, text != ""
}

// TextFile gives the text of a file whose data: URL says that it is one, or looks like one.
func TextFile(address string) (text string, ok bool) {
	if !isDataURL(address) {
		return "", false
	}
	if _, pdf := PDFFile(address); pdf {
		return "", false
	}
	return textOf(address)
}

// pdfMagic is what a PDF begins with, in Base64.
const pdfMagic = "JVBERi0"

// PDFFile gives the Base64 of a file that is a PDF: of a data: URL that says so, whose scheme clients leave out at times, or of Base64
// alone, as OpenAI's reference calls file_data "The base64 encoded file data".
func PDFFile(address string) (data string, ok bool) {
	address = trimLeft(address)
	if isDataURL(address) {
		address = address[len(dataScheme):]
	}
	meta, data, found := strings.Cut(address, ",")
	if !found {
		return address, strings.HasPrefix(address, pdfMagic)
	}
	kind, encoding, _ := strings.Cut(strings.ToLower(meta), ";")
	return data, kind == "application/pdf" && data != "" && (encoding == "base64" || strings.HasSuffix(encoding, ";base64"))
}

// Base64 gives data in Base64 without white space, which encoders for mail put in after each 76 characters, and which readers of
// data: URLs pass over (https://infra.spec.whatwg.org/#forgiving-base64-decode), but not each vendor.
func Base64(data string) string {
	const space = " \t\n\f\r"
	if !strings.ContainsAny(data, space) {
		return data
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(space, r) {
			return -1
		}
		return r
	}, data)
}

// beginning gives as much of data in Base64 as tells a text from a picture.
func beginning(data string) string { return data[:min(len(data), 4<<10)] }

// looksLikeText reports whether data of another type, or of none, is a text all the same: at most one in 32 of its first
// characters is what the WHATWG MIME Sniffing standard, section 3, calls a binary data byte, or stands for no character. PDF and
// PostScript are not texts, though some are written in ASCII alone.
func looksLikeText(data string) bool {
	if strings.HasPrefix(data, "%PDF-") || strings.HasPrefix(data, "%!PS") {
		return false
	}
	noise, characters := 0, 0
	for _, r := range inUTF8(data[:min(len(data), 3<<10)]) {
		characters++
		if r < ' ' && !strings.ContainsRune("\t\n\f\r\x1b", r) || r == utf8.RuneError {
			noise++
		}
	}
	return characters > 0 && noise <= characters/32
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
	kept := make([]byte, 0, len(text))
	for _, c := range []byte(text) {
		if as := base64As[c]; as != 0 {
			kept = append(kept, as)
		}
	}
	if len(kept)%4 == 1 { // half a byte
		kept = kept[:len(kept)-1]
	}
	decoded, _ := base64.RawStdEncoding.AppendDecode(nil, kept)
	return string(decoded)
}

// base64As gives the character of the standard alphabet of Base64 that a byte stands for, in either alphabet; 0 for none.
var base64As = func() (as [256]byte) {
	for c := range as {
		switch c := byte(c); {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '+', c == '/':
			as[c] = c
		}
	}
	as['-'], as['_'] = '+', '/'
	return as
}()
