package credentials

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// maxTwice is the longest secret, in bytes, of which encodings of encodings are
// looked for: there are many.
const maxTwice = 512

// forms gives what a secret may be written as. White space is gone from them.
func forms(secret string, yield func(string)) {
	whole := string(plain(secret, false).text)
	variants := []string{whole}
	if strings.ContainsAny(strings.TrimSpace(secret), " \t") {
		variants = append(variants, secret, strings.ReplaceAll(secret, " ", "+"))
	}
	v := view{text: []byte(whole)}
	if joined, ok := v.joinHex(); ok {
		variants = append(variants, string(joined.text))
	}
	for range maxEscapes {
		next, ok := v.unescape()
		if !ok {
			break
		}
		v = next
		variants = append(variants, string(v.text))
	}
	for _, variant := range variants {
		encodings(variant, len(variant) <= maxTwice, yield)
		if binary := decoded(variant); len(binary) >= minSecret {
			encodings(string(binary), false, yield)
		}
	}
}

// encodings gives a text and its encodings, and with twice the encodings of those.
func encodings(text string, twice bool, yield func(string)) {
	yield(text)
	once := append(base64s(text), hex.EncodeToString([]byte(text)))
	for _, encoded := range append(base32s(text), once...) {
		yield(encoded)
	}
	if !twice {
		return
	}
	once = append(once, strings.ToUpper(once[len(once)-1]))
	for _, encoded := range once {
		for _, again := range append(base64s(encoded), hex.EncodeToString([]byte(encoded))) {
			yield(again)
		}
	}
}

// base64s gives text in base64 as it comes out at each place that it may have
// among the three bytes of a group, without the characters that depend on what
// is beside it.
func base64s(text string) []string {
	out := make([]string, 0, 4)
	for before, skip := range [...]int{0, 2, 3} {
		encoded := base64.RawStdEncoding.EncodeToString([]byte("\x00\x00"[:before] + text))
		if (before+len(text))%3 != 0 {
			encoded = encoded[:len(encoded)-1]
		}
		if skip < len(encoded) {
			out = append(out, encoded[skip:])
		}
	}
	return out
}

// decoded gives the bytes that text stands for, in base64 or hexadecimal digits;
// nil where it is neither.
func decoded(text string) []byte {
	if binary, err := hex.DecodeString(text); err == nil {
		return binary
	}
	standard := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
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

// base32s is base64s in base32, where a group has five bytes.
func base32s(text string) []string {
	out := make([]string, 0, 5)
	for before, skip := range [...]int{0, 2, 4, 5, 7} {
		encoded := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte("\x00\x00\x00\x00"[:before] + text))
		if (before+len(text))%5 != 0 {
			encoded = encoded[:len(encoded)-1]
		}
		if skip < len(encoded) {
			out = append(out, encoded[skip:])
		}
	}
	return out
}
