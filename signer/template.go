package signer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// partKind is what stands at one place of a layout's template.
type partKind uint8

const (
	partText partKind = iota
	partMethod
	partURI
	partPath
	partQuery
	partBody
	partBodySHA256
	partBodySHA256Base64
	partBodySHA512
	partBodySHA512Base64
	partBodyMD5
	partBodyMD5Base64
	partCanonicalSHA256
	partHeader
	partClientID
	partTimeMS
	partTimeS
	partTimeISO
	partTimeISOMS
	partTimeBasic
	partTimeLocal
	partTimeDigits
	partTimeRFC1123
	partTimeDate
	partTimeDay
	partNonce
	partKeyVersion
	partHex
	partHexUpper
	partBase64
	partBase64URL
	partBase64Escaped
	partKinds
)

// placeholder is one name that templates know.
type placeholder struct {
	name string
	// size in bytes; 0 where it differs from message to message, and where forms.size knows it.
	size int
	// alphabet are the bytes that its value may hold.
	alphabet alphabet
	// signed: it may stand in what is signed. sent: it may stand in a header field.
	signed, sent bool
	// told: it may stand in a [Text].
	told bool
}

const (
	digits  = "0123456789"
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// placeholders by partKind. Times are of one length each: those that Sign takes have 13 digits in
// milliseconds, see firstTime.
var placeholders = [partKinds]placeholder{
	partMethod:           {"method", 0, alphabetOf("!#$%&'*+-.^_`|~" + digits + letters), true, false, false},
	partURI:              {"uri", 0, visible, true, false, false},
	partPath:             {"path", 0, visible.without("?"), true, false, false},
	partQuery:            {"query", 0, visible, true, false, false},
	partBody:             {"body", 0, alphabet{}.complement(), true, false, false},
	partBodySHA256:       {"body_sha256", 64, alphabetOf(digits + "abcdef"), true, true, false},
	partBodySHA256Base64: {"body_sha256_base64", 44, alphabetOf(digits + letters + "+/="), true, true, false},
	partBodySHA512:       {"body_sha512", 128, alphabetOf(digits + "abcdef"), true, true, false},
	partBodySHA512Base64: {"body_sha512_base64", 88, alphabetOf(digits + letters + "+/="), true, true, false},
	partBodyMD5:          {"body_md5", 32, alphabetOf(digits + "abcdef"), true, true, false},
	partBodyMD5Base64:    {"body_md5_base64", 24, alphabetOf(digits + letters + "+/="), true, true, false},
	partCanonicalSHA256:  {"canonical_sha256", 64, alphabetOf(digits + "abcdef"), true, false, false},
	partHeader:           {"header.<Name>", 0, visible.with(" \t"), true, false, true},
	partClientID:         {"client_id", 0, visible, true, true, true},
	partTimeMS:           {"time_ms", 13, alphabetOf(digits), true, true, true},
	partTimeS:            {"time_s", 10, alphabetOf(digits), true, true, true},
	partTimeISO:          {"time_iso", 0, alphabetOf(digits + "-:TZ+"), true, true, true},
	partTimeISOMS:        {"time_iso_ms", 0, alphabetOf(digits + "-:.TZ+"), true, true, true},
	partTimeBasic:        {"time_basic", 0, alphabetOf(digits + "-+TZ"), true, true, true},
	partTimeLocal:        {"time_local", 0, alphabetOf(digits + "-: "), true, true, true},
	partTimeDigits:       {"time_digits", 0, alphabetOf(digits), true, true, true},
	partTimeRFC1123:      {"time_rfc1123", 0, alphabetOf(digits + letters + ",: "), true, true, true},
	partTimeDate:         {"time_date", 0, alphabetOf(digits + "-"), true, true, true},
	partTimeDay:          {"time_day", 0, alphabetOf(digits), true, true, true},
	partNonce:            {"nonce", 0, alphabetOf(digits + letters + "-_"), true, true, true},
	partKeyVersion:       {"key_version", 0, alphabetOf(digits), true, true, false},
	partHex:              {"hex", 0, alphabetOf(digits + "abcdef"), false, true, false},
	partHexUpper:         {"HEX", 0, alphabetOf(digits + "ABCDEF"), false, true, false},
	partBase64:           {"base64", 0, alphabetOf(digits + letters + "+/="), false, true, false},
	partBase64URL:        {"base64url", 0, alphabetOf(digits + letters + "-_"), false, true, false},
	partBase64Escaped:    {"base64_escaped", 0, alphabetOf(digits + letters + "%"), false, true, false},
}

// isMAC reports whether the part is the signature itself.
func (k partKind) isMAC() bool { return k >= partHex && k <= partBase64Escaped }

// isTime reports whether the part is the time.
func (k partKind) isTime() bool { return k >= partTimeMS && k <= partTimeDay }

// isDay reports whether the part is a time of which only the day is said.
func (k partKind) isDay() bool { return k == partTimeDate || k == partTimeDay }

// hasMillis reports whether the part is a time in milliseconds.
func (k partKind) hasMillis() bool { return k == partTimeMS || k == partTimeISOMS }

// isDigest reports whether the part is a hash of the body.
func (k partKind) isDigest() bool { return k >= partBodySHA256 && k <= partBodyMD5Base64 }

// part is a placeholder, or a text that stands for itself.
type part struct {
	kind partKind
	// text of partText, or the name of partHeader's field in canonical form.
	text string
	// size in bytes; 0 where it differs from message to message.
	size int
}

func (p part) String() string {
	switch p.kind {
	case partText:
		return strconv.Quote(p.text)
	case partHeader:
		return "{header." + p.text + "}"
	}
	return "{" + placeholders[p.kind].name + "}"
}

func textPart(text string) part { return part{partText, text, len(text)} }

type template []part

func (t template) has(kind partKind) bool {
	return slices.ContainsFunc(t, func(p part) bool { return p.kind == kind })
}

func (t template) String() string {
	var b strings.Builder
	for _, p := range t {
		if p.kind == partText {
			b.WriteString(p.text)
		} else {
			b.WriteString(p.String())
		}
	}
	return b.String()
}

// caddyNames are the long names that Caddy's adapter puts in the place of its short ones, where a template
// stands in a site block: {method} arrives as {http.request.method}.
var caddyNames = strings.NewReplacer(
	"http.request.method", "method", "http.request.uri.path", "path", "http.request.uri.query", "query",
	"http.request.uri", "uri", "http.request.header.", "header.", "http.request.body", "body",
)

// parse reads a template: placeholders in braces, \n \r \t \\ \{ \} for what they stand for, and
// everything else for itself. Errors name option, what is wrong, and what could stand there.
func (f forms) parse(option, text string, takes func(placeholder) bool) (template, error) {
	var t template
	var plain []byte
	flush := func() {
		if len(plain) > 0 {
			t = append(t, textPart(string(plain)))
			plain = nil
		}
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '\\':
			i++
			at := -1
			if i < len(text) {
				at = strings.IndexByte(`nrt\{}`, text[i])
			}
			if at < 0 {
				return nil, fmt.Errorf(`%s: a backslash stands before n, r, t, {, } or another backslash`, option)
			}
			plain = append(plain, "\n\r\t\\{}"[at])
		case '{':
			end := strings.IndexByte(text[i:], '}')
			if end < 0 {
				return nil, fmt.Errorf(`%s: a { is not closed; write \{ where it stands for itself`, option)
			}
			p, err := f.parsePlaceholder(option, text[i+1:i+end], takes)
			if err != nil {
				return nil, err
			}
			flush()
			t = append(t, p)
			i += end
		case '}':
			return nil, fmt.Errorf(`%s: a } was not opened; write \} where it stands for itself`, option)
		default:
			plain = append(plain, c)
		}
	}
	flush()
	if len(t) == 0 {
		return nil, fmt.Errorf("%s: must not be empty", option)
	}
	return t, nil
}

func (f forms) parsePlaceholder(option, name string, takes func(placeholder) bool) (part, error) {
	name = caddyNames.Replace(name)
	wanted := f.form(name)
	var known []string
	for i := partText + 1; i < partKinds; i++ {
		p := placeholders[i]
		if !takes(p) {
			continue
		}
		switch i {
		case partTimeMS:
			known = append(known, "{time}")
		case partHex:
			known = append(known, "{signature}")
		}
		known = append(known, "{"+p.name+"}")
		if field, ok := strings.CutPrefix(name, "header."); ok && i == partHeader {
			field, err := headerName(option+": {header."+field+"}", field)
			return part{kind: partHeader, text: field}, err
		}
		if wanted == p.name {
			return part{kind: i, size: f.size(i)}, nil
		}
	}
	return part{}, fmt.Errorf("%s: {%s} cannot stand there; use %s", option, name, strings.Join(known, ", "))
}
