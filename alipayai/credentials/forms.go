package credentials

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// maxTwice is the longest secret, in bytes, of which encodings of encodings are
// looked for: there are many.
const maxTwice = 512

// forms gives what a secret may be written as, each until yield returns, but for case. White space is gone from them.
func forms(secret string, yield func([]byte)) {
	v := view{text: plain(secret, false).text}
	variants := [][]byte{v.text}
	if strings.ContainsAny(strings.TrimSpace(secret), " \t") {
		variants = append(variants, []byte(secret), []byte(strings.ReplaceAll(secret, " ", "+")))
	}
	if joined, ok := v.joinHex(); ok {
		variants = append(variants, joined.text)
	}
	for range maxEscapes {
		next, ok := v.unescape()
		if !ok {
			break
		}
		v = next
		variants = append(variants, v.text)
	}
	for _, variant := range variants {
		encodings(variant, len(variant) <= maxTwice, yield)
		if binary := decoded(string(variant)); len(binary) >= minSecret {
			encodings(binary, false, yield)
		}
	}
}

// encodings gives a text and its encodings, and with twice the encodings of those.
func encodings(text []byte, twice bool, yield func([]byte)) {
	yield(view{text: text}.folded())
	var outer, inner encoder
	outer.base32s(text, yield)
	again := func(encoded []byte) {
		inner.base64s(encoded, yield)
		yield(inner.hex(encoded))
	}
	once := func(encoded []byte) {
		yield(encoded)
		if twice {
			again(encoded)
		}
	}
	outer.base64s(text, once)
	digits := outer.hex(text)
	once(digits)
	if twice {
		again(bytes.ToUpper(digits))
	}
}

// encoder encodes into the same memory again and again. What base64s and base32s yield is as it comes out at each place
// that text may have in a group, without the characters that depend on what is beside it.
type encoder struct{ text, out []byte }

// base64s encodes by groups of three bytes.
func (e *encoder) base64s(text []byte, yield func([]byte)) {
	e.shifted(text, 3, []int{0, 2, 3}, base64.RawStdEncoding.AppendEncode, yield)
}

// base32s encodes by groups of five bytes.
func (e *encoder) base32s(text []byte, yield func([]byte)) {
	e.shifted(text, 5, []int{0, 2, 4, 5, 7}, base32.StdEncoding.WithPadding(base32.NoPadding).AppendEncode, yield)
}

// shifted encodes text behind none, one and more bytes, by groups of so many; skips are the characters that these take.
func (e *encoder) shifted(text []byte, group int, skips []int, encode func(dst, src []byte) []byte, yield func([]byte)) {
	const most = 4 // bytes before
	e.text = append(append(e.text[:0], make([]byte, most)...), text...)
	for before, skip := range skips {
		behind := e.text[most-before:]
		e.out = encode(e.out[:0], behind)
		encoded := e.out
		if len(behind)%group != 0 {
			encoded = encoded[:len(encoded)-1]
		}
		if skip < len(encoded) {
			yield(encoded[skip:])
		}
	}
}

func (e *encoder) hex(text []byte) []byte {
	e.out = hex.AppendEncode(e.out[:0], text)
	return e.out
}

var standardBase64 = strings.NewReplacer("-", "+", "_", "/")

// decoded gives the bytes that text stands for, in base64 or hexadecimal digits;
// nil where it is neither.
func decoded(text string) []byte {
	if binary, err := hex.DecodeString(text); err == nil {
		return binary
	}
	standard := standardBase64.Replace(strings.TrimRight(text, "="))
	binary, err := base64.RawStdEncoding.DecodeString(standard)
	if err != nil {
		return nil
	}
	return binary
}

// Basic gives the part of HTTP Basic credentials (RFC 7617) in base64 that
// depends on the secret: what is before it encodes only the id, which is not secret.
func Basic(id, secret string) string {
	encoded := base64.StdEncoding.EncodeToString([]byte(id + ":" + secret))
	first := (len(id) + 1) * 8 / 6 // with a bit of the secret in it
	return encoded[max(0, first-gram+1):]
}
