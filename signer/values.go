package signer

import (
	"crypto/md5" //nolint:gosec // a digest that contracts ask for, which a MAC covers
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const upperHex = "0123456789ABCDEF"

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
	// canonical is the SHA-256 of the canonical request.
	canonical [sha256.Size]byte
	// days are those that a received message says.
	days []saidDay
	zone zone
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
	case partBodySHA512, partBodySHA512Base64, partBodyMD5, partBodyMD5Base64:
		return appendDigest(b, p.kind, v.m.Body)
	case partCanonicalSHA256:
		return hex.AppendEncode(b, v.canonical[:])
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
	case partTimeISO, partTimeISOMS, partTimeBasic, partTimeLocal, partTimeDigits, partTimeRFC1123, partTimeDate, partTimeDay:
		b = time.UnixMilli(v.ms).UTC().Add(v.zone.offset(p.kind)).AppendFormat(b, timeLayouts[p.kind])
		return append(b, v.zone.suffix(p.kind)...)
	case partNonce:
		return append(b, v.nonce...)
	case partKeyVersion:
		return strconv.AppendInt(b, int64(v.version), 10)
	case partHex:
		return hex.AppendEncode(b, v.mac)
	case partHexUpper:
		for _, c := range v.mac {
			b = append(b, upperHex[c>>4], upperHex[c&15])
		}
		return b
	case partBase64:
		return base64.StdEncoding.AppendEncode(b, v.mac)
	case partBase64URL:
		return base64.RawURLEncoding.AppendEncode(b, v.mac)
	case partBase64Escaped:
		return appendEscapedBase64(b, v.mac)
	}
	return b
}

// appendDigest appends a hash of the body that few layouts have.
func appendDigest(b []byte, kind partKind, body []byte) []byte {
	switch kind {
	case partBodySHA512, partBodySHA512Base64:
		sum := sha512.Sum512(body)
		if kind == partBodySHA512 {
			return hex.AppendEncode(b, sum[:])
		}
		return base64.StdEncoding.AppendEncode(b, sum[:])
	}
	sum := md5.Sum(body) //nolint:gosec // see the import
	if kind == partBodyMD5 {
		return hex.AppendEncode(b, sum[:])
	}
	return base64.StdEncoding.AppendEncode(b, sum[:])
}

// read takes what a received field's value says of p, in its one spelling.
func (v *values) read(p part, text string) (err error) {
	if p.kind.isMAC() && !placeholders[p.kind].alphabet.holds(text) {
		// hex.DecodeString takes both cases, base64 passes over line breaks.
		return errors.New("is not in its encoding")
	}
	switch {
	case p.kind.isDay():
		v.days = append(v.days, saidDay{p, text})
		return nil
	case p.kind.isTime():
		return v.readTime(p.kind, text)
	case p.kind.isDigest():
		if text != string(v.append(nil, &p)) {
			return errors.New("is not the body's hash")
		}
	}
	switch p.kind {
	case partClientID:
		if text != v.clientID {
			return ErrWrongIdentity
		}
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
	case partHex, partHexUpper:
		v.mac, err = hex.DecodeString(text)
	case partBase64:
		v.mac, err = base64.StdEncoding.Strict().DecodeString(text)
	case partBase64URL:
		v.mac, err = base64.RawURLEncoding.Strict().DecodeString(text)
	case partBase64Escaped:
		v.mac, err = unescapeBase64(text)
	}
	if err != nil {
		return errors.New("is not in its encoding")
	}
	return nil
}

func (v *values) readTime(kind partKind, text string) error {
	var ms int64
	switch layout := timeLayouts[kind]; {
	case layout != "":
		received := values{zone: v.zone}
		t, err := time.Parse(layout, strings.TrimSuffix(text, v.zone.suffix(kind)))
		received.ms = t.Add(-v.zone.offset(kind)).UnixMilli()
		if err != nil || string(received.append(nil, &part{kind: kind})) != text { // in its one spelling
			example := values{zone: v.zone, ms: 1769860800000}
			return fmt.Errorf("holds no time like %s", example.append(nil, &part{kind: kind}))
		}
		ms = received.ms
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
