package signer

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
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
	partHeader
	partClientID
	partTimeMS
	partTimeS
	partTimeISO
	partNonce
	partKeyVersion
	partHex
	partBase64
	partBase64URL
	partBase64Escaped
	partKinds
)

// placeholder is one name that templates know.
type placeholder struct {
	name string
	// size in bytes; 0 where it differs from message to message.
	size int
	// alphabet are the bytes that its value may hold.
	alphabet alphabet
	// signed: it may stand in what is signed. sent: it may stand in a header field.
	signed, sent bool
}

const (
	digits    = "0123456789"
	letters   = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	isoLayout = "2006-01-02T15:04:05Z"
)

// placeholders by partKind. Times are of one length each: those that Sign takes have 13 digits in
// milliseconds, see layoutTime.
var placeholders = [partKinds]placeholder{
	partMethod:           {"method", 0, alphabetOf("!#$%&'*+-.^_`|~" + digits + letters), true, false},
	partURI:              {"uri", 0, visible, true, false},
	partPath:             {"path", 0, visible.without("?"), true, false},
	partQuery:            {"query", 0, visible, true, false},
	partBody:             {"body", 0, alphabet{}.complement(), true, false},
	partBodySHA256:       {"body_sha256", 64, alphabetOf(digits + "abcdef"), true, true},
	partBodySHA256Base64: {"body_sha256_base64", 44, alphabetOf(digits + letters + "+/="), true, true},
	partHeader:           {"header.<Name>", 0, visible.with(" \t"), true, false},
	partClientID:         {"client_id", 0, visible, true, true},
	partTimeMS:           {"time_ms", 13, alphabetOf(digits), true, true},
	partTimeS:            {"time_s", 10, alphabetOf(digits), true, true},
	partTimeISO:          {"time_iso", len(isoLayout), alphabetOf(digits + "-:TZ"), true, true},
	partNonce:            {"nonce", 0, alphabetOf(digits + letters + "-_"), true, true},
	partKeyVersion:       {"key_version", 0, alphabetOf(digits), true, true},
	partHex:              {"hex", 64, alphabetOf(digits + "abcdef"), false, true},
	partBase64:           {"base64", 44, alphabetOf(digits + letters + "+/="), false, true},
	partBase64URL:        {"base64url", 43, alphabetOf(digits + letters + "-_"), false, true},
	partBase64Escaped:    {"base64_escaped", 0, alphabetOf(digits + letters + "%"), false, true},
}

// isMAC reports whether the part is the signature itself.
func (k partKind) isMAC() bool { return k >= partHex && k <= partBase64Escaped }

// isTime reports whether the part is the time.
func (k partKind) isTime() bool { return k >= partTimeMS && k <= partTimeISO }

// part is a placeholder, or a text that stands for itself.
type part struct {
	kind partKind
	// text of partText, or the name of partHeader's field in canonical form.
	text string
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

type template []part

func (t template) has(kind partKind) bool {
	return slices.ContainsFunc(t, func(p part) bool { return p.kind == kind })
}

// caddyNames are the long names that Caddy's adapter puts in the place of its short ones, where a template
// stands in a site block: {method} arrives as {http.request.method}.
var caddyNames = strings.NewReplacer(
	"http.request.method", "method", "http.request.uri.path", "path", "http.request.uri.query", "query",
	"http.request.uri", "uri", "http.request.header.", "header.", "http.request.body", "body",
)

// parseTemplate reads a template: placeholders in braces, \n \r \t \\ \{ \} for what they stand for, and
// everything else for itself. Errors name option, what is wrong, and what could stand there.
func parseTemplate(option, text string, takes func(placeholder) bool) (template, error) {
	var t template
	var plain []byte
	flush := func() {
		if len(plain) > 0 {
			t = append(t, part{partText, string(plain)})
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
			p, err := parsePlaceholder(option, text[i+1:i+end], takes)
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

func parsePlaceholder(option, name string, takes func(placeholder) bool) (part, error) {
	name = caddyNames.Replace(name)
	var known []string
	for i := partText + 1; i < partKinds; i++ {
		p := placeholders[i]
		if !takes(p) {
			continue
		}
		known = append(known, "{"+p.name+"}")
		if field, ok := strings.CutPrefix(name, "header."); ok && i == partHeader {
			field, err := headerName(option+": {header."+field+"}", field)
			return part{partHeader, field}, err
		}
		if name == p.name {
			return part{kind: i}, nil
		}
	}
	return part{}, fmt.Errorf("%s: {%s} cannot stand there; use %s", option, name, strings.Join(known, ", "))
}

// values are what placeholders stand for in one message.
type values struct {
	m        *Message
	clientID string
	// nonce and ms of the message, or those that a received one says.
	nonce   string
	ms      int64
	version int
	mac     []byte
	digest  []byte // the body's SHA-256
}

// append appends what p stands for. The body is the caller's.
func (v *values) append(b []byte, p *part) []byte {
	switch p.kind {
	case partText:
		return append(b, p.text...)
	case partMethod:
		return append(b, v.m.Method...)
	case partURI:
		return append(b, v.m.Target...)
	case partPath:
		return append(b, v.m.path()...)
	case partQuery:
		_, query, _ := strings.Cut(v.m.Target, "?")
		return append(b, query...)
	case partBodySHA256:
		return hex.AppendEncode(b, v.digest)
	case partBodySHA256Base64:
		return base64.StdEncoding.AppendEncode(b, v.digest)
	case partHeader:
		if values := v.m.Header[p.text]; len(values) > 0 {
			return append(b, values[0]...)
		}
	case partClientID:
		return append(b, v.clientID...)
	case partTimeMS:
		return strconv.AppendInt(b, v.ms, 10)
	case partTimeS:
		return strconv.AppendInt(b, v.ms/1000, 10)
	case partTimeISO:
		return time.UnixMilli(v.ms).UTC().AppendFormat(b, isoLayout)
	case partNonce:
		return append(b, v.nonce...)
	case partKeyVersion:
		return strconv.AppendInt(b, int64(v.version), 10)
	case partHex:
		return hex.AppendEncode(b, v.mac)
	case partBase64:
		return base64.StdEncoding.AppendEncode(b, v.mac)
	case partBase64URL:
		return base64.RawURLEncoding.AppendEncode(b, v.mac)
	case partBase64Escaped:
		return appendEscapedBase64(b, v.mac)
	}
	return b
}

// read takes what a received field's value says of p, in its one spelling.
func (v *values) read(p part, text string) (err error) {
	switch p.kind {
	case partClientID:
		if text != v.clientID {
			return ErrWrongIdentity
		}
	case partTimeMS, partTimeS, partTimeISO:
		return v.readTime(p.kind, text)
	case partNonce:
		if v.nonce != "" && v.nonce != text {
			return errors.New("has another nonce than the field before it")
		}
		v.nonce = text
	case partKeyVersion:
		if len(text) > 9 || !isDigits(text) {
			return errors.New("has no key version")
		}
		v.version, err = strconv.Atoi(text)
	case partHex:
		v.mac, err = hex.DecodeString(text)
	case partBase64:
		v.mac, err = base64.StdEncoding.Strict().DecodeString(text)
	case partBase64URL:
		v.mac, err = base64.RawURLEncoding.Strict().DecodeString(text)
	case partBase64Escaped:
		v.mac, err = unescapeBase64(text)
	case partBodySHA256, partBodySHA256Base64:
		if text != string(v.append(nil, &p)) {
			return errors.New("is not the body's SHA-256")
		}
	}
	if err != nil {
		return errors.New("is not in its encoding")
	}
	return nil
}

func (v *values) readTime(kind partKind, text string) error {
	var ms int64
	switch kind {
	case partTimeISO:
		t, err := time.Parse(isoLayout, text)
		if err != nil {
			return errors.New("holds no time like 2026-01-31T12:00:00Z")
		}
		ms = t.UnixMilli()
	default:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return errors.New("holds no time")
		}
		if ms = n; kind == partTimeS {
			ms *= 1000
		}
	}
	if ms < firstTime || ms > lastTime {
		return errors.New("holds no time from 2001 to 2286")
	}
	if v.ms != 0 && v.ms/1000 != ms/1000 {
		return errors.New("has another time than the field before it")
	}
	v.ms = max(v.ms, ms) // the one with milliseconds, where both are there
	return nil
}
